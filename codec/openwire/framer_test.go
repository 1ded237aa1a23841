package openwire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

func framed(bodies ...string) []byte {
	var b []byte
	for _, body := range bodies {
		b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
		b = append(b, body...)
	}
	return b
}

func TestFramer(t *testing.T) {
	large := strings.Repeat("large", 40_000)
	huge := strings.Repeat("huge!", 900_000)
	tests := map[string]struct {
		stream []byte
		limit  int
		want   []string
		err    error
	}{
		"nothing":         {err: io.EOF},
		"one":             {stream: framed("a"), want: []string{"a"}, err: io.EOF},
		"some":            {stream: framed("a", "bc", large, "d", huge, large, "e"), want: []string{"a", "bc", large, "d", huge, large, "e"}, err: io.EOF},
		"at the limit":    {stream: framed("12345678"), limit: 8, want: []string{"12345678"}, err: io.EOF},
		"above the limit": {stream: framed("a", "123456789"), limit: 8, want: []string{"a"}, err: ErrFrameSize},
		"negative":        {stream: []byte{0xff, 0xff, 0xff, 0xff}, err: ErrFrameSize},
		"zero":            {stream: framed(""), err: ErrFrameSize},
		"half a size":     {stream: []byte{0, 0}, err: io.ErrUnexpectedEOF},
		"size only":       {stream: framed("a")[:4], err: io.ErrUnexpectedEOF},
		"half a frame":    {stream: framed("a", "bcd")[:7], want: []string{"a"}, err: io.ErrUnexpectedEOF},
	}
	readers := map[string]func(io.Reader) io.Reader{
		"whole":         func(r io.Reader) io.Reader { return r },
		"half":          iotest.HalfReader,
		"end with data": iotest.DataErrReader,
	}
	for name, tt := range tests {
		for how, wrap := range readers {
			t.Run(name+"/"+how, func(t *testing.T) {
				f := NewFramer(wrap(bytes.NewReader(tt.stream)), tt.limit)
				for i, want := range tt.want {
					got, err := f.Next()
					if err != nil || string(got) != want {
						t.Fatalf("frame %d: %d bytes, %v; want %d bytes", i, len(got), err, len(want))
					}
				}
				if got, err := f.Next(); !errors.Is(err, tt.err) {
					t.Errorf("at the end: %q, %v; want %v", got, err, tt.err)
				}
			})
		}
	}
}

func TestFramerByteByByte(t *testing.T) {
	f := NewFramer(iotest.OneByteReader(bytes.NewReader(framed("abc", "d"))), 0)
	for _, want := range []string{"abc", "d"} {
		if f.HasFrame() {
			t.Errorf("HasFrame before %q was read", want)
		}
		if got, err := f.Next(); err != nil || string(got) != want {
			t.Errorf("Next = %q, %v; want %q", got, err, want)
		}
	}
}

func TestFramerHasFrame(t *testing.T) {
	stream := framed("a", "bc", "def")
	f := NewFramer(bytes.NewReader(stream[:len(stream)-1]), 0)
	var have []bool
	for range 2 {
		have = append(have, f.HasFrame())
		if _, err := f.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if have = append(have, f.HasFrame()); have[0] || !have[1] || have[2] {
		t.Errorf("HasFrame = %v; want false, true, false", have)
	}
	f = NewFramer(bytes.NewReader(append(framed("a"), 0xff, 0, 0, 0)), 0)
	if _, err := f.Next(); err != nil {
		t.Fatal(err)
	}
	if !f.HasFrame() {
		t.Error("HasFrame is false before a bad size: the error would wait for the next read")
	}
}

// A deadline in the middle of a frame loses nothing.
func TestFramerContinues(t *testing.T) {
	f := NewFramer(io.MultiReader(strings.NewReader("\x00\x00\x00\x03a"), iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("bc")))), 0)
	if _, err := f.Next(); !errors.Is(err, iotest.ErrTimeout) {
		t.Fatalf("Next = %v; want %v", err, iotest.ErrTimeout)
	}
	if got, err := f.Next(); err != nil || string(got) != "abc" {
		t.Errorf("Next again = %q, %v; want abc", got, err)
	}
	_, err := NewFramer(iotest.ErrReader(os.ErrDeadlineExceeded), 0).Next()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Next = %v; want %v", err, os.ErrDeadlineExceeded)
	}
}

