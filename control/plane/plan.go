package plane

import (
	"fmt"
	"slices"
)

// plan says what is to be done so that the broker is what its goal says, and puts the instances that are missing in their places (in b.Instances, not yet Wanted). It is the whole of
// the control plane's wisdom: creating, changing, moving, repairing, rolling back and deleting are all the way from some facts to some goal. Nothing to do is no steps. The error, a Conflict,
// says for what there is no room; b is then as it was.
func (tx *tx) plan(b *Broker) (steps []Step, err error) {
	was, note := b.Instances, b.Placement
	defer func() {
		if err != nil {
			b.Instances, b.Placement = was, note
		}
	}()
	// What was planned and never begun leaves no trace.
	b.Instances = slices.DeleteFunc(slices.Clone(b.Instances), func(i Instance) bool { return !i.Wanted && !i.Leaving })
	p := &planner{tx: tx, b: b, active: b.Active, going: map[uint64]bool{}}
	for _, i := range b.Instances {
		if i.Leaving || b.Goal.Gone {
			p.stop(&i)
		}
	}
	if b.Goal.Gone {
		return p.steps, nil
	}
	switch {
	case b.Log == NoLog:
		err = p.create()
	case b.Goal.Mode == Single && p.fits(b.Active):
		if b.Log == NodesLog {
			p.single(b.Active)
		}
		p.alone(b.Active)
	default:
		err = p.pair()
	}
	p.note()
	return p.steps, err
}

// settled says that a plan would have no steps. It is a cheap look at what can have changed while no operation was at work.
func (s *State) settled(b *Broker) bool {
	want := 1
	if b.Goal.Mode == Pair {
		want = 3
	}
	if b.Blocked != "" || b.Log == NoLog || (b.Log == NodesLog) != (b.Goal.Mode == Pair) || len(b.Instances) != want {
		return false
	}
	for _, i := range b.Instances {
		n := s.nodes.get(i.Node)
		if n == nil || n.Draining || !i.Wanted || !i.Up || i.Version != b.Goal.Version || i.Generation <= b.Goal.Restart ||
			i.Number != Witness && len(b.Goal.Subnets) > 0 && !slices.Contains(b.Goal.Subnets, i.Subnet) {
			return false
		}
	}
	return true
}

// planner makes the steps. Behind the last of them active is the active instance, and those that are going are gone.
type planner struct {
	tx     *tx
	b      *Broker
	steps  []Step
	active int
	going  map[uint64]bool // generations
}

// at is the instance of a number behind the last step, nil if there is none. The pointer is good until the next one is placed.
func (p *planner) at(number int) *Instance {
	for n := range p.b.Instances {
		if i := &p.b.Instances[n]; i.Number == number && !p.going[i.Generation] {
			return i
		}
	}
	return nil
}

func (p *planner) step(kind StepKind, i *Instance) {
	p.steps = append(p.steps, Step{Kind: kind, Number: i.Number, Generation: i.Generation, Node: i.Node})
}

func (p *planner) stop(i *Instance) {
	p.step(StepStop, i)
	p.going[i.Generation] = true
}

// outdated says whether an instance is to be restarted.
func (p *planner) outdated(i *Instance) bool {
	return i.Wanted && (i.Version != p.b.Goal.Version || i.Generation <= p.b.Goal.Restart)
}

// start plans whatever brings an instance up that stays in its place.
func (p *planner) start(i *Instance) {
	if p.outdated(i) || !i.Up {
		p.step(StepStart, i)
		p.steps[len(p.steps)-1].Restart = p.outdated(i)
	}
}

// ensure plans that the instance of a number runs where it may, in the right version.
func (p *planner) ensure(number int) error {
	if p.fits(number) {
		p.start(p.at(number))
		return nil
	}
	fresh, err := p.place(number)
	if err != nil {
		return err
	}
	if i := p.at(number); i != nil {
		p.stop(i)
	}
	p.b.Instances = append(p.b.Instances, fresh)
	p.start(&fresh)
	return nil
}

func (p *planner) switchover(to int) {
	if p.active != to {
		p.step(StepSwitchover, p.at(to))
		p.active = to
	}
}

// create plans the first instances.
func (p *planner) create() error {
	if p.b.Goal.Mode == Single {
		return p.ensure(1)
	}
	return p.witnessFirst(1, 2)
}

// witnessFirst ensures the instances and the witness. The witness is placed last, because it may be anywhere, and comes first in the steps, because the log of the others needs it.
func (p *planner) witnessFirst(numbers ...int) error {
	from := len(p.steps)
	for _, n := range numbers {
		if err := p.ensure(n); err != nil {
			return err
		}
	}
	at := len(p.steps)
	if err := p.ensure(Witness); err != nil {
		return err
	}
	p.steps = slices.Concat(p.steps[:from], p.steps[at:], p.steps[from:at])
	return nil
}

// pair plans two instances and a witness: for a pair, or because a single instance cannot stay where it is, and moves as a pair does. What is to be done with the
// active instance is done last, behind a switchover.
func (p *planner) pair() error {
	first, other := p.active, 3-p.active
	if p.b.Log == FileLog && !p.at(first).Up {
		p.start(p.at(first)) // or its messages could not be had
	}
	if err := p.witnessFirst(other); err != nil {
		return err
	}
	if p.b.Log == FileLog {
		p.step(StepPair, p.at(first))
	}
	if p.b.Goal.Mode == Single {
		p.single(other)
		p.alone(other)
		return nil
	}
	if i := p.at(first); i == nil || !p.fits(first) || p.outdated(i) || !i.Up {
		p.switchover(other)
		if err := p.ensure(first); err != nil {
			return err
		}
	}
	if p.b.Goal.Active != 0 {
		p.switchover(p.b.Goal.Active)
	}
	return nil
}

// single plans that the messages go from the nodes' log to files of one instance.
func (p *planner) single(keep int) {
	if !p.at(keep).Up && p.at(keep).Wanted {
		p.start(p.at(keep))
	}
	p.switchover(keep)
	p.step(StepSingle, p.at(keep))
}

// alone plans the end of all instances but one.
func (p *planner) alone(keep int) {
	for _, n := range []int{1, 2, Witness} {
		if i := p.at(n); i != nil && n != keep {
			p.stop(i)
		}
	}
	if i := p.at(keep); i.Wanted && !slices.ContainsFunc(p.steps, func(s Step) bool { return s.Kind == StepStart && s.Number == keep }) {
		p.start(i)
	}
}

// note says in the broker why its instances are less apart than they could be.
func (p *planner) note() {
	p.b.Placement = ""
	one, two, witness := p.at(1), p.at(2), p.at(Witness)
	switch {
	case p.b.Goal.Mode != Pair || one == nil || two == nil || witness == nil:
	case one.Node == two.Node:
		p.b.Placement = fmt.Sprintf("both instances are on node %s: no other has room", one.Node)
	case one.Zone == two.Zone:
		p.b.Placement = fmt.Sprintf("both instances are in zone %s: no node of another has room", one.Zone)
	case witness.Node == one.Node || witness.Node == two.Node:
		p.b.Placement = fmt.Sprintf("the witness shares node %s with an instance: there is no third node with room; if that node fails, the other cannot go on", witness.Node)
	case witness.Zone == one.Zone || witness.Zone == two.Zone:
		p.b.Placement = fmt.Sprintf("the witness shares zone %s with an instance: there is no third zone; if that zone fails, the other cannot go on", witness.Zone)
	}
}
