package readiness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// maxClients bounds of how many clients that are not here the past is kept, maxEvents how much of it.
	maxClients = 4096
	maxEvents  = 32
)

// Roster keeps which clients are here, and when they and others came and went. Its methods may be called concurrently; those of a nil Roster do nothing.
type Roster struct {
	mu     sync.Mutex
	here   map[uint64]*Visit
	past   map[string]*record
	absent int               // how many of them have no connection
	probes map[string]*probe // at work, by key
}

// record is one client's past.
type record struct {
	events Past
	here   int // connections
	probe  *Probed
}

// NewRoster makes an empty one.
func NewRoster() *Roster {
	return &Roster{here: map[uint64]*Visit{}, past: map[string]*record{}, probes: map[string]*probe{}}
}

// Visit is a connection that is here.
type Visit struct {
	roster *Roster
	facts  Facts
	key    string
}

// ErrProbe is why a client is refused by whom a probe keeps it away.
var ErrProbe = errors.New("a probe of its failover keeps the client away from this instance for some seconds")

// Admits says whether the client may come, or fails with ErrProbe. It is to be asked before the client is told anything, and a refused one is told nothing: to it
// this instance is then as one that is gone.
func (r *Roster) Admits(f *Facts) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.probes[f.Key()]; p != nil && p.refuses(f) {
		return ErrProbe
	}
	return nil
}

