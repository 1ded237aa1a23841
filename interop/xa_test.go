package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	core "github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
)

// TestXA has the clients' own XA resource play all verbs, in right and in wrong orders: see java/src/interop/XA.java. GODWIT_INTEROP_BROKER=activemq shows
// what a real one answers.
func TestXA(t *testing.T) {
	needSomething(t)
	b := startBroker(t, brokerOptions{})
	for _, module := range []string{"jakarta", "javax"} {
		t.Run(module, func(t *testing.T) { java(module)(t).run(t, b, run{suite: "xa"}) })
	}
}

// TestJTA lets transaction managers work over two brokers with Spring, kills the brokers between prepare and commit, and then managers and brokers: see
// java/jta/src/interop/Main.java.
func TestJTA(t *testing.T) {
	needSomething(t)
	program := java("jta")(t)
	for _, manager := range []string{"narayana", "atomikos"} {
		t.Run(manager, func(t *testing.T) { testManager(t, program, manager) })
	}
}

func testManager(t *testing.T, program program, manager string) {
	one, two := startBroker(t, brokerOptions{crash: true}), startBroker(t, brokerOptions{crash: true})
	dir := t.TempDir()
	for _, suite := range []string{"work", "survive", "die", "recover"} {
		t.Run(suite, func(t *testing.T) {
			if suite == "survive" && os.Getenv("GODWIT_INTEROP_BROKER") != "" {
				t.Skip("ActiveMQ commits what its client replays after the kill, and then still has, or after the next restart has again, prepared branches of it")
			}
			ctx, cancel := context.WithTimeout(t.Context(), programWithin)
			defer cancel()
			cmd := program.command(ctx, one, run{suite: suite, env: []string{"INTEROP_OPENWIRE2=" + two.openwire}})
			cmd.Args = append(cmd.Args, dir, manager)
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			finish := startProgram(t, cmd)
			report(t, stdout, func(text string) {
				if text != "prepared" {
					return
				}
				for _, b := range []*broker{one, two} {
					b.kill(t)
					b.start(t)
				}
				if _, err := io.WriteString(stdin, "go on\n"); err != nil {
					t.Error(err)
				}
			})
			finish()
		})
	}
}

// TestTransactionsByCommand settles what a transaction manager has left behind, after a kill of the broker.
func TestTransactionsByCommand(t *testing.T) {
	b := startOwn(t, "", brokerOptions{})
	left := prepareBranches(t, b, 3)
	b.kill(t)
	b.start(t)
	binary, err := godwitBinary()
	if err != nil {
		t.Fatal(err)
	}
	godwit := func(want string, args ...string) {
		t.Helper()
		out, err := exec.Command(binary, append(args, "--api", strings.TrimSuffix(b.readyURL, "/readyz"))...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("godwit %s: %v\n%s\nwant %q", strings.Join(args, " "), err, out, want)
		}
	}
	godwit(left[0], "transactions")
	godwit("committed "+left[0], "transactions", "commit", left[0])
	godwit("rolled back "+left[1], "transactions", "rollback", left[1])
	godwit(`"state": "prepared"`, "transactions", "-o", "json")
	godwit(`"state": "committed"`, "transactions", "-o", "json")
	godwit(`"size": 1,`, "queues", "-o", "json")
}

// told writes commands, the last of which is answered, and gives the answer's refusal.
func (c *wireClient) told(t *testing.T, commands ...wire.Command) *wire.Throwable {
	t.Helper()
	c.must(t, commands...)
	got, err := c.next()
	if err != nil {
		t.Fatalf("the answer to %T: %v", commands[len(commands)-1], err)
	}
	if refused, ok := got.(*wire.ExceptionResponse); ok {
		return refused.Exception
	}
	return nil
}

var answered = wire.BaseCommand{CommandID: 9, ResponseRequired: true}

func (c *wireClient) transaction(id wire.TransactionID, what int8) *wire.TransactionInfo {
	return &wire.TransactionInfo{BaseCommand: answered, ConnectionID: wire.ConnectionID{Value: c.name}, TransactionID: id, Type: what}
}

func (c *wireClient) inTransaction(id wire.TransactionID, queue string, sequence int64) *wire.Message {
	return &wire.Message{Type: wire.CodeMessage, ProducerID: c.producer(), MessageID: wire.MessageID{ProducerID: c.producer(), ProducerSequenceID: sequence},
		Destination: wire.Destination{Type: wire.CodeQueue, Name: queue}, TransactionID: id, Persistent: true, Priority: 4, Content: make([]byte, 1000)}
}

