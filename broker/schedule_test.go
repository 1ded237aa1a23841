package broker

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

// later sends a message that says when it is to be delivered.
func (r *rig) later(conn ConnID, tx TxID, m *message.Message) []Effect {
	r.t.Helper()
	s, err := ScheduleOf(m.Properties)
	if err != nil {
		r.t.Fatal(err)
	}
	ref := r.ref()
	return r.ok(&Send{Conn: conn, Ref: ref, Tx: tx, Message: m, MayCreate: true, Schedule: s}, ref)
}

// runs turns the clock and tells when what was delivered: "x@100" is x after 100 ms.
func (r *rig) runs(from int64, most int64) string {
	var got []string
	for end := from + most; ; {
		for _, d := range deliveries(r.do(Tick{}), 0, 0) {
			got = append(got, fmt.Sprintf("%s@%d", d.Message.Content, r.now-from))
		}
		next := r.b.Deadline()
		if next == 0 || next > end {
			r.now = end
			return strings.Join(got, " ")
		}
		r.now = max(r.now, next)
	}
}

func delay(ms any) func(*message.Message)  { return prop(scheduledDelay, ms) }
func period(ms any) func(*message.Message) { return prop(scheduledPeriod, ms) }
func repeat(n any) func(*message.Message)  { return prop(scheduledRepeat, n) }
func cronAt(s any) func(*message.Message)  { return prop(scheduledCron, s) }

func TestScheduled(t *testing.T) {
	type changes = []func(*message.Message)
	hour := time.Hour.Milliseconds()
	tests := map[string]struct {
		how  changes
		want string // within two hours, from a time that is a full hour
	}{
		"delay":                    {changes{delay(int64(400))}, "x@400"},
		"delay, int":               {changes{delay(int32(400))}, "x@400"},
		"delay, text":              {changes{delay("400")}, "x@400"},
		"delay, of another type":   {changes{delay(400.5)}, "x@0"},
		"no delay":                 {changes{delay(int64(0))}, "x@0"},
		"not persistent":           {changes{delay(int64(400)), transient}, "x@400"},
		"repeats":                  {changes{delay(int64(200)), period(int64(300)), repeat(int32(2))}, "x@200 x@500 x@800"},
		"period alone":             {changes{period(int64(300))}, "x@300"},
		"repeats alone":            {changes{repeat(int32(2))}, "x@0"},
		"repeats without a period": {changes{delay(int64(200)), repeat(int32(2))}, "x@200 x@200 x@200"},
		"period without repeats":   {changes{delay(int64(200)), period(int64(300))}, "x@200"},
		"cron":                     {changes{cronAt("30 * * * *")}, fmt.Sprintf("x@%d x@%d", hour/2, hour*3/2)},
		"cron with series": {changes{cronAt("30 * * * *"), delay(int64(1000)), period(int64(2000)), repeat(int32(1))},
			fmt.Sprintf("x@%d x@%d x@%d x@%d", hour/2+1000, hour/2+3000, hour*3/2+1000, hour*3/2+3000)},
	}
	for name, tt := range tests {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, crash %v", name, crash), func(t *testing.T) {
				r := newRig(t, Options{CacheBytes: 1})
				r.now = 100 * hour
				from := r.now
				c := r.connect("a", "")
				got := texts(r.later(c, 0, r.msg(tq("Q"), "x", tt.how...)))
				if crash {
					r.crash()
					c = r.connect("a", "")
				}
				at := r.consume(c, 1, tq("Q"), 1000)
				for _, d := range deliveries(at, 0, 0) {
					got += fmt.Sprintf("%s@%d", d.Message.Content, r.now-from)
				}
				if got += r.runs(from, 2*hour); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if !strings.Contains(name, "cron") {
					if n := len(r.b.schedule.jobs); n != 0 {
						t.Errorf("%d messages are still scheduled, want none", n)
					}
				}
			})
		}
	}
}

