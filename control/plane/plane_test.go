package plane_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/plane"
)

const hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U"

var (
	start    = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) // a Monday
	operator = plane.Origin{Who: "operator"}
	alice    = plane.Origin{Scope: plane.Scope{Account: "111111111111", Region: "eu-west-1"}, Who: "AKIAALICE", From: "127.0.0.1:5"}
)

// bench steps a state and keeps its records.
type bench struct {
	t       *testing.T
	s       *plane.State
	opt     plane.Options
	now     time.Time
	records [][]byte
	marks   []mark                      // behind each command
	fails   func(e plane.Effect) string // why a step fails; nil: none does
	epoch   uint64
	done    []string // what was carried out
}

// mark is where a crash may be.
type mark struct {
	records int
	epoch   uint64
}

func newBench(t *testing.T, opt plane.Options) *bench {
	if opt.Zone == nil {
		opt.Zone = time.LoadLocation
	}
	return &bench{t: t, s: plane.New(opt), opt: opt, now: start}
}

// nodes registers nodes a, b, ... in zones of these names, each in subnet-<its zone>.
func (b *bench) nodes(zones ...string) *bench {
	for n, zone := range zones {
		b.must(operator, b.node(n, zone, 64<<30))
	}
	return b
}

func (b *bench) node(n int, zone string, memory int64) plane.RegisterNode {
	return plane.RegisterNode{Name: "node-" + string(rune('a'+n)), Zone: zone, Subnets: []string{"subnet-" + zone}, MemoryBytes: memory,
		Range: netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, byte(64 + n), 0}), 24)}
}

func (b *bench) do(by plane.Origin, c plane.Command) (*plane.Change, error) {
	change, err := b.s.Step(b.now, by, c)
	if err != nil {
		return nil, err
	}
	b.s = change.State
	b.records = append(b.records, change.Records...)
	b.marks = append(b.marks, mark{len(b.records), b.epoch})
	return change, nil
}

func (b *bench) must(by plane.Origin, c plane.Command) *plane.Change {
	b.t.Helper()
	change, err := b.do(by, c)
	if err != nil {
		b.t.Fatalf("%T: %v", c, err)
	}
	return change
}

func (b *bench) refused(by plane.Origin, c plane.Command, kind plane.Kind, attribute string) {
	b.t.Helper()
	was := b.s.Digest()
	_, err := b.do(by, c)
	e, _ := err.(*plane.Error)
	if e == nil || e.Kind != kind || e.Attribute != attribute {
		b.t.Errorf("%T %+v: got %v (%+v), want %s of %q", c, c, err, e, kind, attribute)
	}
	if b.s.Digest() != was {
		b.t.Errorf("%T was refused and has changed the state", c)
	}
}

// run carries out the steps until none is left.
func (b *bench) run() *bench {
	b.t.Helper()
	for range 1000 {
		if !b.one() {
			return b
		}
	}
	b.t.Fatal("it does not end")
	return nil
}

// one carries out one step, and says whether there was one.
func (b *bench) one() bool {
	b.t.Helper()
	at := slices.IndexFunc(b.s.Work(), func(e plane.Effect) bool { return e.Step != 0 })
	if at < 0 {
		return false
	}
	e := b.s.Work()[at]
	if e.NotBefore.After(b.now) {
		b.now = e.NotBefore
	}
	if b.fails != nil {
		if why := b.fails(e); why != "" {
			b.must(operator, plane.StepFailed{Broker: e.Spec.Broker, Step: e.Step, Attempt: e.Attempt, Error: why})
			return true
		}
	}
	b.done = append(b.done, fmt.Sprintf("%s %d", e.Kind, e.Spec.Number))
	b.epoch++
	b.must(operator, plane.StepDone{Broker: e.Spec.Broker, Step: e.Step, Epoch: b.epoch})
	return true
}

// steps are those done since they were asked for last.
func (b *bench) steps() string {
	list := strings.Join(b.done, ", ")
	b.done = nil
	return list
}

func (b *bench) broker(id string) *plane.Broker {
	b.t.Helper()
	br := b.s.Broker(plane.Scope{}, id)
	if br == nil {
		b.t.Fatalf("broker %s does not exist", id)
	}
	return br
}

func (b *bench) state(id string, want plane.BrokerState) {
	b.t.Helper()
	if got, why := b.broker(id).State(); got != want {
		b.t.Errorf("broker is %s (%s), want %s", got, why, want)
	}
}

// create is a command that makes a broker.
func create(id string, mode plane.Mode) plane.CreateBroker {
	return plane.CreateBroker{ID: "b-0000000" + id, Name: "broker-" + id, Mode: mode, Engine: plane.ActiveMQ, Type: "mq.m5.large",
		Users: []plane.NewUser{{Name: "admin", Hash: hash}}, Default: &plane.CreateConfiguration{ID: "c-0000000" + id, Name: "of-" + id, Engine: plane.ActiveMQ, Data: []byte("<broker/>")}}
}

func ptr[T any](v T) *T { return &v }

