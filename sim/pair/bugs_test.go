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
	{"two on their way", 37, []edit{{"journal/jetstream/append.go", "len(l.inflight) < window &&", "(len(l.inflight) < window || BUG && len(l.inflight) < 2) &&"}}},
	{"deposed goes on", 1, []edit{{"journal/jetstream/append.go", "\t\tcase err == nil:\n\t\t\tl.fail(", "\t\tcase err == nil && BUG:\n\t\t\tl.mu.Lock()\n\t\t\toldest.stored = true\n\t\t\tl.mu.Unlock()\n\t\t\tcontinue\n\t\tcase err == nil:\n\t\t\tl.fail("}}},
	{"answered before the log has it", 1, []edit{{"journal/jetstream/append.go", "m.sending = false\n", "m.sending = false\n\t\tm.stored = m.stored || BUG\n"}}},
	{"effects leave early", 1, []edit{{"engine/engine.go", "h.groups[n].need != 0 && h.groups[n].need <= durable {", "(h.groups[n].need != 0 && h.groups[n].need <= durable || BUG) {"}}},
	{"unknown is success", 1, []edit{{"journal/jetstream/append.go", "\t\tcase passed:", "\t\tcase BUG:\n\t\t\tl.mu.Lock()\n\t\t\toldest.stored = true\n\t\t\tl.mu.Unlock()\n\t\t\tcontinue\n\t\tcase passed:"}}},
	{"unknown is rewritten", 3, []edit{{"journal/jetstream/append.go", "\tfor _, m := range list {\n", "\tfor _, m := range list {\n\t\tif BUG {\n\t\t\tl.mu.Lock()\n\t\t\tm.seq++\n\t\t\tl.seq++\n\t\t\tl.mu.Unlock()\n\t\t}\n"}}},
	{"no epoch record", 1, []edit{{"journal/jetstream/follower.go", "\tf.quiet, f.enquiry = 0, false\n\tif last, err :=", "\tf.quiet, f.enquiry = 0, false\n\tif BUG {\n\t\tf.chain.link.Epoch++\n\t\tf.over = true\n\t\tf.fetch.Close()\n\t\treturn newLog(f, notify)\n\t}\n\tif last, err :="}}},
	{"epoch not raised", 1, []edit{{"journal/jetstream/follower.go", "\thash := h.Seal(data)\n", "\tif BUG {\n\t\th.Epoch = max(1, h.Epoch-1)\n\t}\n\thash := h.Seal(data)\n"}}},
	{"no chain check", 269, []edit{
		{"journal/jetstream/chain.go", "if h.Base != c.at {", "if h.Base != c.at && !BUG {"},
		{"journal/jetstream/chain.go", "if wrong := c.link.Check(h); wrong != \"\" {", "if wrong := c.link.Check(h); wrong != \"\" && !BUG {"},
	}},
	{"standby misses a batch", 1, []edit{{"journal/jetstream/follower.go", "\tif fn == nil {\n", "\tif fn == nil || BUG && h.Number%97 == 0 {\n"}}},
	{"trims too much", 1, []edit{{"journal/jetstream/log.go", "l.s.Purge(l.ctx, last+1)", "l.s.Purge(l.ctx, last+1+map[bool]uint64{BUG: 3}[true])"}}},
	{"hand-over before the drain", 1, []edit{{"journal/jetstream/log.go", "l.awaitDurable(ctx, l.next); err != nil {\n\t\treturn fmt.Errorf(\"stream", "l.awaitDurable(ctx, map[bool]journal.Position{!BUG: l.next}[true]); err != nil {\n\t\treturn fmt.Errorf(\"stream"}}},
	{"takes back what it gave", 1, []edit{{"cluster/member.go", "return time.Now().Before(m.yielding)", "return time.Now().Before(m.yielding) && !BUG"}}},
	{"stays active", 147, []edit{{"cluster/member.go", "\tm.become(Standby, reason, nil)\n", "\tif !BUG {\n\t\tm.become(Standby, reason, nil)\n\t}\n"}}},
	{"trimmed place unknown", 22, []edit{
		{"journal/jetstream/append.go", "passed = errors.Is(", "passed = !BUG && errors.Is("},
		{"journal/jetstream/follower.go", "case errors.Is(gerr, ErrNoMessage) && s.passed", "case !BUG && errors.Is(gerr, ErrNoMessage) && s.passed"},
	}},
	{"checkpoint of another log", 4, []edit{{"journal/checkpoint/checkpoint.go", "if !bytes.Equal(head[:], b[20:20+journal.HeaderSize]) ||", "if !bytes.Equal(head[:], b[20:20+journal.HeaderSize]) && !BUG ||"}}},
	{"checkpoint of before the head", 1, []edit{
		{"journal/checkpoint/checkpoint.go", "head, err := log.Header(mark.Batch)\n", "head, err := log.Header(mark.Batch)\n\tif BUG && errors.Is(err, journal.ErrTrimmed) {\n\t\terr = nil\n\t\tcopy(head[:], b[20:])\n\t}\n"},
		{"journal/checkpoint/checkpoint.go", "if mark.Tail < log.Head() {", "if mark.Tail < log.Head() && !BUG {"},
		{"journal/jetstream/follower.go", "at = f.tie.Batch //", "at = max(f.tie.Batch, map[bool]journal.Position{BUG: f.head}[true]) //"},
	}},
	{"damaged checkpoint", 1, []edit{{"journal/checkpoint/checkpoint.go", "if crc32.Checksum(item, castagnoli) != sum {", "if crc32.Checksum(item, castagnoli) != sum && !BUG {"}}},
	{"part of a checkpoint", 1, []edit{{"cluster/checkpoint.go", "if err == nil && !core.Restored(uint64(past.Head())) {", "if err == nil && !core.Restored(uint64(past.Head())) && !BUG {"}}},
	{"checkpoint of more than its mark says", 1, []edit{{"engine/checkpoint.go", "c.saves.Go(func() { e.save(made, mark) })", "c.saves.Go(func() {\n\t\tif BUG && e.busy.TryLock() {\n\t\t\te.append()\n\t\t\tif later := e.core.Checkpoint(nil); later != nil {\n\t\t\t\tmade = later\n\t\t\t}\n\t\t\te.busy.Unlock()\n\t\t}\n\t\te.save(made, mark)\n\t})"}}},
	{"what came during a checkpoint", 1, []edit{{"cluster/checkpoint.go", "\tfor _, r := range k.kept {\n", "\tfor _, r := range k.kept {\n\t\tif BUG {\n\t\t\tbreak\n\t\t}\n"}}},
	{"checkpoint without open transactions", 53, []edit{
		{"broker/checkpoint.go", "\tfor i, serial := range sortedKeys(b.replay.transactions) {\n\t\tif w.ask(i) {\n", "\tfor i, serial := range sortedKeys(b.replay.transactions) {\n\t\tif w.ask(i) || BUG {\n"},
		{"broker/checkpoint.go", "if done[tx.serial] {", "if done[tx.serial] || BUG {"},
	}},
	{"checkpoint without producers", 1, []edit{{"broker/checkpoint.go", "\t\tw.record(p.home, b.writeProducer(p))\n", "\t\tif !BUG {\n\t\t\tw.record(p.home, b.writeProducer(p))\n\t\t}\n"}}},
	{"checkpoint without commits", 1, []edit{{"broker/checkpoint.go", "if x.home != notLogged {\n\t\t\t\tw.record", "if x.home != notLogged && !BUG {\n\t\t\t\tw.record"}}},
	{"checkpoint without prepared transactions", 1, []edit{
		{"broker/checkpoint.go", "\t\tif tx.branch != nil {\n\t\t\tw.record(tx.branch.home, b.writePrepare(serial", "\t\tif tx.branch != nil && !BUG {\n\t\t\tw.record(tx.branch.home, b.writePrepare(serial"},
		{"broker/checkpoint.go", "\t\tif tx.prepared() {\n", "\t\tif tx.prepared() && !BUG {\n"},
	}},
	{"checkpoint of before the log was left", 7, []edit{
		{"cluster/checkpoint.go", "return s.store != nil && !s.void", "return s.store != nil && (!s.void || BUG)"},
		{"journal/jetstream/follower.go", "\tcase at < f.head:\n\t\treturn head", "\tcase at < f.head && !BUG:\n\t\treturn head"},
		{"journal/checkpoint/checkpoint.go", "return mark, fmt.Errorf(\"%w: it tells up to position %d, and", "if BUG {\n\t\t\tmark.Tail = log.Head()\n\t\t} else {\n\t\treturn mark, fmt.Errorf(\"%w: it tells up to position %d, and"},
		{"journal/checkpoint/checkpoint.go", "ErrNone, mark.Tail, log.Head())\n", "ErrNone, mark.Tail, log.Head())\n\t\t}\n"},
	}},
	{"repeated commit does not wait", 53, []edit{{"broker/transaction.go", "tx.logged || tx.repeated", "tx.logged || tx.repeated && !BUG"}}},
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
