package pair

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
	"github.com/godwitmq/godwit/message"
)

// audit reads what the servers have agreed on, and knows by itself what it must look like. world.mu guards it.
type audit struct {
	w       *world
	link    layout.Link
	end     journal.Position
	logged  map[message.ID]uint64 // epoch of the first record that has the message
	newest  map[string]message.ID // by producer
	opened  map[uint64]string     // instance by epoch
	control byte                  // the last control's kind and name
	name    string
	forked  bool     // what follows is not the log's, because the servers have forgotten something
	records []record // all of the log's
	marks   []mark   // by sequence
	batches []span
}

// span is where a batch stands.
type span struct{ base, end journal.Position }

type record struct {
	at   journal.Position
	data []byte
}

// mark is what the audit was after a message.
type mark struct {
	link    layout.Link
	end     journal.Position
	records int
	batches int
}

// controlOpen is the kind of control that begins an epoch, controlHandOver the one that gives it away; docs/journal.md has them.
const (
	controlOpen     = 2
	controlHandOver = 6
)

// take reads one message of the stream.
func (a *audit) take(seq uint64, data []byte) {
	w := a.w
	if a.forked {
		return
	}
	for len(data) > 0 {
		var h layout.Header
		if wrong := h.Parse(data); wrong != "" || int(h.Length) > len(data) {
			w.fail("message %d of the stream is no batch: %s", seq, wrong)
			return
		}
		batch := data[:h.Length]
		data = data[h.Length:]
		hash, wrong := h.Verify(batch)
		if wrong == "" {
			wrong = a.link.Check(&h)
		}
		if wrong == "" && a.link.Known && h.Base != a.end {
			wrong = fmt.Sprintf("it stands at position %d, the one before it ends at %d", h.Base, a.end)
		}
		if wrong != "" && w.forgetful {
			w.note("message %d of the stream does not continue the log: %s", seq, wrong)
			a.forked = true
			return
		}
		if wrong != "" {
			w.fail("message %d of the stream does not continue the log: %s", seq, wrong)
			return
		}
		if h.Epoch > a.link.Epoch {
			if h.Flags != layout.FlagControl || batch[layout.HeaderSize] != controlOpen {
				w.fail("message %d of the stream begins epoch %d without a record of that", seq, h.Epoch)
			}
			a.opened[h.Epoch] = string(batch[layout.HeaderSize+32:])
			w.note("message %d of the stream begins epoch %d of %s", seq, h.Epoch, a.opened[h.Epoch])
		} else if h.Flags == layout.FlagControl && batch[layout.HeaderSize] == controlOpen {
			w.fail("message %d of the stream begins epoch %d a second time", seq, h.Epoch)
		}
		a.link.Advance(&h, hash)
		a.end = h.End()
		a.batches = append(a.batches, span{h.Base, a.end})
		if h.Flags == layout.FlagControl {
			a.control, a.name = batch[layout.HeaderSize], string(batch[layout.HeaderSize+32:])
			continue
		}
		for at := layout.HeaderSize; at < len(batch); {
			data, wrong := layout.Frame(batch, at)
			if wrong != "" {
				w.fail("message %d of the stream: %s", seq, wrong)
				return
			}
			a.records = append(a.records, record{h.Base + journal.Position(at), bytes.Clone(data)})
			at += journal.FrameSize + len(data)
			body, err := broker.Body(data)
			if err != nil {
				continue
			}
			if m, err := message.Decode(body); err == nil {
				if _, known := a.logged[m.ID]; !known {
					a.logged[m.ID] = h.Epoch
				}
				if a.newest[m.ID.Producer].Sequence < m.ID.Sequence {
					a.newest[m.ID.Producer] = m.ID
				}
			}
		}
	}
	a.marks = append(a.marks, mark{a.link, a.end, len(a.records), len(a.batches)})
}

// back forgets what came after a message.
func (a *audit) back(seq uint64) {
	m := a.marks[seq-1]
	a.marks = a.marks[:seq]
	a.link, a.end, a.records, a.batches = m.link, m.end, a.records[:m.records], a.batches[:m.batches]
}

// sum is what a core says of itself, and the position of the first record that it was given.
func sum(core *broker.Broker) (items [][]byte, first uint64) {
	c := core.Checkpoint(nil)
	if c == nil {
		return nil, 0
	}
	_ = c.Write(func(item []byte) error { // the function has no error of its own
		items = append(items, bytes.Clone(item))
		return nil
	})
	head := items[0][1:]
	_, n := binary.Uvarint(head) // version
	first, m := binary.Uvarint(head[n:])
	_, o := binary.Uvarint(head[n+m:]) // tail
	items[0] = head[n+m+o:]
	return items, first
}

// replayed is a core that is given the log's records from one position up to another. nil: they are not understood.
func (a *audit) replayed(first, tail journal.Position) *broker.Broker {
	fresh := broker.New(a.w.broker())
	for _, r := range a.records {
		if r.at < first || r.at >= tail {
			continue
		}
		if err := fresh.Replay(uint64(r.at), r.data); err != nil {
			a.w.fail("the log is not understood at position %d: %v", r.at, err)
			return nil
		}
	}
	return fresh
}