// TestSteps says what is done for each change, in which order, and what it costs.
func TestSteps(t *testing.T) {
	const id = "b-00000001"
	const toPair = "start 3, start 2, convert to a pair 1"
	for name, tt := range map[string]struct {
		mode     plane.Mode
		before   []plane.Command
		do       plane.Command
		steps    string
		cost     string
		mode1    plane.Mode
		numbers  string // of the instances afterwards, with their zones
		active   int
		operator bool
	}{
		"create a single one": {mode: plane.Single, steps: "start 1", cost: "restart: no, failover: no", numbers: "1a", active: 1},
		"create a pair":       {mode: plane.Pair, steps: "start 3, start 1, start 2", cost: "restart: no, failover: no", numbers: "1a 2b 3c", active: 1},
		"single to pair": {mode: plane.Single, do: plane.UpdateBroker{ID: id, Mode: ptr(plane.Pair)}, steps: toPair,
			cost: "restart: no, failover: no, clients reconnect: 1 times", numbers: "1a 2b 3c", active: 1},
		"pair to single": {mode: plane.Pair, do: plane.UpdateBroker{ID: id, Mode: ptr(plane.Single)}, steps: "convert to a single instance 1, stop 2, stop 3",
			cost: "restart: no, failover: no, clients reconnect: 1 times", numbers: "1a", active: 1},
		"pair to single keeps the active": {mode: plane.Pair, before: []plane.Command{plane.Switchover{ID: id}}, do: plane.UpdateBroker{ID: id, Mode: ptr(plane.Single)},
			steps: "convert to a single instance 2, stop 1, stop 3", cost: "restart: no, failover: no, clients reconnect: 1 times", numbers: "2b", active: 2},
		"switchover":       {mode: plane.Pair, do: plane.Switchover{ID: id}, steps: "switch over to 2", cost: "restart: no, failover: 1 to 2", numbers: "1a 2b 3c", active: 2},
		"switchover back":  {mode: plane.Pair, before: []plane.Command{plane.Switchover{ID: id}}, do: plane.Switchover{ID: id, To: 1}, steps: "switch over to 1", cost: "restart: no, failover: 2 to 1", numbers: "1a 2b 3c", active: 1},
		"switchover to it": {mode: plane.Pair, do: plane.Switchover{ID: id, To: 1}, cost: "restart: no, failover: no", numbers: "1a 2b 3c", active: 1},
		"reboot a pair":    {mode: plane.Pair, do: plane.RebootBroker{ID: id}, steps: "start 3, start 2, switch over to 2, start 1", cost: "restart: 2, 1, failover: 1 to 2", numbers: "1a 2b 3c", active: 2},
		"reboot a single":  {mode: plane.Single, do: plane.RebootBroker{ID: id}, steps: "start 1", cost: "restart: 1, failover: no", numbers: "1a", active: 1},
		"reboot if needed": {mode: plane.Single, do: plane.RebootBroker{ID: id, IfPending: true}, cost: "restart: no, failover: no", numbers: "1a", active: 1},
		"users":            {mode: plane.Pair, do: plane.CreateUser{Broker: id, User: plane.NewUser{Name: "bob", Hash: hash}}, cost: "restart: no, failover: no", numbers: "1a 2b 3c", active: 1},
		"another type":     {mode: plane.Pair, do: plane.UpdateBroker{ID: id, Type: ptr("mq.m5.medium")}, cost: "restart: no, failover: no", numbers: "1a 2b 3c", active: 1},
		"a type with no room": {mode: plane.Single, before: []plane.Command{plane.RegisterNode{Name: "node-a", Zone: "a", Range: netip.MustParsePrefix("127.0.64.0/24"), MemoryBytes: 12 << 30}},
			do: plane.UpdateBroker{ID: id, Type: ptr("mq.m5.xlarge")}, steps: toPair + ", switch over to 2, convert to a single instance 2, stop 1, stop 3",
			cost: "restart: no, failover: 1 to 2, clients reconnect: 2 times", numbers: "2b", active: 2},
		"a version waits": {mode: plane.Pair, do: plane.UpdateBroker{ID: id, Version: ptr("5.18")},
			cost: "restart: no, failover: no; at 2026-12-06T02:00:00Z: restart: 2, 1, failover: 1 to 2", numbers: "1a 2b 3c", active: 1},
		"a version is taken by a reboot": {mode: plane.Pair, before: []plane.Command{plane.UpdateBroker{ID: id, Version: ptr("5.18")}}, do: plane.RebootBroker{ID: id, IfPending: true},
			steps: "start 3, start 2, switch over to 2, start 1", cost: "restart: 2, 1, failover: 1 to 2", numbers: "1a 2b 3c", active: 2},
		"subnets of a pair": {mode: plane.Pair, do: plane.UpdateBroker{ID: id, Subnets: ptr([]string{"subnet-c", "subnet-d"})},
			steps: "stop 2, start 2, switch over to 2, stop 1, start 1", cost: "restart: no, failover: 1 to 2, clients that came to 1, 2 reconnect", numbers: "1c 2d 3c", active: 2},
		"subnet of a single": {mode: plane.Single, do: plane.UpdateBroker{ID: id, Subnets: ptr([]string{"subnet-d"})}, steps: toPair + ", switch over to 2, convert to a single instance 2, stop 1, stop 3",
			cost: "restart: no, failover: 1 to 2, clients reconnect: 2 times", numbers: "2d", active: 2},
		"drain the standby's node": {mode: plane.Pair, do: plane.DrainNode{Name: "node-b", Drain: true}, steps: "stop 2, start 2", cost: "restart: no, failover: no, clients that came to 2 reconnect", numbers: "1a 2d 3c", active: 1, operator: true},
		"drain the active's node": {mode: plane.Pair, do: plane.DrainNode{Name: "node-a", Drain: true}, steps: "switch over to 2, stop 1, start 1", cost: "restart: no, failover: 1 to 2, clients that came to 1 reconnect", numbers: "1d 2b 3c",
			active: 2, operator: true},
		"drain the witness's node": {mode: plane.Pair, do: plane.DrainNode{Name: "node-c", Drain: true}, steps: "stop 3, start 3", cost: "restart: no, failover: no", numbers: "1a 2b 3d", active: 1, operator: true},
		"lose the active's node": {mode: plane.Pair, do: plane.RemoveNode{Name: "node-a", Lost: true}, steps: "start 1", cost: "restart: no, failover: no", numbers: "1d 2b 3c",
			active: 2, operator: true},
		"delete": {mode: plane.Pair, do: plane.DeleteBroker{ID: id}, steps: "stop 1, stop 2, stop 3", cost: "restart: no, failover: no"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, plane.Options{}).nodes("a", "b", "c", "d")
			change := b.must(alice, create("1", tt.mode))
			b.run()
			for _, c := range tt.before {
				by := alice
				if _, ok := c.(plane.RegisterNode); ok {
					by = operator
				}
				b.must(by, c)
				b.run()
			}
			if tt.do != nil {
				b.steps()
				by := alice
				if tt.operator {
					by = operator
				}
				change = b.must(by, tt.do)
				b.run()
			}
			if got := b.steps(); got != tt.steps {
				t.Errorf("steps are\n  %s, want\n  %s", got, tt.steps)
			}
			if got := change.Cost(id).String(); got != tt.cost {
				t.Errorf("cost is %q, want %q", got, tt.cost)
			}
			br := b.s.Broker(plane.Scope{}, id)
			if (br == nil) != (tt.numbers == "") {
				t.Fatalf("broker is %+v", br)
			}
			if br == nil {
				return
			}
			b.state(id, plane.Running)
			var numbers []string
			for _, i := range br.Instances {
				if !i.Wanted || !i.Up || i.Leaving {
					t.Errorf("instance is %+v, want it to be up", i)
				}
				numbers = append(numbers, fmt.Sprint(i.Number, i.Zone))
			}
			slices.Sort(numbers)
			if got := strings.Join(numbers, " "); got != tt.numbers {
				t.Errorf("instances are %s, want %s", got, tt.numbers)
			}
			if br.Active != tt.active {
				t.Errorf("instance %d is active, want %d", br.Active, tt.active)
			}
			b.replays()
			b.crashes()
		})
	}
}

