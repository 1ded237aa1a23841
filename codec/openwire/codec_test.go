package openwire

import (
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/codec/mutf8"
)

func encode(t testing.TB, version int, d DataStructure) []byte {
	t.Helper()
	whole, err := (&Encoder{Version: version, StackTraces: true}).Append(nil, d)
	if err != nil {
		t.Fatalf("encode %T: %v", d, err)
	}
	return whole[4:]
}

func TestDecodeErrors(t *testing.T) {
	ack := encode(t, 12, benchAck())
	patch := func(frame []byte, old, new string) []byte {
		s := strings.Replace(string(frame), old, new, 1)
		if s == string(frame) {
			t.Fatalf("no %q in %q", old, frame)
		}
		return []byte(s)
	}
	deep := func(levels int) []byte { // brokers within brokers
		var b *BrokerInfo
		for range levels {
			b = &BrokerInfo{PeerBrokerInfos: []*BrokerInfo{b}}
		}
		return encode(t, 12, b)
	}
	tests := map[string]struct {
		frame   []byte
		version int
		want    error
		text    string // part of the message
	}{
		"empty":                 {frame: nil, want: ErrTruncated, text: "frame"},
		"unknown code":          {frame: []byte{200}, want: ErrCode, text: "200"},
		"code of a later time":  {frame: encode(t, 3, &ProducerAck{}), version: 2, want: ErrCode, text: "ProducerAck"},
		"blob before version 3": {frame: encode(t, 3, &Message{Type: CodeBlobMessage}), version: 2, want: ErrCode, text: "BlobMessage"},
		"not a command":         {frame: encode(t, 12, ConnectionID{Value: "ID:1"}), want: ErrNotCommand, text: "ConnectionID"},
		"null and more":         {frame: []byte{0, 0}, want: ErrTrailing, text: "NullCommand"},
		"wrong magic":           {frame: []byte("\x01ActiveMX\x00\x00\x00\x0c\x00"), want: ErrMagic, text: "WireFormatInfo.magic at byte 9"},
		"field cut":             {frame: ack[:40], want: ErrTruncated, text: "MessageAck.consumerId.connectionId at byte"},
		"fixed fields cut":      {frame: ack[:3], want: ErrTruncated, text: "MessageAck.commandId..responseRequired at byte 1"},
		"nested field cut":      {frame: ack[:130], want: ErrTruncated, text: "MessageAck.firstMessageId.producerId.connectionId"},
		"trailing bytes":        {frame: append(ack[:len(ack):len(ack)], 1, 2), want: ErrTrailing, text: "MessageAck at byte"},
		"queue for a consumer":  {frame: patch(ack, "\x01\x7a", "\x01\x64"), want: ErrType, text: "MessageAck.consumerId at byte 29: object of the wrong type: Queue"},
		"session for a queue":   {frame: patch(ack, "\x01\x64", "\x01\x79"), want: ErrType, text: "MessageAck.destination"},
		"id for a transaction":  {frame: patch(ack, "\x00\x01\x7a", "\x01\x6e\x7a"), want: ErrType, text: "MessageAck.transactionId"},
		"code 0 present":        {frame: patch(ack, "\x01\x7a", "\x01\x00"), want: ErrCode, text: "MessageAck.consumerId"},
		"text":                  {frame: patch(ack, "ORDERS", "ORD\xffRS"), want: mutf8.ErrInvalid, text: "MessageAck.destination.physicalName"},
		"nested 16":             {frame: deep(MaxDepth + 1)},
		"nested 17":             {frame: deep(MaxDepth + 2), want: ErrDepth, text: "BrokerInfo.peerBrokerInfos.peerBrokerInfos"},
		"bytes of 2 GB": {frame: patch(encode(t, 12, &ConnectionControl{Token: []byte("t")}), "\x01\x00\x00\x00\x01t", "\x01\x7f\xff\xff\xfft"),
			want: ErrTruncated, text: "ConnectionControl.token"},
		"bytes of negative length": {frame: patch(encode(t, 12, &ConnectionControl{Token: []byte("t")}), "\x01\x00\x00\x00\x01t", "\x01\xff\xff\xff\xfft"),
			want: ErrTruncated, text: "ConnectionControl.token"},
		"array of 32767": {frame: patch(encode(t, 12, &DataArrayResponse{Data: []DataStructure{}}), "\x01\x00\x00", "\x01\x7f\xff"),
			want: ErrTruncated, text: "DataArrayResponse.data"},
		"array of -1": {frame: patch(encode(t, 12, &DataArrayResponse{Data: []DataStructure{}}), "\x01\x00\x00", "\x01\xff\xff"),
			want: ErrTruncated, text: "DataArrayResponse.data"},
		"unknown object": {frame: patch(encode(t, 12, &DataResponse{Data: BrokerID{Value: "b"}}), "\x01\x7c", "\x01\x7d"),
			want: ErrCode, text: "DataResponse.data"},
		"stack trace of 32767": {frame: patch(encode(t, 12, &ExceptionResponse{Exception: &Throwable{Class: "C", Message: "m"}}), "m\x00\x00\x00", "m\x7f\xff\x00"),
			want: ErrTruncated, text: "ExceptionResponse.exception.stackTrace"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			version := tt.version
			if version == 0 {
				version = 12
			}
			_, err := (&Decoder{Version: version, StackTraces: true}).Decode(tt.frame)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Decode(%q) = %v; want %v", tt.frame, err, tt.want)
			}
			if tt.want == nil {
				return
			}
			var de *DecodeError
			if !errors.As(err, &de) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("Decode(%q) = %v; want a DecodeError with %q", tt.frame, err, tt.text)
			}
		})
	}
}

