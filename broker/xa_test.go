package broker

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/message"
)

func xid(n int) XID {
	return XID{Format: 7, Global: fmt.Sprintf("g%d", n), Branch: "b"}
}

// xa asks something of a distributed transaction and gives "ok", "read only", the code of the refusal, or the list of ids.
func (r *rig) xa(ev Event) string {
	r.t.Helper()
	ref := r.ref()
	switch ev := ev.(type) {
	case *XABegin:
		ev.Ref = ref
	case *XAEnd:
		ev.Ref = ref
	case *XAPrepare:
		ev.Ref = ref
	case *XACommit:
		ev.Ref = ref
	case *XARollback:
		ev.Ref = ref
	case *XARecover:
		ev.Ref = ref
	case *XAForget:
		ev.Ref = ref
	case *SettleTransaction:
		ev.Ref = ref
	}
	for _, e := range r.do(ev) {
		if e.Kind != Answer || e.Ref != ref {
			continue
		}
		var code XACode
		switch v := e.Value.(type) {
		case Vote:
			return map[Vote]string{VoteOK: "ok", VoteReadOnly: "read only"}[v]
		case []XID:
			var list []string
			for _, x := range v {
				list = append(list, x.Global)
			}
			return strings.Join(list, " ")
		}
		switch {
		case e.Err == nil:
			return "ok"
		case errors.As(e.Err, &code):
			return fmt.Sprint(int(code))
		}
		return e.Err.Code.String()
	}
	r.t.Fatalf("%T was not answered", ev)
	return ""
}

const dtx = distributedTx

// TestXAVerbs goes through the verbs in right and wrong orders. A word is a verb, its branch and the connection, and what it answers; w and a are work: a
// message sent, a message acknowledged. k is a crash, d the end of connection 1; q what is in the queue then.
func TestXAVerbs(t *testing.T) {
	tests := map[string]string{
		"two phases":                         "begin1 w end1 prepare1 q= commit1 q=w commit1 rollback1:-4 prepare1:-4 recover=",
		"one phase":                          "begin1 w end1 one1 q=w one1:-4",
		"rollback":                           "begin1 w end1 rollback1 q= rollback1:-4 commit1:-4",
		"read only":                          "begin1 end1 prepare1:readonly commit1:-4 recover=",
		"empty in one phase":                 "begin1 end1 one1",
		"rollback of a prepared one":         "begin1 w prepare1 rollback1 q= recover= rollback1:-4",
		"unknown":                            "commit1:-4 one1:-4 rollback1:-4 prepare1:-4 forget1:-4 end1:-4",
		"not prepared":                       "begin1 w commit1:-6 forget1:-6 prepare1 forget1:-6 commit1 q=w",
		"prepared twice":                     "begin1 w prepare1 prepare1 recover=g1 commit1 q=w",
		"one phase of a prepared one":        "begin1 w prepare1 one1 q=w",
		"begun twice":                        "begin1 w begin1 w prepare1 commit1 q=ww",
		"begun when prepared":                "begin1 w prepare1 begin1:-8 commit1 q=w",
		"work in a prepared one":             "begin1 w prepare1 w:-6 commit1 q=w",
		"survives a crash":                   "begin1 w prepare1 k recover=g1 q= commit1 q=w k q=w recover=",
		"survives two crashes":               "begin1 w w prepare1 k k prepare1 recover=g1 commit1 q=ww k q=ww",
		"rolled back after a crash":          "begin1 w prepare1 k rollback1 k q= recover=",
		"unprepared does not":                "begin1 w k prepare1:-4 q= recover=",
		"survives its connection":            "begin1 w prepare1 d recover=g1 commit1 q=w",
		"unprepared does not survive it":     "begin1 w d commit1:-4 q=",
		"asked for again after a crash":      "begin1 w prepare1 commit1 k commit1 q=w rollback1:-4",
		"acknowledgements":                   "s begin1 a prepare1 q= commit1 q=",
		"acknowledgements rolled back":       "s begin1 a prepare1 rollback1 d q=s",
		"acknowledgements after a crash":     "s begin1 a prepare1 k q= rollback1 q=s",
		"acknowledgements after two crashes": "s s begin1 a a prepare1 k k q= commit1 q= k q=",
		"committed by an operator":           "begin1 w prepare1 opcommit1 q=w recover=g1 rollback1:7 k recover=g1 begin1:-8 rollback1:7 forget1 recover= commit1:-4",
		"committed by both":                  "begin1 w prepare1 opcommit1 k commit1 recover= commit1:-4 q=w",
		"rolled back by an operator":         "begin1 w prepare1 oprollback1 q= k commit1:6 commit1:6 rollback1 recover= rollback1:-4",
		"by an operator, not prepared":       "begin1 w opcommit1:illegalstate opcommit2:notfound prepare1 opcommit1 opcommit1:illegalstate",
		"several":                            "begin1 w begin2 w w prepare2 prepare1 recover=g2,g1 k recover=g1,g2 commit2 q=ww rollback1 k q=ww",
		"the same id again":                  "begin1 w prepare1 commit1 begin1 w prepare1 k commit1 q=ww",
		"the same id again, rolled back":     "begin1 w prepare1 commit1 begin1 w prepare1 rollback1 commit1:-4 k q=w",
	}
	for name, script := range tests {
		t.Run(name, func(t *testing.T) { (&xaScript{rig: newRig(t, Options{})}).run(script) })
	}
}

