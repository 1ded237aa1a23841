package broker

import (
	"fmt"
	"testing"
	"time"
)

// pass lets time go by, with a Tick whenever one is due.
func (r *rig) pass(d time.Duration) []Effect {
	r.t.Helper()
	var all []Effect
	for end := r.now + d.Milliseconds(); r.now < end; {
		at := r.b.Deadline()
		if at == 0 || at > end {
			at = end
		}
		r.now = max(at, r.now+1)
		all = append(all, r.do(Tick{})...)
	}
	return all
}

func TestOfflineTimeout(t *testing.T) {
	for _, late := range []bool{false, true} {
		var p Policies
		p.Destinations = []Policy{{Destination: tt("T"), Subscribers: SubscriberPolicy{OfflineTimeout: time.Minute}}}
		opt := Options{Policies: p}
		if late {
			opt = Options{}
		}
		r := newRig(t, opt)
		if late { // live
			r.do(&Configure{Policies: p})
		}
		c := r.connect("c", "me")
		r.consume(c, 1, tt("T"), 9, durable("s"))
		r.consume(c, 2, tt("U"), 9, durable("u"))
		r.pass(2 * time.Minute)
		r.do(&Disconnect{Conn: c})
		r.pass(50 * time.Second)
		if !late { // its time begins anew
			r.crash()
			r.pass(50 * time.Second)
		}
		if r.subscription("me", "s") == nil {
			t.Error("the subscription is gone before its time")
		}
		r.pass(20 * time.Second)
		if r.subscription("me", "s") != nil || r.subscription("me", "u") == nil {
			t.Errorf("late %v: after the time of s: s is there: %v, u: %v", late, r.subscription("me", "s") != nil, r.subscription("me", "u") != nil)
		}
		r.crash()
		if r.subscription("me", "s") != nil {
			t.Error("the subscription has come back")
		}
	}
}

func TestSlowConsumers(t *testing.T) {
	tests := map[string]struct {
		policy SlowPolicy
		topic  bool
		acks   bool // one message each second
		idle   bool // nothing is sent
		want   time.Duration
		closed bool // the connection
	}{
		"never":                     {want: 0},
		"too long":                  {policy: SlowPolicy{MaxTime: 10 * time.Second, CheckPeriod: time.Second}, want: 11 * time.Second},
		"too long, topic":           {policy: SlowPolicy{MaxTime: 10 * time.Second, CheckPeriod: time.Second}, topic: true, want: 11 * time.Second},
		"keeps on":                  {policy: SlowPolicy{MaxSinceAck: 10 * time.Second, CheckPeriod: time.Second}, acks: true},
		"no ack":                    {policy: SlowPolicy{MaxSinceAck: 10 * time.Second, CheckPeriod: time.Second}, want: 10 * time.Second},
		"nothing to ack":            {policy: SlowPolicy{MaxSinceAck: 10 * time.Second, CheckPeriod: time.Second}, idle: true},
		"nothing to ack, but meant": {policy: SlowPolicy{MaxSinceAck: 10 * time.Second, CheckPeriod: time.Second, CountIdle: true}, idle: true, want: 10 * time.Second},
		"connection":                {policy: SlowPolicy{MaxTime: 10 * time.Second, AbortConnection: true, CheckPeriod: time.Second}, want: 11 * time.Second, closed: true},
		"looked at less often":      {policy: SlowPolicy{MaxTime: 10 * time.Second}, want: 31 * time.Second},
	}
	for name, tt2 := range tests {
		t.Run(name, func(t *testing.T) {
			var opt Options
			opt.Policies.Default.Slow = tt2.policy
			r := newRig(t, opt)
			c, p := r.connect("c", ""), r.connect("p", "")
			d := tq("Q")
			if tt2.topic {
				d = tt("T")
			}
			r.consume(c, 1, d, 2)
			var has []Effect
			for i := range 50 {
				if !tt2.idle {
					has = append(has, deliveries(r.send(p, r.msg(d, fmt.Sprint(i))), c, 1)...)
				}
			}
			start := r.now
			var ended time.Duration
			for i := 0; i < 40 && ended == 0; i++ {
				for _, e := range r.pass(time.Second) {
					if e.Kind == ConsumerClosed && e.Consumer == 1 && !tt2.closed || e.Kind == Closed && e.Conn == c && tt2.closed {
						ended = time.Duration(r.now-start) * time.Millisecond
						if e.Err == nil || e.Err.Code != IllegalState {
							t.Errorf("it was ended with %v", e.Err)
						}
					}
				}
				if tt2.acks {
					has = append(has[1:], r.ack(c, 1, Consumed, has[0])...)
				}
			}
			if ended/time.Second != tt2.want/time.Second && ended/time.Second != tt2.want/time.Second+1 {
				t.Errorf("ended after %v, want %v", ended, tt2.want)
			}
			if tt2.want != 0 && !tt2.topic && !tt2.idle && r.look(d).InFlight != 0 {
				t.Errorf("%d messages are still at the consumer", r.look(d).InFlight)
			}
		})
	}
}

func TestSlowCount(t *testing.T) {
	var opt Options
	opt.Policies.Default.Slow = SlowPolicy{MaxCount: 2, CheckPeriod: time.Second}
	r := newRig(t, opt)
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 1)
	for range 2 {
		r.send(c, r.msg(tq("Q"), "a"))
		r.send(c, r.msg(tq("Q"), "b"))
		r.pass(2 * time.Second)
		for range 2 {
			at := r.b.connections[c].consumers[1].dispatched.all()[0].stored.sequence
			r.do(&Ack{Conn: c, Consumer: 1, Kind: Consumed, Last: at, Single: true})
		}
		r.pass(2 * time.Second)
	}
	r.send(c, r.msg(tq("Q"), "a"))
	r.send(c, r.msg(tq("Q"), "b"))
	r.pass(2 * time.Second)
	if r.b.connections[c].consumers[1] != nil {
		t.Error("the consumer is there although it was slow three times")
	}
}