func TestEncodeErrors(t *testing.T) {
	long := strings.Repeat("x", math.MaxUint16+1)
	circle := &Throwable{Class: "C"}
	circle.Cause = circle
	tests := map[string]struct {
		value   DataStructure
		version int
		want    error
		text    string
	}{
		"longest text":           {value: &ControlCommand{Command: long[1:]}},
		"long text":              {value: &ControlCommand{Command: long}, want: ErrTooLong, text: "ControlCommand: command"},
		"text long by zeros":     {value: &ControlCommand{Command: strings.Repeat("\x00", 40000)}, want: ErrTooLong, text: "80000"},
		"long text, nested":      {value: &MessageDispatch{Message: &Message{Type: CodeTextMessage, JMSType: long}}, want: ErrTooLong, text: "MessageDispatch: type"},
		"elements":               {value: &DataArrayResponse{Data: make([]DataStructure, 32768)}, want: ErrTooLong, text: "DataArrayResponse: data"},
		"message of no type":     {value: &Message{}, want: ErrType},
		"nested of no type":      {value: &MessageDispatch{Message: &Message{Type: 200}}, want: ErrType, text: "MessageDispatch: message"},
		"message as a queue":     {value: &Message{Type: CodeQueue}, want: ErrType},
		"later version":          {value: &ProducerAck{}, version: 2, want: ErrVersion, text: "ProducerAck"},
		"blob":                   {value: &Message{Type: CodeBlobMessage}, version: 2, want: ErrVersion},
		"destination type":       {value: &ConsumerInfo{Destination: Destination{Type: 7}}, want: ErrType, text: "ConsumerInfo: destination"},
		"transaction type":       {value: &MessageAck{TransactionID: TransactionID{Type: 7}}, want: ErrType, text: "MessageAck: transactionId"},
		"transaction of no type": {value: TransactionID{}, want: ErrType},
		"queue of no type":       {value: Destination{Type: 9}, want: ErrType},
		"nil":                    {value: (*Response)(nil), want: ErrType, text: "Response"},
		"circle of causes":       {value: &ConnectionError{Exception: circle}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			version := tt.version
			if version == 0 {
				version = 12
			}
			e := Encoder{Version: version, StackTraces: true}
			out, err := e.Append([]byte("before"), tt.value)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Append(%T) = %v; want %v", tt.value, err, tt.want)
			}
			if err != nil && (string(out) != "before" || !strings.Contains(err.Error(), tt.text)) {
				t.Errorf("Append(%T) = %q, %v; want what was there, and an error with %q", tt.value, out, err, tt.text)
			}
			if _, err := e.Append(nil, &Response{}); err != nil {
				t.Errorf("the next Append = %v", err)
			}
		})
	}
}

// Structs made by hand send null for empty strings and ids; what was decoded as empty stays so.
func TestNullAndEmpty(t *testing.T) {
	null := encode(t, 12, &SessionInfo{})
	if want := string([]byte{CodeSessionInfo, 0, 0, 0, 0, 0, 0}); string(null) != want {
		t.Errorf("SessionInfo{} = %q; want %q", null, want)
	}
	var d Decoder
	for name, frame := range map[string]string{
		"null":  "\x0e\x00\x00\x00\x00\x00\x00",
		"empty": "\x0e\x00\x00\x00\x00\x00\x01\x00\x00",
	} {
		v, err := d.Decode([]byte(frame))
		if err != nil {
			t.Fatal(err)
		}
		if got := encode(t, 1, v); string(got) != frame {
			t.Errorf("%s command: %q came back as %q", name, frame, got)
		}
		v.(*ControlCommand).Command = "x"
		if got, want := encode(t, 1, v), frame[:6]+"\x01\x00\x01x"; string(got) != want {
			t.Errorf("%s command set to x: %q; want %q", name, got, want)
		}
	}
}

