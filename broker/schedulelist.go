package broker

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/message"
)

// ListSchedules asks for the messages that wait for their time, in the order of it. The answer's Value is a *SchedulesView. Errors: Full while too many
// such questions are at work.
type ListSchedules struct {
	Conn     ConnID
	Ref      Ref
	From, To int64  // ms since 1970, when they are due next, both included; 0 is no bound
	After    string // the id of the last that is known, to go on behind it; "": from the beginning
	Limit    int    // at most 1000; 0 means 100
}

// EditSchedule sets when a scheduled message is due next. Errors: NotFound.
type EditSchedule struct {
	Conn ConnID
	Ref  Ref
	ID   string
	At   int64 // ms since 1970; what is past is now
}

// RemoveSchedules removes the scheduled message of an id, or all that are due from one time to another. The answer's Value is their number (int).
// Errors: NotFound for an id.
type RemoveSchedules struct {
	Conn     ConnID
	Ref      Ref
	ID       string // "": by From and To
	From, To int64  // ms since 1970, both included; 0 is no bound
}

func (*ListSchedules) isEvent()   {}
func (*EditSchedule) isEvent()    {}
func (*RemoveSchedules) isEvent() {}

// SchedulesView is a part of the scheduled messages.
type SchedulesView struct {
	Schedules []ScheduleView `json:"schedules"`
	More      bool           `json:"more"`  // behind the last there are others
	Total     int            `json:"total"` // scheduled messages of the broker
}

// ScheduleView is one scheduled message.
type ScheduleView struct {
	ID          string `json:"id"` // scheduledJobId of what it delivers
	Destination string `json:"destination"`
	Next        int64  `json:"next"`             // when it is due next, ms since 1970
	Period      int64  `json:"period,omitempty"` // ms between deliveries of a series
	Repeat      int    `json:"repeat,omitempty"` // deliveries after the next
	Cron        string `json:"cron,omitempty"`
	MessageID   string `json:"messageId"`
	Persistent  bool   `json:"persistent"`
	Size        int    `json:"size"` // of the stored message, bytes
	Sent        int64  `json:"sent"` // ms since 1970
}

// listing shows scheduled messages to somebody, some at a time as their bodies come.
type listing struct {
	conn    ConnID
	ref     Ref
	rest    []*entry
	view    *SchedulesView // nil: each is sent to replyTo
	replyTo message.Destination
}

// maxListings bounds the listings at work, each of which holds a list of messages, maxScheduleList the messages of one view.
const (
	maxListings     = 8
	maxScheduleList = 1000
)

func (b *Broker) listSchedules(ev *ListSchedules) {
	limit := ev.Limit
	if limit <= 0 {
		limit = 100
	}
	limit = min(limit, maxScheduleList)
	all := b.jobsBetween(ev.From, ev.To)
	if j := b.jobByID(ev.After); j != nil {
		at, found := slices.BinarySearchFunc(all, j.entry, compareDue)
		if found {
			at++
		}
		all = all[at:]
	}
	view := &SchedulesView{Schedules: []ScheduleView{}, More: len(all) > limit, Total: len(b.schedule.jobs)}
	b.beginListing(&listing{conn: ev.Conn, ref: ev.Ref, rest: all[:min(limit, len(all))], view: view}, "list schedules")
}

func (b *Broker) beginListing(l *listing, op string) *Error {
	if b.schedule.listings >= maxListings {
		err := &Error{Code: Full, Op: op, Detail: fmt.Sprintf("%d lists of scheduled messages are being made already; try again", maxListings)}
		b.answer(l.conn, l.ref, err)
		return err
	}
	b.schedule.listings++
	b.moreOf(l)
	return nil
}

// moreOf asks for the next bodies of a listing, or ends it.
func (b *Broker) moreOf(l *listing) {
	ask := &load{listing: l}
	size := 0
	n := 0
	for ; n < len(l.rest) && len(ask.stored) < loadMessages && size < loadBytes; n++ {
		if e := l.rest[n]; e.state == scheduled {
			ask.stored = append(ask.stored, e.stored)
			size += int(e.stored.size)
		}
	}
	l.rest = l.rest[n:]
	if len(ask.stored) > 0 {
		b.ask(ask)
		return
	}
	b.schedule.listings--
	if l.view != nil {
		b.tell(Effect{Conn: l.conn, Ref: l.ref, Value: l.view})
	}
}