type xaScript struct {
	*rig
	conn ConnID
	tx   TxID
	got  []Effect // by consumer 1
}

func (s *xaScript) run(script string) {
	s.t.Helper()
	for _, word := range strings.Fields(script) {
		verb, want, _ := strings.Cut(word, ":")
		if want == "" {
			want = "ok"
		}
		if verb, list, ok := strings.Cut(word, "="); ok {
			if got := s.state(verb); got != strings.ReplaceAll(list, ",", " ") {
				s.t.Fatalf("%s: got %q", word, got)
			}
			continue
		}
		if got := strings.ReplaceAll(s.do1(verb), " ", ""); got != want {
			s.t.Fatalf("%s: got %s", word, got)
		}
	}
}

func (s *xaScript) state(what string) string {
	if s.conn == 0 {
		s.conn = s.connect("", "")
	}
	if what == "recover" {
		return s.xa(&XARecover{Conn: s.conn})
	}
	other := s.connect("", "")
	got := texts(s.consume(other, 1, tq("Q"), 100))
	s.do(&Unsubscribe{Conn: other, Consumer: 1}, &Disconnect{Conn: other})
	return strings.NewReplacer(" ", "", "+1", "", "+2", "").Replace(got)
}

func (s *xaScript) do1(verb string) string {
	switch verb {
	case "k":
		s.crash()
		s.conn = 0
		return "ok"
	case "d":
		s.do(&Disconnect{Conn: s.conn})
		s.conn = 0
		return "ok"
	}
	if s.conn == 0 {
		s.conn = s.connect("", "")
	}
	ref := s.ref()
	switch verb {
	case "s":
		s.send(s.conn, s.msg(tq("Q"), "s"))
		return "ok"
	case "w":
		err, _ := s.ask(&Send{Conn: s.conn, Ref: ref, Tx: s.tx, Message: s.msg(tq("Q"), "w"), MayCreate: true}, ref)
		var code XACode
		if err != nil && errors.As(err, &code) {
			return fmt.Sprint(int(code))
		}
		return "ok"
	case "a":
		if s.got == nil {
			s.got = s.consume(s.conn, 1, tq("Q"), 100)
		}
		s.ack(s.conn, 1, Consumed, s.got[0], inTx(s.tx))
		s.got = s.got[1:]
		return "ok"
	}
	n := int(verb[len(verb)-1] - '0')
	switch verb[:len(verb)-1] {
	case "begin":
		s.tx = dtx + TxID(n)
		return s.xa(&XABegin{Conn: s.conn, Tx: s.tx, XID: xid(n)})
	case "end":
		return s.xa(&XAEnd{Conn: s.conn, XID: xid(n)})
	case "prepare":
		return s.xa(&XAPrepare{Conn: s.conn, XID: xid(n)})
	case "commit":
		return s.xa(&XACommit{Conn: s.conn, XID: xid(n)})
	case "one":
		return s.xa(&XACommit{Conn: s.conn, XID: xid(n), OnePhase: true})
	case "rollback":
		return s.xa(&XARollback{Conn: s.conn, XID: xid(n)})
	case "forget":
		return s.xa(&XAForget{Conn: s.conn, XID: xid(n)})
	case "opcommit":
		return s.xa(&SettleTransaction{Conn: s.conn, XID: xid(n), Commit: true})
	case "oprollback":
		return s.xa(&SettleTransaction{Conn: s.conn, XID: xid(n)})
	}
	s.t.Fatalf("unknown verb %s", verb)
	return ""
}

