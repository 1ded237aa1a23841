// Package stomp serves STOMP 1.0, 1.1 and 1.2 clients in ActiveMQ's dialect: it turns frames into the core's events and the
// core's effects into frames. All that JMS knows of queues is the core's; what is here is names, headers and answers.
//
// One goroutine reads a connection and hands over what is there as one burst, one waits for effects and writes what
// they make with one call. Everything that is sent after the login goes through the writer, errors of the reader
// too: they travel through the core as an event that does nothing, so that a client gets its answers in the order of its frames.
package stomp

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/session"
)

// Options are limits and habits of all connections. The zero value works.
type Options struct {
	// Server is the server header of CONNECTED. Some clients read it, so that "" means ActiveMQ's name and version.
	Server string
	// MaxFrameSize bounds a frame's body, in bytes. 0 means stomp.DefaultMaxFrameSize.
	MaxFrameSize int
	// UserID fills JMSXUserID with the name of the authenticated user; otherwise messages keep none.
	UserID bool
	// MaxSubscriptions bounds the subscriptions of one connection. 0 means 10,000.
	MaxSubscriptions int
	// MaxTransactions bounds the open transactions of one connection. 0 means 1,000.
	MaxTransactions int
	// MaxTemporaries bounds the temporary destinations of one connection. 0 means 10,000.
	MaxTemporaries int
	// MaxReceipts bounds the answers that one connection waits for; beyond it, it is not read. 0 means 10,000.
	MaxReceipts int
	// HeartBeat is taken for the heart-beat header of a client that sends none, "5000,7000" in ms. "" means "0,0".
	HeartBeat string
	// HeartBeatGrace multiplies the time that a client may be silent, which is twice its period. 0 means 1.
	HeartBeatGrace float64
	// Linger is how long a client may take to read its last frames once its connection is being closed. 0 means 2 s.
	Linger time.Duration
}

func (o Options) filled() Options {
	fill := func(n *int, without int) {
		if *n == 0 {
			*n = without
		}
	}
	fill(&o.MaxFrameSize, stomp.DefaultMaxFrameSize)
	fill(&o.MaxSubscriptions, 10_000)
	fill(&o.MaxTransactions, 1000)
	fill(&o.MaxTemporaries, 10_000)
	fill(&o.MaxReceipts, 10_000)
	if o.Server == "" {
		o.Server = "ActiveMQ/6.3.1 Godwit"
	}
	if o.HeartBeat == "" {
		o.HeartBeat = "0,0"
	}
	if o.HeartBeatGrace == 0 {
		o.HeartBeatGrace = 1
	}
	if o.Linger == 0 {
		o.Linger = 2 * time.Second
	}
	return o
}

// Serve serves one client until it leaves, is sent away, or ctx ends; conn is closed then. It returns nil when the client has
// said goodbye or the broker ends the connection, and otherwise why it ended.
func Serve(ctx context.Context, conn net.Conn, peer session.Peer, deps *session.Deps, opt Options) error {
	defer conn.Close()
	c := newConnection(conn, peer, deps, opt)
	defer c.frames.Release()
	stop := context.AfterFunc(ctx, c.shutDown)
	defer stop()
	if err := c.connect(ctx); err != nil {
		return fmt.Errorf("log a STOMP client in from %s: %w", peer.Remote, err)
	}
	defer session.Watch(c.identity, c.core)()
	if err := c.run(); err != nil && err != errLeft && err != errEnded {
		return fmt.Errorf("serve STOMP client %s from %s: %w", c.id, peer.Remote, err)
	}
	return nil
}

// connectionID makes the id of a connection, in ActiveMQ's form, from the broker's: ID:HOST-TIME-N:1.
func connectionID(brokerID string, conn broker.ConnID) string {
	prefix := "ID:godwit"
	if i := strings.LastIndexByte(brokerID, '-'); i > 0 {
		prefix = brokerID[:i]
	}
	return fmt.Sprintf("%s-%d:1", prefix, conn)
}