// listJobs shows what was loaded. What was removed meanwhile, or moved in the log, is left out: the list is of a moment.
func (b *Broker) listJobs(l *listing, loaded []*stored) {
	for _, s := range loaded {
		e, m := s.first, s.message
		if e == nil || e.state != scheduled || m == nil {
			continue
		}
		j := b.schedule.jobs[s.sequence]
		if l.view != nil {
			l.view.Schedules = append(l.view.Schedules, viewJob(j, m))
		} else {
			b.replyJob(l, j, m)
		}
		b.uncache(s)
	}
	b.moreOf(l)
}

func viewJob(j *job, m *message.Message) ScheduleView {
	s := j.entry.stored
	v := ScheduleView{ID: jobID(s.sequence), Destination: m.Destination.String(), Next: s.expiration, Period: j.period, Repeat: int(j.remaining), MessageID: m.ID.String(),
		Persistent: m.Persistent, Size: int(s.size), Sent: m.Timestamp}
	if j.cron != nil {
		v.Cron = j.cron.text
	}
	return v
}

func (b *Broker) editSchedule(ev *EditSchedule) {
	j := b.jobByID(ev.ID)
	if j == nil || j.unread {
		b.answer(ev.Conn, ev.Ref, noSchedule(ev.ID, "edit schedule"))
		return
	}
	b.setJob(j, min(max(ev.At, b.now), b.now+maxDelay))
	b.answer(ev.Conn, ev.Ref, nil)
}

func noSchedule(id, op string) *Error {
	return &Error{Code: NotFound, Op: op, Detail: fmt.Sprintf("no message with the id %q is scheduled", id)}
}

func (b *Broker) removeSchedules(ev *RemoveSchedules) {
	n := 1
	if ev.ID != "" {
		j := b.jobByID(ev.ID)
		if j == nil {
			b.answer(ev.Conn, ev.Ref, noSchedule(ev.ID, "remove schedule"))
			return
		}
		b.removeJob(j)
	} else {
		n = b.removeJobs(ev.From, ev.To)
	}
	if ev.Ref != 0 {
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, Value: n, hold: true})
	}
}

func (b *Broker) removeJobs(from, to int64) int {
	entries := b.jobsBetween(from, to)
	for _, e := range entries {
		delete(b.schedule.jobs, e.stored.sequence)
	}
	n := len(entries)
	b.settleAll(entries)
	return n
}

// schedulerManagement is ActiveMQ's name of the topic, or queue, to which clients write to see and remove scheduled messages.
const schedulerManagement = "ActiveMQ.Scheduler.Management"

// manageSchedules does what a message to schedulerManagement asks for. As with ActiveMQ what cannot be understood is ignored: nobody waits for an answer
// but at JMSReplyTo.
func (b *Broker) manageSchedules(ev *Send) {
	p := ev.Message.Properties
	text := func(name string) string { v, _ := p.Get(name); s, _ := v.(string); return s }
	from, to := int64(0), int64(math.MaxInt64)
	var err *Error
	for _, x := range []struct {
		name string
		to   *int64
	}{{"ACTION_START_TIME", &from}, {"ACTION_END_TIME", &to}} {
		n, ok, bad := wholeNumber(p, x.name)
		if bad != nil {
			err = bad
		} else if ok {
			*x.to = n
		}
	}
	if err != nil {
		b.answer(ev.Conn, ev.Ref, err)
		return
	}
	switch strings.ToUpper(text("AMQ_SCHEDULER_ACTION")) {
	case "BROWSE":
		if reply := ev.Message.ReplyTo; !reply.IsZero() {
			err = b.beginListing(&listing{conn: ev.Conn, ref: ev.Ref, rest: b.jobsBetween(from, to), replyTo: reply}, "browse schedules")
		}
	case "REMOVE":
		if j := b.jobByID(text(scheduledJobID)); j != nil {
			b.removeJob(j)
		}
	case "REMOVEALL":
		b.removeJobs(from, to)
	}
	if err == nil && ev.Ref != 0 {
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, hold: true})
	}
}

// replyJob sends one scheduled message to who asked for it, as ActiveMQ does: as it is, under a new id, with the id of its job.
func (b *Broker) replyJob(l *listing, j *job, m *message.Message) {
	c := m.Copy()
	c.ID, c.Original, c.Destination = b.newID(), m.Destination, l.replyTo
	c.Properties = m.Properties.Change(nil, message.Property{Name: scheduledJobID, Value: jobID(j.entry.stored.sequence)})
	to, err := b.resolve(nil, l.replyTo, "browse schedules", false, &connection{})
	if err != nil || !b.log.roomFor(int64(c.Size())) {
		l.rest = nil // who asked is gone
		return
	}
	for _, d := range to {
		b.put(c, d.targets(nil, c, nil), false)
	}
}
