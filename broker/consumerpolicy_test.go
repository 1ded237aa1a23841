package broker

import (
	"fmt"
	"testing"
	"time"
)

// Consumers that are there follow a policy that comes later.
func TestConsumersFollowPolicies(t *testing.T) {
	exclusive, equal, both := ConsumerPolicy{Exclusive: true}, ConsumerPolicy{IgnorePriority: true}, ConsumerPolicy{Exclusive: true, IgnorePriority: true}
	tests := map[string]struct {
		from, to ConsumerPolicy
		asks     int    // which consumer is exclusive by itself
		want     string // how many of six messages go to each of three consumers, of priorities 0 to 2, after the change
	}{
		"exclusive":                           {to: exclusive, want: "[0 0 6]"},
		"not exclusive":                       {from: both, to: equal, want: "[2 2 2]"},
		"equal":                               {to: equal, want: "[2 2 2]"},
		"not equal":                           {from: equal, want: "[0 0 6]"},
		"neither exclusive nor equal":         {from: both, want: "[0 0 6]"},
		"exclusive among equals":              {from: equal, to: both, want: "[6 0 0]"},
		"equal among exclusive ones":          {from: exclusive, to: both, want: "[0 0 6]"}, // who had the messages keeps them
		"not equal among exclusive ones":      {from: both, to: exclusive, want: "[0 0 6]"},
		"exclusive by itself":                 {from: exclusive, asks: 2, want: "[0 6 0]"},
		"exclusive by itself, as all are now": {to: exclusive, asks: 2, want: "[0 0 6]"},
		"exclusive by itself, equal":          {to: equal, asks: 2, want: "[0 6 0]"},
	}
	for name, tt := range tests {
		for _, how := range []string{"plain", "selectors", "indexed selectors", "groups"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				var opt Options
				opt.Policies.Default.Consumers = tt.from
				r := newRig(t, opt)
				c := r.connect("c", "")
				send := func(n int) (got [3]int) {
					for i := range n {
						m := r.msg(tq("Q"), "x", prop("n", int32(1)))
						if how == "groups" {
							m.GroupID = fmt.Sprint("g", r.number)
						}
						for _, d := range deliveries(r.send(c, m), 0, 0) {
							got[d.Consumer-1]++
							if i%2 == 0 {
								r.ack(c, d.Consumer, Consumed, d)
							}
						}
					}
					return got
				}
				for i := range 3 {
					r.consume(c, ConsumerID(i+1), tq("Q"), 99, func(s *Subscribe) {
						s.Priority, s.Exclusive, s.Selector = i, i+1 == tt.asks, map[string]string{"selectors": "n > 0", "indexed selectors": "n = 1"}[how]
					})
				}
				send(6)
				r.do(&Configure{Policies: Policies{Default: Policy{Consumers: tt.to}}})
				got := fmt.Sprint(send(6))
				if how == "groups" && tt.want == "[2 2 2]" && (got == "[0 3 3]" || got == "[3 3 0]") {
					got = tt.want // who has had groups before gets fewer new ones
				}
				if got != tt.want {
					t.Errorf("after the change from %+v to %+v the consumers got %s, want %s", tt.from, tt.to, got, tt.want)
				}
				for _, v := range r.do(&List{Ref: 1})[0].Value.(*View).Consumers {
					if want := tt.to.Exclusive || int(v.Consumer) == tt.asks; v.Exclusive != want {
						t.Errorf("consumer %d is shown as exclusive: %v, want %v", v.Consumer, v.Exclusive, want)
					}
				}
			})
		}
	}
}

// A queue that waits for consumers follows a policy that comes meanwhile; one that dispatches goes on.
func TestGateFollowsPolicies(t *testing.T) {
	two, three, never := ConsumerPolicy{StartConsumers: 2}, ConsumerPolicy{StartConsumers: 3}, ConsumerPolicy{StartConsumers: 9}
	after := func(d time.Duration) ConsumerPolicy { return ConsumerPolicy{StartAfter: d} }
	tests := map[string]struct {
		from, to  ConsumerPolicy
		consumers int
		want      time.Duration // after the first consumer; the policy comes after 3 s. 0: it does not begin
	}{
		"it waits for fewer":     {from: three, to: two, consumers: 2, want: 3 * time.Second},
		"it waits for more":      {from: two, to: three, consumers: 1},
		"it waits for none":      {from: never, consumers: 1, want: 3 * time.Second},
		"it waits for time":      {from: never, to: after(5 * time.Second), consumers: 1, want: 5 * time.Second},
		"its time is over":       {from: never, to: after(2 * time.Second), consumers: 1, want: 3 * time.Second},
		"its time comes later":   {from: after(4 * time.Second), to: after(6 * time.Second), consumers: 1, want: 6 * time.Second},
		"its time is none":       {from: after(4 * time.Second), to: never, consumers: 1},
		"it dispatches, goes on": {to: never, consumers: 1, want: time.Millisecond},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var opt Options
			opt.Policies.Default.Consumers = tt.from
			r := newRig(t, opt)
			c := r.connect("c", "")
			start, began := r.now, time.Duration(0)
			see := func(effects []Effect) {
				if began == 0 && len(deliveries(effects, 0, 0)) > 0 {
					began = max(time.Millisecond, time.Duration(r.now-start)*time.Millisecond)
				}
			}
			r.heard = func(e Effect) { see([]Effect{e}) }
			r.send(c, r.msg(tq("Q"), "x"))
			for i := range tt.consumers {
				r.consume(c, ConsumerID(i+1), tq("Q"), 9)
			}
			r.pass(3 * time.Second)
			r.do(&Configure{Policies: Policies{Default: Policy{Consumers: tt.to}}})
			r.pass(time.Minute)
			if began != tt.want {
				t.Errorf("it began to dispatch after %v, want %v", began, tt.want)
			}
			if tt.want == 0 && !r.b.destinations[tq("Q")].queue.gated {
				t.Error("it does not wait, and has dispatched nothing")
			}
		})
	}
}
