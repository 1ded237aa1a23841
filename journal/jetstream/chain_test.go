package jetstream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

// script makes messages as a writer does.
type script struct {
	link  layout.Link
	at    journal.Position
	epoch uint64
}

func (s *script) seal(b []byte, flags uint16, count uint32) []byte {
	b = bytes.Clone(b)
	h := layout.Header{Flags: flags, Epoch: s.epoch, Number: max(1, s.link.Number), Base: s.at, Length: uint32(len(b)), Count: count, Prev: s.link.Hash}
	s.link.Advance(&h, h.Seal(b))
	s.at = h.End()
	return b
}

func (s *script) records(sizes ...int) []byte {
	b := new(journal.Batch)
	for _, size := range sizes {
		b.Add(bytes.Repeat([]byte{byte(size)}, size))
	}
	return s.seal(b.Bytes(), 0, uint32(len(sizes)))
}

func (s *script) control(kind byte) []byte {
	return s.seal(control{kind: kind}.encode(), layout.FlagControl, 0)
}

func (s *script) parts(size int) (parts [][]byte) {
	base := s.at
	b := s.records(size)
	for i := uint32(0); i < partsOf(uint32(len(b))); i++ {
		p := part{index: i, parts: partsOf(uint32(len(b))), length: uint32(len(b)), base: base}
		p.data = b[i*partSize : min(int(i+1)*partSize, len(b))]
		parts = append(parts, p.encode())
	}
	return parts
}

// TestChain feeds messages as they may come, and as they must not.
func TestChain(t *testing.T) {
	fresh := func() *script {
		return &script{epoch: 1}
	}
	tests := map[string]struct {
		messages func() [][]byte
		records  int
		wrong    string // part of the reason; "" means that all pass
	}{
		"batches, one and several in a message": {func() [][]byte {
			s := fresh()
			return [][]byte{s.control(controlOpen), s.records(10, 0), append(s.records(1), s.records(2, 3)...), s.control(controlHeartbeat)}
		}, 5, ""},
		"a batch in parts": {func() [][]byte {
			s := fresh()
			m := append([][]byte{s.control(controlOpen)}, s.parts(3*partSize+5)...)
			return append(m, s.records(1))
		}, 2, ""},
		"parts given up by a writer that was deposed": {func() [][]byte {
			s := fresh()
			m := [][]byte{s.control(controlOpen), s.records(7)}
			before := *s
			m = append(m, s.parts(2 * partSize)[:2]...)
			*s = before
			s.epoch++
			return append(m, s.control(controlOpen), s.records(1))
		}, 2, ""},
		"parts given up by the same writer": {func() [][]byte {
			s := fresh()
			m := [][]byte{s.control(controlOpen)}
			before := *s
			m = append(m, s.parts(2 * partSize)[:1]...)
			*s = before
			return append(m, s.records(1))
		}, 0, "follows 1 parts of a longer one"},
		"a part is missing": {func() [][]byte {
			s := fresh()
			m := [][]byte{s.control(controlOpen)}
			p := s.parts(3 * partSize)
			return append(m, p[0], p[2])
		}, 0, "stands where part 1"},
		"the first part is missing": {func() [][]byte {
			s := fresh()
			return [][]byte{s.control(controlOpen), s.parts(3 * partSize)[1]}
		}, 0, "stands where part 0"},
		"a part is damaged": {func() [][]byte {
			s := fresh()
			m := [][]byte{s.control(controlOpen)}
			p := s.parts(2 * partSize)
			p[1][100] ^= 1
			return append(m, p...)
		}, 0, "checksum of part 1"},
		"a message is missing": {func() [][]byte {
			s := fresh()
			m := [][]byte{s.control(controlOpen), s.records(1)}
			s.records(2)
			return append(m, s.records(3))
		}, 1, "stands at position"},
		"a message comes twice": {func() [][]byte {
			s := fresh()
			m := [][]byte{s.control(controlOpen), s.records(1)}
			return append(m, m[1])
		}, 1, "stands at position"},
		"a fork": {func() [][]byte {
			s := fresh()
			m := [][]byte{s.control(controlOpen)}
			before := *s
			s.records(9)
			other := *s
			*s = before
			m = append(m, s.records(8)) // as long as the other in the end
			other.at = s.at
			return append(m, other.records(1))
		}, 1, "does not follow the batch before it"},
		"an older epoch": {func() [][]byte {
			s := fresh()
			s.epoch = 5
			m := [][]byte{s.control(controlOpen)}
			s.epoch = 4
			return append(m, s.records(1))
		}, 0, "older than 5"},
		"a wrong bit": {func() [][]byte {
			s := fresh()
			m := [][]byte{s.control(controlOpen), s.records(100, 100)}
			m[1][150] ^= 4
			return m
		}, 0, "checksum of batch 2"},
		"the second batch of a message is damaged": {func() [][]byte {
			s := fresh()
			m := [][]byte{s.control(controlOpen), append(s.records(100), s.records(100)...)}
			m[1][len(m[1])-1] ^= 4
			return m
		}, 0, "checksum of batch 3"},
		"a message is cut off": {func() [][]byte {
			s := fresh()
			return [][]byte{s.control(controlOpen), s.records(100)[:120]}
		}, 0, "its message has 120"},
		"an empty message": {func() [][]byte { return [][]byte{fresh().control(controlOpen), {}} }, 0, "an empty message"},
		"of something else": {func() [][]byte {
			return [][]byte{fresh().control(controlOpen), bytes.Repeat([]byte("hello"), 30)}
		}, 0, "no batch begins here"},
		"a gap of the file engine's repair": {func() [][]byte {
			s := fresh()
			m := [][]byte{s.control(controlOpen)}
			gap := make([]byte, layout.HeaderSize)
			h := layout.Header{Flags: layout.FlagGap, Epoch: 1, Number: 9, Base: s.at, Length: layout.HeaderSize}
			h.Seal(gap)
			return append(m, gap)
		}, 0, "a gap, which a stream does not have"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := chain{stream: "STREAM", seq: 1}
			records := 0
			var err error
			messages := tt.messages()
			for i, m := range messages {
				was := c
				_, err = c.next(uint64(i+1), m, func(h *layout.Header, _ []byte) error { records += int(h.Count); return nil })
				if err != nil {
					if c.seq != was.seq || c.at != was.at || c.link != was.link || len(c.long) != len(was.long) {
						t.Errorf("message %d was refused and has moved the chain from %d to %d", i+1, was.at, c.at)
					}
					break
				}
			}
			if records != tt.records {
				t.Errorf("%d records came through; want %d", records, tt.records)
			}
			if tt.wrong == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var damage *journal.CorruptError
			if !errors.As(err, &damage) || damage.File != "STREAM" || damage.Sequence == 0 || !bytes.Contains([]byte(damage.Reason), []byte(tt.wrong)) {
				t.Errorf("got %v; want a CorruptError with stream, message and %q", err, tt.wrong)
			}
		})
	}
}

