package broker

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/message"
)

// SchedulerPolicy is about messages that are to be delivered later. The zero value works.
type SchedulerPolicy struct {
	Off bool // AMQ_SCHEDULED_ properties mean nothing: such messages are delivered at once
	// MaxRepeat bounds AMQ_SCHEDULED_REPEAT. 0 means 1000.
	MaxRepeat int
	// MaxJobs bounds how many messages may wait for their time. 0 means 1,000,000.
	MaxJobs int
}

// Schedule is when a message is to be delivered: at the times of the CRON entry, or now, or both without it; each time after Delay, or after Period if that
// is 0, and then Repeat times more, Period apart.
type Schedule struct {
	Delay, Period time.Duration
	Repeat        int
	Cron          string // "": none
}

// The properties that schedule a message, with ActiveMQ's names.
const (
	scheduledPrefix = "AMQ_SCHEDULED_"
	scheduledDelay  = scheduledPrefix + "DELAY"
	scheduledPeriod = scheduledPrefix + "PERIOD"
	scheduledRepeat = scheduledPrefix + "REPEAT"
	scheduledCron   = scheduledPrefix + "CRON"
	scheduledJobID  = "scheduledJobId" // of what was delivered
)

// ScheduleOf reads a message's AMQ_SCHEDULED_ properties: numbers of any whole type or as text; a value of another type counts as absent. nil means that
// they ask for nothing; AMQ_SCHEDULED_REPEAT alone does not. Error: Malformed.
func ScheduleOf(p message.Properties) (*Schedule, *Error) {
	if !bytes.Contains(p, []byte(scheduledPrefix)) {
		return nil, nil
	}
	s := &Schedule{}
	var found bool
	for _, x := range []struct {
		name   string
		most   int64
		counts bool
		set    func(int64)
	}{
		{scheduledDelay, maxDelay, true, func(n int64) { s.Delay = time.Duration(n) * time.Millisecond }},
		{scheduledPeriod, maxDelay, true, func(n int64) { s.Period = time.Duration(n) * time.Millisecond }},
		{scheduledRepeat, math.MaxInt32, false, func(n int64) { s.Repeat = int(n) }},
	} {
		n, ok, err := wholeNumber(p, x.name)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			continue
		case n < 0:
			return nil, malformedSchedule("%s must not be a negative value, got %d", x.name, n)
		case n > x.most:
			return nil, malformedSchedule("%s is %d, at most %d is allowed", x.name, n, x.most)
		}
		x.set(n)
		found = found || x.counts
	}
	if value, ok := p.Get(scheduledCron); ok && value != nil {
		s.Cron = fmt.Sprint(value)
		if _, err := parseCron(s.Cron); err != nil {
			return nil, malformedSchedule("%s: %v", scheduledCron, err)
		}
		found = true
	}
	if !found {
		return nil, nil
	}
	return s, nil
}

func malformedSchedule(format string, args ...any) *Error {
	return &Error{Code: Malformed, Op: "schedule message", Detail: fmt.Sprintf(format, args...)}
}

func wholeNumber(p message.Properties, name string) (n int64, ok bool, err *Error) {
	value, _ := p.Get(name)
	switch v := value.(type) {
	case int8:
		return int64(v), true, nil
	case int16:
		return int64(v), true, nil
	case int32:
		return int64(v), true, nil
	case int64:
		return v, true, nil
	case string:
		n, bad := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if bad != nil {
			return 0, false, malformedSchedule("%s must be a whole number, got %q", name, v)
		}
		return n, true, nil
	}
	return 0, false, nil
}

// schedule is what waits to be delivered later. The messages are entries of one backlog of its own, which no consumer ever sees and whose entries are in the
// state scheduled, so that their records are kept, moved and read back as those of all other messages. When a message is due is in its
// stored.expiration; what else is known of it is in recordJob, written after every record of the message itself, so that it is never trimmed before it.
// Bodies are not in memory: they are loaded when they are due.
type schedule struct {
	backlog  *backlog // nil until there was something to schedule
	jobs     map[uint64]*job
	due      []*entry // whose time has come and whose bodies are being loaded, oldest first
	loading  bool
	since    int64 // when the broker has started: what fell due before and was not delivered is delivered once
	listings int   // at work
}

