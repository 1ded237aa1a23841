package broker

import "github.com/godwitmq/godwit/message"

// load is a request for bodies that are only in the log.
type load struct {
	recalling *recalling
	backlog   *backlog // whose loading it ends, or nil
	stored    []*stored
	browser   *consumer
	dying     *entry // that judge decides about, or nil
	judge     func()
	moving    bool
	late      []lateAdvisory // of stored, what they are wanted for
	sweep     *sweep
	sweeper   *connection
	jobs      []*entry
	listing   *listing
	undo      *undo
	undone    []*entry // with undo
}

// How much one load brings at most.
const (
	loadMessages = 512
	loadBytes    = 512 << 10
)

// load asks for the body of e and of those after it.
func (b *Broker) load(q *backlog, e *entry) {
	if q.loading {
		return
	}
	q.loading = true
	l := &load{backlog: q}
	size := 0
	for ; e != nil && len(l.stored) < loadMessages && size < loadBytes; e = q.following(e) {
		if e.stored.message == nil {
			l.stored = append(l.stored, e.stored)
			size += int(e.stored.size)
		}
	}
	b.ask(l)
}

func (b *Broker) ask(l *load) {
	b.nextToken++
	b.loads[b.nextToken] = l
	b.out.Loads = append(b.out.Loads, Load{Token: b.nextToken, Positions: make([]uint64, len(l.stored))})
}

// Locate fills in where the log has the messages of a Load, and says whether all of them have a position. The engine calls it once the records of
// the Step have been placed.
func (b *Broker) Locate(l *Load) bool {
	all := true
	for i, s := range b.loads[l.Token].stored {
		l.Positions[i] = s.position
		all = all && s.position != 0
	}
	return all
}

// loaded takes in what a Load asked for.
func (b *Broker) loaded(ev *Loaded) {
	l := b.loads[ev.Token]
	if l == nil {
		return
	}
	delete(b.loads, ev.Token)
	for i, s := range l.stored {
		var m *message.Message
		if i < len(ev.Messages) {
			m = ev.Messages[i]
		}
		if m == nil || s.message != nil || s.first == nil && !l.moving || l.late != nil {
			continue
		}
		if l.moving {
			b.move(s, m)
			continue
		}
		s.message = m
		b.hold(s)
	}
	switch {
	case l.moving:
		b.log.loading = false
	case l.recalling != nil:
		b.recalled(l)
	case l.jobs != nil:
		b.runJobs(l)
	case l.undo != nil:
		b.undoLoaded(l)
	case l.listing != nil:
		b.listJobs(l.listing, l.stored)
	case l.browser != nil:
		b.browse(l.browser)
		for _, s := range l.stored {
			if s.message != nil && s.flags&cached != 0 && s.inLog() && b.crowded(s) {
				b.uncache(s)
			}
		}
	case l.late != nil:
		b.lateLoaded(l, ev.Messages)
	case l.sweep != nil:
		b.sweepLoaded(l)
	case l.dying != nil:
		if l.dying.state == dying {
			l.judge() // asks again if the message has moved in the log meanwhile
			if l.dying.state != gone {
				b.uncacheIfCrowded(l.dying.stored)
			}
		}
	default:
		l.backlog.loading = false
		b.touch(l.backlog)
	}
}
