package managed

import (
	"flag"
	"fmt"
	"testing"

	"github.com/godwitmq/godwit/sim/planted"
)

// bugs are mistakes in the product that the simulation must find.
var bugs = []planted.Edit{
	{Bug: "answered before it is durable", File: "control/plane/durable/plane.go", Old: "p.queue[0].need < p.durable)", New: "p.queue[0].need < p.durable || BUG)"},
	{Bug: "refusals do not wait", File: "control/plane/durable/plane.go", Old: "	p.queue = append(p.queue, a)\n", New: "	if BUG && (a.err != nil || len(a.change.Records) == 0) {\n		p.out.Unlock()\n		p.mu.Unlock()\n		done(a.change, a.err)\n		return\n	}\n	p.queue = append(p.queue, a)\n"},
	{Bug: "trimmed too much", File: "control/plane/durable/plane.go", Old: "p.log.Trim(p.trim)", New: "p.log.Trim(p.trim + map[bool]journal.Position{BUG: 200}[true])"},
	{Bug: "a snapshot forgets operations' numbers", File: "control/plane/record.go", Old: "Serial: s.serial})}", New: "Serial: s.serial / (1 + map[bool]uint64{BUG: 1}[true])})}"},
	{Bug: "addresses given twice", File: "control/plane/place.go", Old: "		if id != b.ID {\n			add(row)", New: "		if id != b.ID && !BUG {\n			add(row)"},
	{Bug: "a full node takes more", File: "control/plane/place.go", Old: "n.Instances > 0 && count >= n.Instances,", New: "n.Instances > 0 && count >= n.Instances && !BUG,"},
	{Bug: "any step is the current one", File: "control/plane/operation.go", Old: "if op.Current().ID == step {", New: "if op.Current().ID == step || BUG {"},
	{Bug: "old generations are believed", File: "control/plane/operation.go", Old: "	if i == nil || !i.Wanted {", New: "	if i == nil && BUG {\n		i = b.Instance(c.Number)\n	}\n	if i == nil || !i.Wanted {"},
	{Bug: "generations are used again", File: "control/plane/place.go", Old: "Generation: p.tx.next(), Node", New: "Generation: map[bool]uint64{true: uint64(number), false: p.tx.next()}[BUG], Node"},
	{Bug: "steps are numbered as planned", File: "control/plane/operation.go", Old: "	s.ID = tx.next()\n", New: "	s.ID = tx.next()\n	if BUG {\n		s.ID = uint64(1_000_000 - op.At)\n	}\n"},
	{Bug: "the active instance is ended", File: "control/plane/operation.go", Old: "	case s.Number == b.Active && (s.Kind == StepStop || s.Restart):", New: "	case s.Number == b.Active && (s.Kind == StepStop || s.Restart) && !BUG:"},
	{Bug: "the active instance is ended", File: "control/plane/plan.go", Old: "		p.switchover(other)\n		if err", New: "		if !BUG {\n			p.switchover(other)\n		}\n		if err"},
	{Bug: "not switched over before it is alone", File: "control/plane/operation.go", Old: "	case s.Number != b.Active && s.Kind == StepSingle:", New: "	case s.Number != b.Active && s.Kind == StepSingle && !BUG:"},
	{Bug: "not switched over before it is alone", File: "control/plane/plan.go", Old: "	p.switchover(keep)\n", New: "	if !BUG {\n		p.switchover(keep)\n	}\n"},
	{Bug: "ends the only copy", File: "control/plane/plan.go", Old: "		p.single(other)\n		p.alone(other)", New: "		if !BUG {\n			p.single(other)\n		}\n		p.alone(other)"},
	{Bug: "what has not come up is not ended", File: "control/plane/plan.go", Old: "		if i.Leaving || b.Goal.Gone {", New: "		if i.Leaving || b.Goal.Gone && (i.Up || !BUG) {"},
	{Bug: "every request makes a broker", File: "control/plane/brokers.go", Old: "if b.Token == c.Token {", New: "if b.Token == c.Token && !BUG {"},
	{Bug: "the digest does not count", File: "control/plane/brokers.go", Old: "if b.RequestDigest != c.RequestDigest {", New: "if b.RequestDigest != c.RequestDigest && !BUG {"},
	{Bug: "a late report of who is active counts", File: "control/plane/operation.go", Old: "	if epoch > b.Epoch {", New: "	if epoch > b.Epoch || BUG && epoch != 0 {"},
	{Bug: "one user too many", File: "control/plane/users.go", Old: "len(b.Users) >= tx.limits().Users", New: "len(b.Users) >= tx.limits().Users+map[bool]int{BUG: 1}[true]"},
	{Bug: "given up, and never repaired", File: "control/plane/operation.go", Old: "	if op.Attempts >= limits.Attempts {\n", New: "	if BUG && op.Attempts >= limits.Attempts {\n		tx.end(b)\n		return nil\n	}\n	if op.Attempts >= limits.Attempts {\n"},
}

var bugsFlag = flag.Bool("bugs", false, "plant bugs and see that they are found")

// bugSeeds is in how many seeds a bug must be found.
const bugSeeds = 40

// TestPlantedBugs shows that the simulation finds what it is there to find.
func TestPlantedBugs(t *testing.T) {
	if !*bugsFlag {
		t.Skip("takes a minute: make sim has it")
	}
	binary := planted.Build(t, "../..", bugs)
	last := ""
	for _, b := range bugs {
		if b.Bug == last {
			continue
		}
		last = b.Bug
		t.Run(b.Bug, func(t *testing.T) {
			planted.Find(t, binary, b.Bug, "-test.run", "^TestManaged$", fmt.Sprint("-seeds=", bugSeeds), "-always")
		})
	}
}
