package dns

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Tests with a server that answers as no server should.

func writeFile(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }

var testKey = Key{Name: "godwit.", Algorithm: dns.HmacSHA256, secret: []byte("a secret of the test")}

// serve answers by UDP and TCP on one port. What the handler writes is signed as it says.
func serve(t *testing.T, key Key, handler dns.HandlerFunc) *Name {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		tcp.Close()
		t.Skip("the port is taken for UDP: ", err)
	}
	for _, s := range []*dns.Server{{Listener: tcp}, {PacketConn: udp}} {
		up := make(chan struct{})
		s.Handler, s.TsigProvider, s.MsgAcceptFunc, s.NotifyStartedFunc = handler, &key, func(dns.Header) dns.MsgAcceptAction { return dns.MsgAccept }, func() { close(up) }
		go s.ActivateAndServe()
		<-up
		t.Cleanup(func() { s.Shutdown() })
	}
	return &Name{Name: name, Zone: "example.test", Servers: []string{tcp.Addr().String()}, TTL: 5 * time.Second, Key: testKey, Within: 20 * time.Second}
}

// right is an answer that is right: to a question, that there is nothing.
func right(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(q)
	m.Authoritative = true
	sign(m, q)
	return m
}

func sign(m, q *dns.Msg) {
	if t := q.IsTsig(); t != nil {
		m.SetTsig(t.Hdr.Name, t.Algorithm, clocks, time.Now().Unix())
	}
}

func byTCP(w dns.ResponseWriter) bool { return w.RemoteAddr().Network() == "tcp" }

func TestAnswersThatDoNotCount(t *testing.T) {
	badTime := func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetRcode(q, dns.RcodeNotAuth)
		sign(m, q)
		m.IsTsig().Error = dns.RcodeBadTime
		w.WriteMsg(m)
	}
	tests := map[string]struct {
		handler dns.HandlerFunc
		within  time.Duration
		want    string
	}{
		"server failure": {handler: func(w dns.ResponseWriter, q *dns.Msg) {
			m := right(q)
			m.Rcode = dns.RcodeServerFailure
			w.WriteMsg(m)
		}, want: "SERVFAIL"},
		"failure to update": {handler: func(w dns.ResponseWriter, q *dns.Msg) {
			m := right(q)
			if q.Opcode == dns.OpcodeUpdate {
				m.Rcode = dns.RcodeServerFailure
			}
			w.WriteMsg(m)
		}, want: "SERVFAIL to the update"},
		"refused update": {handler: func(w dns.ResponseWriter, q *dns.Msg) {
			m := right(q)
			if q.Opcode == dns.OpcodeUpdate {
				m.Rcode = dns.RcodeRefused
			}
			w.WriteMsg(m)
		}, want: "must allow the key godwit. to change"},
		"not authoritative": {handler: func(w dns.ResponseWriter, q *dns.Msg) {
			m := right(q)
			m.Authoritative = false
			w.WriteMsg(m)
		}, want: "not authoritative for " + mark},
		"NOTAUTH": {handler: func(w dns.ResponseWriter, q *dns.Msg) {
			m := right(q)
			m.Rcode = dns.RcodeNotAuth
			w.WriteMsg(m)
		}, want: "answers NOTAUTH"},
		"clocks": {handler: badTime, want: "clocks"},
		"an old answer": {handler: func(w dns.ResponseWriter, q *dns.Msg) {
			m := right(q)
			m.IsTsig().TimeSigned -= 3600
			w.WriteMsg(m)
		}, want: "clocks"},
		"no answer": {handler: func(dns.ResponseWriter, *dns.Msg) {}, within: 50 * time.Millisecond, want: "does not answer"},
		"another id": {handler: func(w dns.ResponseWriter, q *dns.Msg) {
			m := right(q)
			m.IsTsig().OrigId++ // which is what goes out
			w.WriteMsg(m)
		}, within: 50 * time.Millisecond, want: "does not answer"},
		"a question":  {handler: func(w dns.ResponseWriter, q *dns.Msg) { m := right(q); m.Response = false; w.WriteMsg(m) }, want: "no answer"},
		"not signed":  {handler: func(w dns.ResponseWriter, q *dns.Msg) { m := right(q); m.Extra = nil; w.WriteMsg(m) }, want: "not signed"},
		"half a text": {handler: func(w dns.ResponseWriter, q *dns.Msg) { w.Write([]byte{byte(q.Id >> 8), byte(q.Id), 0x80}) }, want: "short read"},
		"cut off twice": {handler: func(w dns.ResponseWriter, q *dns.Msg) {
			m := right(q)
			m.Truncated = true
			w.WriteMsg(m)
		}, want: "cut off"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			n := serve(t, testKey, tt.handler)
			if tt.within > 0 {
				n.Within = tt.within
			}
			written, err := n.Update(t.Context(), claim("a", 1, "192.0.2.1"))
			if err == nil || written || !strings.HasPrefix(err.Error(), n.Servers[0]+": ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("written %t, %v; want %q", written, err, tt.want)
			}
		})
	}
}

