package broker

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
)

// summarised is a core that holds a bit of everything, with its checkpoint. That a start from one is as good as one from all of the log, every test of the core that
// crashes shows (rig.boot), and so does the simulation.
func summarised(t testing.TB) (r *rig, items [][]byte) {
	r = newRig(t, Options{PackFrom: 4, Policies: Policies{Destinations: []Policy{{Destination: aQueue("K"), Keep: KeepPolicy{LastValueKey: "key"}}}}})
	c := r.connect("c", "c")
	for i := range 24 {
		r.send(c, r.msg(tq("Q"), fmt.Sprint(i)))
	}
	r.send(c, r.msg(tq("Q"), "urgent", prio(9)))
	r.sendGroup(c, "g", "grouped")
	r.send(c, r.msg(tq("K"), "last", key("k")))
	r.later(c, 0, r.msg(tq("Q"), "later", delay(60_000)))
	r.sendTx(c, 1, r.msg(tq("Q"), "in a transaction"))
	d := deliveries(r.consume(c, 1, tq("Q"), 3), c, 1)
	r.ack(c, 1, Consumed, d[0], func(a *Ack) { a.Tx = 1 })
	x := XID{Format: 1, Global: "g", Branch: "b"}
	r.do(&XABegin{Conn: c, Ref: r.ref(), Tx: 2, XID: x})
	r.sendTx(c, 2, r.msg(tq("Q"), "in a branch"))
	r.do(&XAEnd{Conn: c, Ref: r.ref(), XID: x}, &XAPrepare{Conn: c, Ref: r.ref(), XID: x})
	if err := r.b.Checkpoint(nil).Write(func(item []byte) error {
		items = append(items, slices.Clone(item))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return r, items
}

// What a checkpoint lacks, or has twice or in another order, is not taken for a whole one.
func TestCheckpointIsWhole(t *testing.T) {
	_, items := summarised(t)
	kinds := map[byte]bool{}
	for _, item := range items {
		kinds[item[0]] = true
	}
	for kind := byte(itemBegin); kind <= itemEnd; kind++ {
		if !kinds[kind] {
			t.Errorf("the checkpoint has no item of kind %d", kind)
		}
	}
	whole := func(items [][]byte) bool {
		b := New(Options{})
		for _, item := range items {
			if b.Restore(item) != nil {
				return false
			}
		}
		return b.Restored(0)
	}
	if !whole(items) {
		t.Fatal("the whole checkpoint is not taken in")
	}
	for i, item := range items {
		if item[0] != itemRecords && item[0] != itemTxMessages && whole(slices.Delete(slices.Clone(items), i, i+1)) {
			t.Errorf("without item %d of kind %d it is taken for whole", i, item[0])
		}
		if item[0] != itemRecords && item[0] != itemTxMessages && whole(slices.Insert(slices.Clone(items), i, item)) {
			t.Errorf("with item %d of kind %d twice it is taken for whole", i, item[0])
		}
	}
	if whole(append(slices.Clone(items), []byte{itemRecords})) {
		t.Errorf("with an item after its end it is taken for whole")
	}
}

// A checkpoint is made only when all records have their places.
func TestCheckpointWaitsForPlaces(t *testing.T) {
	b := New(Options{})
	var out Effects
	b.Recovered(1, &out)
	if got := b.Checkpoint(nil); got != nil {
		t.Errorf("a checkpoint was made although %d records have no place", len(out.Records))
	}
}

// Whatever a checkpoint holds, Restore, and the start after it, say so or go on.
func FuzzRestore(f *testing.F) {
	_, items := summarised(f)
	var seed []byte
	for _, item := range items {
		seed = binary.LittleEndian.AppendUint16(seed, uint16(len(item)))
		seed = append(seed, item...)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		b := New(Options{PackFrom: 16})
		for len(data) >= 2 {
			n := min(int(binary.LittleEndian.Uint16(data)), len(data)-2)
			if err := b.Restore(data[2 : 2+n]); err != nil {
				return
			}
			data = data[2+n:]
		}
		if b.Restored(0) {
			var out Effects
			b.Recovered(1_000_000, &out)
		}
	})
}

// A checkpoint that is not wanted any more is given up soon, and the core is as before.
func TestCheckpointGivesUp(t *testing.T) {
	r := newRig(t, Options{})
	c := r.connect("c", "c")
	for i := range 3000 {
		r.sendGroup(c, fmt.Sprint("g", i%7), fmt.Sprint(i))
	}
	standby := New(r.opt)
	for _, x := range r.log {
		if err := standby.Replay(x.position, x.data); err != nil {
			t.Fatal(err)
		}
	}
	for name, b := range map[string]*Broker{"at work": r.b, "of a standby": standby} {
		whole := 0
		if b.Checkpoint(func() bool { whole++; return false }) == nil || whole < 3000/askEvery {
			t.Errorf("core %s: a checkpoint of 3000 messages asked %d times whether it is wanted, or was not made", name, whole)
		}
		asked := 0
		if b.Checkpoint(func() bool { asked++; return asked > whole/2 }) != nil || asked != whole/2+1 {
			t.Errorf("core %s: a checkpoint that is not wanted was made, or asked %d times instead of %d", name, asked, whole/2+1)
		}
		if err := b.Checkpoint(nil).Write(New(Options{}).Restore); err != nil {
			t.Errorf("core %s: the next checkpoint: %v", name, err)
		}
	}
}
