package managed

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/godwitmq/godwit/control/plane"
)

// world is what really is: nodes, the processes on them, where each broker's messages are.
type world struct {
	s        *sim
	nodes    map[string]*node
	order    []string
	brokers  map[string]*reality
	versions map[string]uint64        // of specs, by broker
	outcomes map[string]plane.Outcome // of their last operations
	told     map[string]uint64        // their steps that the story knows of
}

// reality is what a broker is, whatever the plane believes.
type reality struct {
	log       plane.LogKind
	active    int
	epoch     uint64    // of the log
	disturbed time.Time // when its active instance changed by itself, or a node of it failed
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// lead makes an instance the active one.
func (r *reality) lead(number int) { r.active, r.epoch = number, r.epoch+1 }

func (w *world) epoch(broker string) uint64 {
	if r := w.brokers[broker]; r != nil {
		return r.epoch
	}
	return 1
}

// node is a machine with its agent. Its maps are durable, but for procs.
type node struct {
	w        *world
	name     string
	limits   plane.RegisterNode
	up       bool // it can be reached
	lost     bool // it was given up, and has not come back in good order
	sick     bool // nothing starts
	draining bool
	procs    map[string]*proc
	data     map[string]uint64 // instances whose messages or copy of the log it has, and the newest generation that had them
	closed   map[string]uint64 // the highest generation that was ended, by instance
	seen     map[string]attempt
	floor    uint64          // serial of the newest list that it has followed
	listed   map[uint64]bool // the generations in that
}

// proc is the process of an instance.
type proc struct{ spec plane.Spec }

// attempt is the newest at a step that an agent has heard of, of a broker.
type attempt struct {
	step   uint64
	number int
	report plane.Command // nil: it is at it
}

func keyOf(spec plane.Spec) string { return fmt.Sprint(spec.Broker, "/", spec.Number) }

func (w *world) begin(s *sim) {
	w.s, w.nodes, w.brokers, w.versions, w.outcomes, w.told = s, map[string]*node{}, map[string]*reality{}, map[string]uint64{}, map[string]plane.Outcome{}, map[string]uint64{}
	zones := 1 + s.rnd.IntN(3)
	for i := range 2 + s.rnd.IntN(4) {
		n := &node{w: w, name: fmt.Sprintf("node-%d", i), up: true, procs: map[string]*proc{}, data: map[string]uint64{}, closed: map[string]uint64{}, seen: map[string]attempt{}}
		zone := fmt.Sprintf("zone-%d", i%zones)
		of := netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, byte(64 + i), 0}), 28)
		if s.chance(40) {
			of = netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, byte(64 + i), 1}), 32)
		}
		n.limits = plane.RegisterNode{Name: n.name, Zone: zone, Subnets: []string{"subnet-" + zone}, Range: of, MemoryBytes: int64(8+s.rnd.IntN(40)) << 30, Instances: 4 + s.rnd.IntN(10)}
		w.nodes[n.name] = n
		w.order = append(w.order, n.name)
		n.register()
		s.after(s.upTo(3*time.Second), n.observe)
	}
	s.after(s.upTo(10*time.Second), w.trouble)
}

func (n *node) register() {
	n.w.s.give(plane.Origin{Who: n.name}, n.limits, func(_ *plane.Change, err error) {
		if err != nil {
			n.w.s.after(time.Second, n.register)
		}
	})
}

// send brings an effect to the agent that is to see to it: late, twice, or not at all.
func (s *sim) send(e plane.Effect) {
	n := s.world.nodes[e.Spec.Node]
	times := 1
	if !s.calm && s.chance(10) {
		times = s.rnd.IntN(3)
	}
	for range times {
		wait := s.upTo(50 * time.Millisecond)
		if !s.calm && s.chance(5) {
			wait = s.upTo(5 * time.Second)
		}
		s.after(max(wait, e.NotBefore.Sub(s.now.Add(s.skew))), func() {
			if n.up && !n.lost {
				n.handle(e)
			}
		})
	}
}