// TestXATwoConnections: the share of one that is lost before it is prepared takes the whole branch with it.
func TestXATwoConnections(t *testing.T) {
	r := newRig(t, Options{})
	one, two := r.connect("one", ""), r.connect("two", "")
	r.xa(&XABegin{Conn: one, Tx: dtx, XID: xid(1)})
	r.xa(&XABegin{Conn: two, Tx: dtx, XID: xid(1)})
	r.sendTx(one, dtx, r.msg(tq("Q"), "a"))
	r.sendTx(two, dtx, r.msg(tq("Q"), "b"))
	if got := r.xa(&XACommit{Conn: two, XID: xid(1), OnePhase: true}); got != "ok" {
		t.Fatalf("commit of both shares: %s", got)
	}
	three := r.connect("three", "")
	r.want(r.consume(three, 1, tq("Q"), 10), "a b")
	r.xa(&XABegin{Conn: one, Tx: dtx + 1, XID: xid(2)})
	r.xa(&XABegin{Conn: two, Tx: dtx + 1, XID: xid(2)})
	r.sendTx(one, dtx+1, r.msg(tq("Q"), "c"))
	r.sendTx(two, dtx+1, r.msg(tq("Q"), "d"))
	r.do(&Disconnect{Conn: one})
	r.sendTx(two, dtx+1, r.msg(tq("Q"), "e"))
	if got := r.xa(&XAPrepare{Conn: two, XID: xid(2)}); got != "100" {
		t.Fatalf("prepare after the other connection was lost: %s", got)
	}
	if got := r.xa(&XACommit{Conn: two, XID: xid(2)}); got != "-4" {
		t.Fatalf("commit after that: %s", got)
	}
	if d := r.look(tq("Q")); d.Size != 2 {
		t.Errorf("the queue has %d messages, want the 2 of before", d.Size)
	}
}

// TestXARolledBackElsewhere: what its consumer has acknowledged goes to another one, unless the rollback is the consumer's own.
func TestXARolledBackElsewhere(t *testing.T) {
	for name, own := range map[string]bool{"own": true, "another's": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			one, two := r.connect("one", ""), r.connect("two", "")
			r.send(one, r.msg(tq("Q"), "a"))
			got := r.consume(one, 1, tq("Q"), 1)
			r.xa(&XABegin{Conn: one, Tx: dtx, XID: xid(1)})
			r.ack(one, 1, Consumed, got[0], inTx(dtx))
			r.xa(&XAPrepare{Conn: one, XID: xid(1)})
			r.want(r.consume(two, 1, tq("Q"), 1, func(s *Subscribe) { s.Priority = 9 }), "")
			by, want := one, ""
			if !own {
				by, want = two, "a+1"
			}
			ref := r.ref()
			r.want(r.ok(&XARollback{Conn: by, Ref: ref, XID: xid(1)}, ref), want)
		})
	}
}