func TestScheduleOfNonsense(t *testing.T) {
	for name, how := range map[string]func(*message.Message){
		"negative delay": delay(int64(-5)), "negative repeat": repeat(int32(-1)), "negative period": period(int64(-1)), "text": delay("soon"), "float text": delay("1.5"),
		"for ever": delay(int64(math.MaxInt64)), "cron": cronAt("nonsense"), "no cron": cronAt(""), "cron of a number": cronAt(int32(5)), "repeats": repeat(int64(math.MaxInt64)),
	} {
		m := &message.Message{}
		how(m)
		if s, err := ScheduleOf(m.Properties); err == nil || err.Code != Malformed {
			t.Errorf("%s: got %+v, %v; want an error", name, s, err)
		}
	}
	r := newRig(t, Options{Policies: Policies{Scheduler: SchedulerPolicy{MaxJobs: 2, MaxRepeat: 5}}})
	c := r.connect("a", "")
	r.refused(Malformed, &Send{Conn: c, Ref: 1, Message: r.msg(tq("Q"), "x"), MayCreate: true, Schedule: &Schedule{Repeat: 6}}, 1)
	r.refused(InvalidDestination, &Send{Conn: c, Ref: 1, Message: r.msg(tq("a.*"), "x"), MayCreate: true, Schedule: &Schedule{Delay: 1}}, 1)
	r.later(c, 0, r.msg(tq("Q"), "x", delay(int64(1000))))
	r.later(c, 0, r.msg(tq("Q"), "x", delay(int64(1000))))
	r.refused(Full, &Send{Conn: c, Ref: 1, Message: r.msg(tq("Q"), "x"), MayCreate: true, Schedule: &Schedule{Delay: 1}}, 1)
	r.do(&Configure{Policies: Policies{Scheduler: SchedulerPolicy{Off: true}}})
	r.consume(c, 1, tq("Q"), 9)
	r.want(r.later(c, 0, r.msg(tq("Q"), "y", delay(int64(1000)))), "y")
}

func TestScheduledCopy(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.consume(c, 1, tq("Q"), 9)
	sent := r.msg(tq("Q"), "x", delay(int64(400)), period(int64(10)), repeat(int32(1)), prop("a", "b"), func(m *message.Message) { m.Timestamp = r.now }, expires(r.now+300))
	r.later(c, 0, sent)
	r.now += 400
	d := r.want(r.do(Tick{}), "x")[0].Message
	id, _ := d.Properties.Get("scheduledJobId")
	a, _ := d.Properties.Get("a")
	if d.Properties.Len() != 2 || a != "b" || id != "ID:godwit-job:1" {
		t.Errorf("the copy has properties %v, want a=b and its job's id", d.Properties)
	}
	if d.Timestamp != r.now || d.Expiration != r.now+300 || d.ID == sent.ID || !d.Persistent {
		t.Errorf("the copy %v has time %d, expiration %d, persistent %v; want a new id, now, now+300, persistent", d.ID, d.Timestamp, d.Expiration, d.Persistent)
	}
	r.now += 10
	if again := r.want(r.do(Tick{}), "x")[0].Message; again.ID == d.ID || again.ID == sent.ID {
		t.Errorf("the second copy has the id %v again", again.ID)
	}
	r.later(c, 0, r.msg(tq("Q"), "y", delay(int64(1))))
	r.now++
	if once := r.want(r.do(Tick{}), "y")[0].Message; once.ID.Sequence != r.number {
		t.Errorf("what is delivered once has the id %v, want its own", once.ID)
	}
}

