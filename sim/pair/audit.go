package pair

import (
	"bytes"
	"encoding/binary"
	"fmt"

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
	opened  map[uint64]string     // instance by epoch
	control byte                  // the last control's kind and name
	name    string
	forked  bool     // what follows is not the log's, because the servers have forgotten something
	records []record // all of the log's
	marks   []mark   // by sequence
}

type record struct {
	at   journal.Position
	data []byte
}

// mark is what the audit was after a message.
type mark struct {
	link    layout.Link
	end     journal.Position
	records int
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
			}
		}
	}
	a.marks = append(a.marks, mark{a.link, a.end, len(a.records)})
}

// back forgets what came after a message.
func (a *audit) back(seq uint64) {
	m := a.marks[seq-1]
	a.marks = a.marks[:seq]
	a.link, a.end, a.records = m.link, m.end, a.records[:m.records]
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
	fresh := broker.New(a.w.broker())
	for _, r := range a.records {
		if r.at < journal.Position(first) || r.at >= tail {
			continue
		}
		if err := fresh.Replay(uint64(r.at), r.data); err != nil {
			a.w.fail("the log is not understood at position %d: %v", r.at, err)
			return
		}
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