// TestXAFailoverRepeats: a client that is back after a failover says all of its transaction again, whatever became of it.
func TestXAFailoverRepeats(t *testing.T) {
	for lost, verbs := range map[string][]string{
		"before prepare":         {},
		"the answer to prepare":  {"prepare"},
		"the answer to commit":   {"prepare", "commit"},
		"prepare and the broker": {"prepare", "crash"},
		"commit and the broker":  {"prepare", "commit", "crash"},
	} {
		t.Run(lost, func(t *testing.T) {
			r := newRig(t, Options{})
			conn := r.connect("c", "")
			m := r.msg(tq("Q"), "a")
			r.xa(&XABegin{Conn: conn, Tx: dtx, XID: xid(1)})
			r.ok(&Send{Conn: conn, Ref: 1, Tx: dtx, Message: m, Tracked: true, MayCreate: true}, 1)
			for _, v := range verbs {
				switch v {
				case "prepare":
					r.xa(&XAPrepare{Conn: conn, XID: xid(1)})
				case "commit":
					r.xa(&XACommit{Conn: conn, XID: xid(1), Tracked: true})
				case "crash":
					r.crash()
				}
			}
			conn = r.connect("c", "")
			for i := range 2 {
				r.xa(&XABegin{Conn: conn, Tx: dtx + TxID(i), XID: xid(1), Resent: true})
				r.ok(&Send{Conn: conn, Ref: 1, Tx: dtx + TxID(i), Message: m, Tracked: true, Resent: true, MayCreate: true}, 1)
				r.ok(&Send{Conn: conn, Ref: 1, Tx: dtx + TxID(i), Message: r.msg(tq("Q"), "copy", transient), Resent: true, MayCreate: true}, 1)
				if got := r.xa(&XAPrepare{Conn: conn, XID: xid(1)}); got != "ok" && got != "read only" {
					t.Errorf("prepare: %s", got)
				}
				if got := r.xa(&XACommit{Conn: conn, XID: xid(1), Tracked: true}); got != "ok" {
					t.Errorf("commit: %s", got)
				}
			}
			got := texts(r.consume(conn, 1, tq("Q"), 100))
			if want := "a"; got != want && !(lost == "before prepare" && got == "a copy") {
				t.Errorf("the queue has %q, want %q", got, want)
			}
		})
	}
}

// TestCommitAskedAgain: the broker knows by the connection's name whether a commit took place.
func TestCommitAskedAgain(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: 8 << 10})
	conn := r.connect("c", "")
	r.sendTx(conn, 1, r.msg(tq("Q"), "a"))
	r.ok(&Commit{Conn: conn, Ref: 1, Tx: 1, Tracked: true}, 1)
	r.sendTx(conn, 2, r.msg(tq("Q"), "b")) // never committed
	r.crash()
	conn = r.connect("c", "")
	r.ok(&Commit{Conn: conn, Ref: 1, Tx: 1, Resent: true}, 1)
	r.refused(TransactionRolledBack, &Commit{Conn: conn, Ref: 1, Tx: 2, Resent: true}, 1)
	r.refused(NotFound, &Commit{Conn: conn, Ref: 1, Tx: 2}, 1)
	// What the client repeats before it asks is a copy.
	r.sendTx(conn, 1, r.msg(tq("Q"), "a again"))
	r.ok(&Commit{Conn: conn, Ref: 1, Tx: 1, Resent: true}, 1)
	r.want(r.consume(conn, 1, tq("Q"), 10), "a")
	// It is still known when the log has been used up many times over.
	for range 3000 {
		r.send(conn, r.msg(tq("other"), "x"))
		r.do(&Purge{Conn: conn, Ref: 2, Destination: tq("other")})
	}
	if r.head == 0 {
		t.Fatal("the log was never trimmed")
	}
	r.crash()
	conn = r.connect("c", "")
	r.ok(&Commit{Conn: conn, Ref: 1, Tx: 1, Resent: true}, 1)
	r.refused(TransactionRolledBack, &Commit{Conn: r.connect("other", ""), Ref: 1, Tx: 1, Resent: true}, 1)
}