func TestAliasAndReuse(t *testing.T) {
	frame := encode(t, 12, benchMessage())
	for _, reuse := range []bool{false, true} {
		d := Decoder{Version: 12, Reuse: reuse}
		first, err := d.Decode(frame)
		if err != nil {
			t.Fatal(err)
		}
		m := first.(*Message)
		if m.Content[4] = 'y'; !strings.Contains(string(frame), "\x04\x00y") {
			t.Errorf("reuse %v: content does not alias the frame", reuse)
		}
		if cap(m.Content) != len(m.Content) {
			t.Errorf("reuse %v: content may grow over the frame", reuse)
		}
		kept := m.Destination
		second, err := d.Decode(encode(t, 12, &Message{Type: CodeBytesMessage}))
		if err != nil {
			t.Fatal(err)
		}
		if same := first == second; same != reuse {
			t.Errorf("reuse %v: same message %v", reuse, same)
		}
		if want := (&Message{Type: CodeBytesMessage}); !reflect.DeepEqual(second, want) {
			t.Errorf("reuse %v: second message %+v; want %+v", reuse, second, want)
		}
		if kept.Name != "ORDERS.INCOMING" {
			t.Errorf("reuse %v: kept destination is %q", reuse, kept.Name)
		}
	}
}

// Ids of different bytes and one hash slot, and the same text in other bytes, are never mixed up.
func TestIntern(t *testing.T) {
	names := []string{"café", "x", "a\x00b", "😀", strings.Repeat("long", 200), ""}
	for i := range 500 {
		names = append(names, strings.Repeat("n", i%9)+string(rune('a'+i%26)))
	}
	d := Decoder{Version: 12}
	for range 3 {
		for _, name := range names {
			v, err := d.Decode(encode(t, 12, &DestinationInfo{Destination: Destination{Type: CodeQueue, Name: name}}))
			if err != nil {
				t.Fatal(err)
			}
			if got := v.(*DestinationInfo).Destination.Name; got != name {
				t.Errorf("name %q came as %q", name, got)
			}
		}
	}
}

func TestAllocations(t *testing.T) {
	message, ack, dispatch := encode(t, 12, benchMessage()), encode(t, 12, benchAck()), benchDispatch()
	fresh, reused := Decoder{Version: 12}, Decoder{Version: 12, Reuse: true}
	e := Encoder{Version: 12}
	nested, err := e.AppendMessage(nil, dispatch.Message)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 0, 4096)
	try := func(_ any, err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		run  func()
		want float64
	}{
		"decode message":                     {func() { try(fresh.Decode(message)) }, 1},
		"decode message, reused":             {func() { try(reused.Decode(message)) }, 0},
		"decode ack":                         {func() { try(fresh.Decode(ack)) }, 1},
		"decode ack, reused":                 {func() { try(reused.Decode(ack)) }, 0},
		"encode dispatch":                    {func() { _, err := e.Append(buf, dispatch); try(nil, err) }, 0},
		"encode dispatch of encoded message": {func() { _, err := e.AppendDispatch(buf, dispatch, nested); try(nil, err) }, 0},
	} {
		if got := testing.AllocsPerRun(200, tt.run); got > tt.want {
			t.Errorf("%s: %v allocations; want %v", name, got, tt.want)
		}
	}
}

func TestAppendDispatch(t *testing.T) {
	for _, version := range []int{1, 9, 12} {
		for name, d := range map[string]*MessageDispatch{
			"message": benchDispatch(),
			"null":    {ConsumerID: benchAck().ConsumerID},
			"counted": {RedeliveryCounter: 3, Message: &Message{Type: CodeMessage}, BaseCommand: BaseCommand{CommandID: 9, ResponseRequired: true}},
		} {
			e := Encoder{Version: version}
			var nested []byte
			if d.Message != nil {
				var err error
				if nested, err = e.AppendMessage(nil, d.Message); err != nil {
					t.Fatal(err)
				}
			}
			got, err := e.AppendDispatch([]byte("before"), d, nested)
			if err != nil {
				t.Fatal(err)
			}
			want, err := e.Append([]byte("before"), d)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("version %d, %s:\n %x, want\n %x", version, name, got, want)
			}
		}
	}
}

func TestSafeClass(t *testing.T) {
	const fallback = "java.lang.Throwable"
	for class, want := range map[string]string{
		"javax.jms.JMSException": "javax.jms.JMSException",
		"A$B_1":                  "A$B_1",
		"":                       fallback,
		".a":                     fallback,
		"a.":                     fallback,
		"a..b":                   fallback,
		"1a":                     fallback,
		"a b":                    fallback,
		"a\n":                    fallback,
		"http://x/y.xml":         fallback,
		strings.Repeat("a", 257): fallback,
	} {
		if got := (&Throwable{Class: class}).SafeClass(); got != want {
			t.Errorf("SafeClass of %q = %q; want %q", class, got, want)
		}
	}
}

