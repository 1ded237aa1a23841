package listen

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
)

// ErrLoginBytes is what reads fail with when a client has sent too much without logging in.
var ErrLoginBytes = errors.New("too many bytes before login")

// ErrLoginTime is why a connection is given up whose client did not log in in time.
var ErrLoginTime = errors.New("no login in time")

// Conn is a plain connection: a *net.TCPConn, so that net.Buffers are written with one writev, which gives back the bytes
// that were looked at and counts those before the login. Once they are read and the client is logged in, a read costs
// one load of a flag more than on the TCPConn.
type Conn struct {
	*net.TCPConn
	guarded  atomic.Bool // a read must look at the following
	loggedIn atomic.Bool
	ahead    []byte // read from the socket, but not yet by the session; of the reading goroutine
	budget   int    // bytes that may be read before the login; of the reading goroutine
	fresh    bool   // nothing was read yet, and it should not be TLS
	guard    *guard
}

// Read is for one goroutine at a time.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.guarded.Load() {
		return c.TCPConn.Read(p)
	}
	return c.readGuarded(p)
}

func (c *Conn) readGuarded(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.ahead) > 0 {
		n := copy(p, c.ahead)
		if c.ahead = c.ahead[n:]; len(c.ahead) == 0 {
			c.ahead = nil
		}
		return n, nil
	}
	if c.loggedIn.Load() {
		c.guarded.Store(false)
		return c.TCPConn.Read(p)
	}
	if c.budget <= 0 {
		c.guard.exceeded()
		return 0, ErrLoginBytes
	}
	n, err := c.TCPConn.Read(p[:min(len(p), c.budget)])
	c.budget -= n
	if n > 0 && c.fresh {
		c.fresh = false
		if p[0] == tlsHandshake {
			c.guard.note("a TLS client on an endpoint without TLS")
		}
	}
	return n, err
}

// WriteTo reads until the end; the TCPConn's own would pass by what Read knows.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

// unread puts bytes back before the next Read.
func (c *Conn) unread(b []byte) { c.ahead = append(b, c.ahead...) }

// tlsConn gives back what was looked at inside of TLS.
type tlsConn struct {
	*tls.Conn
	ahead []byte
}

func (c *tlsConn) Read(p []byte) (int, error) {
	if len(c.ahead) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.ahead)
	c.ahead = c.ahead[n:]
	return n, nil
}