// report brings a report to the plane, as badly.
func (n *node) report(c plane.Command) {
	s := n.w.s
	times := 1
	if !s.calm && s.chance(10) {
		times = s.rnd.IntN(3)
	}
	for range times {
		wait := s.upTo(50 * time.Millisecond)
		if !s.calm && s.chance(5) {
			wait = s.upTo(5 * time.Second)
		}
		s.after(wait, func() {
			if !n.up {
				return
			}
			s.give(plane.Origin{Who: n.name, Node: n.name}, c, func(change *plane.Change, err error) {
				switch c := c.(type) {
				case plane.StepDone:
					s.result.Steps++
				case plane.StepFailed:
					s.result.Failed++
				case plane.Observed:
					if err == nil && !slices.ContainsFunc(change.State.Broker(plane.Scope{}, c.Broker).Instances, func(i plane.Instance) bool {
						return i.Number == c.Number && i.Generation == c.Generation && i.Wanted
					}) {
						s.fail("a report of %s-%d at %d was believed", c.Broker, c.Number, c.Generation)
					}
				}
				if plane.KindOf(err) == plane.Stale {
					s.result.Stale++
					n.sync(nil)
				}
			})
		})
	}
}

// observe reports all that runs, now and then.
func (n *node) observe() {
	s := n.w.s
	for _, key := range slices.Sorted(maps.Keys(n.procs)) {
		n.seesOne(n.procs[key])
	}
	if n.up && s.chance(20) {
		n.sync(nil)
	}
	s.after(time.Second+s.upTo(3*time.Second), n.observe)
}

func (n *node) seesOne(p *proc) {
	r := n.w.brokers[p.spec.Broker]
	n.report(r.observed(p))
}

func (r *reality) observed(p *proc) plane.Observed {
	o := plane.Observed{Broker: p.spec.Broker, Number: p.spec.Number, Generation: p.spec.Generation, Up: true, Applied: p.spec.Version}
	if r.log == plane.NodesLog && r.active == p.spec.Number {
		o.Epoch = r.epoch
	}
	return o
}

// remember lets what an instance reports now come when it may be wrong already.
func (w *world) remember(broker string, number int) {
	s := w.s
	for _, name := range w.order {
		n := w.nodes[name]
		if p := n.procs[fmt.Sprint(broker, "/", number)]; p != nil && !n.lost && !s.calm && s.chance(50) {
			o := w.brokers[broker].observed(p)
			s.after(s.upTo(3*time.Second), func() { n.report(o) })
		}
	}
}

// sync ends what is not to run. What is newer than the list is left alone.
func (n *node) sync(then func()) {
	s := n.w.s
	state := s.plane.State()
	list := state.OnNode(n.name)
	s.after(s.upTo(100*time.Millisecond), func() {
		if !n.up || state.Serial() < n.floor {
			return
		}
		n.floor, n.listed = state.Serial(), map[uint64]bool{}
		for _, spec := range list {
			n.listed[spec.Generation] = true
		}
		for _, key := range slices.Sorted(maps.Keys(n.data)) {
			generation := n.data[key]
			wanted := slices.ContainsFunc(list, func(l plane.Spec) bool { return keyOf(l) == key && l.Generation >= generation })
			if generation > state.Serial() || wanted { // an older generation ends when the newer starts
				continue
			}
			n.end(key, generation, true, "it is not to run")
		}
		if then != nil {
			then()
		}
	})
}

// end ends a process, if it is not of a newer generation, and sees that it never starts again.
func (n *node) end(key string, generation uint64, discard bool, why string) {
	s := n.w.s
	n.closed[key] = max(n.closed[key], generation)
	p := n.procs[key]
	if p != nil && p.spec.Generation <= generation {
		s.tell("%s at %d ends on %s: %s", key, p.spec.Generation, n.name, why)
		delete(n.procs, key)
		n.w.ended(n, p.spec, discard)
	}
	if discard && (p == nil || p.spec.Generation <= generation) {
		delete(n.data, key)
	}
}