// TestNewestCommitsAreKnown: when the log has been cleaned in the middle of a connection's commits, a start knows which of them are the newest, and forgets the oldest first.
func TestNewestCommitsAreKnown(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: 8 << 10})
	conn, last := r.connect("c", ""), TxID(0)
	commit := func(n int) {
		t.Helper()
		for range n {
			last++
			r.sendTx(conn, last, r.msg(tq("Q"), "a"))
			r.ok(&Commit{Conn: conn, Ref: 1, Tx: last, Tracked: true}, 1)
			r.do(&Purge{Conn: conn, Ref: 2, Destination: tq("Q")})
		}
	}
	for range 12 {
		commit(17)
		r.crash()
		conn = r.connect("c", "")
		commit(5) // for which others are forgotten
		for tx := max(1, last-maxCompleted+1); tx <= last; tx++ {
			r.ok(&Commit{Conn: conn, Ref: 1, Tx: tx, Resent: true}, 1)
		}
	}
	if r.head == 0 {
		t.Fatal("the log was never trimmed")
	}
}

// TestCommitOutlivesItsPrepare: that a prepared transaction was committed is known after a restart also where the log has been trimmed between its two records.
func TestCommitOutlivesItsPrepare(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: 8 << 10})
	conn := r.connect("c", "")
	traffic := func(n int) {
		t.Helper()
		for range n {
			r.send(conn, r.msg(tq("other"), "x"))
			r.do(&Purge{Conn: conn, Ref: 2, Destination: tq("other")})
		}
	}
	for i := range 40 {
		x := xid(i)
		r.xa(&XABegin{Conn: conn, Tx: dtx, XID: x})
		r.sendTx(conn, dtx, r.msg(tq("Q"), "a"))
		r.xa(&XAEnd{Conn: conn, XID: x})
		r.xa(&XAPrepare{Conn: conn, XID: x})
		traffic(i)
		r.xa(&XACommit{Conn: conn, XID: x, Tracked: true})
		traffic(7 * (i % 7))
		r.do(&Purge{Conn: conn, Ref: 2, Destination: tq("Q")})
		r.crash()
		conn = r.connect("c", "")
		if got := r.xa(&XACommit{Conn: conn, XID: x, Tracked: true}); got != "ok" {
			t.Fatalf("transaction %d, asked for once more: %s, want ok", i, got)
		}
	}
	if r.head == 0 {
		t.Fatal("the log was never trimmed")
	}
}

// TestCommitWhileCleaning: the head of the log is being cleaned, and what was to be written again of it has been, but for a message of a prepared transaction, which is on its way from the disk; then
// the transaction is committed. That it was, and by whom its messages were sent, is known after each start, also those that lie behind what is being cleaned.
func TestCommitWhileCleaning(t *testing.T) {
	for _, sends := range []int{1, 3} {
		t.Run(fmt.Sprint(sends), func(t *testing.T) { commitWhileCleaning(t, sends) })
	}
}

func commitWhileCleaning(t *testing.T, sends int) {
	r := newRig(t, Options{SegmentBytes: 8 << 10, CacheBytes: 1})
	conn := r.connect("c", "")
	var m *message.Message // the last
	r.xa(&XABegin{Conn: conn, Tx: dtx, XID: xid(1)})
	for range sends {
		m = r.msg(tq("Q"), strings.Repeat("a", 3<<10)) // more than an extent
		r.ok(&Send{Conn: conn, Ref: 3, Tx: dtx, Message: m, Tracked: true, MayCreate: true}, 3)
	}
	r.xa(&XAEnd{Conn: conn, XID: xid(1)})
	r.xa(&XAPrepare{Conn: conn, XID: xid(1)})
	churn := func(done func() bool) {
		t.Helper()
		for i := 0; !done(); i++ {
			if i == 2000 {
				t.Fatal("the log is not cleaned")
			}
			r.send(conn, r.msg(tq("other"), "x"))
			r.do(&Purge{Conn: conn, Ref: 2, Destination: tq("other")})
		}
	}
	r.lazy = true
	churn(func() bool { return len(r.loads) > 0 })
	if got := r.xa(&XACommit{Conn: conn, XID: xid(1), Tracked: true}); got != "ok" {
		t.Fatalf("commit: %s", got)
	}
	r.lazy = false
	loads := r.loads
	r.loads = nil
	target := r.b.log.target
	for _, l := range loads {
		r.do(r.bring(l))
	}
	churn(func() bool { return r.head >= target })
	for range 4 {
		r.crash()
		conn = r.connect("c", "")
		if got := r.xa(&XACommit{Conn: conn, XID: xid(1), Tracked: true}); got != "ok" {
			t.Errorf("the commit, asked for once more: %s, want ok", got)
		}
		r.ok(&Send{Conn: conn, Ref: 3, Message: m, Tracked: true, Resent: true, MayCreate: true}, 3)
		if v := r.look(tq("Q")); v.Size != int64(sends) {
			t.Errorf("the queue has %d messages, want %d: the second copy is no new message", v.Size, sends)
		}
		head := r.head
		churn(func() bool { return r.head > head })
	}
}