func TestText(t *testing.T) {
	for name, tt := range map[string]struct {
		wire, text string
		bad        bool
		back       string // what text is encoded to, if not wire
	}{
		"ASCII":              {wire: "plain text over eight", text: "plain text over eight"},
		"zero":               {wire: "12345678a\xc0\x80b", text: "12345678a\x00b"},
		"raw zero":           {wire: "a\x00b", text: "a\x00b", back: "a\xc0\x80b"},
		"two bytes":          {wire: "caf\xc3\xa9", text: "café"},
		"three bytes":        {wire: "\xe2\x82\xac", text: "€"},
		"pair":               {wire: "\xed\xa0\xbd\xed\xb8\x80", text: "😀"},
		"real 4 bytes":       {wire: "\xf0\x9f\x98\x80", text: "😀", back: "\xed\xa0\xbd\xed\xb8\x80"},
		"lone high":          {wire: "x\xed\xa0\xbdy", text: "x\xed\xa0\xbdy"},
		"lone low":           {wire: "\xed\xb8\x80", text: "\xed\xb8\x80"},
		"two highs":          {wire: "\xed\xa0\xbd\xed\xa0\xbd", text: "\xed\xa0\xbd\xed\xa0\xbd"},
		"high and letter":    {wire: "\xed\xa0\xbd\xed\x9f\xbf", text: "\xed\xa0\xbd\ud7ff"},
		"overlong letter":    {wire: "\xc1\x81", text: "A", back: "A"},
		"overlong 4 bytes":   {wire: "\xf0\x80\x80\x80", bad: true},
		"above Unicode":      {wire: "\xf4\x90\x80\x80", bad: true},
		"continuation first": {wire: "a\x80", bad: true},
		"cut 2":              {wire: "a\xc3", bad: true},
		"cut 3":              {wire: "a\xe2\x82", bad: true},
		"cut 4":              {wire: "\xf0\x9f\x98", bad: true},
		"no continuation":    {wire: "\xc3a", bad: true},
		"ff":                 {wire: "1234567\xff", bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := mutf8.DecodeValid([]byte(tt.wire))
			if got != tt.text || (err != nil) != tt.bad || tt.bad && !errors.Is(err, mutf8.ErrInvalid) {
				t.Fatalf("mutf8.DecodeValid(%q) = %q, %v; want %q, error %v", tt.wire, got, err, tt.text, tt.bad)
			}
			if tt.bad {
				return
			}
			want := tt.back
			if want == "" {
				want = tt.wire
			}
			if back := string(mutf8.Append([]byte("x"), got)); back != "x"+want {
				t.Errorf("mutf8.Append(%q) = %q; want %q", got, back[1:], want)
			}
		})
	}
	// What is no UTF-8 at all, from a peer of another protocol.
	if got, want := string(mutf8.Append(nil, "a\xffb\xed\xa0")), "a\ufffdb\ufffd\ufffd"; got != want {
		t.Errorf("Append of no UTF-8 = %q; want %q", got, want)
	}
	// The check of eight bytes at once, at every place.
	for n := range 20 {
		for i := range n {
			for _, c := range []byte{0, 0x80, 0xff} {
				p := []byte(strings.Repeat("\x01\x7f", 10))[:n]
				if !isPlain(p) {
					t.Fatalf("%q is not plain", p)
				}
				p[i] = c
				if isPlain(p) {
					t.Fatalf("%q is plain", p)
				}
			}
		}
	}
}

// The memory that a frame can make the decoder take is a small multiple of its size.
func TestDecodeMemory(t *testing.T) {
	many := &DataArrayResponse{Data: make([]DataStructure, 32767)}
	wide := &BrokerInfo{}
	for range 10 {
		wide = &BrokerInfo{PeerBrokerInfos: []*BrokerInfo{wide, nil}}
	}
	announced := encode(t, 12, wide)
	for i := 0; i+3 <= len(announced); i++ { // every count as large as what follows
		if announced[i] == 1 && announced[i+1] == 0 && announced[i+2] == 2 {
			binary.BigEndian.PutUint16(announced[i+1:], uint16(len(announced)-i-3))
		}
	}
	for name, frame := range map[string][]byte{"nulls": encode(t, 12, many), "announced": announced} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := (&Decoder{Version: 12}).Decode(frame)
		runtime.ReadMemStats(&after)
		if (err == nil) != (name == "nulls") {
			t.Errorf("%s: %v", name, err)
		}
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(len(frame)*64+16384); got > most {
			t.Errorf("%s: a frame of %d bytes takes %d; want %d at most", name, len(frame), got, most)
		}
	}
}