// An answer that somebody without the secret has signed is not believed, whatever it says.
func TestForgedAnswer(t *testing.T) {
	forger := testKey
	forger.secret = []byte("not the secret")
	n := serve(t, forger, func(w dns.ResponseWriter, q *dns.Msg) { w.WriteMsg(right(q)) })
	if _, err := n.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "not signed with the key") {
		t.Errorf("a forged answer: %v", err)
	}
	renamed := testKey
	renamed.Name = "other."
	n = serve(t, renamed, func(w dns.ResponseWriter, q *dns.Msg) {
		m := right(q)
		m.IsTsig().Hdr.Name = "other."
		w.WriteMsg(m)
	})
	if _, err := n.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "not signed with the key") {
		t.Errorf("an answer signed with a key of another name: %v", err)
	}
}

// What does not fit into a datagram is asked for by TCP, an update as well.
func TestTruncated(t *testing.T) {
	var updated atomic.Bool
	n := serve(t, testKey, func(w dns.ResponseWriter, q *dns.Msg) {
		if w.TsigStatus() != nil {
			t.Errorf("the question is not signed: %v", w.TsigStatus())
		}
		m := right(q)
		if !byTCP(w) {
			m.Truncated = true
		} else if q.Opcode == dns.OpcodeUpdate {
			updated.Store(true)
		}
		w.WriteMsg(m)
	})
	if written, err := n.Update(t.Context(), claim("a", 1, "192.0.2.1")); !written || err != nil || !updated.Load() {
		t.Errorf("written %t (at the server %t), %v", written, updated.Load(), err)
	}
}

// A name that changes each time it was looked at is given up for the time being.
func TestRacedAgainAndAgain(t *testing.T) {
	n := serve(t, testKey, func(w dns.ResponseWriter, q *dns.Msg) {
		m := right(q)
		if q.Opcode == dns.OpcodeUpdate {
			m.Rcode = dns.RcodeNXRrset
		} else if q.Question[0].Qtype == dns.TypeTXT {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: mark, Rrtype: dns.TypeTXT, Class: dns.ClassINET}, Txt: []string{"broker=orders instance=b epoch=1"}})
		}
		w.WriteMsg(m)
	})
	if written, err := n.Update(t.Context(), claim("a", 2, "192.0.2.1")); written || err == nil || !strings.Contains(err.Error(), "again and again") {
		t.Errorf("written %t, %v", written, err)
	}
}

// A server that does not answer is not waited for when nobody wants to know any more.
func TestCancelled(t *testing.T) {
	asked := make(chan struct{}, 100)
	n := serve(t, testKey, func(dns.ResponseWriter, *dns.Msg) { asked <- struct{}{} })
	n.Within = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := n.Update(ctx, claim("a", 1, "192.0.2.1"))
		done <- err
	}()
	<-asked
	cancel()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits on")
	}
}