// crashes ends the plane between any two commands and goes on: all comes to the same end.
func (b *bench) crashes() {
	b.t.Helper()
	for n, m := range b.marks {
		r := plane.NewReplay(b.opt)
		for _, data := range b.records[:m.records] {
			if err := r.Record(data); err != nil {
				b.t.Fatal(err)
			}
		}
		again := newBench(b.t, b.opt)
		again.s, again.epoch = r.State(), m.epoch
		again.run()
		var want *plane.Replay // where what was begun had ended without the crash
		for _, later := range b.marks[n:] {
			want = plane.NewReplay(b.opt)
			for _, data := range b.records[:later.records] {
				if err := want.Record(data); err != nil {
					b.t.Fatal(err)
				}
			}
			if !slices.ContainsFunc(want.State().Work(), func(e plane.Effect) bool { return e.Step != 0 }) {
				break
			}
		}
		if again.s.Digest() != want.State().Digest() {
			b.t.Errorf("a crash behind command %d leads elsewhere", n)
		}
	}
}

// replays sees that the records make the same state again.
func (b *bench) replays() {
	b.t.Helper()
	for name, records := range map[string][][]byte{"the records": b.records, "a snapshot": b.s.Snapshot(), "a snapshot behind the records": append(slices.Clone(b.records), b.s.Snapshot()...)} {
		r := plane.NewReplay(b.opt)
		for _, data := range records {
			if err := r.Record(data); err != nil {
				b.t.Fatalf("%s: %v: %.300s", name, err, data)
			}
		}
		if got, want := r.State().Digest(), b.s.Digest(); got != want {
			b.t.Fatalf("%s make another state", name)
		}
	}
}
