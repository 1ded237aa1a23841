package pair

import (
	"flag"
	"fmt"
	"testing"

	"github.com/godwitmq/godwit/sim/planted"
)

// bug is a mistake in the product, or in what it relies on, that the simulation must find.
type bug struct {
	name  string
	from  uint64 // the first seed that is tried: one that is likely to find it, so that the test is short
	edits []edit
}

// edit replaces a text that stands once in a file. The new text asks whether the bug is the one that is planted.
type edit struct{ file, old, new string }

var bugs = []bug{
	{"no condition", 1, []edit{{"sim/pair/servers.go", "if p.last != end {", "if p.last != end && !BUG {"}}},
	{"two on their way", 18, []edit{{"journal/jetstream/append.go", "len(l.inflight) < window &&", "(len(l.inflight) < window || BUG && len(l.inflight) < 2) &&"}}},
	{"deposed goes on", 1, []edit{{"journal/jetstream/append.go", "\t\tcase err == nil:\n\t\t\tl.fail(", "\t\tcase err == nil && BUG:\n\t\t\tl.mu.Lock()\n\t\t\toldest.stored = true\n\t\t\tl.mu.Unlock()\n\t\t\tcontinue\n\t\tcase err == nil:\n\t\t\tl.fail("}}},
	{"answered before the log has it", 1, []edit{{"journal/jetstream/append.go", "m.sending = false\n", "m.sending = false\n\t\tm.stored = m.stored || BUG\n"}}},
	{"effects leave early", 1, []edit{{"engine/engine.go", "h.groups[n].need != 0 && h.groups[n].need <= durable {", "(h.groups[n].need != 0 && h.groups[n].need <= durable || BUG) {"}}},
	{"unknown is success", 1, []edit{{"journal/jetstream/append.go", "\t\tcase passed:", "\t\tcase BUG:\n\t\t\tl.mu.Lock()\n\t\t\toldest.stored = true\n\t\t\tl.mu.Unlock()\n\t\t\tcontinue\n\t\tcase passed:"}}},
	{"unknown is rewritten", 3, []edit{{"journal/jetstream/append.go", "\tfor _, m := range list {\n", "\tfor _, m := range list {\n\t\tif BUG {\n\t\t\tl.mu.Lock()\n\t\t\tm.seq++\n\t\t\tl.seq++\n\t\t\tl.mu.Unlock()\n\t\t}\n"}}},
	{"no epoch record", 1, []edit{{"journal/jetstream/follower.go", "\tf.quiet, f.enquiry = 0, false\n\tif last, err :=", "\tf.quiet, f.enquiry = 0, false\n\tif BUG {\n\t\tf.chain.link.Epoch++\n\t\tf.over = true\n\t\tf.fetch.Close()\n\t\treturn newLog(f, notify)\n\t}\n\tif last, err :="}}},
	{"epoch not raised", 1, []edit{{"journal/jetstream/follower.go", "\thash := h.Seal(data)\n", "\tif BUG {\n\t\th.Epoch = max(1, h.Epoch-1)\n\t}\n\thash := h.Seal(data)\n"}}},
	{"no chain check", 179, []edit{
		{"journal/jetstream/chain.go", "if h.Base != c.at {", "if h.Base != c.at && !BUG {"},
		{"journal/jetstream/chain.go", "if wrong := c.link.Check(h); wrong != \"\" {", "if wrong := c.link.Check(h); wrong != \"\" && !BUG {"},
	}},
	{"standby misses a batch", 1, []edit{{"journal/jetstream/follower.go", "\tif fn == nil {\n", "\tif fn == nil || BUG && h.Number%97 == 0 {\n"}}},
	{"trims too much", 1, []edit{{"journal/jetstream/log.go", "l.s.Purge(l.ctx, last+1)", "l.s.Purge(l.ctx, last+1+map[bool]uint64{BUG: 3}[true])"}}},
	{"hand-over before the drain", 1, []edit{
		{"journal/jetstream/log.go", "for l.pending > 0 && l.err == nil && ctx.Err() == nil {", "for l.pending > 0 && l.err == nil && ctx.Err() == nil && !BUG {"},
		{"journal/jetstream/log.go", "\tif l.pending > 0 {\n\t\treturn fmt.Errorf(\"hand", "\tif l.pending > 0 && !BUG {\n\t\treturn fmt.Errorf(\"hand"},
	}},
	{"takes back what it gave", 7, []edit{{"cluster/member.go", "if epoch > m.status.Epoch {", "if epoch > m.status.Epoch || BUG && !known {"}}},
	{"stays active", 67, []edit{{"cluster/member.go", "\tm.become(Standby, reason, nil)\n", "\tif !BUG {\n\t\tm.become(Standby, reason, nil)\n\t}\n"}}},
	{"trimmed place unknown", 22, []edit{
		{"journal/jetstream/append.go", "passed = errors.Is(", "passed = !BUG && errors.Is("},
		{"journal/jetstream/follower.go", "case errors.Is(gerr, ErrNoMessage) && s.passed", "case !BUG && errors.Is(gerr, ErrNoMessage) && s.passed"},
	}},
	{"repeated commit does not wait", 24, []edit{{"broker/transaction.go", "tx.logged || tx.repeated", "tx.logged || tx.repeated && !BUG"}}},
}

var bugsFlag = flag.Bool("bugs", false, "plant bugs and see that they are found")

// bugSeeds is in how many seeds a bug must be found.
const bugSeeds = 300

// TestPlantedBugs shows that the simulation finds what it is there to find.
func TestPlantedBugs(t *testing.T) {
	if !*bugsFlag {
		t.Skip("takes a minute: make sim has it")
	}
	var edits []planted.Edit
	for _, b := range bugs {
		for _, e := range b.edits {
			edits = append(edits, planted.Edit{Bug: b.name, File: e.file, Old: e.old, New: e.new})
		}
	}
	binary := planted.Build(t, "../..", edits)
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			planted.Find(t, binary, b.name, "-test.run", "^TestPair$", fmt.Sprint("-seeds=", bugSeeds), fmt.Sprint("-from=", b.from), "-always")
		})
	}
}
