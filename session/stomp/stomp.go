// Package stomp serves STOMP 1.0, 1.1 and 1.2 clients in ActiveMQ's dialect: it turns frames into the core's events and the
// core's effects into frames. All that JMS knows of queues is the core's; what is here is names, headers and answers.
//
// One goroutine reads a connection and hands over what is there as one burst, one waits for effects and writes what
// they make with one call. Everything that is sent after the login goes through the writer, errors of the reader
// too: they travel through the core as an event that does nothing, so that a client gets its answers in the order of its frames.
package stomp

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/security"
)

// Options are limits and habits of all connections. The zero value works.
type Options struct {
	// Server is the server header of CONNECTED. Some clients read it, so that "" means ActiveMQ's name and version.
	Server string
	// MaxFrameSize bounds a frame's body, in bytes. 0 means stomp.DefaultMaxFrameSize.
	MaxFrameSize int
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

// Deps is what a connection is served with: what all share, and what the listener knows of this one.
type Deps struct {
	Engine    *engine.Engine
	Authority *security.Authority
	IDs       *IDs
	Log       *slog.Logger // nil: nothing is logged
	Options   Options

	Remote      netip.AddrPort    // of the client, behind any proxy
	Listener    string            // the endpoint's name, for people
	Certificate *x509.Certificate // of the client, verified; nil without
	// LoggedIn is called when the client is logged in; false means that it came too late. nil is true.
	LoggedIn func() bool
}

// IDs makes the ids of connections in ActiveMQ's form, ID:HOST-PORT-TIME-N:1. It may be used by all goroutines.
type IDs struct {
	prefix string
	last   atomic.Uint64
}

// NewIDs makes ids that no other start of the broker on this host and port makes.
func NewIDs(host string, port int, start time.Time) *IDs {
	return &IDs{prefix: fmt.Sprintf("ID:%s-%d-%d-", host, port, start.UnixMilli())}
}

// Next gives a new id.
func (i *IDs) Next() string { return fmt.Sprintf("%s%d:1", i.prefix, i.last.Add(1)) }

// Serve serves one client until it leaves, is sent away, or ctx ends; in the last case it is told that the broker is
// shutting down. It closes conn.
func Serve(ctx context.Context, conn net.Conn, deps Deps) {
	defer conn.Close()
	deps.Options = deps.Options.filled()
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	s := newSession(conn, deps)
	stop := context.AfterFunc(ctx, s.shutDown)
	defer stop()
	if err := s.connect(ctx); err != nil {
		deps.Log.Info("STOMP client not connected", "address", deps.Remote, "reason", err)
		return
	}
	err := s.run()
	deps.Log.Debug("STOMP connection ended", "connection", s.id, "address", deps.Remote, "reason", err)
}
