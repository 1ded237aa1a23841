package listen

import (
	"bytes"
	"io"
	"net/netip"
	"strings"
	"testing"
)

func TestDetect(t *testing.T) {
	tests := map[string]struct {
		first   string
		want    Protocol
		decided bool
	}{
		"nothing":                  {"", "", false},
		"OpenWire":                 {wireFormat, OpenWire, true},
		"OpenWire, size 300":       {"\x00\x00\x01\x2c\x01ActiveMQ", OpenWire, true},
		"OpenWire, half":           {wireFormat[:12], "", false},
		"OpenWire, size only":      {wireFormat[:4], "", false},
		"OpenWire, huge size":      {"\x7f\xff\xff\xff\x01ActiveMQ", "", true},
		"OpenWire, other type":     {"\x00\x00\x00\x0e\x02ActiveMQ", "", true},
		"OpenWire, other magic":    {"\x00\x00\x00\x0e\x01InactiveMQ", "", true},
		"STOMP":                    {"CONNECT\n", STOMP, true},
		"STOMP 1.2":                {"STOMP\naccept", STOMP, true},
		"STOMP, CR":                {"CONNECT\r\n", STOMP, true},
		"STOMP, newlines":          {"\n\r\n\nSTOMP\n", STOMP, true},
		"STOMP, half":              {"CONNE", "", false},
		"STOMP, newline only":      {"\n", "", false},
		"STOMP, 60 newlines":       {strings.Repeat("\n", 56) + "CONNECT\n", STOMP, true},
		"STOMP, newlines for ever": {strings.Repeat("\n", 64), "", true},
		"STOMP, other command":     {"SEND\n", "", true},
		"STOMP, longer command":    {"CONNECTED\n", "", true},
		"HTTP's CONNECT":           {"CONNECT host:1 HTTP/1.1\r\n", "", true},
		"AMQP":                     {"AMQP\x00\x01\x00\x00", AMQP, true},
		"AMQP, half":               {"AMQ", "", false},
		"MQTT 3.1.1":               {"\x10\x0c\x00\x04MQTT\x04", MQTT, true},
		"MQTT 3.1":                 {"\x10\x0e\x00\x06MQIsdp\x03", MQTT, true},
		"MQTT, long":               {"\x10\xff\xff\xff\x7f\x00\x04MQTT", MQTT, true},
		"MQTT, length too long":    {"\x10\xff\xff\xff\xff\x01\x00\x04MQTT", "", true},
		"MQTT, half a length":      {"\x10\xff\xff", "", false},
		"MQTT, other name":         {"\x10\x0c\x00\x04MQTX", "", true},
		"MQTT, PUBLISH":            {"\x30\x0c\x00\x04MQTT", "", true},
		"HTTP":                     {"GET / HTTP/1.1\r\n", HTTP, true},
		"HTTP, half":               {"GE", "", false},
		"HTTP, other methods":      {"OPTIONS * HTTP/1.1", HTTP, true},
		"HTTP/2":                   {"PRI * HTTP/2.0", "", true},
		"TLS":                      {"\x16\x03\x01\x02\x00", "", true},
		"PROXY":                    {proxySignature, "", true},
		"SSH":                      {"SSH-2.0", "", true},
		"zeros":                    {strings.Repeat("\x00", 20), "", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, decided := Detect([]byte(tt.first)); got != tt.want || decided != tt.decided {
				t.Errorf("Detect(%q) = %q, %v; want %q, %v", tt.first, got, decided, tt.want, tt.decided)
			}
		})
	}
}

// FuzzDetect: what is decided stays decided whatever follows, and is decided in time.
func FuzzDetect(f *testing.F) {
	for _, seed := range []string{wireFormat, "\n\nCONNECT\n", "AMQP\x00\x01\x00\x00", "\x10\x0c\x00\x04MQTT", "GET / HTTP/1.1\r\n", "\x16\x03", proxySignature} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), maxDetect)]
		at, protocol := -1, Protocol("")
		for n := range len(b) + 1 {
			p, decided := Detect(b[:n])
			switch {
			case !decided && p != "":
				t.Fatalf("Detect(%q) = %q, undecided", b[:n], p)
			case at >= 0 && (!decided || p != protocol):
				t.Fatalf("Detect(%q) = %q, %v, but of the first %d bytes it was %q", b[:n], p, decided, at, protocol)
			case at < 0 && decided:
				at, protocol = n, p
			}
		}
		if len(b) == maxDetect && at < 0 {
			t.Fatalf("%q is not decided", b)
		}
	})
}

// FuzzProxyHeader: a header is read to its end and not further, or refused.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte(proxyHeader(netip.MustParseAddrPort("192.0.2.7:4711"), netip.MustParseAddrPort("192.0.2.8:1"), "") + "CONNECT"))
	f.Add([]byte(proxyHeader(netip.MustParseAddrPort("[2001:db8::7]:4711"), netip.MustParseAddrPort("[::1]:1"), "\x04\x00\x03abc") + "x"))
	f.Add([]byte(proxySignature + "\x20\x00\x00\x00rest"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		h, err := ReadProxyHeader(r, maxProxyAddition)
		if err != nil {
			return
		}
		if h.Source.IsValid() != h.Destination.IsValid() || len(h.TLVs) > maxProxyAddition {
			t.Fatalf("%q: %+v", b, h)
		}
		rest, _ := io.ReadAll(r)
		if want := proxyFixedBytes + int(b[14])<<8 + int(b[15]); len(b)-len(rest) != want {
			t.Fatalf("%q: read %d bytes, want %d", b, len(b)-len(rest), want)
		}
	})
}

func BenchmarkDetect(b *testing.B) {
	first := []byte(wireFormat)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Detect(first); !ok {
			b.Fatal("undecided")
		}
	}
}