// job is one scheduled message. It takes some 200 bytes with its entry, stored and place in the wheel.
type job struct {
	entry     *entry
	cron      *cron
	period    int64 // ms
	remaining int32 // repeats
	unread    bool  // its schedule is in its body alone
}

// scheduleSend gives where a message waits that is to be delivered later.
func (b *Broker) scheduleSend(ev *Send, op string) (*destination, *Error) {
	p := &b.policies.Scheduler
	if limit := cmp.Or(p.MaxRepeat, 1000); ev.Schedule.Repeat > limit {
		return nil, malformedSchedule("The scheduled repeat value is too large: %d, at most %d is allowed", ev.Schedule.Repeat, limit)
	}
	if limit := cmp.Or(p.MaxJobs, 1_000_000); len(b.schedule.jobs) >= limit {
		return nil, &Error{Code: Full, Op: op, Detail: fmt.Sprintf("%d scheduled messages wait, their limit; deliver or remove some (godwit schedules)", len(b.schedule.jobs))}
	}
	return b.jobBacklog().destination, nil
}

// jobBacklog makes the backlog of scheduled messages if it is not there.
func (b *Broker) jobBacklog() *backlog {
	if b.schedule.backlog == nil {
		b.nextID++
		q := newJobBacklog(&backlog{id: b.nextID})
		b.schedule.backlog = q
		b.backlogs[q.id] = q
		b.emitJobs(q)
	}
	return b.schedule.backlog
}

// newJobBacklog gives a backlog the destination that it needs as all have one; nobody can name it.
func newJobBacklog(q *backlog) *backlog {
	q.destination = &destination{queue: q, policy: &Policy{}}
	return q
}

// emitJobs writes which backlog is that of scheduled messages.
func (b *Broker) emitJobs(q *backlog) {
	b.emitID(recordJobs, q.id, true)
	b.out.Records[len(b.out.Records)-1].home = &q.home
}

// emitJob writes what is known of a scheduled message.
func (b *Broker) emitJob(j *job) {
	if !j.unread {
		b.emit(b.writeJob(j), Record{Lazy: true})
	}
}

func (b *Broker) writeJob(j *job) int {
	s := j.entry.stored
	start := b.begin(recordJob)
	b.number(s.sequence)
	b.number(uint64(s.expiration))
	b.number(uint64(j.period))
	b.number(uint64(j.remaining))
	if j.cron != nil {
		b.text(j.cron.text)
	} else {
		b.text("")
	}
	return start
}

// writeReplayedJob writes again what was read of one.
func (b *Broker) writeReplayedJob(sequence uint64, j replayJob) int {
	start := b.begin(recordJob)
	for _, v := range []uint64{sequence, uint64(j.at), uint64(j.period), uint64(j.remaining)} {
		b.number(v)
	}
	b.text(j.cron)
	return start
}

// enterJob takes an entry in that has come to the backlog of scheduled messages.
func (b *Broker) enterJob(e *entry) {
	q, s := e.backlog, e.stored
	q.size++
	q.bytes += int64(s.size)
	q.enqueued++
	e.state = scheduled
	j := &job{entry: e, unread: true}
	b.schedule.jobs[s.sequence] = j
	if m := s.message; m != nil {
		b.plan(j, m)
		b.uncache(s)
		return
	}
	// A large transaction's messages are in the log alone: what this one asks for is read there.
	s.expiration = b.now
	b.wheel.put(e, b.now)
}

// plan reads a message's schedule and sets the time of its first delivery.
func (b *Broker) plan(j *job, m *message.Message) {
	s, err := ScheduleOf(m.Properties)
	if s == nil || err != nil { // never: it was looked at when it was sent
		s = &Schedule{}
	}
	j.unread = false
	j.period, j.remaining = s.Period.Milliseconds(), int32(s.Repeat)
	at := b.now
	if s.Cron != "" {
		if j.cron, _ = parseCron(s.Cron); j.cron != nil {
			at = b.cronAfter(j.cron, b.now)
		}
	} else {
		at += firstDelay(s)
	}
	b.setJob(j, at)
}

// firstDelay is the time before the first delivery of a series, ms.
func firstDelay(s *Schedule) int64 {
	if s.Delay > 0 {
		return s.Delay.Milliseconds()
	}
	return s.Period.Milliseconds()
}