// TestEveryBit turns every bit of a message over: none is passed.
func TestEveryBit(t *testing.T) {
	s := &script{epoch: 3}
	first := s.control(controlOpen)
	for name, m := range map[string][]byte{"batches": append(s.records(5, 0), s.records(1)...), "part": s.parts(partSize)[0][:partHeader+40]} {
		if name == "part" { // a short one, sealed again
			binary.LittleEndian.PutUint32(m[8:], 1)
			binary.LittleEndian.PutUint32(m[12:], 40)
			binary.LittleEndian.PutUint32(m[24:], 40)
			binary.LittleEndian.PutUint32(m[28:], partSum(m))
		}
		for bit := range len(m) * 8 {
			c := chain{stream: "STREAM", seq: 1}
			if _, err := c.next(1, first, func(*layout.Header, []byte) error { return nil }); err != nil {
				t.Fatal(err)
			}
			damaged := bytes.Clone(m)
			damaged[bit/8] ^= 1 << (bit % 8)
			if _, err := c.next(2, damaged, func(*layout.Header, []byte) error { return nil }); !errors.Is(err, journal.ErrCorrupt) {
				t.Fatalf("%s: bit %d of %d turned over: %v; want ErrCorrupt", name, bit, len(m)*8, err)
			}
		}
	}
}

// TestIndex compares the index with a plain list, whatever the order in which runs become known.
func TestIndex(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		type entry struct {
			base   journal.Position
			covers uint64
		}
		var all []entry
		at := journal.Position(rnd.IntN(1000))
		for range 1 + rnd.IntN(400) {
			e := entry{at, uint64(1 + rnd.IntN(100_000))}
			if rnd.IntN(5) == 0 {
				e.covers = 0 // a part, but not the last
			}
			all = append(all, e)
			at += journal.Position(e.covers)
		}
		const first = 17
		x := &index{}
		known := make([]bool, len(all))
		for range 1 + rnd.IntN(12) {
			from := rnd.IntN(len(all))
			for i := from; i < min(len(all), from+rnd.IntN(200)); i++ {
				x.add(first+uint64(i), all[i].base, all[i].covers)
				known[i] = true
			}
		}
		forgotten := 0
		if rnd.IntN(2) == 0 {
			forgotten = rnd.IntN(len(all))
			x.forget(first + uint64(forgotten))
		}
		for i, e := range all {
			if e.covers == 0 || i < forgotten {
				continue
			}
			for _, p := range []journal.Position{e.base, e.base + journal.Position(e.covers) - 1} {
				seq, base, low, high := x.find(p)
				what := fmt.Sprintf("seed %d: find(%d), which lies in message %d (known: %v)", seed, p, first+i, known[i])
				switch {
				case known[i] && (seq != first+uint64(i) || base != e.base):
					t.Fatalf("%s = %d at %d", what, seq, base)
				case !known[i] && (seq != 0 || low > first+uint64(i) || high != 0 && high <= first+uint64(i)):
					t.Fatalf("%s = %d, between %d and %d", what, seq, low, high)
				}
			}
		}
	}
}

func FuzzChain(f *testing.F) {
	s := &script{epoch: 1}
	first := s.control(controlOpen)
	f.Add(s.records(1, 2, 3))
	f.Add(s.control(controlClose))
	f.Add(s.parts(partSize + 1)[0])
	f.Fuzz(func(t *testing.T, data []byte) {
		c := chain{stream: "STREAM", seq: 1}
		if _, err := c.next(1, first, func(*layout.Header, []byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
		c.next(2, data, func(h *layout.Header, b []byte) error {
			decodeControl(b)
			return layout.Records(h, b, 0, func(journal.Record) error { return nil })
		})
	})
}