func TestOutcomesAreBounded(t *testing.T) {
	r := newRig(t, Options{MaxOutcomes: 10})
	for i := range 14 {
		conn := r.connect(fmt.Sprint("c", i), "")
		for tx := range TxID(70) {
			r.sendTx(conn, tx+1, r.msg(tq("Q"), "a"))
			r.ok(&Commit{Conn: conn, Ref: 1, Tx: tx + 1, Tracked: true}, 1)
		}
		r.xa(&XABegin{Conn: conn, Tx: dtx, XID: xid(i)})
		r.sendTx(conn, dtx, r.msg(tq("Q"), "a"))
		r.xa(&XACommit{Conn: conn, XID: xid(i), OnePhase: true, Tracked: true})
	}
	check := func() {
		t.Helper()
		o := &r.b.outcomes
		if len(o.byName) != 10 || o.names.Len() != 10 || len(o.byXID) != 10 || o.recent.Len() != 10 {
			t.Errorf("%d and %d connections, %d and %d transactions are remembered, want 10 each", len(o.byName), o.names.Len(), len(o.byXID), o.recent.Len())
		}
		for name, c := range o.byName {
			if len(c.commits) != maxCompleted || c.commits[maxCompleted-1].tx != 70 {
				t.Errorf("%s: %d commits, the last is %d", name, len(c.commits), c.commits[len(c.commits)-1].tx)
			}
		}
	}
	check()
	r.crash()
	check()
}

// TestPreparedIsCarried: prepared transactions stay although the log is used up many times over, and so does what they have acknowledged and sent.
func TestPreparedIsCarried(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: 16 << 10, CacheBytes: 1})
	conn := r.connect("c", "")
	const n = 40
	for range n {
		r.send(conn, r.msg(tq("in"), "in"))
	}
	got := deliveries(r.consume(conn, 1, tq("in"), 100), conn, 1)
	for i := range n {
		r.xa(&XABegin{Conn: conn, Tx: dtx + TxID(i), XID: xid(i)})
		r.ack(conn, 1, Consumed, got[i], inTx(dtx+TxID(i)))
		r.sendTx(conn, dtx+TxID(i), r.msg(tq("out"), fmt.Sprint(i)))
		r.xa(&XAPrepare{Conn: conn, XID: xid(i)})
	}
	for round := range 4 {
		r.do(&Disconnect{Conn: conn})
		conn = r.connect("c", "")
		for range 1000 {
			r.send(conn, r.msg(tq("other"), strings.Repeat("x", 100)))
			r.do(&Purge{Conn: conn, Ref: 2, Destination: tq("other")})
		}
		before := r.head
		if before == 0 {
			t.Fatal("the log was never trimmed")
		}
		if round%2 == 1 {
			r.crash()
			conn = r.connect("c", "")
		}
		if used := r.end - r.head; used > 200<<10 {
			t.Errorf("the log has %d bytes", used)
		}
	}
	for i := range n {
		ev := Event(&XACommit{Conn: conn, XID: xid(i)})
		if i%2 == 1 {
			ev = &XARollback{Conn: conn, XID: xid(i)}
		}
		if got := r.xa(ev); got != "ok" {
			t.Fatalf("%T of %d: %s", ev, i, got)
		}
	}
	r.crash()
	conn = r.connect("c", "")
	if in, out := r.look(tq("in")), r.look(tq("out")); in.Size != n/2 || out.Size != n/2 {
		t.Errorf("%d messages are left to consume and %d were sent, want %d each", in.Size, out.Size, n/2)
	}
	for i, d := range deliveries(r.consume(conn, 1, tq("out"), 100), conn, 1) {
		if want := fmt.Sprint(2 * i); string(d.Message.Content) != want {
			t.Errorf("message %d is %s, want %s", i, d.Message.Content, want)
		}
	}
}