func (b *Broker) cronAfter(c *cron, now int64) int64 {
	location := b.opt.Location
	if location == nil {
		location = time.UTC
	}
	t := c.next(time.UnixMilli(now).In(location))
	if t.IsZero() { // 40 years without such a day: 29 February of a certain weekday around the year 2100
		return now + maxDelay
	}
	return t.UnixMilli()
}

// setJob sets when a scheduled message is due next, in the log too.
func (b *Broker) setJob(j *job, at int64) {
	b.clearEntryTimer(j.entry)
	j.entry.stored.expiration = at
	b.wheel.put(j.entry, at)
	b.emitJob(j)
}

// removeJob ends a scheduled message.
func (b *Broker) removeJob(j *job) {
	delete(b.schedule.jobs, j.entry.stored.sequence)
	b.settle(j.entry)
}

// loadDue asks for the bodies of what is due, some at a time and one load after the other: so they are delivered in their order.
func (b *Broker) loadDue() {
	c := &b.schedule
	if c.loading || len(c.due) == 0 {
		return
	}
	l := &load{}
	size := 0
	n := 0
	for ; n < len(c.due) && len(l.jobs) < loadMessages && size < loadBytes; n++ {
		if e := c.due[n]; e.state == scheduled && e.timer == 0 { // else it was removed meanwhile, or has another time
			l.jobs, l.stored = append(l.jobs, e), append(l.stored, e.stored)
			size += int(e.stored.size)
		}
	}
	clear(c.due[:n])
	if c.due = c.due[n:]; len(c.due) == 0 {
		c.due = nil
	}
	if len(l.jobs) > 0 {
		c.loading = true
		b.ask(l)
	}
}

// runJobs delivers what was due and is loaded.
func (b *Broker) runJobs(l *load) {
	b.schedule.loading = false
	var again []*entry
	for _, e := range l.jobs {
		if e.state != scheduled || e.timer != 0 {
			continue
		}
		m := e.stored.message
		if m == nil { // it was moved in the log meanwhile
			again = append(again, e)
			continue
		}
		b.runJob(b.schedule.jobs[e.stored.sequence], m)
		if e.state == scheduled {
			b.uncache(e.stored)
		}
	}
	b.schedule.due = append(again, b.schedule.due...)
	b.loadDue()
}

// jobPatience is when a delivery for which there is no room is tried again, ms.
const jobPatience = 1000

// runJob delivers a scheduled message whose time has come, and sets its next time or ends it, in one batch.
func (b *Broker) runJob(j *job, m *message.Message) {
	e := j.entry
	if j.unread {
		b.plan(j, m)
		return
	}
	if !b.log.roomFor(int64(e.stored.size)) {
		e.stored.expiration = b.now + jobPatience
		b.wheel.put(e, e.stored.expiration)
		return
	}
	if j.cron != nil && (j.remaining > 0 || hasDelay(m)) {
		// Each time of the entry begins a series of its own.
		b.put(b.seriesOf(m), []*backlog{e.backlog}, false)
	} else if !b.deliverJob(j, m) {
		e.stored.expiration = b.now + jobPatience
		b.wheel.put(e, e.stored.expiration)
		return
	}
	switch next := e.stored.expiration + j.period; {
	case j.cron != nil:
		b.setJob(j, b.cronAfter(j.cron, b.now))
	case j.remaining > 0:
		j.remaining--
		if missed := b.schedule.since - next; missed > 0 && j.period > 0 {
			n := min((missed+j.period-1)/j.period, int64(j.remaining)+1)
			j.remaining -= int32(n)
			next += n * j.period
		}
		if j.remaining < 0 {
			b.removeJob(j)
			return
		}
		b.setJob(j, next)
	default:
		b.removeJob(j)
	}
}

func hasDelay(m *message.Message) bool {
	n, ok, _ := wholeNumber(m.Properties, scheduledDelay)
	return ok && n > 0
}

// seriesOf is what a CRON entry's time schedules: the message without the entry.
func (b *Broker) seriesOf(m *message.Message) *message.Message {
	c := m.Copy()
	c.ID = b.newID()
	set := []message.Property{}
	if !hasDelay(m) {
		set = append(set, message.Property{Name: scheduledDelay, Value: int64(0)})
	}
	c.Properties = m.Properties.Change(func(name string) bool { return name == scheduledCron }, set...)
	return c
}

