// Package openwire serves clients that speak OpenWire: it turns their commands into the core's events and the core's effects into
// commands. It answers with the loose encoding, without the marshal cache, in the client's version or 12.
//
// One goroutine a connection reads: it decodes all frames that have come, translates them and submits them as one burst. Effects are
// encoded and written by whoever brought them about, or by the connection's second goroutine (engine.Conn.Serve), one at a time. What reading and
// writing share is small: the consumers (consumers.go) and a few words that are set at login.
package openwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/readiness"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
)

// Options are limits and announcements. The zero value works.
type Options struct {
	// MaxFrameSize bounds one frame of a client that is logged in, in bytes. 0 means 100 MiB, as in ActiveMQ's stock configuration.
	MaxFrameSize int
	// MaxInactivity is announced; the lower of both sides holds: who is silent for longer is dead. 0 means 30 s, negative
	// switches it off.
	MaxInactivity time.Duration
	// Sessions, Consumers, Producers and Transactions bound what one connection may have open at once. 0 means 10,000 each.
	Sessions, Consumers, Producers, Transactions int
	// URIs gives the brokers that clients are told of after their login (ConnectionControl.connectedBrokers); nil or an
	// empty list tells nothing. It is called for each login.
	URIs func() []string
	// URL is what the broker calls itself in BrokerInfo and advisories, for people.
	URL string
	// UserID fills JMSXUserID with the name of the authenticated user; otherwise messages keep none.
	UserID bool

	goodbye             time.Duration // for the client to read why it is sent away; 0 means 2 s
	transactionPatience time.Duration // to end its transactions before it is let go; 0 means 100 ms, well below what engine.Leave is given
}

func (o Options) filled() Options {
	if o.MaxFrameSize <= 0 {
		o.MaxFrameSize = wire.DefaultMaxFrameSize
	}
	switch {
	case o.MaxInactivity == 0:
		o.MaxInactivity = 30 * time.Second
	case o.MaxInactivity < 0:
		o.MaxInactivity = 0
	}
	if o.goodbye == 0 {
		o.goodbye = 2 * time.Second
	}
	if o.transactionPatience == 0 {
		o.transactionPatience = 100 * time.Millisecond
	}
	for _, limit := range []*int{&o.Sessions, &o.Consumers, &o.Producers, &o.Transactions} {
		if *limit <= 0 {
			*limit = 10_000
		}
	}
	return o
}

// How long things may take, and how large they may be, where no option says.
const (
	helloPatience = 30 * time.Second // until the client's WireFormatInfo has come
	maxLoginFrame = 512 << 10        // of clients that are not logged in
	maxBurst      = 256              // events submitted at once
	maxBurstBytes = 1 << 20          // of their frames
)

// connection is one client's.
type connection struct {
	deps *session.Deps
	opt  Options
	peer session.Peer
	conn net.Conn
	core *engine.Conn
	log  *slog.Logger
	ctx  context.Context // of Serve, for the login, the only thing of the reader that waits for more than the client and the core

	// Set while shaking hands, before the writer starts.
	format wire.WireFormat // agreed
	jms    string          // package of JMS's exceptions in the client's world
	about  readiness.Facts // set at the login
	pulse  *session.Pulse

	visit     *readiness.Visit // of the writer; nil before the login was answered
	farewell  atomic.Bool      // RemoveInfo of the connection, or ShutdownInfo, has come
	reader    reader
	consumers consumers
	writer    writer
	// unanswered counts what the client waits for, transactions those in which it is at work.
	unanswered, transactions atomic.Int64
	moving                   atomic.Bool // it is to leave: see mayLeave
	hurried                  atomic.Bool // even in the middle of a transaction
}

// reader is what only the reading goroutine uses.
type reader struct {
	frames    *wire.Framer
	decoder   wire.Decoder
	events    []broker.Event
	burst     uint64 // number of the burst being read
	now       int64  // ms since 1970, of the burst
	asked     bool   // a frame of the burst wants an answer
	stream    int    // bursts in a row that came close together and wanted none
	before    time.Time
	bridge    bool // the client said that it is a broker's bridge
	who       *security.Identity
	name      string // ConnectionID; "" until the ConnectionInfo
	clientID  string
	again     bool // back after a failover
	removed   bool // RemoveInfo of the connection has come
	sessions  map[int64]struct{}
	producers map[objectKey]*producer
	last      *producer // of the message before
	made      uint64    // producers so far
	tolerant  bool      // the client uses failover
	open      map[broker.TxID]*broker.Error
	branches  branches
	unwatch   func() // nil before the login
}

// Serve serves one client until it goes, misbehaves, or ctx ends; conn is closed then. It returns nil when the client has said goodbye or the
// broker ends the connection, and otherwise why it ended.
func Serve(ctx context.Context, conn net.Conn, peer session.Peer, deps *session.Deps, opt Options) error {
	c := &connection{deps: deps, opt: opt.filled(), peer: peer, conn: conn, ctx: ctx, jms: javax}
	c.log = deps.Log().With("remote", peer.Remote, "protocol", "openwire")
	defer conn.Close()
	if err := c.shakeHands(); err != nil {
		return fmt.Errorf("shake hands with %s: %w", peer.Remote, err)
	}
	c.core = deps.Engine.Connect()
	c.startPulse()
	defer c.pulse.Stop()
	gone := make(chan struct{})
	if share := deps.Frames.Share(gone); share != nil {
		share.OnWait(c.pulse.Busy)
		c.reader.frames.SetMemory(share)
		defer c.reader.frames.Release()
	}
	stop := context.AfterFunc(ctx, func() { c.core.Dismiss("the broker is stopping") })
	defer stop()
	c.tell(c.introduction())
	var writing sync.WaitGroup
	c.writer.raw = session.Raw(conn)
	writing.Go(func() {
		c.core.Serve(c.write)
		c.visit.Leave(c.farewell.Load())
		close(gone)
		conn.Close() // the engine may have ended the connection without a word
	})
	err := c.read()
	if errors.Is(err, wire.ErrFrameSize) {
		err = &broker.Error{Code: broker.Malformed, Detail: err.Error(), Err: err}
	}
	var refused *broker.Error
	if errors.As(err, &refused) {
		c.tell(&wire.ConnectionError{Exception: c.throwable(refused)})
		c.linger()
	}
	if c.reader.unwatch != nil {
		c.reader.unwatch()
	}
	c.core.Close()
	conn.Close()
	writing.Wait()
	switch {
	case refused != nil:
		c.log.Warn("a client was sent away", "reason", refused)
	case err == errGone || err == io.EOF || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	}
	return err
}