func TestKeys(t *testing.T) {
	const secret = "c2VjcmV0" // "secret"
	tests := map[string]struct{ text, key, err string }{
		"clause":         {text: `key "godwit" { algorithm hmac-sha256; secret "` + secret + `"; };`, key: "godwit. hmac-sha256."},
		"without quotes": {text: "// made by hand\nkey Godwit.Example {\n\tsecret " + secret + ";\n\talgorithm HMAC-SHA384;\n};\n", key: "godwit.example. hmac-sha384."},
		"one line":       {text: "hmac-sha512:godwit:" + secret + "\n", key: "godwit. hmac-sha512."},
		"comment":        {text: "# hmac-sha224:godwit:" + secret + "\nkey:\n  - id: godwit\n", key: "godwit. hmac-sha224."},
		"empty":          {err: "tsig-keygen"},
		"bare":           {text: secret, err: "tsig-keygen"},
		"old algorithm":  {text: `key "k" { algorithm hmac-md5; secret "` + secret + `"; };`, err: `"hmac-md5"; expected one of hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512`},
		"no algorithm":   {text: `key "k" { secret "` + secret + `"; };`, err: `algorithm is ""`},
		"no secret":      {text: `key "k" { algorithm hmac-sha256; };`, err: "base 64"},
		"wrong secret":   {text: `key "k" { algorithm hmac-sha256; secret "?!"; };`, err: "base 64"},
		"no name":        {text: "hmac-sha256:" + strings.Repeat("x", 64) + ":" + secret, err: "no name"},
		"large":          {text: strings.Repeat("#", maxKeyFile+1), err: "16384 bytes"},
	}
	for what, tt := range tests {
		t.Run(what, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			if err := writeFile(file, tt.text); err != nil {
				t.Fatal(err)
			}
			k, err := ReadKey(file)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), secret) {
					t.Errorf("%q: %v; want %q", tt.text, err, tt.err)
				}
				return
			}
			if got := k.Name + " " + k.Algorithm; err != nil || got != tt.key || string(k.secret) != "secret" {
				t.Errorf("%q: %s with %q, %v; want %s", tt.text, got, k.secret, err, tt.key)
			}
		})
	}
	if _, err := ReadKey(filepath.Join(t.TempDir(), "missing")); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestOwners(t *testing.T) {
	for text, want := range map[string]*Owner{
		"broker=orders instance=a epoch=17":                   {"orders", "a", 17},
		"broker=o.r-d_e instance=b-2 epoch=0":                 {"o.r-d_e", "b-2", 0},
		"broker=orders instance=a epoch=-1":                   nil,
		"broker=orders instance=a epoch=":                     nil,
		"broker= instance=a epoch=1":                          nil,
		"instance=a broker=orders epoch=1":                    nil,
		"broker=orders instance=a epoch=1 ":                   nil,
		"broker=orders  instance=a epoch=1":                   nil,
		"broker=orders instance=a epoch=18446744073709551616": nil,
		"": nil,
	} {
		got := parseOwner(text)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		if got != nil && got.String() != text {
			t.Errorf("%q is written %q", text, got)
		}
	}
}

func TestNothingToDo(t *testing.T) {
	if _, err := (&Name{Name: name}).Update(t.Context(), claim("a", 1, "192.0.2.1")); err == nil || !strings.Contains(err.Error(), "no server") {
		t.Errorf("without a server: %v", err)
	}
	if _, err := (&Name{Name: name}).Update(t.Context(), Claim{}); err == nil || !strings.Contains(err.Error(), "no address") {
		t.Errorf("without an address: %v", err)
	}
	if got := sorted([]netip.Addr{netip.MustParseAddr("::ffff:192.0.2.1"), netip.MustParseAddr("192.0.2.1")}); len(got) != 1 || !got[0].Is4() {
		t.Errorf("one address in two forms: %v", got)
	}
}