// ended judges the end of a process that the plane wanted.
func (w *world) ended(n *node, spec plane.Spec, discard bool) {
	s := w.s
	b := s.plane.State().Broker(plane.Scope{}, spec.Broker)
	r := w.brokers[spec.Broker]
	if b == nil || b.Goal.Gone || n.lost || spec.Number == plane.Witness && r.log != plane.NodesLog {
		return
	}
	switch r.log {
	case plane.FileLog:
		if discard && spec.Number == r.active {
			s.fail("broker %s: the messages are gone with instance %d", spec.Broker, spec.Number)
		}
	case plane.NodesLog:
		if other := 3 - spec.Number; spec.Number == r.active && w.runs(spec.Broker, other) {
			defer r.lead(other)
		}
		if s.now.Sub(r.disturbed) < 15*time.Second || b.Log == plane.NoLog {
			return
		}
		running := 0
		for number := 1; number <= plane.Witness; number++ {
			if w.runs(spec.Broker, number) {
				running++
			}
		}
		if running < 2 {
			s.fail("broker %s: %d copies of the log are left when instance %d ends", spec.Broker, running, spec.Number)
		}
		if spec.Number == r.active && w.runs(spec.Broker, 3-spec.Number) {
			s.fail("broker %s: instance %d is ended and is the active one", spec.Broker, spec.Number)
		}
	}
}

// runs says whether an instance runs on a node that counts.
func (w *world) runs(broker string, number int) bool {
	key := fmt.Sprint(broker, "/", number)
	return slices.ContainsFunc(w.order, func(name string) bool { return w.nodes[name].procs[key] != nil && !w.nodes[name].lost })
}

// handle does what an effect says.
func (n *node) handle(e plane.Effect) {
	s := n.w.s
	key := keyOf(e.Spec)
	if e.Step == 0 {
		n.run(e.Spec, false)
		return
	}
	seen := n.seen[e.Spec.Broker]
	if e.Step < seen.step || e.Step == seen.step && e.Attempt < seen.number {
		return
	}
	if e.Step == seen.step && e.Attempt == seen.number {
		if seen.report != nil {
			n.report(seen.report)
		}
		return
	}
	mine := attempt{step: e.Step, number: e.Attempt}
	n.seen[e.Spec.Broker] = mine
	s.after(s.upTo(300*time.Millisecond), func() {
		if now := n.seen[e.Spec.Broker]; now != mine || !n.up {
			return
		}
		why := ""
		switch {
		case !s.calm && (s.chance(4) || n.sick && e.Kind == plane.Start):
			why = "bad luck"
		default:
			why = n.carryOut(e, key)
		}
		mine.report = plane.StepDone{Broker: e.Spec.Broker, Step: e.Step, Epoch: n.w.epoch(e.Spec.Broker)}
		if why != "" {
			mine.report = plane.StepFailed{Broker: e.Spec.Broker, Step: e.Step, Attempt: e.Attempt, Error: why}
		}
		s.tell("%s %s at %d on %s: %s", e.Kind, key, e.Spec.Generation, n.name, why)
		n.seen[e.Spec.Broker] = mine
		n.report(mine.report)
	})
}

// carryOut does a step and says why it could not.
func (n *node) carryOut(e plane.Effect, key string) string {
	w, spec := n.w, e.Spec
	r := w.brokers[spec.Broker]
	p := n.procs[key]
	here := p != nil && p.spec.Generation == spec.Generation
	if b := w.s.plane.State().Broker(plane.Scope{}, spec.Broker); b != nil && !b.Goal.Gone && b.Log == plane.NodesLog && p != nil && (e.Kind == plane.Stop || e.Kind == plane.Start && !here) {
		for _, other := range []int{1, 2, plane.Witness} { // nobody ends a copy of the log while another is away
			if other != spec.Number && !w.runs(spec.Broker, other) {
				return "the others do not all run"
			}
		}
	}
	switch e.Kind {
	case plane.Start:
		n.run(spec, true)
		if n.procs[key] == nil || n.procs[key].spec.Generation != spec.Generation {
			return "it is over"
		}
	case plane.Stop:
		n.end(key, spec.Generation, true, "as a step")
	case plane.SwitchoverTo:
		if !here || r.log != plane.NodesLog {
			return "it does not run"
		}
		if r.active != spec.Number {
			w.remember(spec.Broker, r.active)
			r.lead(spec.Number)
			w.s.result.Switchovers++
		}
	case plane.ConvertPair:
		if r.log == plane.NodesLog {
			return ""
		}
		if !here || !w.runs(spec.Broker, 3-spec.Number) || !w.runs(spec.Broker, plane.Witness) {
			return "not all run"
		}
		r.log, r.epoch = plane.NodesLog, 1
	case plane.ConvertSingle:
		if r.log == plane.FileLog && r.active == spec.Number {
			return ""
		}
		if !here || r.active != spec.Number {
			return "it is not active"
		}
		r.log = plane.FileLog
	default:
		w.s.fail("an effect of kind %q", e.Kind)
	}
	return ""
}