// TestPreparedIsCarriedInParts: a start of the broker lies between what the transaction sent, which was moved before, and what says that it is prepared.
func TestPreparedIsCarriedInParts(t *testing.T) {
	r := newRig(t, Options{SegmentBytes: 16 << 10})
	conn := r.connect("c", "")
	churn := func(until func() bool) {
		t.Helper()
		for range 10_000 {
			if until() {
				return
			}
			r.send(conn, r.msg(tq("other"), strings.Repeat("x", 100)))
			r.do(&Purge{Conn: conn, Ref: 2, Destination: tq("other")})
		}
		t.Fatal("the log is never trimmed so far")
	}
	restart := func() *transaction {
		r.crash()
		conn = r.connect("c", "")
		return r.b.branches.prepared.Front().Value.(*transaction)
	}
	r.xa(&XABegin{Conn: conn, Tx: dtx, XID: xid(1)})
	r.sendTx(conn, dtx, r.msg(tq("Q"), "a"))
	tx := r.b.branches.byXID[xid(1)]
	churn(func() bool { return r.end/r.b.log.extentBytes > tx.sends[0].stored.position/r.b.log.extentBytes })
	r.send(conn, r.msg(tq("stays"), "x")) // or the extent with the prepare record would go at once
	r.xa(&XAPrepare{Conn: conn, XID: xid(1)})
	prepared := r.end
	churn(func() bool { return tx.sends[0].stored.position > prepared })
	if tx.branch.home >= prepared {
		t.Fatal("both were carried at once")
	}
	tx = restart()
	churn(func() bool { return tx.branch.home > prepared && r.head >= prepared })
	restart()
	if got := r.xa(&XACommit{Conn: conn, XID: xid(1)}); got != "ok" {
		t.Fatalf("commit: %s", got)
	}
	r.want(r.consume(conn, 1, tq("Q"), 10), "a")
}

func TestXAIDs(t *testing.T) {
	for text, want := range map[string]string{
		"4660:67747801:6201": "4660:67747801:6201",
		"-1:00:":             "-1:00:",
		"XID:[4660,globalId=67747801,branchId=6201]": "4660:67747801:6201",
		"4660:67747801":                       "",
		"4660::6201":                          "",
		"4660:6:6201":                         "",
		"99999999999:67:62":                   "",
		"1:" + strings.Repeat("00", 65) + ":": "",
		"1:" + strings.Repeat("00", 64) + ":" + strings.Repeat("ff", 64): "1:" + strings.Repeat("00", 64) + ":" + strings.Repeat("ff", 64),
	} {
		x, err := ParseXID(text)
		if (err != nil) != (want == "") || err == nil && x.String() != want {
			t.Errorf("%s: got %s, %v; want %q", text, x, err, want)
		}
	}
	r := newRig(t, Options{})
	c := r.connect("c", "")
	for _, x := range []XID{{}, {Global: strings.Repeat("x", 65)}, {Global: "x", Branch: strings.Repeat("x", 65)}} {
		if got := r.xa(&XABegin{Conn: c, Tx: dtx, XID: x}); got != "-5" {
			t.Errorf("begin of %s: %s, want -5", x, got)
		}
	}
}