// prepareBranches leaves n prepared transactions of one message to the queue left, and gives their ids as the command line shows them.
func prepareBranches(t *testing.T, b *broker, n int) (ids []string) {
	t.Helper()
	c := loginWire(t, b)
	for i := range n {
		id := wire.TransactionID{Type: wire.CodeXATransactionID, FormatID: 7, GlobalID: string(rune('a' + i)), BranchQualifier: "b"}
		for _, commands := range [][]wire.Command{
			{c.transaction(id, wire.TransactionBegin)},
			{c.inTransaction(id, "left", int64(i+1)), c.transaction(id, wire.TransactionEnd)},
			{c.transaction(id, wire.TransactionPrepare)},
		} {
			if refused := c.told(t, commands...); refused != nil {
				t.Fatalf("%T: %+v", commands[0], refused)
			}
		}
		ids = append(ids, core.XID{Format: id.FormatID, Global: id.GlobalID, Branch: id.BranchQualifier}.String())
	}
	return ids
}

// TestCommitAnswerLost kills the broker, or cuts the connection, before a client has got the answer to its commit. It comes back as failover clients do, and
// asks again: what it is told must be what has happened.
func TestCommitAnswerLost(t *testing.T) {
	b := startOwn(t, "", brokerOptions{})
	id := wire.TransactionID{Type: wire.CodeLocalTransactionID}
	committed, lost := 0, 0
	for round := range 8 {
		queue := fmt.Sprintf("round.%d", round)
		connect := func(name string) *wireClient {
			c := dialWire(t, b.openwireAddress(), false)
			again := name != ""
			if again {
				c.name = name
			}
			c.hello(t)
			if refused := c.told(t, &wire.ConnectionInfo{BaseCommand: answered, ConnectionID: wire.ConnectionID{Value: c.name}, ClientID: c.name, FaultTolerant: true, FailoverReconnect: again}); refused != nil {
				t.Fatalf("login: %+v", refused)
			}
			c.must(t, &wire.SessionInfo{SessionID: wire.SessionID{ConnectionID: c.name, Value: 1}}, &wire.ProducerInfo{ProducerID: c.producer()})
			return c
		}
		c := connect("")
		id.ConnectionID, id.Value = c.name, int64(round)
		begin := c.transaction(id, wire.TransactionBegin)
		begin.ResponseRequired = false
		c.must(t, begin, c.inTransaction(id, queue, 1), c.inTransaction(id, queue, 2), c.transaction(id, wire.TransactionCommitOnePhase))
		certain := round%2 == 0
		if certain { // the commit is done, and its answer unread
			eventually(t, "the commit has no effect", func() bool { return queueSize(t, b, queue) == 2 })
			makeSafe(t, b) // people see what happens before it is on the disk; clients do not
		}
		if round%4 < 2 {
			b.kill(t)
			b.start(t)
		} else {
			c.conn.Close()
		}
		c = connect(c.name)
		refused := c.told(t, c.transaction(id, wire.TransactionCommitOnePhase))
		size := queueSize(t, b, queue)
		switch {
		case refused == nil && size == 2:
			committed++
		case refused != nil && size == 0 && strings.HasSuffix(refused.Class, "TransactionRolledBackException") && !certain:
			lost++
		default:
			t.Errorf("round %d: the client is told %+v, and the queue has %d of 2 messages", round, refused, size)
		}
		c.conn.Close()
	}
	t.Logf("%d commits had taken place, %d not", committed, lost)
}

// makeSafe waits until all that the broker has done so far is on the disk: a persistent message is answered when all before it is.
func makeSafe(t *testing.T, b *broker) {
	t.Helper()
	url := strings.TrimSuffix(b.readyURL, "/readyz") + "/api/v1/queues/safe/send"
	answer, err := http.Post(url, "application/json", strings.NewReader(`{"messages": [{"text": "x"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		t.Fatalf("POST %s: %s %s", url, answer.Status, text)
	}
}

// queueSize asks the HTTP API how many messages a queue has; 0 if it is not there.
func queueSize(t *testing.T, b *broker, queue string) int {
	t.Helper()
	answer, err := http.Get(strings.TrimSuffix(b.readyURL, "/readyz") + "/api/v1/queues/" + queue)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var d struct{ Size int }
	if err := json.NewDecoder(answer.Body).Decode(&d); err != nil {
		t.Fatal(err)
	}
	return d.Size
}
