package main

import (
	"context"
	"net"
	"os"
	"time"

	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/listen"
	"github.com/godwitmq/godwit/session/stomp"
)

// recoveryPatience is how long a client that comes while the journal is read may wait for an answer.
const recoveryPatience = 20 * time.Second

// handlers are the protocols that are served.
func (n *node) handlers() map[listen.Protocol]listen.Handler {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost" // it is only a part of ids, which the start time makes unique
	}
	ids := stomp.NewIDs(host, os.Getpid(), n.begun)
	return map[listen.Protocol]listen.Handler{
		listen.STOMP: n.withEngine(func(ctx context.Context, conn net.Conn, info listen.Info, e *engine.Engine) {
			deps := stomp.Deps{Engine: e, Authority: n.guards.clients, IDs: ids, Log: n.log, Options: stomp.Options{MaxFrameSize: int(n.config().Limits.FrameSize)},
				Remote: info.Remote, Listener: info.Listener, LoggedIn: info.LoggedIn}
			if info.TLS != nil && len(info.TLS.Peer) > 0 {
				deps.Certificate = info.TLS.Peer[0]
			}
			stomp.Serve(ctx, conn, deps)
		}),
	}
}

// withEngine finds the engine for a connection, and waits for it if the journal is just being read again.
func (n *node) withEngine(serve func(context.Context, net.Conn, listen.Info, *engine.Engine)) listen.Handler {
	return func(ctx context.Context, conn net.Conn, info listen.Info) {
		patience, cancel := context.WithTimeout(ctx, recoveryPatience)
		e := n.core.wait(patience)
		cancel()
		if e != nil {
			serve(ctx, conn, info, e)
		}
	}
}