// Arrive says that a client is logged in. The caller must call Leave when it goes.
func (r *Roster) Arrive(f Facts) *Visit {
	if r == nil {
		return nil
	}
	f.Since = time.Now()
	v := &Visit{roster: r, facts: f, key: f.Key()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.here[f.ID] = v
	p := r.past[v.key]
	switch {
	case p == nil:
		p = &record{}
		r.past[v.key] = p
	case p.here == 0:
		r.absent--
	}
	p.here++
	p.note(Came)
	if probe := r.probes[v.key]; probe != nil {
		probe.arrived(v)
	}
	return v
}

// Leave says that the connection is over, and whether the client itself wanted that. A nil Visit does nothing.
func (v *Visit) Leave(goodbye bool) {
	if v == nil {
		return
	}
	r := v.roster
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.here[v.facts.ID] == v {
		delete(r.here, v.facts.ID)
	}
	what := Cut
	if goodbye {
		what = Left
	}
	p := r.past[v.key]
	p.note(what)
	if p.here--; p.here == 0 {
		r.absent++
		r.forget()
	}
}

// forget makes room when too many are away: an eighth at once, so that it is seldom. The caller holds mu.
func (r *Roster) forget() {
	if r.absent <= maxClients {
		return
	}
	var away []string
	for key, p := range r.past {
		if p.here == 0 {
			away = append(away, key)
		}
	}
	last := func(key string) time.Time { p := r.past[key]; return p.events[len(p.events)-1].At }
	slices.SortFunc(away, func(a, b string) int { return last(a).Compare(last(b)) })
	for _, key := range away[:maxClients/8] {
		delete(r.past, key)
		r.absent--
	}
}

func (p *record) note(what What) {
	if len(p.events) >= maxEvents {
		p.events = append(p.events[:0], p.events[len(p.events)-maxEvents+1:]...)
	}
	p.events = append(p.events, Event{At: time.Now(), What: what})
}

// Seen is what one instance knows of clients.
type Seen struct {
	Here   []Facts            `json:"here"`
	Past   map[string]Past    `json:"past"`
	Probed map[string]*Probed `json:"probed,omitempty"`
	// Addresses are where clients reach the instance, as in Situation.
	Addresses map[string][]string `json:"addresses,omitempty"`
}

// Ends leaves only what is of use to another instance: the past of clients whose connections have ended here.
func (s Seen) Ends() Seen {
	s.Here = nil
	maps.DeleteFunc(s.Past, func(_ string, p Past) bool {
		return !slices.ContainsFunc(p, func(e Event) bool { return e.What != Came })
	})
	return s
}

// Seen gives a copy of all that is known.
func (r *Roster) Seen() Seen {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Seen{Here: make([]Facts, 0, len(r.here)), Past: make(map[string]Past, len(r.past)), Probed: map[string]*Probed{}}
	for _, v := range r.here {
		s.Here = append(s.Here, v.facts)
	}
	slices.SortFunc(s.Here, func(a, b Facts) int { return cmp.Compare(a.ID, b.ID) })
	for key, p := range r.past {
		s.Past[key] = append(Past(nil), p.events...)
		if p.probe != nil {
			s.Probed[key] = p.probe
		}
	}
	return s
}

// Probed is what came of a probe.
type Probed struct {
	At         time.Time `json:"at"`
	Connection uint64    `json:"connection"` // that was closed
	ClientID   string    `json:"clientId,omitempty"`
	From       string    `json:"from,omitempty"` // the instance that it had dialled, and that refused it; "" of a broker alone
	Refused    int64     `json:"refused"`        // for how long, ms
	Tries      int       `json:"tries"`          // how often it was refused
	First      int64     `json:"first"`          // ms until its first try, wherever; -1: there was none
	Back       bool      `json:"back"`
	To         string    `json:"to,omitempty"` // the instance that it dialled then
	After      int64     `json:"after"`        // ms until it was back, or for how long it was waited for
	Text       string    `json:"text"`         // all that in a sentence
}

// probe is one at work. Roster.mu guards it.
type probe struct {
	node         string
	begun, until time.Time
	tries        int
	first        time.Duration // after which it tried, wherever; negative: not yet
	back         chan *Visit   // has room for one
}

// refuses counts a client that would come, and says whether it is kept away.
func (p *probe) refuses(f *Facts) bool {
	now := time.Now()
	if p.first < 0 {
		p.first = now.Sub(p.begun)
	}
	if f.Node != p.node || !now.Before(p.until) {
		return false
	}
	p.tries++
	return true
}

func (p *probe) arrived(v *Visit) {
	select {
	case p.back <- v:
	default:
	}
}

// The errors of Probe.
var (
	ErrGone = errors.New("the connection is not here any more")
	ErrBusy = errors.New("a probe of this client is at work already")
)

// Probe tests a client's failover: it has cut end the connection, keeps the client away from the instance that it had dialled for the time of refuse, and waits for at
// most wait until it is back. What it finds is remembered. Errors: ErrGone, ErrBusy, and what ctx says.
func (r *Roster) Probe(ctx context.Context, id uint64, refuse, wait time.Duration, cut func() bool) (*Probed, error) {
	r.mu.Lock()
	v := r.here[id]
	if v == nil {
		r.mu.Unlock()
		return nil, ErrGone
	}
	if r.probes[v.key] != nil {
		r.mu.Unlock()
		return nil, ErrBusy
	}
	now := time.Now()
	p := &probe{node: v.facts.Node, begun: now, until: now.Add(refuse), first: -1, back: make(chan *Visit, 1)}
	r.probes[v.key] = p
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.probes, v.key)
	}()
	if !cut() {
		return nil, ErrGone
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var back *Visit
	select {
	case back = <-p.back:
	case <-timer.C:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done := &Probed{At: p.begun, Connection: id, ClientID: v.facts.ClientID, From: p.node, Refused: refuse.Milliseconds(), After: time.Since(p.begun).Milliseconds()}
	r.mu.Lock()
	defer r.mu.Unlock()
	done.Tries, done.First = p.tries, -1
	if p.first >= 0 {
		done.First = p.first.Milliseconds()
	}
	if back != nil {
		done.Back, done.To = true, back.facts.Node
	}
	done.Text = done.sentence()
	if p := r.past[v.key]; p != nil { // else there are so many clients that it is forgotten
		p.probe = done
	}
	return done, nil
}

func (p *Probed) sentence() string {
	took := time.Duration(p.After) * time.Millisecond
	switch {
	case !p.Back && p.Tries > 0:
		return fmt.Sprintf("was refused %d times and then not back within %v", p.Tries, took.Round(time.Millisecond))
	case !p.Back:
		return fmt.Sprintf("did not try to come back within %v", took.Round(time.Millisecond))
	case p.From != p.To:
		return fmt.Sprintf("was back after %v, at %s instead of %s", took, p.To, p.From)
	case p.From == "":
		return fmt.Sprintf("was back after %v (refused %d times)", took, p.Tries)
	}
	return fmt.Sprintf("was back after %v, at %s again (refused there %d times): it knows no other address, or prefers this one", took, p.To, p.Tries)
}