// deliverJob sends a scheduled message where it is to go, and says whether that is over. What can go nowhere, because its temporary destination is gone, is
// dropped.
func (b *Broker) deliverJob(j *job, m *message.Message) bool {
	c := m.Copy()
	c.Properties = m.Properties.Change(func(name string) bool { return strings.HasPrefix(name, scheduledPrefix) },
		message.Property{Name: scheduledJobID, Value: jobID(j.entry.stored.sequence)})
	if j.remaining > 0 || j.cron != nil || j.entry.redeliveries > 0 {
		c.ID = b.newID() // of one message that comes several times
	}
	j.entry.redeliveries = min(j.entry.redeliveries+1, 1)
	if m.Expiration != 0 {
		c.Expiration, c.Timestamp = b.now+max(1, m.Expiration-m.Timestamp), b.now
	}
	const op = "deliver scheduled message"
	to, err := b.resolve(nil, c.Destination, op, true, &connection{})
	if err != nil {
		return err.Code == InvalidDestination
	}
	for _, d := range to {
		part := c
		if d.name != c.Destination {
			part = c.Copy()
			part.Destination = d.name
			if len(to) > 1 {
				part.Original = c.Destination
			}
		}
		if x := d.policy.Expiry; x != nil && !d.dlq {
			part = x.apply(part, b.now)
		}
		b.sendOn(part, d)
	}
	return true
}

const jobIDPrefix = "ID:godwit-job:"

// jobID is the text by which clients name a scheduled message.
func jobID(sequence uint64) string { return jobIDPrefix + strconv.FormatUint(sequence, 10) }

func (b *Broker) jobByID(id string) *job {
	sequence, err := strconv.ParseUint(strings.TrimPrefix(id, jobIDPrefix), 10, 64)
	if err != nil || !strings.HasPrefix(id, jobIDPrefix) {
		return nil
	}
	return b.schedule.jobs[sequence]
}

// jobsBetween gives the scheduled messages that are due from one time to another, both included, in order. 0 as the end is for ever.
func (b *Broker) jobsBetween(from, to int64) []*entry {
	var found []*entry
	for _, j := range b.schedule.jobs {
		if at := j.entry.stored.expiration; at >= from && (to == 0 || at <= to) {
			found = append(found, j.entry)
		}
	}
	slices.SortFunc(found, compareDue)
	return found
}

func compareDue(x, y *entry) int {
	return cmp.Or(cmp.Compare(x.stored.expiration, y.stored.expiration), cmp.Compare(x.stored.sequence, y.stored.sequence))
}

// replayJob takes in what a record says of a scheduled message.
func (b *Broker) replayJob(f *fields) error {
	sequence := f.number()
	j := replayJob{at: int64(f.number()), period: int64(f.number()), remaining: int32(f.number()), cron: f.text()}
	if f.failed {
		return nil
	}
	if j.cron != "" {
		if _, err := parseCron(j.cron); err != nil {
			return fmt.Errorf("scheduled message %d: %w", sequence, err)
		}
	}
	b.replay.jobs[sequence] = j
	return nil
}

type replayJob struct {
	at, period int64
	remaining  int32
	cron       string
}

// recoverJobs makes scheduled messages of the entries that were read back as any others.
func (b *Broker) recoverJobs() {
	c := &b.schedule
	c.since = b.now
	q := c.backlog
	if q == nil {
		return
	}
	crons := map[string]*cron{}
	for e := q.front(); e != nil; e = q.front() {
		q.remove(e)
		b.clearEntryTimer(e)
		e.state, e.redeliveries = scheduled, min(e.redeliveries, 1)
		j := &job{entry: e, unread: true}
		c.jobs[e.stored.sequence] = j
		known, ok := b.replay.jobs[e.stored.sequence]
		if e.stored.expiration = b.now; ok {
			j.unread, j.period, j.remaining = false, known.period, known.remaining
			e.stored.expiration = known.at
			if known.cron != "" {
				if crons[known.cron] == nil {
					crons[known.cron], _ = parseCron(known.cron) // replayJob has seen to it
				}
				j.cron = crons[known.cron]
			}
		}
		b.wheel.put(e, e.stored.expiration)
	}
}