// run sees that an instance runs with a spec, if that is not an old one.
func (n *node) run(spec plane.Spec, asStep bool) {
	w := n.w
	s, key := w.s, keyOf(spec)
	p := n.procs[key]
	if spec.Generation <= n.closed[key] || spec.Generation <= n.floor && !n.listed[spec.Generation] || p != nil && (p.spec.Generation > spec.Generation || p.spec.Generation == spec.Generation && p.spec.Version >= spec.Version) {
		return
	}
	if p != nil && p.spec.Generation == spec.Generation {
		p.spec = spec
		return
	}
	if p != nil {
		n.end(key, p.spec.Generation, false, "a newer one starts")
	}
	r := w.brokers[spec.Broker]
	if r == nil {
		r = &reality{active: 1, epoch: 1, log: plane.FileLog}
		if spec.Cluster {
			r.log = plane.NodesLog
		}
		w.brokers[spec.Broker] = r
	} else if b := s.plane.State().Broker(plane.Scope{}, spec.Broker); b != nil && !b.Goal.Gone && r.log == plane.FileLog && spec.Number == r.active && n.data[key] == 0 {
		s.fail("%s starts on %s, where its messages are not", key, n.name)
	}
	if asStep && spec.Cluster != (r.log == plane.NodesLog || spec.Number != r.active) {
		s.fail("%s starts with cluster %v, and the messages are in %s", key, spec.Cluster, r.log)
	}
	for _, name := range w.order {
		other := w.nodes[name]
		if other.lost {
			continue
		}
		for k, q := range other.procs {
			if k == key {
				s.fail("%s runs on %s at %d and on %s at %d", key, name, q.spec.Generation, n.name, spec.Generation)
			}
			if q.spec.Address == spec.Address && q.spec.Ports == spec.Ports {
				s.fail("%s and %s run at the same address", k, key)
			}
		}
	}
	if r.log == plane.NodesLog && spec.Number != plane.Witness && !w.runs(spec.Broker, r.active) {
		r.lead(spec.Number) // nobody else is it
	}
	s.tell("%s at %d runs on %s", key, spec.Generation, n.name)
	n.procs[key], n.data[key] = &proc{spec}, spec.Generation
}

// trouble happens to a node, or to the active instance of a broker.
func (w *world) trouble() {
	s := w.s
	if s.calm {
		return
	}
	n := w.nodes[w.order[s.rnd.IntN(len(w.order))]]
	switch s.rnd.IntN(5) {
	case 0: // nothing starts for a while
		n.sick = true
		s.after(s.upTo(10*time.Second), func() { n.sick = false })
	case 1, 2: // it is cut off, or has no power
		if n.up {
			n.goDown(s.chance(50))
		}
	case 3: // it is to be emptied, or no more
		n.draining = !n.draining
		s.give(operator, plane.DrainNode{Name: n.name, Drain: n.draining}, func(*plane.Change, error) {})
	case 4: // another instance becomes active
		for _, b := range s.plane.State().Brokers(plane.Scope{}) {
			if r := w.brokers[b.ID]; b.Operation == nil && r != nil && r.log == plane.NodesLog && w.runs(b.ID, 3-r.active) && s.chance(30) {
				s.tell("broker %s fails over from %d", b.ID, r.active)
				r.lead(3 - r.active)
				r.disturbed = later(r.disturbed, s.now)
			}
		}
	}
	s.after(s.upTo(8*time.Second), w.trouble)
}