// The buffer follows what arrives, not what is announced, and shrinks when large frames stop.
func TestFramerMemory(t *testing.T) {
	announce := func(size uint32, sent int) []byte {
		return append(binary.BigEndian.AppendUint32(nil, size), make([]byte, sent)...)
	}
	for name, tt := range map[string]struct {
		stream []byte
		most   int // bytes of buffer
	}{
		"idle":                         {framed("a"), firstBuffer},
		"5 KiB announced":              {announce(5<<10, 1), 8 << 10},
		"100 MiB announced, none sent": {announce(100<<20, 0), burstBuffer},
		"100 MiB announced, 3 MiB":     {announce(100<<20, 3<<20), 4 << 20},
		"3 MiB and all of it":          {announce(3<<20, 3<<20), 3<<20 + 4},
	} {
		f := NewFramer(bytes.NewReader(tt.stream), 0)
		for {
			if _, err := f.Next(); err != nil {
				break
			}
		}
		if len(f.buf) > tt.most {
			t.Errorf("%s: buffer of %d bytes; want %d at most", name, len(f.buf), tt.most)
		}
	}

	small := framed(strings.Repeat("s", 100))
	stream := io.MultiReader(bytes.NewReader(announce(3<<20, 3<<20)), iotest.HalfReader(bytes.NewReader(bytes.Repeat(small, 200_000))))
	f := NewFramer(stream, 0)
	for {
		if _, err := f.Next(); err != nil {
			break
		}
	}
	if len(f.buf) > burstBuffer {
		t.Errorf("after a large frame and many small ones the buffer has %d bytes; want %d at most", len(f.buf), burstBuffer)
	}
}

// A client that was busy and then only says that it lives gives its buffer back.
func TestFramerCalmsDown(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		w.Write(bytes.Repeat(framed(strings.Repeat("b", 1000)), 200))
		for range smallReads + 1 {
			w.Write(framed("alive"))
		}
		w.Close()
	}()
	f := NewFramer(r, 0)
	most := 0
	for {
		if _, err := f.Next(); err != nil {
			break
		}
		most = max(most, len(f.buf))
	}
	if most != burstBuffer || len(f.buf) != firstBuffer {
		t.Errorf("the buffer grew to %d and ended with %d bytes; want %d, %d", most, len(f.buf), burstBuffer, firstBuffer)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestFramerNoProgress(t *testing.T) {
	if _, err := NewFramer(stuck{}, 0).Next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("Next of a reader that gives nothing = %v; want %v", err, io.ErrNoProgress)
	}
}

// ledger is a Memory that grants up to left bytes.
type ledger struct{ left, taken, most, missing int }

var errLedger = errors.New("no memory")

func (l *ledger) Grow(more, missing int) error {
	if l.missing = missing; more > l.left {
		return errLedger
	}
	l.left, l.taken = l.left-more, l.taken+more
	l.most = max(l.most, l.taken)
	return nil
}

func (l *ledger) Shrink(less int) { l.left, l.taken = l.left+less, l.taken-less }

func (l *ledger) Spare(size int) bool { return l.left >= size }

// What a frame needs beyond an ordinary buffer is asked for as it comes, and given back.
func TestFramerAsksForMemory(t *testing.T) {
	const plenty = 1 << 30
	announce := func(size uint32, sent int) []byte {
		return append(binary.BigEndian.AppendUint32(nil, size), make([]byte, sent)...)
	}
	small := framed("s")
	for name, tt := range map[string]struct {
		left           int
		stream         []byte
		want           error
		most, atTheEnd int // bytes asked for
		missing        int // of the last that was asked for
	}{
		"ordinary frames":          {left: 0, stream: bytes.Repeat(framed(strings.Repeat("b", 60<<10)), 10), want: io.EOF},
		"announced":                {left: 0, stream: announce(100<<20, 50<<10), want: io.ErrUnexpectedEOF},
		"a part, and no more":      {left: 200 << 10, stream: announce(100<<20, 1<<20), want: errLedger, most: 192 << 10, atTheEnd: 192 << 10, missing: 100<<20 + 4 - 256<<10},
		"a part":                   {left: plenty, stream: announce(100<<20, 100<<10), want: io.ErrUnexpectedEOF, most: 192 << 10, atTheEnd: 192 << 10, missing: 100<<20 + 4 - 64<<10},
		"whole, kept for the next": {left: plenty, stream: append(announce(200<<10, 200<<10), small...), want: io.EOF, most: 200<<10 + 4 - 64<<10, atTheEnd: 200<<10 + 4 - 64<<10, missing: 200<<10 + 4 - 64<<10},
		"whole, missed by others":  {left: 200 << 10, stream: append(announce(200<<10, 200<<10), small...), want: io.EOF, most: 200<<10 + 4 - 64<<10, missing: 200<<10 + 4 - 64<<10},
	} {
		l := &ledger{left: tt.left}
		f := NewFramer(bytes.NewReader(tt.stream), 100<<20)
		f.SetMemory(l)
		var err error
		for err == nil {
			_, err = f.Next()
		}
		if !errors.Is(err, tt.want) || l.most != tt.most || l.taken != tt.atTheEnd || l.missing != tt.missing {
			t.Errorf("%s: Next = %v, with %d bytes at most and %d at the end, %d missing; want %v, %d, %d, %d", name, err, l.most, l.taken, l.missing, tt.want, tt.most, tt.atTheEnd, tt.missing)
		}
		if f.Release(); l.taken != 0 {
			t.Errorf("%s: %d bytes are taken after Release", name, l.taken)
		}
	}
}