// A consumer that does nothing keeps few messages from one that works.
func TestShrinkIdleWindow(t *testing.T) {
	var opt Options
	opt.Policies.Default.Consumers.ShrinkIdleWindow = time.Second
	r := newRig(t, opt)
	c, p := r.connect("c", ""), r.connect("p", "")
	r.consume(c, 1, tq("Q"), 1000)
	r.consume(c, 2, tq("Q"), 1000)
	var at []Effect
	for i := range 1000 {
		at = append(at, r.send(p, r.msg(tq("Q"), fmt.Sprint(i)))...)
	}
	stuck, done := 0, 0
	for steps := 0; len(at) > 0; steps++ {
		d := at[0]
		at = at[1:]
		if d.Kind != Delivery {
			continue
		}
		if d.Consumer == 1 {
			stuck++
			continue
		}
		done++
		at = append(at, r.ack(c, 2, Consumed, d)...)
		if steps%50 == 0 {
			at = append(at, r.pass(time.Second)...)
		}
	}
	if stuck > firstWindow || stuck+done != 1000 {
		t.Errorf("the idle consumer holds %d messages, the other one had %d; want at most %d, and all others", stuck, done, firstWindow)
	}
	if w := r.b.connections[c].consumers[1].pace.window; w != firstWindow { // nothing waits that others would take
		t.Logf("window of the idle one: %d", w)
	}
}

// A consumer that acknowledges in batches larger than its window gets there.
func TestWindowGrowsForBatches(t *testing.T) {
	var opt Options
	opt.Policies.Default.Consumers.ShrinkIdleWindow = time.Second
	r := newRig(t, opt)
	c := r.connect("c", "")
	r.consume(c, 1, tq("Q"), 1000)
	got := 0
	for i := range 500 {
		got += len(deliveries(r.send(c, r.msg(tq("Q"), fmt.Sprint(i))), c, 1))
	}
	if got != firstWindow {
		t.Fatalf("%d messages were given at once, want %d", got, firstWindow)
	}
	got += len(deliveries(r.pass(10*time.Second), c, 1))
	if got != 500 {
		t.Errorf("%d messages were given, want 500", got)
	}
}

func TestDispatchStarts(t *testing.T) {
	tests := map[string]struct {
		policy ConsumerPolicy
		second time.Duration // when the second consumer comes
		want   time.Duration
	}{
		"at once":        {second: 5 * time.Second},
		"with two":       {policy: ConsumerPolicy{StartConsumers: 2}, second: 5 * time.Second, want: 5 * time.Second},
		"time":           {policy: ConsumerPolicy{StartAfter: 2500 * time.Millisecond}, second: 5 * time.Second, want: 2500 * time.Millisecond},
		"time over":      {policy: ConsumerPolicy{StartConsumers: 2, StartAfter: 2 * time.Second}, second: 5 * time.Second, want: 2 * time.Second},
		"two in time":    {policy: ConsumerPolicy{StartConsumers: 2, StartAfter: 7 * time.Second}, second: 5 * time.Second, want: 5 * time.Second},
		"too few for it": {policy: ConsumerPolicy{StartConsumers: 3}, second: 5 * time.Second, want: time.Hour},
	}
	for name, tt2 := range tests {
		t.Run(name, func(t *testing.T) {
			var opt Options
			opt.Policies.Default.Consumers = tt2.policy
			r := newRig(t, opt)
			c := r.connect("c", "")
			for i := range 4 {
				r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
			}
			start := r.now
			got := len(deliveries(r.consume(c, 1, tq("Q"), 9), 0, 0))
			for r.now < start+8000 && got == 0 {
				if r.now == start+tt2.second.Milliseconds() {
					if got = len(deliveries(r.consume(c, 2, tq("Q"), 9), 0, 0)); got > 0 {
						break
					}
				}
				if got = len(deliveries(r.do(Tick{}), 0, 0)); got == 0 {
					r.now += 500
				}
			}
			if want := tt2.want.Milliseconds(); got == 0 && want < 8000 || got > 0 && r.now-start != want {
				t.Errorf("%d messages were dispatched after %d ms, want 4 after %d", got, r.now-start, want)
			}
		})
	}
}

func TestDispatchPolicies(t *testing.T) {
	tests := map[string]struct {
		policy ConsumerPolicy
		want   string
	}{
		"by turns":     {want: "03 13 22 32 41 51"},
		"strict order": {policy: ConsumerPolicy{StrictOrder: true}, want: "03 13 22 32 41 51"},
		"no priority":  {policy: ConsumerPolicy{IgnorePriority: true}, want: "01 12 23 31 42 53"},
		"both":         {policy: ConsumerPolicy{IgnorePriority: true, StrictOrder: true}, want: "01 11 22 32 43 53"},
		"exclusive":    {policy: ConsumerPolicy{Exclusive: true}, want: "03 13"},
	}
	for name, tt2 := range tests {
		t.Run(name, func(t *testing.T) {
			var opt Options
			opt.Policies.Default.Consumers = tt2.policy
			r := newRig(t, opt)
			c := r.connect("c", "")
			for i := range 3 {
				r.consume(c, ConsumerID(i+1), tq("Q"), 2, func(s *Subscribe) { s.Priority = i })
			}
			var all []Effect
			for i := range 6 {
				all = append(all, r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))...)
			}
			r.wantAt(all, tt2.want)
		})
	}
}