func TestScheduledInTransaction(t *testing.T) {
	for name, opt := range map[string]Options{"in memory": {}, "in the log alone": {CacheBytes: 1}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, opt)
			c := r.connect("a", "")
			r.consume(c, 1, tq("Q"), 9)
			r.later(c, 1, r.msg(tq("Q"), "x", delay(int64(300))))
			r.later(c, 2, r.msg(tq("Q"), "y", delay(int64(300)), transient))
			r.later(c, 3, r.msg(tq("Q"), "z", delay(int64(300))))
			r.now += 1000
			r.want(r.do(Tick{}), "")
			from := r.now
			r.commit(c, 1)
			r.commit(c, 2)
			r.rollback(c, 3)
			if got := r.runs(from, 1000); got != "x@300 y@300" {
				t.Errorf("got %q, want x and y 300 ms after the commit", got)
			}
			r.later(c, 1, r.msg(tq("Q"), "v", delay(int64(300))))
			r.commit(c, 1)
			r.later(c, 1, r.msg(tq("Q"), "w", delay(int64(300))))
			r.crash()
			c = r.connect("a", "")
			r.consume(c, 1, tq("Q"), 9)
			from = r.now
			if got := r.runs(from, 1000); got != "v@300" {
				t.Errorf("after a crash got %q, want v and not w, which was not committed", got)
			}
		})
	}
}

// TestScheduledMissed sees that what fell due while the broker was down is delivered once.
func TestScheduledMissed(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	from := r.now
	r.later(c, 0, r.msg(tq("Q"), "once", delay(int64(1000))))
	r.later(c, 0, r.msg(tq("Q"), "often", delay(int64(1000)), period(int64(1000)), repeat(int32(11))))
	r.later(c, 0, r.msg(tq("Q"), "over", delay(int64(1000)), period(int64(1000)), repeat(int32(3))))
	r.later(c, 0, r.msg(tq("Q"), "cron", cronAt("* * * * *")))
	r.now += 10_500
	r.crash()
	c = r.connect("a", "")
	r.want(r.consume(c, 1, tq("Q"), 99), "once often over")
	if got := r.runs(from, 15_000); got != "often@11000 often@12000" {
		t.Errorf("got %q, want each missed one once, and then the rest in time", got)
	}
}

func TestSchedules(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.consume(c, 1, tq("Q"), 99)
	for i, at := range []int64{3000, 1000, 2000, 2000} {
		r.later(c, 0, r.msg(tq("Q"), fmt.Sprint(i), delay(at), func(m *message.Message) { m.Timestamp = 7 }))
	}
	r.later(c, 0, r.msg(tt("T"), "cron", cronAt("5 *  * * *"), repeat(int32(4)), period(int64(10))))
	list := func(ev *ListSchedules) (string, *SchedulesView) {
		t.Helper()
		ev.Conn, ev.Ref = c, r.ref()
		for _, e := range r.do(ev) {
			if v, ok := e.Value.(*SchedulesView); ok {
				var ids []string
				for _, s := range v.Schedules {
					ids = append(ids, strings.TrimPrefix(s.ID, jobIDPrefix))
				}
				return strings.Join(ids, " "), v
			}
		}
		t.Fatal("no answer")
		return "", nil
	}
	if got, v := list(&ListSchedules{}); got != "2 3 4 1 5" || v.More || v.Total != 5 {
		t.Errorf("the list is %q of %d, more %v; want 2 3 4 1 5", got, v.Total, v.More)
	}
	if got, v := list(&ListSchedules{Limit: 2}); got != "2 3" || !v.More {
		t.Errorf("the first two are %q, more %v", got, v.More)
	}
	if got, v := list(&ListSchedules{Limit: 2, After: jobID(3)}); got != "4 1" || !v.More {
		t.Errorf("the next two are %q, more %v", got, v.More)
	}
	if got, _ := list(&ListSchedules{From: r.now + 1500, To: r.now + 2500}); got != "3 4" {
		t.Errorf("those of a time are %q, want 3 4", got)
	}
	_, v := list(&ListSchedules{})
	want := ScheduleView{ID: jobID(1), Destination: "queue://Q", Next: r.now + 3000, MessageID: "p:1", Persistent: true, Size: v.Schedules[3].Size, Sent: 7}
	if v.Schedules[3] != want || want.Size == 0 {
		t.Errorf("a schedule is %+v, want %+v", v.Schedules[3], want)
	}
	if s := v.Schedules[4]; s.Cron != "5 * * * *" || s.Repeat != 4 || s.Period != 10 || s.Destination != "topic://T" {
		t.Errorf("a schedule by CRON is %+v", s)
	}
	r.ok(&EditSchedule{Conn: c, Ref: 1, ID: jobID(1), At: r.now + 1500}, 1)
	r.refused(NotFound, &EditSchedule{Conn: c, Ref: 1, ID: jobID(9)}, 1)
	r.refused(NotFound, &RemoveSchedules{Conn: c, Ref: 1, ID: "9"}, 1)
	r.ok(&RemoveSchedules{Conn: c, Ref: 1, ID: jobID(3)}, 1)
	r.crash()
	c = r.connect("a", "")
	r.consume(c, 1, tq("Q"), 99)
	if got, _ := list(&ListSchedules{}); got != "2 1 4 5" {
		t.Errorf("after a change, a removal and a crash the list is %q, want 2 1 4 5", got)
	}
	if got := r.runs(r.now, 1600); got != "1@1000 0@1500" {
		t.Errorf("got %q, want 1 and then 0 at its new time", got)
	}
	for _, e := range r.do(&RemoveSchedules{Conn: c, Ref: 1}) {
		if e.Value != 2 {
			t.Errorf("removing all removed %v, want 2", e.Value)
		}
	}
	if len(r.b.schedule.jobs) != 0 || r.b.schedule.backlog.size != 0 {
		t.Error("there are schedules left")
	}
}

