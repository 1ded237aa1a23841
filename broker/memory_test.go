package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

// A client that does not read gets nothing more, whatever its prefetch; who shares the queue with it does, and so does it when it reads again.
func TestThrottle(t *testing.T) {
	r := newRig(t, Options{})
	slow, other := r.connect("slow", ""), r.connect("other", "")
	r.consume(slow, 1, tq("Q"), 1_000_000)
	r.consume(slow, 2, tt("T"), 1_000_000)
	r.do(&Throttle{Conn: slow, On: true})
	for _, d := range []message.Destination{tq("Q"), tt("T")} {
		if got := deliveries(r.send(other, r.msg(d, "a")), slow, 1); len(got) > 0 {
			t.Errorf("a throttled client got %d messages of %s", len(got), d)
		}
	}
	r.want(r.consume(other, 1, tq("Q"), 1), "a")
	r.send(other, r.msg(tq("Q"), "b"))
	r.want(r.do(&Throttle{Conn: slow}), "a b")
}

// A pull that would not wait is not told that there is nothing, only because its client has not read what it has.
func TestPullWhileThrottled(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("a", "")
	r.consume(c, 1, tq("Q"), 0)
	r.send(c, r.msg(tq("Q"), "a"))
	r.do(&Throttle{Conn: c, On: true})
	if got := r.do(&Pull{Conn: c, Consumer: 1, Wait: -time.Second}); len(got) > 0 {
		t.Errorf("got %+v, want no answer yet", got)
	}
	r.want(r.do(&Throttle{Conn: c}), "a")
}

// What is not persistent and never acknowledged fills no memory, and comes back when its consumer goes.
func TestNeverAcknowledged(t *testing.T) {
	r := newRig(t, Options{CacheBytes: 10_000, MemoryBytes: 10_000})
	hoarder, c := r.connect("hoarder", ""), r.connect("c", "")
	r.consume(hoarder, 1, tq("Q"), 1_000_000)
	var want []string
	for range 50 {
		text := strings.Repeat("x", 1000)
		want = append(want, text+"+1")
		r.send(c, r.msg(tq("Q"), text, transient))
	}
	if r.b.away > 10_000 || r.b.cached > 10_000 {
		t.Errorf("%d bytes are in memory for a consumer, %d wait; want at most 10,000 each", r.b.away, r.b.cached)
	}
	r.do(&Disconnect{Conn: hoarder})
	r.want(r.consume(c, 1, tq("Q"), 1000), strings.Join(want, " "))
}

// An open transaction may be larger than the memory for it, whatever is sent in it.
func TestTransactionLargerThanMemory(t *testing.T) {
	const far = 1_000_000_000
	kinds := map[string]struct {
		change []func(*message.Message)
		lasts  bool // survives a crash
	}{
		"persistent":             {lasts: true},
		"persistent and expires": {change: []func(*message.Message){expires(far)}, lasts: true},
		"not persistent":         {change: []func(*message.Message){transient}},
		"expires":                {change: []func(*message.Message){transient, expires(far)}},
	}
	for name, kind := range kinds {
		for _, end := range []string{"commit", "rollback", "crash", "commit and crash"} {
			t.Run(name+"/"+end, func(t *testing.T) {
				r := newRig(t, Options{CacheBytes: 10_000, MemoryBytes: 10_000, SegmentBytes: 4 << 10})
				c := r.connect("a", "")
				var texts []string
				for i := range 50 {
					texts = append(texts, fmt.Sprint(i, strings.Repeat("x", 1000)))
					r.sendTx(c, 1, r.msg(tq("Q"), texts[i], kind.change...))
				}
				if r.b.pending > 10_000 {
					t.Errorf("%d bytes are in memory, want at most 10,000", r.b.pending)
				}
				trimmed := r.head
				for n := 0; r.head < trimmed+60_000; n++ { // so that all of it is moved
					if r.churn(c); n == 10_000 {
						t.Fatalf("the log was cleaned from %d to %d only", trimmed, r.head)
					}
				}
				want := ""
				switch end {
				case "commit":
					r.commit(c, 1)
					want = strings.Join(texts, " ")
				case "rollback":
					r.rollback(c, 1)
				case "crash":
					r.crash()
					c = r.connect("b", "")
				case "commit and crash":
					r.commit(c, 1)
					r.crash()
					c = r.connect("b", "")
					if kind.lasts {
						want = strings.Join(texts, " ")
					}
				}
				r.want(r.consume(c, 7, tq("Q"), 1000), want)
				if r.b.pending != 0 || r.b.unlogged != 0 {
					t.Errorf("at the end open transactions have %d and %d bytes in memory; want none", r.b.pending, r.b.unlogged)
				}
			})
		}
	}
}

// Where the journal has no room to relieve memory, sends in transactions are refused as others are, and the transactions with them.
func TestTransactionsFillMemory(t *testing.T) {
	opt := limited(LimitPolicy{Wait: -1})
	opt.MemoryBytes, opt.SegmentBytes = 10_000, 4<<10
	r := newRig(t, opt)
	c := r.connect("a", "")
	r.room = 0
	got, sent := "ok", 0
	for ; got == "ok" && sent < 100; sent++ {
		got = r.try(r.sending(c, r.msg(tq("Q"), strings.Repeat("x", 1000), transient), inSendTx(TxID(1+sent%3))))
	}
	if sent < 9 || sent > 12 || !strings.HasPrefix(got, "full: ") || !strings.Contains(got, "limit is 10000") {
		t.Errorf("after %d messages: %q; want 9 to 12, and full with the limit", sent, got)
	}
	r.rollback(c, TxID(1+sent%3))
	for tx := range TxID(3) {
		r.rollback(c, 1+tx)
	}
	if got := r.try(r.sending(c, r.msg(tq("Q"), "x", transient))); got != "ok" {
		t.Errorf("after the rollbacks: %q; want ok", got)
	}
}

// A limit that changes holds for what comes then.
func TestLimitChanges(t *testing.T) {
	opt := limited(LimitPolicy{Wait: -1})
	opt.MemoryBytes, opt.SegmentBytes = 10_000, 4<<10
	r := newRig(t, opt)
	c := r.connect("a", "")
	r.room = 0
	fill := func() (sent int) {
		for r.try(r.sending(c, r.msg(tq("Q"), strings.Repeat("x", 1000), transient))) == "ok" && sent < 100 {
			sent++
		}
		return sent
	}
	if n := fill(); n < 8 || n > 12 {
		t.Errorf("%d messages of 1,000 bytes fit into 10,000", n)
	}
	r.do(&Limit{MemoryBytes: 20_000, CacheBytes: 10_000})
	if n := fill(); n < 8 || n > 12 {
		t.Errorf("%d messages of 1,000 bytes fit into 10,000 more", n)
	}
	r.do(&Limit{MemoryBytes: 10_000, CacheBytes: 10_000})
	if n := fill(); n != 0 {
		t.Errorf("%d messages fit where there are more than may be", n)
	}
}
