package broker

import "github.com/godwitmq/godwit/message"

// recordPaused says whether a queue is paused: backlog, 1 or 0.
const recordPaused recordKind = 31

// Pause holds back what waits in a queue from its consumers, or lets it go again (On false). Sends, acknowledgements and browsers go on as before. It survives a
// restart. Errors: NotFound.
type Pause struct {
	Conn        ConnID
	Ref         Ref
	Destination message.Destination
	On          bool
}

func (*Pause) isEvent() {}

func (b *Broker) pause(ev *Pause) {
	d := b.destinations[ev.Destination]
	if d == nil || d.queue == nil {
		op := "resume "
		if ev.On {
			op = "pause "
		}
		b.answer(ev.Conn, ev.Ref, &Error{Code: NotFound, Op: op + ev.Destination.String(), Detail: "there is no such queue"})
		return
	}
	if q := d.queue; q.paused != ev.On {
		q.paused = ev.On
		if q.id != 0 {
			b.emitPaused(q)
		}
		b.touch(q)
	}
	b.answer(ev.Conn, ev.Ref, nil)
}

// writePaused writes whether a queue is paused.
func (b *Broker) writePaused(q *backlog) int {
	on := uint64(0)
	if q.paused {
		on = 1
	}
	start := b.begin(recordPaused)
	b.number(q.id)
	b.number(on)
	return start
}

func (b *Broker) emitPaused(q *backlog) { b.emit(b.writePaused(q), Record{home: &q.pausedHome}) }

func (b *Broker) replayPaused(position uint64, f *fields) {
	id, on := f.number(), f.number()
	if f.failed {
		return
	}
	q := b.replayTarget(id).backlog
	q.paused, q.pausedHome = on == 1, position
}
