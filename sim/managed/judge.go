package managed

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/godwitmq/godwit/control/plane"
)

// judge says what no state may be like.
func (s *sim) judge(state *plane.State) {
	type place struct {
		address netip.Addr
		slot    int
	}
	addresses := map[place]string{}
	names := map[string]bool{}
	generations := map[uint64]string{}
	perScope := map[plane.Scope]int{}
	for _, b := range state.Brokers(plane.Scope{}) {
		if key := b.Account + b.Region + b.Name; names[key] {
			s.fail("two brokers have the name %s", b.Name)
		} else {
			names[key] = true
		}
		if perScope[b.Scope]++; perScope[b.Scope] > s.base.Limits.Brokers {
			s.fail("%v has %d brokers", b.Scope, perScope[b.Scope])
		}
		if len(b.Users) > s.base.Limits.Users {
			s.fail("broker %s has %d users", b.ID, len(b.Users))
		}
		if last := s.world.outcomes[b.ID]; b.Last != nil && *b.Last != last {
			s.world.outcomes[b.ID] = *b.Last
			s.result.Operations++
			if b.Last.Error != "" {
				s.result.RolledBack++
			}
		}
		if b.Operation != nil && b.Operation.At >= len(b.Operation.Steps) {
			s.fail("broker %s: operation %s has no current step", b.ID, b.Operation.Kind)
		}
		if op := b.Operation; op != nil && s.world.told[b.ID] != op.Current().ID {
			s.world.told[b.ID] = op.Current().ID
			s.tell("%s: operation %s (%s) is at %s, generation %d", b.ID, op.Kind, op.Rollback, op.Current(), op.Current().Generation)
		}
		wanted := map[int]int{}
		for _, i := range b.Instances {
			what := fmt.Sprintf("%s-%d at %d", b.ID, i.Number, i.Generation)
			if other := addresses[place{i.Address, i.Slot}]; other != "" {
				s.fail("%s and %s have the address %v, slot %d", other, what, i.Address, i.Slot)
			}
			addresses[place{i.Address, i.Slot}] = what
			if other := generations[i.Generation]; other != "" {
				s.fail("%s and %s have the same generation", other, what)
			}
			generations[i.Generation] = what
			n := state.Node(i.Node)
			switch {
			case n == nil:
				s.fail("%s is on node %s, which does not exist", what, i.Node)
			case !n.Range.Contains(i.Address):
				s.fail("%s has address %v, and node %s the range %v", what, i.Address, n.Name, n.Range)
			}
			if i.Wanted {
				wanted[i.Number]++
			}
		}
		for number, n := range wanted {
			if n > 1 {
				s.fail("broker %s: %d processes of instance %d are wanted", b.ID, n, number)
			}
		}
		if is, _ := b.State(); is == plane.Running && b.Operation == nil && b.Blocked == "" && !s.missing(b) {
			s.fail("broker %s is RUNNING without an operation, and its instances are %+v", b.ID, b.Instances)
		}
		if was := s.world.versions[b.ID]; b.Version < was {
			s.fail("broker %s: the version of its specs goes from %d to %d", b.ID, was, b.Version)
		}
		s.world.versions[b.ID] = b.Version
	}
	for _, n := range state.Nodes() {
		memory, count := state.Load(n.Name)
		if limit := s.world.nodes[n.Name].limits; memory > limit.MemoryBytes || count > limit.Instances {
			s.fail("node %s has %d bytes of %d, %d instances of %d", n.Name, memory, limit.MemoryBytes, count, limit.Instances)
		}
	}
	for _, c := range state.Configurations(plane.Scope{}) {
		if c.Latest > s.base.Limits.Revisions {
			s.fail("configuration %s has %d revisions", c.ID, c.Latest)
		}
	}
	if n := len(state.Audit(plane.Scope{}, "", 0)); n > s.base.Limits.Audit {
		s.fail("the audit trail has %d entries", n)
	}
	s.world.leftovers(state)
}

// missing says whether a broker at rest has all that it should.
func (s *sim) missing(b *plane.Broker) bool {
	want := []int{b.Active}
	if b.Goal.Mode == plane.Pair {
		want = []int{1, 2, plane.Witness}
	}
	return len(b.Instances) == len(want) && !slices.ContainsFunc(want, func(n int) bool {
		i := b.Instance(n)
		return i == nil || !i.Up || !i.Wanted
	})
}