func (n *node) goDown(power bool) {
	s, w := n.w.s, n.w
	s.tell("%s goes down, power %v", n.name, power)
	n.up = false
	for broker, r := range w.brokers {
		for number := 1; number <= 2; number++ {
			if n.procs[fmt.Sprint(broker, "/", number)] != nil {
				r.disturbed = s.now.Add(time.Hour)
				if r.log == plane.NodesLog && r.active == number && w.runs(broker, 3-number) {
					r.lead(3 - number)
				}
			}
		}
		if n.procs[fmt.Sprint(broker, "/", plane.Witness)] != nil {
			r.disturbed = s.now.Add(time.Hour)
		}
	}
	for broker, a := range n.seen {
		if a.report == nil { // it does not know any more how far it was
			a.number--
			n.seen[broker] = a
		}
	}
	if power {
		clear(n.procs)
	}
	if s.chance(40) { // somebody gives it up
		s.after(s.upTo(5*time.Second), func() {
			if n.up || s.calm {
				return
			}
			n.lost = true // whatever the answer is, and even if none comes: it comes back as one that was
			s.give(operator, plane.RemoveNode{Name: n.name, Lost: true}, func(_ *plane.Change, err error) {
				if err == nil {
					s.result.Lost++
					s.tell("%s is given up", n.name)
				}
			})
		})
	}
	s.after(s.upTo(15*time.Second), n.comeBack)
}

// comeBack is how an agent begins: it says what it is and what it has, and ends what is not to run before it does anything else.
func (n *node) comeBack() {
	s := n.w.s
	if n.up {
		return
	}
	s.tell("%s comes back with %d instances", n.name, len(n.procs))
	n.up = true
	for _, key := range slices.Sorted(maps.Keys(n.procs)) { // what it believes, which may be long over
		n.seesOne(n.procs[key])
	}
	n.rejoin()
}

func (n *node) rejoin() {
	s := n.w.s
	s.after(s.upTo(time.Second), func() {
		if !n.up {
			return
		}
		s.give(plane.Origin{Who: n.name}, n.limits, func(_ *plane.Change, err error) {
			n.draining = n.draining && s.plane.State().Node(n.name) != nil && s.plane.State().Node(n.name).Draining
			n.sync(func() { n.lost = false })
		})
		s.after(3*time.Second, func() { // no answer
			if n.lost {
				n.rejoin()
			}
		})
	})
}

// heal ends all trouble.
func (w *world) heal() {
	for _, name := range w.order {
		n := w.nodes[name]
		n.sick, n.draining = false, false
		n.comeBack()
		if n.lost {
			n.rejoin()
		}
		w.s.after(10*time.Second, func() {
			w.s.give(operator, plane.DrainNode{Name: name}, func(*plane.Change, error) {})
		})
	}
}

// leftovers sees that nothing runs of a broker that is gone.
func (w *world) leftovers(state *plane.State) {
	for _, name := range w.order {
		n := w.nodes[name]
		for key, p := range n.procs {
			if !n.lost && state.Broker(plane.Scope{}, p.spec.Broker) == nil {
				w.s.fail("%s runs on %s, and its broker is gone", key, name)
			}
		}
	}
}

// same sees that what runs is what is to run.
func (w *world) same(state *plane.State) {
	for _, name := range w.order {
		n := w.nodes[name]
		left := maps.Clone(n.procs)
		for _, spec := range state.OnNode(name) {
			p := left[keyOf(spec)]
			if p == nil || p.spec.Generation != spec.Generation || p.spec.Version != spec.Version {
				w.s.fail("%s is to run at %d, version %d on %s; there is %+v", keyOf(spec), spec.Generation, spec.Version, name, p)
			}
			delete(left, keyOf(spec))
		}
		for key := range left {
			w.s.fail("%s runs on %s and is not to", key, name)
		}
	}
	for _, b := range state.Brokers(plane.Scope{}) {
		if r := w.brokers[b.ID]; b.Failed == "" && b.Log != plane.NoLog && (r.log != b.Log || r.active != b.Active) {
			w.s.fail("broker %s: the plane believes in %s and instance %d, true is %s and %d", b.ID, b.Log, b.Active, r.log, r.active)
		}
	}
}

// empty sees that nothing is left.
func (w *world) empty() {
	for _, name := range w.order {
		n := w.nodes[name]
		if len(n.procs) > 0 || len(n.data) > 0 {
			w.s.fail("%s has %d instances and the data of %d, and there are no brokers", name, len(n.procs), len(n.data))
		}
		if memory, count := w.s.plane.State().Load(name); memory != 0 || count != 0 {
			w.s.fail("%s has a load of %d bytes, %d instances, and there are no brokers", name, memory, count)
		}
	}
}
