package durable

import (
	"maps"
	"sync"
	"time"
)

// sightings are when keys were used and nodes heard of, in memory only: it would be a record for each request.
type sightings struct {
	mu   sync.Mutex
	last map[sight]time.Time
}

type sight struct{ kind, id string }

// KeyUsed notes that a request signed with an access key has come.
func (p *Plane) KeyUsed(id string) {
	if p.State().Key(id) != nil {
		p.see(sight{"key", id})
	}
}

// KeyLastUsed is when that was last; zero: not since Open.
func (p *Plane) KeyLastUsed(id string) time.Time { return p.lastSeen(sight{"key", id}) }

// NodeSeen notes that a node was heard of.
func (p *Plane) NodeSeen(name string) {
	if p.State().Node(name) != nil {
		p.see(sight{"node", name})
	}
}

// NodeLastSeen is when that was last; zero: not since Open.
func (p *Plane) NodeLastSeen(name string) time.Time { return p.lastSeen(sight{"node", name}) }

func (p *Plane) see(what sight) {
	s := p.State()
	p.seen.mu.Lock()
	defer p.seen.mu.Unlock()
	if p.seen.last == nil {
		p.seen.last = map[sight]time.Time{}
	}
	p.seen.last[what] = p.opt.Now()
	if len(p.seen.last) > 2*(len(s.Keys())+len(s.Nodes())) { // of those that are gone
		maps.DeleteFunc(p.seen.last, func(w sight, _ time.Time) bool {
			return w.kind == "key" && s.Key(w.id) == nil || w.kind == "node" && s.Node(w.id) == nil
		})
	}
}

func (p *Plane) lastSeen(what sight) time.Time {
	p.seen.mu.Lock()
	defer p.seen.mu.Unlock()
	return p.seen.last[what]
}
