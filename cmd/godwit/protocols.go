package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/cluster/relay"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/listen"
	"github.com/godwitmq/godwit/session"
	"github.com/godwitmq/godwit/session/openwire"
	"github.com/godwitmq/godwit/session/stomp"
)

// recoveryPatience is how long a client that comes while the journal is read may wait for an answer.
const recoveryPatience = 20 * time.Second

// deps are what sessions on that engine need.
func (n *node) deps(e *engine.Engine) *session.Deps {
	return &session.Deps{Engine: e, Authority: n.guards.clients, Broker: session.Broker{ID: n.id, Name: n.config().Broker.Name}, Logger: n.log, Frames: n.frames, Roster: n.roster}
}

// brokerID is the broker's id in ActiveMQ's form, which differs with each start.
func brokerID(begun time.Time) string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost" // the start time and the process id make it unique on a machine
	}
	return fmt.Sprintf("ID:%s-%d-%d-0:1", host, os.Getpid(), begun.UnixMilli())
}

// handlers are the protocols that are served.
func (n *node) handlers() map[listen.Protocol]listen.Handler {
	limit, userID := int(n.config().Limits.FrameSize), n.config().Broker.UserID
	return map[listen.Protocol]listen.Handler{
		listen.OpenWire: n.handler("openwire", func(ctx context.Context, conn net.Conn, peer session.Peer, deps *session.Deps) error {
			return openwire.Serve(ctx, conn, peer, deps, openwire.Options{MaxFrameSize: limit, UserID: userID, URIs: func() []string {
				c := &n.config().Cluster
				return c.ClientURLs(c.Name, peer.Secure)
			}})
		}),
		listen.STOMP: n.handler("stomp", func(ctx context.Context, conn net.Conn, peer session.Peer, deps *session.Deps) error {
			return stomp.Serve(ctx, conn, peer, deps, stomp.Options{MaxFrameSize: limit, UserID: userID})
		}),
	}
}

// depsFor waits for the engine that is to serve a connection. nil: there is none, or another instance has served it.
func (n *node) depsFor(ctx context.Context, conn net.Conn, info listen.Info) *session.Deps {
	wait := recoveryPatience
	if in := n.instance.Load(); in != nil {
		wait = n.config().Cluster.Hold // another instance may have it; a client that is held longer believes that the broker hangs
		e, health := n.core.now()
		if health.Status == string(cluster.Waiting) {
			n.log.Info("a client was refused", "remote", info.Remote, "listener", info.Listener, "reason", health.Detail)
			return nil
		}
		if e == nil && in.carrier != nil && !info.Relayed {
			err := in.carrier.Serve(ctx, conn, info)
			if !errors.Is(err, relay.ErrHere) {
				if err != nil {
					n.log.Info("a client was not brought to the active instance", "remote", info.Remote, "listener", info.Listener, "error", err)
				}
				return nil
			}
		}
	}
	patience, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return n.core.wait(patience)
}

// handler finds the engine for a connection, waiting if the journal is just being read again, and serves the client.
func (n *node) handler(protocol string, serve func(context.Context, net.Conn, session.Peer, *session.Deps) error) listen.Handler {
	return func(ctx context.Context, conn net.Conn, info listen.Info) {
		deps := n.depsFor(ctx, conn, info)
		if deps == nil {
			return
		}
		peer := session.Peer{Listener: info.Listener, Remote: info.Remote, Secure: info.TLS != nil, About: n.about(info), LoggedIn: info.LoggedIn}
		if info.TLS != nil && len(info.TLS.Peer) > 0 {
			peer.Certificate = info.TLS.Peer[0]
		}
		if err := serve(ctx, conn, peer, deps); err != nil {
			n.log.Info("a client's connection ended", "protocol", protocol, "remote", info.Remote, "listener", info.Listener, "reason", err)
		}
	}
}