// startPulse begins to watch for silence as agreed: who has sent nothing for MaxInactivity is dead, and a third of it is the longest
// that we are silent.
func (c *connection) startPulse() {
	agreed := c.format.MaxInactivity
	beats := session.Beats{Receive: agreed, Send: agreed / 3}
	if agreed > 0 { // whoever asks for less does not get timers that do nothing but run
		beats.Receive, beats.Send = max(beats.Receive, time.Second), max(beats.Send, 100*time.Millisecond)
	} else {
		beats.Send = 10 * time.Second
	}
	beats.Silent = func() {
		c.log.Info("a client is silent; its connection is closed", "for", agreed)
		c.conn.Close()
	}
	beats.Beat = func() {
		switch {
		case c.core.Ended(): // and the writer has not come to it, because the client does not read
			c.conn.Close()
		case agreed > 0:
			c.tell(&wire.KeepAliveInfo{})
		}
	}
	c.pulse = session.StartPulse(beats)
}

// errGone ends the reader where the client has said that it goes.
var errGone = errors.New("the client has gone")

// read is the reading goroutine. A *broker.Error is what the client is to be told before it is sent away.
func (c *connection) read() error {
	r := &c.reader
	for {
		frame, err := r.frames.Next()
		if err != nil {
			return err
		}
		c.pulse.Received()
		r.burst++
		came := time.Now()
		r.now, r.asked = came.UnixMilli(), false
		size := 0
		for {
			size += len(frame)
			if err = c.take(frame); err != nil {
				break
			}
			if len(r.events) >= maxBurst || size >= maxBurstBytes || !r.frames.HasFrame() {
				break
			}
			if frame, err = r.frames.Next(); err != nil {
				break
			}
		}
		// What came before a broken frame was sent and counts.
		c.submit()
		if c.moving.Load() { // a transaction may have ended without an answer
			c.core.Tell(broker.Effect{Kind: broker.Move})
		}
		c.pulse.Busy(true)
		c.core.Hold()
		c.pulse.Busy(false)
		if err != nil {
			return err
		}
		if r.asked || size > gatherBytes || len(r.open) > 0 || came.Sub(r.before) > streamPause {
			r.stream = 0
		}
		r.before = came
		if r.stream++; r.stream > streamBursts {
			time.Sleep(gather)
		}
	}
}

// A client that streams frames for which it wants no answers sends each with a call of its own. Read as they come, each would cost a change
// of goroutine and two calls; given a moment, they come by the dozen. Whoever waits for an answer is never made to wait here.
const (
	streamBursts = 8                    // that make a stream
	streamPause  = 5 * time.Millisecond // between two bursts ends it
	gather       = 200 * time.Microsecond
	gatherBytes  = 16 << 10 // in a burst: then they come by the dozen already
)

// submit hands the burst to the core, which may take long while others are before it.
func (c *connection) submit() {
	r := &c.reader
	if len(r.events) == 0 {
		return
	}
	c.pulse.Busy(true)
	c.core.Submit(r.events...)
	c.pulse.Busy(false)
	clear(r.events)
	if r.events = r.events[:0]; cap(r.events) > 2*maxBurst {
		r.events = nil
	}
}

// take decodes and translates one frame.
func (c *connection) take(frame []byte) error {
	command, err := c.reader.decoder.Decode(frame)
	if err != nil {
		return &broker.Error{Code: broker.Malformed, Detail: err.Error(), Err: err}
	}
	if _, alive := command.(*wire.KeepAliveInfo); command.NeedsResponse() && !alive {
		c.unanswered.Add(1)
	}
	c.reader.asked = c.reader.asked || command.NeedsResponse() || command.Code() == wire.CodeMessagePull
	err = c.translate(command)
	c.transactions.Store(int64(len(c.reader.open) + c.reader.branches.underway()))
	return err
}

// tell queues a command that is not the core's.
func (c *connection) tell(command wire.Command) {
	c.core.Tell(broker.Effect{Kind: broker.Answer, Value: command})
}

// linger gives the client time to read what was written before the socket closes: a close with unread bytes would destroy it on the way.
func (c *connection) linger() {
	if c.conn.SetReadDeadline(time.Now().Add(c.opt.goodbye)) != nil {
		return
	}
	for {
		if _, err := c.reader.frames.Next(); err != nil {
			if errors.Is(err, wire.ErrFrameSize) || errors.As(err, new(*broker.Error)) { // no frame can be found any more, or there is no memory for it
				_, _ = io.Copy(io.Discard, io.LimitReader(c.conn, int64(c.opt.MaxFrameSize)))
			}
			return
		}
	}
}
