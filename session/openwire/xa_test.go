package openwire

import (
	"io"
	"strings"
	"testing"

	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/security"
)

func xid(global, branch string) wire.TransactionID {
	return wire.TransactionID{Type: wire.CodeXATransactionID, FormatID: 4660, GlobalID: global, BranchQualifier: branch}
}

// xa asks for something of a distributed transaction and gives "ok", "read only", or the refusal's class and text.
func (c *client) xa(id wire.TransactionID, what int8) string {
	c.t.Helper()
	info := &wire.TransactionInfo{ConnectionID: wire.ConnectionID{Value: c.name}, TransactionID: id, Type: what}
	c.number(info)
	c.write(info)
	switch v, err := c.any(); v := v.(type) {
	case *wire.Response:
		return "ok"
	case *wire.IntegerResponse:
		return map[int32]string{0: "ok", 3: "read only"}[v.Result]
	case *wire.ExceptionResponse:
		return v.Exception.Class + ": " + v.Exception.Message
	default:
		c.t.Fatalf("got a %T, %v", v, err)
		return ""
	}
}

func (c *client) recovered() string {
	c.t.Helper()
	info := &wire.TransactionInfo{Type: wire.TransactionRecover}
	c.number(info)
	c.write(info)
	var ids []string
	for _, x := range read[*wire.DataArrayResponse](c).Data {
		ids = append(ids, x.(wire.TransactionID).GlobalID)
	}
	return strings.Join(ids, " ")
}

func TestXA(t *testing.T) {
	s := newServer(t, security.Policy{})
	c := s.connect("ID:xa")
	other := s.connect("ID:other")
	other.subscribe(1, queue("q"), 10)
	g := func(n string) wire.TransactionID { return xid(n, "b") }
	sequence := int64(0)
	send := func(id wire.TransactionID) {
		sequence++
		m := c.text(queue("q"), sequence, id.GlobalID)
		m.TransactionID = id
		c.ask(m)
	}
	const notKnown = "javax.transaction.xa.XAException: Transaction 'XID:[4660,globalId=78,branchId=62]' has not been started. xaErrorCode:-4"
	for i, x := range []struct {
		id   string
		what int8
		want string
	}{
		{"x", wire.TransactionPrepare, notKnown},
		{"x", wire.TransactionCommitOnePhase, notKnown},
		{"x", wire.TransactionCommitTwoPhase, notKnown},
		{"x", wire.TransactionRollback, notKnown},
		{"x", wire.TransactionForget, notKnown},
		{"x", wire.TransactionEnd, notKnown},
		{"one", wire.TransactionBegin, "ok"},
		{"one", 's', "ok"},
		{"one", wire.TransactionCommitTwoPhase, "xaErrorCode:-6"}, // not prepared; it stays
		{"one", wire.TransactionBegin, "ok"},
		{"one", wire.TransactionEnd, "ok"},
		{"one", wire.TransactionPrepare, "ok"},
		{"one", wire.TransactionBegin, "xaErrorCode:-8"},
		{"one", wire.TransactionEnd, "xaErrorCode:-8"},
		{"one", 'r', "one"},
		{"one", wire.TransactionCommitTwoPhase, "ok"},
		{"one", 'd', "one"},
		{"none", wire.TransactionBegin, "ok"},
		{"none", wire.TransactionEnd, "ok"},
		{"none", wire.TransactionPrepare, "read only"},
		{"back", wire.TransactionBegin, "ok"},
		{"back", 's', "ok"},
		{"back", wire.TransactionEnd, "ok"},
		{"back", wire.TransactionRollback, "ok"},
		{"back", wire.TransactionRollback, "xaErrorCode:-4"},
		{"two sessions", wire.TransactionBegin, "ok"},
		{"two sessions", wire.TransactionBegin, "ok"},
		{"two sessions", wire.TransactionEnd, "ok"},
		{"two sessions", 's', "ok"},
		{"two sessions", wire.TransactionEnd, "ok"},
		{"two sessions", wire.TransactionCommitOnePhase, "ok"},
		{"two sessions", 'd', "two sessions"},
		{strings.Repeat("g", 65), wire.TransactionBegin, "xaErrorCode:-5"},
	} {
		got := "ok"
		switch x.what {
		case 's':
			send(g(x.id))
		case 'd':
			got = string(read[*wire.MessageDispatch](other).Message.Content[4:])
		case 'r':
			got = other.recovered()
		default:
			got = c.xa(g(x.id), x.what)
		}
		if !strings.HasSuffix(got, x.want) {
			t.Errorf("step %d, %d of %s: got %q, want %q", i, x.what, x.id, got, x.want)
		}
	}
	m := c.text(queue("q"), 99, "stray")
	m.TransactionID = g("x")
	if got := c.refused(m); got.Message != strings.TrimPrefix(notKnown, "javax.transaction.xa.XAException: ") {
		t.Errorf("a message in a transaction that was not started got %q", got.Message)
	}
}

// TestXASpoilt: what the session refuses in a transaction makes it fail, wherever it is prepared.
func TestXASpoilt(t *testing.T) {
	s := newServer(t, security.Policy{})
	c, other := s.connect("ID:xa"), s.connect("ID:other")
	c.xa(xid("g", "b"), wire.TransactionBegin)
	m := c.text(queue(strings.Repeat("q", 20_000)), 1, "x")
	m.TransactionID = xid("g", "b")
	c.refused(m)
	if got := other.xa(xid("g", "b"), wire.TransactionPrepare); !strings.HasSuffix(got, "xaErrorCode:100") {
		t.Errorf("prepare: %s", got)
	}
}

// TestCommitRepeated: the client has not got the answer to its commit and asks again on another socket.
func TestCommitRepeated(t *testing.T) {
	s := newServer(t, security.Policy{})
	connect := func(again bool) *client {
		c := s.dial("ID:again")
		c.hello(java(12))
		c.ask(&wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: c.name}, ClientID: "id", FaultTolerant: true, FailoverReconnect: again})
		c.ask(&wire.SessionInfo{SessionID: wire.SessionID{ConnectionID: c.name, Value: 1}})
		c.ask(&wire.ProducerInfo{ProducerID: c.producer(1)})
		return c
	}
	first := connect(false)
	for n := range int64(2) {
		m := first.text(queue("q"), n+1, "once")
		m.TransactionID = first.tx(n)
		first.write(first.transaction(n, wire.TransactionBegin), m)
	}
	first.ask(first.transaction(0, wire.TransactionCommitOnePhase))
	second := connect(true)
	if got, err := first.any(); err != io.EOF {
		t.Errorf("the stale connection got %v, %v; want its end", got, err)
	}
	second.ask(second.transaction(0, wire.TransactionCommitOnePhase))
	if got := second.refused(second.transaction(1, wire.TransactionCommitOnePhase)); got.Class != "jakarta.jms.TransactionRolledBackException" {
		t.Errorf("a commit that did not take place got %+v", got)
	}
	second.subscribe(1, queue("q"), 10)
	second.receive("once")
	second.ask(&wire.RemoveInfo{ObjectID: second.consumer(1)})
}
