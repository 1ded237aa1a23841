package stomp_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/godwitmq/godwit/codec/stomp"
)

// readAll decodes input until an error, which is nil at a clean end.
func readAll(r *stomp.Reader) ([]stomp.Frame, error) {
	var frames []stomp.Frame
	for {
		frame, err := r.Next()
		if err == io.EOF {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		frames = append(frames, frame.Clone())
	}
}

// show makes two results comparable and readable.
func show(frames []stomp.Frame, err error) string {
	var text strings.Builder
	for _, f := range frames {
		fmt.Fprintf(&text, "%s %q %q\n", f.Command, f.Headers, f.Body)
	}
	fmt.Fprintf(&text, "error: %v", err)
	return text.String()
}

func manyHeaders(n int) string { return strings.Repeat("a:b\n", n) }

func TestReader(t *testing.T) {
	type headers = stomp.Headers
	frame := func(command string, h headers, body string) stomp.Frame {
		if h == nil {
			h = headers{}
		}
		f := stomp.Frame{Command: command, Headers: h}
		if body != "" {
			f.Body = []byte(body)
		}
		return f
	}
	long := strings.Repeat("x", 10240-len("a:"))
	tests := map[string]struct {
		version stomp.Version
		maxSize int
		input   string
		want    []stomp.Frame
		err     error
	}{
		"nothing":     {input: ""},
		"beats alone": {input: "\n\r\n\n"},
		"no header":   {input: "BEGIN\n\n\x00", want: []stomp.Frame{frame("BEGIN", nil, "")}},
		"text body":   {input: "SEND\ndestination:/queue/a\n\nhi\x00\n", want: []stomp.Frame{frame("SEND", headers{{"destination", "/queue/a"}}, "hi")}},
		"two, between beats": {input: "\n\nSEND\na:1\n\nx\x00\n\r\n\nSEND\na:1\n\ny\x00",
			want: []stomp.Frame{frame("SEND", headers{{"a", "1"}}, "x"), frame("SEND", headers{{"a", "1"}}, "y")}},
		"stray NUL between frames": {input: "BEGIN\n\n\x00\x00\nBEGIN\n\n\x00", want: []stomp.Frame{frame("BEGIN", nil, ""), frame("BEGIN", nil, "")}},
		"unknown command":          {input: "SENDX\n\nx\x00", want: []stomp.Frame{frame("SENDX", nil, "x")}},

		"command at the limit":   {input: strings.Repeat("C", 1024) + "\n\n\x00", want: []stomp.Frame{frame(strings.Repeat("C", 1024), nil, "")}},
		"command over the limit": {input: strings.Repeat("C", 1025) + "\n\n\x00", err: stomp.ErrCommandLength},
		"command without end":    {input: strings.Repeat("C", 1025), err: stomp.ErrCommandLength},
		"header at the limit":    {input: "SEND\na:" + long + "\n\n\x00", want: []stomp.Frame{frame("SEND", headers{{"a", long}}, "")}},
		"header over the limit":  {input: "SEND\na:" + long + "x\n\n\x00", err: stomp.ErrHeaderLength},
		"header without end":     {input: "SEND\na:" + long + "x", err: stomp.ErrHeaderLength},
		"1001 headers":           {input: "SEND\n" + manyHeaders(1001) + "\n\x00", err: stomp.ErrHeaderCount},
		"headers over size":      {maxSize: 50, input: "SEND\n" + manyHeaders(20) + "\n\x00", err: stomp.ErrFrameSize},
		"body at the limit":      {maxSize: 5, input: "SEND\n\n12345\x00", want: []stomp.Frame{frame("SEND", nil, "12345")}},
		"body over the limit":    {maxSize: 5, input: "SEND\n\n123456\x00", err: stomp.ErrFrameSize},
		"body without end":       {maxSize: 5, input: "SEND\n\n123456", err: stomp.ErrFrameSize},
		"length over the limit":  {maxSize: 20, input: "SEND\ncontent-length:21\n\n", err: stomp.ErrFrameSize},
		"length over 64 bits":    {input: "SEND\ncontent-length:99999999999999999999999\n\n", err: stomp.ErrFrameSize},
		"good frame before bad":  {input: "BEGIN\n\n\x00SEND\ncontent-length:-1\n\n\x00", want: []stomp.Frame{frame("BEGIN", nil, "")}, err: stomp.ErrNegativeLength},

		"content-length":            {input: "SEND\ncontent-length:3\n\na\x00b\x00", want: []stomp.Frame{frame("SEND", headers{{"content-length", "3"}}, "a\x00b")}},
		"content-length 0":          {input: "SEND\ncontent-length:0\n\n\x00", want: []stomp.Frame{frame("SEND", headers{{"content-length", "0"}}, "")}},
		"content-length with CR":    {version: stomp.V11, input: "SEND\r\ncontent-length:1\r\n\r\n\x00\x00", want: []stomp.Frame{frame("SEND", headers{{"content-length", "1\r"}}, "\x00")}},
		"content-length padded":     {input: "SEND\n content-length : 1\n\n\x00\x00", want: []stomp.Frame{frame("SEND", headers{{"content-length", "1"}}, "\x00")}},
		"content-length of MESSAGE": {input: "MESSAGE\ncontent-length:1\n\n\x00\x00", want: []stomp.Frame{frame("MESSAGE", headers{{"content-length", "1"}}, "\x00")}},
		"content-length of ERROR":   {input: "ERROR\ncontent-length:1\n\n\x00\x00", want: []stomp.Frame{frame("ERROR", headers{{"content-length", "1"}}, "\x00")}},
		"content-length elsewhere":  {input: "BEGIN\ncontent-length:9\n\n\x00", want: []stomp.Frame{frame("BEGIN", headers{{"content-length", "9"}}, "")}},
		"first content-length":      {input: "SEND\ncontent-length:1\ncontent-length:9\n\nx\x00", want: []stomp.Frame{frame("SEND", headers{{"content-length", "1"}, {"content-length", "9"}}, "x")}},
		"too short a length":        {input: "SEND\ncontent-length:1\n\nxy\x00", err: stomp.ErrNoTrailingNull},
		"too long a length":         {input: "SEND\ncontent-length:3\n\nx\x00\nBEGIN\n\n\x00", err: stomp.ErrNoTrailingNull},
		"negative length":           {input: "SEND\ncontent-length:-1\n\nx\x00", err: stomp.ErrNegativeLength},
		"length is text":            {input: "SEND\ncontent-length:x\n\nx\x00", err: stomp.ErrUnreadableLength},
		"empty length":              {input: "SEND\ncontent-length:\n\nx\x00", err: stomp.ErrUnreadableLength},
		"length without colon":      {input: "SEND\ncontent-length\n\nx\x00", err: stomp.ErrUnreadableLength},

		"CR in 1.0":           {version: stomp.V10, input: "ACK\r\nid:1\r\n\r\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", "1"}}, "")}},
		"CR in 1.1":           {version: stomp.V11, input: "ACK\r\nid:1\r\n\r\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", "1\r"}}, "")}},
		"CR in 1.2":           {version: stomp.V12, input: "ACK\r\nid:1\r\n\r\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", "1"}}, "")}},
		"CR in 1.2, no colon": {version: stomp.V12, input: "ACK\nid\r\n\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", ""}}, "")}},

		"repeated header":   {input: "ACK\nid:1\nid:2\n\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", "1"}, {"id", "2"}}, "")}},
		"no colon":          {input: "ACK\nid\n\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", ""}}, "")}},
		"empty name":        {input: "ACK\n:v\n\n\x00", want: []stomp.Frame{frame("ACK", headers{{"", "v"}}, "")}},
		"colons in value":   {input: "ACK\nid:a:b\n\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", "a:b"}}, "")}},
		"spaces in 1.0":     {input: "ACK\n id : 1 \n\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", "1"}}, "")}},
		"spaces in 1.2":     {version: stomp.V12, input: "ACK\n id : 1 \n\n\x00", want: []stomp.Frame{frame("ACK", headers{{" id ", " 1 "}}, "")}},
		"spaces in CONNECT": {input: "CONNECT\nlogin: me\n\n\x00", want: []stomp.Frame{frame("CONNECT", headers{{"login", "me"}}, "")}},
		"spaces in a newer CONNECT": {input: "CONNECT\npasscode: me\naccept-version:1.2\n\n\x00",
			want: []stomp.Frame{frame("CONNECT", headers{{"passcode", " me"}, {"accept-version", "1.2"}}, "")}},

		"escapes in 1.0":          {version: stomp.V10, input: `ACK` + "\n" + `id:\\\n\c\r` + "\n\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", `\\\n\c\r`}}, "")}},
		"escapes in 1.1":          {version: stomp.V11, input: `ACK` + "\n" + `id:\\\n\c\r` + "\n\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", "\\\n:\\r"}}, "")}},
		"escapes in 1.2":          {version: stomp.V12, input: `ACK` + "\n" + `id:\\\n\c\r` + "\n\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", "\\\n:\r"}}, "")}},
		"escapes in names":        {version: stomp.V12, input: "ACK\n" + `a\cb:1` + "\n\n\x00", want: []stomp.Frame{frame("ACK", headers{{`a\cb`, "1"}}, "")}},
		"unknown escapes":         {version: stomp.V12, input: "ACK\n" + `id:C:\temp\` + "\n\n\x00", want: []stomp.Frame{frame("ACK", headers{{"id", `C:\temp\`}}, "")}},
		"no escapes in CONNECTED": {version: stomp.V12, input: "CONNECTED\n" + `session:a\cb` + "\n\n\x00", want: []stomp.Frame{frame("CONNECTED", headers{{"session", `a\cb`}}, "")}},
		// What an escape decoded to is not what the same text would decode to in the next frame.
		"same text, other meaning": {version: stomp.V12, input: "ACK\n" + `id:\\c` + "\n\n\x00ACK\n" + `id:\c` + "\n\n\x00",
			want: []stomp.Frame{frame("ACK", headers{{"id", `\c`}}, ""), frame("ACK", headers{{"id", ":"}}, "")}},
		"CR, then without": {version: stomp.V12, input: "ACK\n" + `id:a\r` + "\n\n\x00ACK\nid:a\r\n\n\x00",
			want: []stomp.Frame{frame("ACK", headers{{"id", "a\r"}}, ""), frame("ACK", headers{{"id", "a"}}, "")}},

		"end in command":     {input: "SEN", err: io.ErrUnexpectedEOF},
		"end in headers":     {input: "SEND\na:b\n", err: io.ErrUnexpectedEOF},
		"end in body":        {input: "SEND\n\nabc", err: io.ErrUnexpectedEOF},
		"end in length body": {input: "SEND\ncontent-length:5\n\nabc", err: io.ErrUnexpectedEOF},
		"end in large body":  {input: "SEND\ncontent-length:50000\n\n" + strings.Repeat("x", 45000), err: io.ErrUnexpectedEOF},
		"end before NUL":     {input: "SEND\ncontent-length:50000\n\n" + strings.Repeat("x", 50000), err: io.ErrUnexpectedEOF},
		"large body, no NUL": {input: "SEND\ncontent-length:50000\n\n" + strings.Repeat("x", 50001), err: stomp.ErrNoTrailingNull},
	}
	for name, tt := range tests {
		sources := map[string]func(io.Reader) io.Reader{
			"at once":       func(r io.Reader) io.Reader { return r },
			"byte by byte":  iotest.OneByteReader,
			"end with data": iotest.DataErrReader,
		}
		for way, source := range sources {
			t.Run(name+"/"+way, func(t *testing.T) {
				r := stomp.NewReader(source(strings.NewReader(tt.input)), stomp.Options{MaxFrameSize: tt.maxSize})
				r.SetVersion(tt.version)
				frames, err := readAll(r)
				if got, want := show(frames, err), show(tt.want, tt.err); got != want {
					t.Errorf("Next of %.80q:\n%s\nwant\n%s", tt.input, got, want)
				}
				if got := r.Received(); err == nil && got != uint64(len(tt.input)) {
					t.Errorf("Received = %d, want %d", got, len(tt.input))
				}
				if _, again := r.Next(); err != nil && !errors.Is(again, err) {
					t.Errorf("after %v Next fails with %v", err, again)
				}
			})
		}
	}
}

func TestThousandHeaders(t *testing.T) {
	r := stomp.NewReader(strings.NewReader("SEND\n"+manyHeaders(1000)+"\n\x00"), stomp.Options{})
	frame, err := r.Next()
	if err != nil || len(frame.Headers) != 1000 {
		t.Errorf("Next = %d headers, %v; want 1000", len(frame.Headers), err)
	}
}

// Bodies of all sizes around the buffers' must come out whole, with and without content-length, and stay as they are.
func TestBodySizes(t *testing.T) {
	var input bytes.Buffer
	var want []string
	for _, size := range []int{1, 1000, 4090, 4096, 8200, 32730, 32767, 32768, 32769, 65536, 70000, 200000, 3, 1 << 20, 5} {
		body := strings.Repeat(string(rune('a'+size%26)), size)
		fmt.Fprintf(&input, "SEND\ncontent-length:%d\n\n%s\x00\nSEND\n\n%s\x00\n", size, body, body)
		want = append(want, body, body)
	}
	for name, source := range map[string]io.Reader{
		"at once": bytes.NewReader(input.Bytes()),
		"halves":  iotest.HalfReader(bytes.NewReader(input.Bytes())),
	} {
		t.Run(name, func(t *testing.T) {
			frames, err := readAll(stomp.NewReader(source, stomp.Options{}))
			if err != nil || len(frames) != len(want) {
				t.Fatalf("%d frames, %v; want %d", len(frames), err, len(want))
			}
			for i, f := range frames {
				if string(f.Body) != want[i] {
					t.Errorf("body %d has %d bytes, %.10q...; want %d, %.10q...", i, len(f.Body), f.Body, len(want[i]), want[i])
				}
			}
		})
	}
}

// packets gives one Read each.
type packets []any

func (p *packets) Read(b []byte) (int, error) {
	if len(*p) == 0 {
		return 0, io.EOF
	}
	first := (*p)[0]
	*p = (*p)[1:]
	if err, ok := first.(error); ok {
		return 0, err
	}
	return copy(b, first.(string)), nil
}

func TestHasFrame(t *testing.T) {
	src := &packets{"SEND\n\na\x00\nSEND\n\nb\x00\n\nSEND\n\nc", "\x00SEND\ncontent-length:-1\n"}
	r := stomp.NewReader(src, stomp.Options{})
	for i, want := range []struct {
		before bool
		body   string
		err    error
	}{
		{false, "a", nil}, {true, "b", nil}, {false, "c", nil}, {false, "", io.ErrUnexpectedEOF},
	} {
		before := r.HasFrame()
		frame, err := r.Next()
		if before != want.before || string(frame.Body) != want.body || err != want.err {
			t.Errorf("%d: HasFrame = %v, Next = %q, %v; want %+v", i, before, frame.Body, err, want)
		}
	}
	*src = packets{"\n"} // the end of the headers, and with it an error that needs no more reading
	if _, err := r.Next(); err != stomp.ErrNegativeLength || !r.HasFrame() {
		t.Errorf("Next = %v, HasFrame = %v; want %v, true", err, r.HasFrame(), stomp.ErrNegativeLength)
	}
}

// A client may send on without waiting for CONNECTED. The look ahead must not read its frames in the old version.
func TestSetVersionAfterLookAhead(t *testing.T) {
	r := stomp.NewReader(&packets{"CONNECT\naccept-version:1.2\n\n\x00\nACK\n" + `id: a\cb` + "\n\n\x00"}, stomp.Options{})
	if _, err := r.Next(); err != nil || !r.HasFrame() {
		t.Fatalf("CONNECT: %v, then HasFrame = false", err)
	}
	r.SetVersion(stomp.V12)
	frame, err := r.Next()
	if got := frame.Headers.Value("id"); err != nil || got != " a:b" {
		t.Errorf("id = %q, %v; want %q", got, err, " a:b")
	}
}

func TestSetMaxFrameSize(t *testing.T) {
	r := stomp.NewReader(&packets{"CONNECT\n\n\x00SEND\n\n0123456789abcdef\x00"}, stomp.Options{MaxFrameSize: 15})
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if !r.HasFrame() {
		t.Fatal("the error of the second frame is not seen")
	}
	r.SetMaxFrameSize(16)
	if frame, err := r.Next(); err != nil || len(frame.Body) != 16 {
		t.Errorf("Next = %q, %v; want 16 bytes", frame.Body, err)
	}
}

// After a deadline the frame goes on where it stopped, in every part of it.
func TestResume(t *testing.T) {
	body := strings.Repeat("x", 100000)
	whole := "SEND\ndestination:/queue/a\ncontent-length:100000\n\n" + body + "\x00"
	for _, cut := range []int{0, 3, 5, 20, 50, 60, 40000, 90000, len(whole) - 1} {
		r := stomp.NewReader(&interrupted{whole[:cut], whole[cut:]}, stomp.Options{})
		if _, err := r.Next(); err != os.ErrDeadlineExceeded {
			t.Fatalf("cut at %d: Next = %v, want the deadline", cut, err)
		}
		frame, err := r.Next()
		if err != nil || string(frame.Body) != body || frame.Headers.Value("destination") != "/queue/a" {
			t.Errorf("cut at %d: Next = %d bytes, %v", cut, len(frame.Body), err)
		}
	}
}

// interrupted gives the first text, a deadline, the second text.
type interrupted struct{ first, second string }

func (i *interrupted) Read(b []byte) (int, error) {
	if i.first == "" && i.second == "" {
		return 0, io.EOF
	}
	n := copy(b, i.first)
	if i.first = i.first[n:]; n > 0 {
		return n, nil
	}
	i.first, i.second = i.second, ""
	return 0, os.ErrDeadlineExceeded
}

func TestBeats(t *testing.T) {
	r := stomp.NewReader(&packets{"\n", "\r\n", "\n\nBEGIN\n\n\x00\n"}, stomp.Options{})
	if _, err := r.Next(); err != nil || r.Beats() != 4 {
		t.Errorf("Beats = %d, %v; want 4", r.Beats(), err)
	}
	if _, err := r.Next(); err != io.EOF || r.Beats() != 5 || r.Received() != 14 {
		t.Errorf("Beats = %d, Received = %d, %v; want 5, 14, EOF", r.Beats(), r.Received(), err)
	}
}

func TestNoProgress(t *testing.T) {
	r := stomp.NewReader(idle{}, stomp.Options{})
	if _, err := r.Next(); err != io.ErrNoProgress {
		t.Errorf("Next = %v, want %v", err, io.ErrNoProgress)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// An announced length alone must not cost memory.
func TestAnnouncedLengthCostsNothing(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := stomp.NewReader(strings.NewReader("SEND\ncontent-length:104857600\n\nabc"), stomp.Options{})
	_, err := r.Next()
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; err != io.ErrUnexpectedEOF || got > 1<<20 {
		t.Errorf("Next = %v after %d bytes of memory; want %v and at most 1 MiB", err, got, io.ErrUnexpectedEOF)
	}
}

// Strings and bodies of a frame stay as they are, whatever comes after it.
func TestOwnership(t *testing.T) {
	r := stomp.NewReader(strings.NewReader("SEND\nkey:one\n\nfirst\x00SEND\nkey:two\n\nother\x00"), stomp.Options{})
	first, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	kept := first.Clone()
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if got := kept.Headers.Value("key"); got != "one" || string(kept.Body) != "first" {
		t.Errorf("the first frame became %q, %q", got, kept.Body)
	}
}

// FuzzReader: no input panics, what was read can be written and read again, and how the bytes are cut changes nothing.
func FuzzReader(f *testing.F) {
	f.Add(byte(0), []byte("CONNECT\naccept-version:1.2\n\n\x00\n"))
	f.Add(byte(2), []byte("SEND\ndestination:/queue/a\ncontent-length:3\n\na\x00b\x00\n"))
	f.Add(byte(1), []byte("ACK\r\nid:a\\cb\\n\\\\\\r\\x\r\n\r\n\x00\n\nACK\nid\n:\n\n\x00"))
	f.Fuzz(func(t *testing.T, v byte, input []byte) {
		version := stomp.Version(v % 3)
		read := func(src io.Reader) ([]stomp.Frame, error) {
			r := stomp.NewReader(src, stomp.Options{MaxFrameSize: 4096})
			r.SetVersion(version)
			return readAll(r)
		}
		frames, err := read(bytes.NewReader(input))
		slow, slowErr := read(iotest.OneByteReader(bytes.NewReader(input)))
		if got, want := show(slow, slowErr), show(frames, err); got != want {
			t.Fatalf("byte by byte:\n%s\nat once:\n%s", got, want)
		}
		for _, frame := range frames {
			encoded := stomp.AppendFrame(nil, version, frame)
			r := stomp.NewReader(bytes.NewReader(encoded), stomp.Options{})
			r.SetVersion(version)
			again, err := r.Next()
			if err != nil || again.Command != frame.Command || !bytes.Equal(again.Body, frame.Body) {
				t.Fatalf("%q was written as %q and read as %q, %v", frame, encoded, again, err)
			}
			if _, err := r.Next(); err != io.EOF {
				t.Fatalf("after %q: %v, want the end", encoded, err)
			}
		}
	})
}

func BenchmarkReadSend(b *testing.B) {
	body := strings.Repeat("x", 1024)
	for name, headers := range map[string]string{
		"same headers":  "persistent:true\nreceipt:17\n",
		"other receipt": "persistent:true\nreceipt:%07d\n",
	} {
		b.Run(name, func(b *testing.B) {
			var stream bytes.Buffer
			for i := range 1000 {
				line := headers
				if strings.Contains(headers, "%") {
					line = fmt.Sprintf(headers, i)
				}
				fmt.Fprintf(&stream, "SEND\ndestination:/queue/orders\ncontent-length:1024\n%s\n%s\x00\n", line, body)
			}
			b.SetBytes(int64(stream.Len() / 1000))
			b.ReportAllocs()
			r := stomp.NewReader(&loop{whole: stream.Bytes()}, stomp.Options{})
			r.SetVersion(stomp.V12)
			for b.Loop() {
				frame, err := r.Next()
				if err != nil || len(frame.Body) != 1024 {
					b.Fatal(len(frame.Body), err)
				}
			}
		})
	}
}

// loop repeats a stream for ever.
type loop struct{ whole, rest []byte }

func (l *loop) Read(b []byte) (int, error) {
	if len(l.rest) == 0 {
		l.rest = l.whole
	}
	n := copy(b, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

func BenchmarkReadAck(b *testing.B) {
	var stream bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&stream, "ACK\nid:ID\\chost-33841-1795382540159-7\\c%d\n\n\x00\n", i)
	}
	b.ReportAllocs()
	r := stomp.NewReader(&loop{whole: stream.Bytes()}, stomp.Options{})
	r.SetVersion(stomp.V12)
	for b.Loop() {
		if _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadLarge(b *testing.B) {
	stream := fmt.Appendf(nil, "SEND\ndestination:/queue/orders\ncontent-length:%d\n\n%s\x00\n", 1<<20, strings.Repeat("x", 1<<20))
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	r := stomp.NewReader(&loop{whole: stream}, stomp.Options{})
	for b.Loop() {
		if _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
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

// What a frame needs beyond an ordinary buffer is asked for as it comes, and given back when the frame is the caller's.
func TestMemoryOfFrames(t *testing.T) {
	const plenty = 1 << 30
	send := func(announced, sent int) string {
		return fmt.Sprintf("SEND\ncontent-length:%d\n\n%s", announced, strings.Repeat("x", sent))
	}
	tests := map[string]struct {
		left   int
		stream string
		want   error
		asked  bool // for anything
		holds  bool // something at the end
		most   int  // bytes at most
	}{
		"ordinary frames":       {stream: strings.Repeat(send(20<<10, 20<<10)+"\x00", 10), want: io.EOF},
		"announced":             {stream: send(100<<20, 20<<10), want: io.ErrUnexpectedEOF},
		"a part":                {left: plenty, stream: send(100<<20, 300<<10), want: io.ErrUnexpectedEOF, asked: true, holds: true, most: 1200 << 10},
		"a part, and no more":   {left: 100 << 10, stream: send(100<<20, 1<<20), want: errLedger, asked: true, holds: true, most: 100 << 10},
		"whole":                 {left: plenty, stream: send(1<<20, 1<<20) + "\x00", want: io.EOF, asked: true, most: 1 << 20},
		"to the NUL":            {left: plenty, stream: "SEND\n\n" + strings.Repeat("x", 300<<10) + "\x00\n", want: io.EOF, asked: true, most: 512 << 10},
		"to the NUL, and small": {stream: strings.Repeat("SEND\n\n"+strings.Repeat("x", 40<<10)+"\x00\n", 3), want: io.EOF},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			l := &ledger{left: tt.left}
			r := stomp.NewReader(iotest.HalfReader(strings.NewReader(tt.stream)), stomp.Options{Memory: l})
			var err error
			for err == nil {
				_, err = r.Next()
			}
			if err != tt.want || (l.missing > 0) != tt.asked || (l.taken > 0) != tt.holds || l.most > tt.most {
				t.Errorf("Next = %v, with %d bytes at most and %d at the end, %d missing; want %v, asked %v, holding %v, %d at most", err, l.most, l.taken, l.missing, tt.want, tt.asked, tt.holds, tt.most)
			}
			if r.Release(); l.taken != 0 {
				t.Errorf("%d bytes are taken after Release", l.taken)
			}
		})
	}
}
