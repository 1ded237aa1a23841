package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A direction waits with a small buffer, of which there may be ten thousand, and takes a large one while much comes. TLS
// sends as much in one record. Splicing is of no use: there is TLS on one side at least, and a waiting splice holds two
// file descriptors.
const (
	smallBuffer = 4 << 10
	largeBuffer = 16 << 10
)

var largeBuffers = sync.Pool{New: func() any { return new([largeBuffer]byte) }}

// join lets what comes from one connection go to the other until both have ended, or one has failed, or ctx or term ends.
// Then both are closed. When one side ends, the other is told at once and has some seconds to do so, too.
func join(ctx, term context.Context, client, active net.Conn) error {
	cut := func() {
		hangUp(client)
		hangUp(active)
	}
	defer cut()
	defer context.AfterFunc(ctx, cut)()
	over := make(chan struct{})
	defer close(over)
	defer context.AfterFunc(term, func() {
		if errors.Is(context.Cause(term), ErrHandedOver) {
			select {
			case <-over:
			case <-time.After(finish):
			}
		}
		cut()
	})()
	ends := make(chan error, 2)
	flow := func(to, from net.Conn) {
		err := pour(to, from)
		ends <- err // before the other direction can fail of it
		if err != nil {
			cut()
			return
		}
		end := time.Now().Add(linger)
		to.SetDeadline(end)
		from.SetDeadline(end)
		closeWrite(to)
	}
	var sending sync.WaitGroup
	sending.Go(func() { flow(active, client) })
	flow(client, active)
	sending.Wait()
	first := <-ends // after an end, or a failure, the other direction only follows
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case term.Err() != nil && first != nil:
		return ErrNotActive
	}
	return first
}

// pour copies until the end of from, which is no error.
func pour(to io.Writer, from io.Reader) error {
	small := make([]byte, smallBuffer)
	var large *[largeBuffer]byte
	defer func() {
		if large != nil {
			largeBuffers.Put(large)
		}
	}()
	for buffer := small; ; {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, werr := to.Write(buffer[:n]); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case large == nil && n == smallBuffer:
			large = largeBuffers.Get().(*[largeBuffer]byte)
			buffer = large[:]
		case large != nil && n <= smallBuffer:
			largeBuffers.Put(large)
			large, buffer = nil, small
		}
	}
}

// bare is the TCP connection below TLS. The close of a tls.Conn may wait for seconds for a peer that does not read.
func bare(conn net.Conn) net.Conn {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		return secure.NetConn()
	}
	return conn
}

// closeWrite says that no more is sent, to TLS and to TCP. It fails if the other side is gone, which its reader sees.
func closeWrite(conn net.Conn) {
	for _, c := range [...]net.Conn{conn, bare(conn)} {
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
	}
}

func hangUp(conn net.Conn) { bare(conn).Close() }

// reset closes so that the client sees a refusal, not an end.
func reset(conn net.Conn) {
	if tcp, ok := bare(conn).(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0) // it fails only if the connection is closed
	}
	hangUp(conn)
}
