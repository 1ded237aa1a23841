package openwire

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// FuzzDecode: no input makes the decoder panic; what it accepts, the encoder sends, and after one round both agree.
func FuzzDecode(f *testing.F) {
	for _, path := range goldenPaths(f) {
		g := readGolden(f, path)
		for i, v := range g.Vectors {
			if _, frame := unhex(f, v.Hex); len(frame) < 2000 && (i+g.Version)%4 == 0 {
				f.Add(frame, byte(g.Version), v.StackTraceEnabled)
			}
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte, version byte, stackTraces bool) {
		v := 1 + int(version)%MaxVersion
		d := Decoder{Version: v, StackTraces: stackTraces}
		e := Encoder{Version: v, StackTraces: stackTraces}
		first, err := d.decode(frame)
		if err != nil {
			var de *DecodeError
			if !errors.As(err, &de) || first != nil {
				t.Fatalf("decode = %v, %v; want a DecodeError alone", first, err)
			}
			return
		}
		if info, ok := first.(*WireFormatInfo); ok {
			if w, err := info.WireFormat(); err == nil {
				if again, err := w.Info().WireFormat(); err != nil || again != w && len(w.Host+w.ProviderName+w.ProviderVersion+w.PlatformDetails) < maxWireFormatValue/2 {
					t.Fatalf("wire format %+v came back as %+v, %v", w, again, err)
				}
			}
		}
		once, err := e.Append(nil, first)
		if errors.Is(err, ErrTooLong) { // real UTF-8 and raw zeros take more room in modified UTF-8
			return
		}
		if err != nil {
			t.Fatalf("encode %+v: %v", first, err)
		}
		d.Reuse = true
		second, err := d.decode(once[4:])
		if err != nil {
			t.Fatalf("decode again %x: %v", once[4:], err)
		}
		twice, err := e.Append(nil, second)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("encoded\n %x, then\n %x, %v", once, twice, err)
		}
	})
}

// FuzzFramer: however the stream arrives, the same frames and the same end come out, and the buffer follows what arrived.
func FuzzFramer(f *testing.F) {
	f.Add(framed("a", "bc"))
	f.Add(framed("a", string(make([]byte, 5000)), "b")[:5000])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0x05, 0, 0, 0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, stream []byte) {
		type result struct {
			frames []string
			err    error
		}
		read := func(r io.Reader) (out result) {
			fr := NewFramer(r, 0)
			for {
				had := fr.HasFrame()
				frame, err := fr.Next()
				if err != nil {
					out.err = err
					if had && !errors.Is(err, ErrFrameSize) {
						t.Fatalf("HasFrame, then %v", err)
					}
					break
				}
				out.frames = append(out.frames, string(frame))
			}
			if most := max(burstBuffer, 4*len(stream)); len(fr.buf) > most {
				t.Fatalf("%d bytes of stream, %d of buffer", len(stream), len(fr.buf))
			}
			return out
		}
		whole, single := read(bytes.NewReader(stream)), read(iotest.OneByteReader(bytes.NewReader(stream)))
		if len(whole.frames) != len(single.frames) || whole.err.Error() != single.err.Error() {
			t.Fatalf("%d frames, %v; byte by byte %d, %v", len(whole.frames), whole.err, len(single.frames), single.err)
		}
		at := 0
		for i, frame := range whole.frames {
			if frame != single.frames[i] || string(stream[at+4:at+4+len(frame)]) != frame {
				t.Fatalf("frame %d: %q, byte by byte %q", i, frame, single.frames[i])
			}
			at += 4 + len(frame)
		}
	})
}