func TestSchedulerManagement(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.consume(c, 1, tq("replies"), 99)
	for i := range 3 {
		r.later(c, 0, r.msg(tq("Q"), fmt.Sprint(i), delay(int64(1000*(i+1)))))
	}
	ask := func(to message.Destination, how ...func(*message.Message)) string {
		t.Helper()
		m := r.msg(to, "", append(how, func(m *message.Message) { m.ReplyTo = tq("replies") })...)
		got := ""
		for _, d := range deliveries(r.send(c, m), 0, 0) {
			id, _ := d.Message.Properties.Get("scheduledJobId")
			left, _ := d.Message.Properties.Get("AMQ_SCHEDULED_DELAY")
			got += fmt.Sprintf("%s %s %v %s;", d.Message.Content, strings.TrimPrefix(fmt.Sprint(id), jobIDPrefix), left, d.Message.Original)
		}
		return got
	}
	action := func(s string) func(*message.Message) { return prop("AMQ_SCHEDULER_ACTION", s) }
	all := "0 1 1000 queue://Q;1 2 2000 queue://Q;2 3 3000 queue://Q;"
	from, to := prop("ACTION_START_TIME", fmt.Sprint(r.now+1500)), prop("ACTION_END_TIME", r.now+2500)
	steps := []struct {
		name string
		to   message.Destination
		how  []func(*message.Message)
		want string
	}{
		{"browse", tt(schedulerManagement), []func(*message.Message){action("BROWSE")}, all},
		{"browse by queue", tq(schedulerManagement), []func(*message.Message){action("BROWSE")}, all},
		{"browse a time", tt(schedulerManagement), []func(*message.Message){action("BROWSE"), from, to}, "1 2 2000 queue://Q;"},
		{"unknown action", tt(schedulerManagement), []func(*message.Message){action("FOO")}, ""},
		{"no action", tt(schedulerManagement), nil, ""},
		{"remove unknown", tt(schedulerManagement), []func(*message.Message){action("REMOVE"), prop("scheduledJobId", "nosuch")}, ""},
		{"remove one", tt(schedulerManagement), []func(*message.Message){action("REMOVE"), prop("scheduledJobId", jobID(1))}, ""},
		{"one less", tt(schedulerManagement), []func(*message.Message){action("BROWSE")}, strings.TrimPrefix(all, "0 1 1000 queue://Q;")},
		{"remove a time", tt(schedulerManagement), []func(*message.Message){action("REMOVEALL"), from, to}, ""},
		{"one left", tt(schedulerManagement), []func(*message.Message){action("BROWSE")}, "2 3 3000 queue://Q;"},
		{"remove all", tt(schedulerManagement), []func(*message.Message){action("REMOVEALL")}, ""},
		{"none left", tt(schedulerManagement), []func(*message.Message){action("BROWSE")}, ""},
	}
	for _, s := range steps {
		if got := ask(s.to, s.how...); got != s.want {
			t.Errorf("%s: got %q, want %q", s.name, got, s.want)
		}
	}
	if n := r.b.schedule.listings; n != 0 {
		t.Errorf("%d listings are still at work", n)
	}
}

