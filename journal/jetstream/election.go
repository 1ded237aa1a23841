package jetstream

import (
	"time"
	_ "unsafe" // for go:linkname

	"github.com/nats-io/nats-server/v2/server"
)

// The server finds out that a leader is gone by its silence, although it hears of the death of a process at once: the connections to it end. So the node looks after
// them, and has the election begin when those to a leader are gone. It is the election that the server would hold some time later, with the same rules; only its
// beginning is not left to a timer. A leader that is silent and connected, a stopped process or a cut cable, is still found out by the timers.

//go:linkname lookupRaftNode github.com/nats-io/nats-server/v2/server.(*Server).lookupRaftNode
func lookupRaftNode(s *server.Server, group string) server.RaftNode

// routesEvery is how often it is looked how many connections to other nodes there are.
const routesEvery = 20 * time.Millisecond

// hasten is the goroutine that has elections begin. The node of a log's writer leaves them to the others, because its own server is not to lead the stream.
func (n *Node) hasten() {
	ticker := time.NewTicker(routesEvery)
	defer ticker.Stop()
	routes := 0
	begun := map[string]uint64{} // the term of a group that was ended so: a campaign that has begun is not begun anew
	for {
		select {
		case <-n.stop:
			return
		case <-ticker.C:
		}
		srv, _ := n.now()
		now := srv.NumRoutes()
		if now < routes {
			for group, g := range leaderless(srv) {
				if begun[group] == g.Term {
					continue
				}
				begun[group] = g.Term
				if raft := lookupRaftNode(srv, group); raft != nil && n.writers.Load() == 0 {
					n.log.Info("the node that led a part of the log is gone; another is elected", "node", g.Peers[g.Leader].Name, "group", group)
					raft.Campaign() // an error means that this node leads already
				}
				n.tellLoss()
			}
		}
		routes = now
	}
}

// leaderless are the groups of nodes that follow a leader to which there is no connection any more.
func leaderless(srv *server.Server) map[string]server.RaftzGroup {
	routes, err := srv.Routez(nil)
	if err != nil {
		return nil
	}
	near := map[string]bool{}
	for _, r := range routes.Routes {
		near[r.RemoteName] = true
	}
	lost := map[string]server.RaftzGroup{}
	for _, account := range []string{server.DEFAULT_SYSTEM_ACCOUNT, server.DEFAULT_GLOBAL_ACCOUNT} {
		status := srv.Raftz(&server.RaftzOptions{AccountFilter: account})
		if status == nil {
			continue
		}
		for group, g := range (*status)[account] {
			if leader, other := g.Peers[g.Leader]; other && !near[leader.Name] {
				lost[group] = g
			}
		}
	}
	return lost
}

// losses is closed when a node is lost that led a part of the log; nil if that is not looked after here.
func (n *Node) losses() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.loss
}

func (n *Node) tellLoss() {
	n.mu.Lock()
	defer n.mu.Unlock()
	close(n.loss)
	n.loss = make(chan struct{})
}