func TestPreparedAreBounded(t *testing.T) {
	r := newRig(t, Options{MaxPrepared: 2})
	c := r.connect("c", "")
	for i, want := range []string{"ok", "ok", "100"} {
		r.xa(&XABegin{Conn: c, Tx: dtx + TxID(i), XID: xid(i)})
		r.sendTx(c, dtx+TxID(i), r.msg(tq("Q"), "a"))
		if got := r.xa(&XAPrepare{Conn: c, XID: xid(i)}); got != want {
			t.Errorf("prepare %d: %s, want %s", i, got, want)
		}
	}
	if got := r.xa(&XARecover{Conn: c}); got != "g0 g1" {
		t.Errorf("recover: %s", got)
	}
}

func TestListTransactions(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("c", "id")
	r.send(c, r.msg(tq("in"), "a"))
	got := r.consume(c, 1, tq("in"), 10)
	for i := range 2 {
		r.xa(&XABegin{Conn: c, Tx: dtx + TxID(i), XID: xid(i)})
		r.sendTx(c, dtx+TxID(i), r.msg(tq("out"), "a"))
	}
	r.ack(c, 1, Consumed, got[0], inTx(dtx+1))
	r.now += 500
	r.xa(&XAPrepare{Conn: c, XID: xid(1)})
	r.sendTx(c, 5, r.msg(tq("out"), "a"))
	v := r.do(&ListTransactions{Ref: 1})[0].Value.(*TransactionsView)
	want := "&{[{7:6731:62 prepared 1000000 1000500  id 1 1 1 [queue://out queue://in]} {7:6730:62 open 1000000 0  id 1 1 0 [queue://out]} { open 1000500 0  id 1 1 0 [queue://out]}] 2 1}"
	if fmt.Sprint(v) != want {
		t.Errorf("got  %v\nwant %s", v, want)
	}
	r.crash()
	v = r.do(&ListTransactions{Ref: 1, Limit: 1})[0].Value.(*TransactionsView)
	if want := "&{[{7:6731:62 prepared 1000000 1000500  id 0 1 1 [queue://out queue://in]}] 0 1}"; fmt.Sprint(v) != want {
		t.Errorf("after a crash: got  %v\nwant %s", v, want)
	}
}

// BenchmarkRecoverPrepared starts from a log with 100,000 prepared transactions of one message sent and one acknowledged each.
func BenchmarkRecoverPrepared(b *testing.B) {
	const n = 100_000
	r := newRig(b, Options{CacheBytes: 1})
	conn := r.connect("c", "")
	step := func(ev Event) []Effect { // without the audit
		r.b.Progress(r.durable, r.room)
		r.b.Step(r.now, ev, &r.out)
		r.write()
		list := append([]Effect(nil), r.out.List...)
		r.out.Reset()
		return list
	}
	for i := range n {
		tx := dtx + TxID(i)
		if i%100 == 0 { // what it has would be gone through for each acknowledgement
			step(&Unsubscribe{Conn: conn, Consumer: 1})
			step(&Subscribe{Conn: conn, Consumer: 1, Destination: tq("in"), Prefetch: 1000, MayCreate: true})
		}
		got := deliveries(step(&Send{Conn: conn, Message: r.msg(tq("in"), "in"), MayCreate: true}), conn, 1)
		step(&XABegin{Conn: conn, Tx: tx, XID: xid(i)})
		step(&Ack{Conn: conn, Consumer: 1, Kind: Consumed, Last: got[0].Sequence, Single: true, Tx: tx})
		step(&Send{Conn: conn, Tx: tx, Message: r.msg(tq("out"), strings.Repeat("x", 1000)), MayCreate: true})
		step(&XAPrepare{Conn: conn, XID: xid(i)})
	}
	r.b = nil
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		begun := time.Now()
		core := r.read()
		core.Recovered(r.now, &r.out)
		b.ReportMetric(float64(time.Since(begun).Milliseconds()), "ms/start")
		if core.branches.prepared.Len() != n || len(r.out.Loads) > 0 {
			b.Fatalf("%d are prepared, %d loads", core.branches.prepared.Len(), len(r.out.Loads))
		}
		r.out.Reset()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/prepared")
		runtime.KeepAlive(core)
	}
}