// TestScheduledAreMoved sees that cleaning carries schedules on, however long they wait.
func TestScheduledAreMoved(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: 4 << 10, CacheBytes: 1})
	c := r.connect("a", "")
	r.consume(c, 1, tq("Q"), 99)
	from := r.now
	r.later(c, 0, r.msg(tq("L"), "x", delay(int64(1_000_000)), period(int64(5)), repeat(int32(1))))
	r.later(c, 0, r.msg(tq("L"), "y", cronAt("0 0 1 1 *")))
	first := r.head
	for range 400 {
		d := r.want(r.send(c, r.msg(tq("Q"), strings.Repeat("b", 200))), strings.Repeat("b", 200))
		r.ack(c, 1, Consumed, d[0])
		r.do(Tick{})
	}
	if r.head < first+20_000 {
		t.Fatalf("the log was trimmed up to %d only", r.head)
	}
	r.crash()
	c = r.connect("a", "")
	r.consume(c, 1, tq("L"), 9)
	if got := r.runs(from, 2_000_000); got != "x@1000000 x@1000005" {
		t.Errorf("got %q, want x twice in time", got)
	}
	if len(r.b.schedule.jobs) != 1 {
		t.Errorf("%d messages are scheduled, want that of the CRON entry", len(r.b.schedule.jobs))
	}
}

// TestScheduledNoRoom sees that what is due while the log is full comes when there is room again.
func TestScheduledNoRoom(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.consume(c, 1, tq("Q"), 9)
	r.later(c, 0, r.msg(tq("Q"), "x", delay(int64(100))))
	from := r.now
	r.room = 0
	if got := r.runs(from, 3000); got != "" {
		t.Fatalf("got %q without room", got)
	}
	r.room = 1 << 40
	if got := r.runs(r.now, 2000); got != "x@100" && !strings.HasPrefix(got, "x@") {
		t.Errorf("got %q with room, want x", got)
	}
}

// TestScheduledMemory measures what a scheduled message takes.
func TestScheduledMemory(t *testing.T) {
	const n = 100_000
	x := newBench(Options{})
	m := &message.Message{ID: message.ID{Producer: "ID:bench-1:1:1:1", Sequence: 1}, Destination: tq("Q"), Persistent: true, Type: message.Bytes, Content: benchBody}
	m.Properties = m.Properties.With(scheduledDelay, int64(3_600_000))
	m.Encode()
	s, _ := ScheduleOf(m.Properties)
	x.do(&Send{Conn: 1, Message: m, MayCreate: true, Schedule: s})
	before := heapBytes()
	for range n {
		x.do(&Send{Conn: 1, Message: m, MayCreate: true, Schedule: s})
	}
	each := float64(heapBytes()-before) / n
	runtime.KeepAlive(x)
	t.Logf("%.0f bytes a scheduled message", each)
	if each > 260 {
		t.Errorf("a scheduled message takes %.0f bytes of memory, want at most 260", each)
	}
}