// same compares the core of a standby that has read up to a position with one that is given the same records anew.
func (a *audit) same(name string, core *broker.Broker, tail journal.Position) {
	got, first := sum(core)
	if len(got) == 0 {
		return
	}
	if tail > a.end {
		a.w.fail("standby %s has read from position %d up to %d, the log ends at %d", name, first, tail, a.end)
		return
	}
	fresh := a.replayed(journal.Position(first), tail)
	if fresh == nil {
		return
	}
	want, _ := sum(fresh)
	for i := range max(len(got), len(want)) {
		var g, x []byte
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			x = want[i]
		}
		if !bytes.Equal(g, x) {
			a.w.fail("the core of standby %s at position %d is not what the log's records from %d on make: part %d is\n  %x\nwant\n  %x", name, tail, first, i, g, x)
			return
		}
	}
}

// alike compares what an instance would be as the active one, whose core began with a checkpoint, with what one would be that has read all of the log: what it has, what it writes, what it remembers.
// Where things stand in memory may differ, and so may what a start forgets.
func (a *audit) alike(name string, core *broker.Broker, tail journal.Position) {
	_, first := sum(core)
	copied := broker.New(a.w.broker())
	c := core.Checkpoint(nil)
	if c == nil {
		return
	}
	if err := c.Write(copied.Restore); err != nil || !copied.Restored(first) {
		a.w.fail("the checkpoint of standby %s at position %d is not understood: %v", name, tail, err)
		return
	}
	fresh := a.replayed(journal.Position(first), tail)
	if fresh == nil {
		return
	}
	got, err := a.started(copied, tail)
	if err != nil {
		a.w.fail("the core of standby %s at position %d, which began with a checkpoint: %v", name, tail, err)
		return
	}
	want, err := a.started(fresh, tail)
	if err != nil {
		a.w.fail("a core of the log's records up to position %d: %v", tail, err)
		return
	}
	for i := range max(len(got), len(want)) {
		var g, x string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			x = want[i]
		}
		if g != x {
			a.w.fail("the core of standby %s at position %d, which began with a checkpoint, is not what the log's records from %d on make: of %d and %d things number %d is\n  %s\nwant\n  %s", name, tail, first, len(got), len(want), i, g, x)
			return
		}
	}
}

const (
	// itemRecords is the kind of a checkpoint's item that has records, each with the position where it stands.
	itemRecords = 2
	// recordMessage is the kind of a record that has a message of its own, not of a transaction.
	recordMessage = 5
	// recordCompleted is the kind of a record that names a connection and numbers of its commits.
	recordCompleted = 19
	// newest is how many commits of a connection are compared. An active instance knows the last 64, among them some that the log has nothing of, and drops an older one for each of these.
	newest = 32
)

// started starts a core and says what it has then, and what it answers to producers that ask again.
func (a *audit) started(core *broker.Broker, tail journal.Position) (all []string, err error) {
	var out broker.Effects
	core.Progress(uint64(tail), 1<<30)
	core.Recovered(0, &out)
	for i := range out.Records {
		r := &out.Records[i]
		all = append(all, fmt.Sprintf("writes %x %x", r.Head, r.Body))
		core.Place(r, uint64(tail)+uint64(i))
	}
	var rest []string
	if err := core.Audit(func(h broker.Held) { rest = append(rest, fmt.Sprintf("has %+v", h)) }); err != nil {
		return nil, err
	}
	commits := map[string][]uint64{}
	items, _ := sum(core)
	for _, item := range items {
		if item[0] != itemRecords {
			continue
		}
		for data := item[1:]; len(data) > 0; {
			var r []byte
			_, n := binary.Uvarint(data) // where it stands
			if r, data = text(data[n:]); r[0] != recordCompleted {
				rest = append(rest, fmt.Sprintf("remembers %x", r))
				continue
			}
			name, r := text(r[1:])
			for len(r) > 0 {
				tx, n := binary.Uvarint(r)
				commits[string(name)] = append(commits[string(name)], tx)
				r = r[n:]
			}
		}
	}
	for name, list := range commits {
		slices.Sort(list)
		rest = append(rest, fmt.Sprintf("remembers commits of %s: %v", name, list[max(0, len(list)-newest):]))
	}
	slices.Sort(rest) // what is in packs was shown first
	return append(append(all, rest...), a.asked(core)...), nil
}

// asked lets the producers send again what the log has of them last, and ask again what has become of their newest transactions.
func (a *audit) asked(core *broker.Broker) (all []string) {
	var ref broker.Ref
	step := func(what string, e broker.Event) {
		var out broker.Effects
		core.Step(1, e, &out)
		stored := slices.ContainsFunc(out.Records, func(r broker.Record) bool { return r.Head[0] == recordMessage })
		for i := range out.List {
			if x := &out.List[i]; x.Kind == broker.Answer {
				all = append(all, fmt.Sprintf("answers to %s: %v, stores a message: %v", what, x.Err, stored))
			}
		}
		for i := range out.Records {
			core.Place(&out.Records[i], uint64(a.end)+1<<20+uint64(len(all)))
		}
	}
	for i, p := range a.w.producers {
		conn := broker.ConnID(i + 1)
		ref++
		step("connect", &broker.Connect{Conn: conn, Ref: ref, Name: p.name})
		if x := a.w.sent[a.newest[p.name]]; x != nil {
			ref++
			m := *x.body
			step(fmt.Sprint("send again ", x.id), &broker.Send{Conn: conn, Ref: ref, Message: &m, Tracked: true, Resent: true, MayCreate: true})
		}
		for n := range min(p.txs, newest) {
			ref++
			step(fmt.Sprint("commit again ", p.txs-n), &broker.Commit{Conn: conn, Ref: ref, Tx: p.txs - n, Tracked: true, Resent: true})
		}
	}
	return all
}

// text takes off what has its length before it.
func text(data []byte) (t, rest []byte) {
	length, n := binary.Uvarint(data)
	data = data[n:]
	return data[:length], data[length:]
}
