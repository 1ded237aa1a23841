package interop

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/codec/stomp"
)

const (
	mib = 1 << 20
	// others is how long an innocent client's exchange may take while somebody misbehaves. It is loose: the machine may be busy.
	others = 5 * time.Second
)

func sized(body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// readTo reads to the end. Once it has read what it wants, the broker need not wait for it any longer.
func readTo(conn net.Conn, wanted string) (all []byte, err error) {
	part := make([]byte, 4096)
	for {
		n, err := conn.Read(part)
		all = append(all, part[:n]...)
		if half, ok := conn.(interface{ CloseWrite() error }); ok && wanted != "" && bytes.Contains(all, []byte(wanted)) {
			_ = half.CloseWrite() // it may be closed from the other side
			wanted = ""
		}
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// TestGarbage says what no client says, on each port: that connection ends, with an error where the protocol has one and a log
// line that names the peer.
func TestGarbage(t *testing.T) {
	b := startOwn(t, "", brokerOptions{})
	w := startWitness(t, b)
	noise := make([]byte, 4096)
	rand.Read(noise)
	noise[0] = 0x80 // neither TLS nor a length that makes sense
	command := func(c wire.Command) []byte {
		e := wire.Encoder{Version: wire.MaxVersion}
		frame, err := e.Append(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		return frame
	}
	hello := func(version int) []byte { return command(wire.WireFormat{Version: version}.Info()) }
	connected := append(hello(wire.MaxVersion), command(&wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: "ID:garbage"}, ClientID: "garbage"})...)
	after := func(frames ...[]byte) []byte { return append(bytes.Clone(connected), bytes.Join(frames, nil)...) }
	base := wire.BaseCommand{CommandID: 7, ResponseRequired: true}
	gadget := &wire.Throwable{Class: "org.springframework.context.support.ClassPathXmlApplicationContext", Message: "http://192.0.2.1/evil.xml"}
	login := "CONNECT\naccept-version:1.2\n\n\x00"
	tests := map[string]struct {
		port   string // openwire, openwire+tls, stomp, stomp+tls; "tls" is the raw socket of a TLS port
		send   []byte
		answer string // what must be in what comes back
		half   bool   // the client closes its side when it has sent
	}{
		"openwire/noise":                        {port: "openwire", send: noise},
		"openwire/HTTP":                         {port: "openwire", send: []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
		"openwire/STOMP":                        {port: "openwire", send: []byte(login)},
		"openwire/length 7fffffff":              {port: "openwire", send: []byte{0x7f, 0xff, 0xff, 0xff, 1}},
		"openwire/negative length":              {port: "openwire", send: []byte{0xff, 0xff, 0xff, 0xff, 1}},
		"openwire/length 0":                     {port: "openwire", send: []byte{0, 0, 0, 0, 1}},
		"openwire/half a frame":                 {port: "openwire", send: hello(12)[:40], half: true},
		"openwire/noise in TLS":                 {port: "openwire+tls", send: noise},
		"openwire/other magic":                  {port: "openwire", send: sized(append([]byte{wire.CodeWireFormatInfo}, "ArtemisM0000"...)...)},
		"openwire/unknown command":              {port: "openwire", send: append(hello(12), sized(200, 1, 2, 3)...), answer: "unknown"},
		"openwire/BrokerInfo":                   {port: "openwire", send: append(hello(12), append(command(&wire.BrokerInfo{BrokerName: "evil"}), connected[len(hello(12)):]...)...), answer: "network connectors"},
		"openwire/exception that names a class": {port: "openwire", send: append(hello(12), command(&wire.ExceptionResponse{CorrelationID: 1, Exception: gadget})...), answer: "before ConnectionInfo"},
		"openwire/ConnectionError with a class": {port: "openwire", send: append(hello(12), command(&wire.ConnectionError{Exception: gadget})...), answer: "before ConnectionInfo"},
		"openwire/MessageAck before login":      {port: "openwire", send: append(hello(12), command(&wire.MessageAck{BaseCommand: base, PoisonCause: gadget})...), answer: "before ConnectionInfo"},
		"openwire/Message before login":         {port: "openwire", send: append(hello(12), command(&wire.Message{Type: wire.CodeTextMessage, BaseCommand: base})...), answer: "before ConnectionInfo"},
		"openwire/no connection id":             {port: "openwire", send: append(hello(12), command(&wire.ConnectionInfo{BaseCommand: base, ClientID: "x"})...), answer: "connection id"},
		"openwire/second login":                 {port: "openwire", send: after(command(&wire.ConnectionInfo{BaseCommand: base, ConnectionID: wire.ConnectionID{Value: "b"}, ClientID: "b"})), answer: "already"},
		"openwire/noise after login":            {port: "openwire", send: after(sized(noise[:512]...)), answer: "unknown"},
		"openwire/frame over the limit":         {port: "openwire", send: after([]byte{0x06, 0x40, 0, 1, wire.CodeBytesMessage}), answer: "frame size"},
		"openwire/length inside beyond frame":   {port: "openwire", send: after(sized(wire.CodeTransactionInfo, 0, 0, 0, 1, 1, 1, 120, 1, 0x7f, 0xff, 'x')), answer: "MessageFormatException"},
		"openwire/array of 7fffffff":            {port: "openwire", send: after(sized(wire.CodeDataArrayResponse, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0x7f, 0xff, 0xff, 0xff)), answer: "MessageFormatException"},
		"stomp/noise":                           {port: "stomp", send: bytes.ReplaceAll(noise, []byte("\n"), []byte("x")), answer: "ERROR"},
		"stomp/HTTP":                            {port: "stomp", send: []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n\x00"), answer: "ERROR"},
		"stomp/OpenWire":                        {port: "stomp", send: hello(12), half: true},
		"stomp/noise in TLS":                    {port: "stomp+tls", send: bytes.ReplaceAll(noise, []byte("\n"), []byte("x")), answer: "ERROR"},
		"stomp/half a frame":                    {port: "stomp", send: []byte("CONNECT\naccept-ver"), half: true},
		"stomp/SEND before CONNECT":             {port: "stomp", send: []byte("SEND\ndestination:/queue/a\n\nx\x00"), answer: "Not connected"},
		"stomp/version 9":                       {port: "stomp", send: []byte("CONNECT\naccept-version:9.9\n\n\x00"), answer: "ERROR"},
		"stomp/bad heart-beat":                  {port: "stomp", send: []byte("CONNECT\naccept-version:1.2\nheart-beat:often,1\n\n\x00"), answer: "ERROR"},
		"stomp/unknown command":                 {port: "stomp", send: []byte(login + "FROBNICATE\n\n\x00"), answer: "Unknown STOMP action"},
		"stomp/a server's frame":                {port: "stomp", send: []byte(login + "MESSAGE\nmessage-id:1\n\nx\x00"), answer: "Unknown STOMP action"},
		"stomp/content-length 99999999999":      {port: "stomp", send: []byte(login + "SEND\ndestination:/queue/a\ncontent-length:99999999999\n\nx"), answer: "ERROR"},
		"stomp/content-length over the limit":   {port: "stomp", send: []byte(login + "SEND\ndestination:/queue/a\ncontent-length:104857601\n\nx"), answer: "maximum frame size"},
		"stomp/negative content-length":         {port: "stomp", send: []byte(login + "SEND\ndestination:/queue/a\ncontent-length:-1\n\nx"), answer: "negative"},
		"stomp/content-length of words":         {port: "stomp", send: []byte(login + "SEND\ndestination:/queue/a\ncontent-length:many\n\nx"), answer: "valid integer"},
		"stomp/no NUL after content-length":     {port: "stomp", send: []byte(login + "SEND\ndestination:/queue/a\ncontent-length:1\n\nxyz"), answer: "trailing null"},
		"stomp/long command":                    {port: "stomp", send: []byte(login + strings.Repeat("S", 2000)), answer: "maximum command length"},
		"stomp/long header":                     {port: "stomp", send: []byte(login + "SEND\nx:" + strings.Repeat("y", 11<<10)), answer: "maximum header length"},
		"stomp/1001 headers":                    {port: "stomp", send: []byte(login + "SEND\n" + strings.Repeat("a:b\n", 1001)), answer: "maximum number of headers"},
		"tls/noise":                             {port: "tls", send: noise},
		"tls/STOMP without TLS":                 {port: "tls", send: []byte(login)},
		"tls/half a ClientHello":                {port: "tls", send: []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, half: true},
		"tls/HTTP":                              {port: "tls", send: []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
	}
	addresses := map[string]string{
		"openwire": b.openwireAddress(), "openwire+tls": b.openwireTLSAddress(), "stomp": b.stomp, "stomp+tls": b.stompTLS, "tls": b.stompTLS,
	}
	undisturbed(t, b, w, 48*mib, others, func() {
		t.Run("all", func(t *testing.T) {
			for name, tt := range tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					conn := dial(t, addresses[tt.port], strings.HasSuffix(tt.port, "+tls"))
					conn.SetDeadline(time.Now().Add(patience))
					if _, err := conn.Write(tt.send); err != nil && !isClosed(err) {
						t.Fatal(err)
					}
					if half, ok := conn.(*net.TCPConn); ok && tt.half {
						half.CloseWrite()
					}
					answer, err := readTo(conn, tt.answer)
					if err != nil && !isClosed(err) {
						t.Fatalf("the connection stays open: %v; it answered %q", err, answer[max(0, len(answer)-300):])
					}
					if !strings.Contains(string(answer), tt.answer) {
						t.Errorf("the answer is %q, want something with %q", answer[max(0, len(answer)-300):], tt.answer)
					}
					b.logged(t, conn.LocalAddr().String())
				})
			}
		})
	})
}

// TestOddities are strange but legal, or wrong in a way that the connection survives.
func TestOddities(t *testing.T) {
	b := startOwn(t, "", brokerOptions{})
	w := startWitness(t, b)
	long := "a = '" + strings.Repeat("x", 60<<10)
	deep := strings.Repeat("(", 5000) + "a = 1" + strings.Repeat(")", 5000)
	many := strings.TrimPrefix(strings.Repeat(" OR a = 'b'", 5800), " OR ")
	send := func(headers ...string) []byte {
		return appendStomp(nil, stomp.Send, "x", append([]string{"destination", "/queue/odd", "receipt", "1"}, headers...)...)
	}
	tests := map[string]struct {
		frame []byte
		want  string // command that answers
	}{
		"priority 4711":      {send("priority", "4711"), stomp.Receipt},
		"priority -1":        {send("priority", "-1"), stomp.Receipt},
		"priority of words":  {send("priority", "urgent"), stomp.ErrorFrame},
		"priority overflow":  {send("priority", "99999999999999999999"), stomp.ErrorFrame},
		"expires overflow":   {send("expires", "99999999999999999999"), stomp.ErrorFrame},
		"expires far":        {send("expires", "9223372036854775807"), stomp.Receipt},
		"expires negative":   {send("expires", "-9223372036854775808"), stomp.Receipt},
		"not UTF-8":          {[]byte("SEND\ndestination:/queue/odd\nreceipt:1\nname:\xff\xfe\xc0\x80\n\n\xff\xfe\x00"), stomp.Receipt},
		"bad escape":         {[]byte("SEND\ndestination:/queue/odd\nreceipt:1\nname:\\t\n\nx\x00"), stomp.Receipt},
		"no destination":     {[]byte("SEND\nreceipt:1\n\nx\x00"), stomp.ErrorFrame},
		"empty destination":  {[]byte("SEND\ndestination:\nreceipt:1\n\nx\x00"), stomp.ErrorFrame},
		"a pattern":          {[]byte("SEND\ndestination:/queue/>\nreceipt:1\n\nx\x00"), stomp.ErrorFrame},
		"bad selector":       {appendStomp(nil, stomp.Subscribe, "", "id", "s", "destination", "/queue/odd", "selector", "a = = b", "receipt", "1"), stomp.ErrorFrame},
		"deep selector":      {appendStomp(nil, stomp.Subscribe, "", "id", "s", "destination", "/queue/odd", "selector", deep[:9000], "receipt", "1"), stomp.ErrorFrame},
		"prefetch 1e9":       {appendStomp(nil, stomp.Subscribe, "", "id", "s", "destination", "/topic/odd", "activemq.prefetchSize", "1000000000", "receipt", "1"), stomp.Receipt},
		"prefetch overflow":  {appendStomp(nil, stomp.Subscribe, "", "id", "s", "destination", "/topic/odd", "activemq.prefetchSize", "10000000000000", "receipt", "1"), stomp.Receipt},
		"prefetch 0":         {appendStomp(nil, stomp.Subscribe, "", "id", "s", "destination", "/topic/odd", "activemq.prefetchSize", "0", "receipt", "1"), stomp.Receipt},
		"ack of nothing":     {appendStomp(nil, stomp.Ack, "", "id", "nonsense", "receipt", "1"), stomp.ErrorFrame},
		"commit of nothing":  {appendStomp(nil, stomp.Commit, "", "transaction", "nonsense", "receipt", "1"), stomp.ErrorFrame},
		"unsubscribe before": {appendStomp(nil, stomp.Unsubscribe, "", "id", "nonsense", "receipt", "1"), stomp.ErrorFrame},
	}
	undisturbed(t, b, w, 48*mib, others, func() {
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				c := loginStomp(t, b)
				if err := c.writeBytes(tt.frame); err != nil {
					t.Fatal(err)
				}
				if got, err := c.next(); err != nil || got.Command != tt.want {
					t.Fatalf("got %s %v, %v; want %s", got.Command, got.Headers, err, tt.want)
				}
			})
		}
		for name, text := range map[string]string{"64 KiB": long, "deep": deep, "5,800 terms": many} {
			t.Run("selector/"+name, func(t *testing.T) {
				c := loginWire(t, b)
				c.must(t, &wire.ConsumerInfo{BaseCommand: wire.BaseCommand{CommandID: 9, ResponseRequired: true}, ConsumerID: c.consumer(1),
					Destination: wire.Destination{Type: wire.CodeQueue, Name: "odd.selected"}, Selector: text, PrefetchSize: 1})
				refused := c.answer(t)
				if bad := name != "5,800 terms"; bad != (refused != nil) || bad && !strings.HasSuffix(refused.Class, "InvalidSelectorException") {
					t.Errorf("the answer to the selector is %+v", refused)
				}
			})
		}
	})
}

// TestCrowds holds a broker against many who do a little wrong each.
func TestCrowds(t *testing.T) {
	b := startOwn(t, "limits:\n  loginTimeout: 2s\n", brokerOptions{mandatory: true})
	credentials := []string{"login", user, "passcode", password}
	w := startWitness(t, b, credentials...)

	t.Run("500 wrong passwords", func(t *testing.T) {
		undisturbed(t, b, w, 128*mib, others, func() {
			var all sync.WaitGroup
			var refused atomic.Int64
			for range 500 {
				all.Go(func() {
					if _, err := connectStomp(b.stomp, "login", user, "passcode", "guess"); err != nil {
						refused.Add(1)
					}
				})
			}
			all.Wait()
			if refused.Load() != 500 {
				t.Errorf("%d of 500 connections with a wrong password were refused", refused.Load())
			}
		})
		b.logged(t, user, "127.0.0.1:")
	})
	t.Run("the right password still works", func(t *testing.T) {
		began := time.Now()
		loginStomp(t, b, credentials...)
		t.Logf("after %v", time.Since(began))
	})
	t.Run("slow senders", func(t *testing.T) {
		undisturbed(t, b, w, 48*mib, others, func() {
			hello := "CONNECT\naccept-version:1.2\n"
			var conns []net.Conn
			for i := range 200 {
				conn := dial(t, []string{b.stomp, b.openwireAddress(), b.stompTLS, b.openwireTLSAddress()}[i%4], false)
				conns = append(conns, conn)
			}
			// One byte now and then keeps nobody's place: the time for the login is up for all of them.
			tick, open := time.NewTicker(100*time.Millisecond), len(conns)
			defer tick.Stop()
			deadline := time.Now().Add(patience)
			for i := 0; open > 0 && time.Now().Before(deadline); i++ {
				<-tick.C
				open = 0
				for j, conn := range conns {
					if conn == nil {
						continue
					}
					part := hello[i%len(hello)]
					if j%4 > 1 {
						part = []byte{0x16, 3, 1, 0xff, 0xff}[min(i, 4)]
					} else if j%4 == 1 {
						part = 0
					}
					conn.SetDeadline(time.Now().Add(time.Second))
					if _, err := conn.Write([]byte{part}); err != nil {
						conns[j] = nil
						continue
					}
					open++
				}
			}
			if open > 0 {
				t.Errorf("%d of 200 connections that never log in are open still", open)
			}
		})
		b.logged(t, "no login within")
	})
}

// TestSlowFrames has many clients begin large frames and never end them. What they have sent stays within one bound; frames that find no room there are
// refused with words, ordinary frames and other clients notice nothing, and when the slow ones are gone large frames come again.
func TestSlowFrames(t *testing.T) {
	b := startOwn(t, "limits: {frameSize: 16 MiB, frames: 32 MiB}\n", brokerOptions{})
	w := startWitness(t, b)
	const slow, announced, part = 400, 15 << 20, 300 << 10
	begin := func(i int) (net.Conn, error) { // logs in and sends the beginning of a large frame
		if i%2 == 0 {
			c := loginStomp(t, b)
			head := fmt.Sprintf("SEND\ndestination:/queue/slow\ncontent-length:%d\n\n", announced)
			return c.conn, c.writeBytes(append([]byte(head), make([]byte, part)...))
		}
		c := loginWire(t, b)
		_, err := c.conn.Write(append(append(binary.BigEndian.AppendUint32(nil, announced), wire.CodeBytesMessage), make([]byte, part)...))
		return c.conn, err
	}
	large := func(c *stompClient) error {
		return c.ask(stomp.Send, strings.Repeat("x", 10<<20), "destination", "/queue/large", "persistent", "true")
	}
	var conns []net.Conn
	// Each has 64 KiB for its own, and all of them 32 MiB; the rest is what the collector lets lie about. Without the bound it is 180 MiB.
	undisturbed(t, b, w, 96*mib, others, func() {
		var all sync.WaitGroup
		var mu sync.Mutex
		var told [2]int
		for i := range slow {
			conn, err := begin(i)
			if err != nil && !isClosed(err) {
				t.Fatal(err)
			}
			conns = append(conns, conn)
			all.Go(func() {
				answer := make([]byte, 64<<10)
				conn.SetReadDeadline(time.Now().Add(2*patience + 5*time.Second)) // the broker waits for half a minute
				for n := 0; n < len(answer); {
					m, err := conn.Read(answer[n:])
					if n += m; bytes.Contains(answer[:n], []byte("limits.frames")) {
						mu.Lock()
						told[i%2]++
						mu.Unlock()
						return
					}
					if err != nil {
						return // it has its place, and nobody to hurry it
					}
				}
			})
		}
		ordinary := loginStomp(t, b)
		for range 20 {
			ordinary.must(t, stomp.Send, strings.Repeat("x", 60<<10), "destination", "/queue/ordinary", "persistent", "true")
		}
		all.Wait()
		t.Logf("of %d STOMP and as many OpenWire clients %v were refused", slow/2, told)
		if told[0] < slow/4 || told[1] < slow/4 {
			t.Errorf("of %d STOMP and as many OpenWire clients %v were told of limits.frames; want most of them", slow/2, told)
		}
	})
	for _, conn := range conns {
		conn.Close()
	}
	var err error
	eventually(t, "a large frame does not come although the slow ones are gone", func() bool { err = large(loginStomp(t, b)); return err == nil })
}

// TestIdleCrowd holds many connections that do nothing, and others that come and go.
func TestIdleCrowd(t *testing.T) {
	b := startOwn(t, "", brokerOptions{})
	w := startWitness(t, b)
	t.Run("2,000 idle connections", func(t *testing.T) {
		undisturbed(t, b, w, 2000*40<<10+16*mib, others, func() {
			for range 2000 {
				loginStomp(t, b)
			}
		})
	})
	t.Run("comings and goings", func(t *testing.T) {
		undisturbed(t, b, w, 64*mib, others, func() {
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for i := range 150 {
						c, err := connectStomp(b.stomp)
						if err != nil {
							t.Error(err)
							return
						}
						if i%2 == 0 {
							c.write(stomp.Subscribe, "", "id", "1", "destination", "/topic/storm")
							c.write(stomp.Begin, "", "transaction", "t")
							c.write(stomp.Send, "x", "destination", "/queue/storm", "transaction", "t", "persistent", "true")
						}
						c.conn.Close()
					}
				})
			}
			all.Wait()
		})
	})
	t.Run("1,000 temporary queues", func(t *testing.T) {
		undisturbed(t, b, w, 64*mib, others, func() {
			for range 5 {
				c := loginStomp(t, b)
				var frames []byte
				for i := range 1000 {
					frames = appendStomp(frames, stomp.Subscribe, "", "id", fmt.Sprint(i), "destination", fmt.Sprintf("/temp-queue/%d", i))
				}
				if err := c.writeBytes(frames); err != nil {
					t.Fatal(err)
				}
				c.must(t, stomp.Send, "x", "destination", "/temp-queue/999")
				c.conn.Close()
			}
		})
	})
	t.Run("10,000 destinations", func(t *testing.T) {
		undisturbed(t, b, w, 64*mib, others, func() {
			c := loginStomp(t, b)
			var frames []byte
			for i := range 10_000 {
				frames = appendStomp(frames, stomp.Send, "x", "destination", fmt.Sprintf("/queue/many.%d", i), "persistent", "true")
			}
			if err := c.writeBytes(frames); err != nil {
				t.Fatal(err)
			}
			c.must(t, stomp.Send, "x", "destination", "/queue/many.0")
			// A pattern that takes them all.
			c.must(t, stomp.Subscribe, "", "id", "all", "destination", "/queue/many.>", "activemq.prefetchSize", "1")
		})
	})
}

// TestNeverRead is about clients that ask for more than they take.
func TestNeverRead(t *testing.T) {
	needSomething(t)
	b := startOwn(t, "", brokerOptions{})
	w := startWitness(t, b)
	tenKib := strings.Repeat("x", 10<<10) // 60,000 of them are 600 MiB
	flood := func(t *testing.T, count int, body string, headers ...string) {
		t.Helper()
		c := loginStomp(t, b)
		frame := appendStomp(nil, stomp.Send, body, headers...)
		batch := bytes.Repeat(frame, max(1, 100<<10/len(frame)))
		for sent := 0; sent < count; sent += max(1, 100<<10/len(frame)) {
			if err := c.writeBytes(batch); err != nil {
				t.Fatalf("after %d messages: %v", sent, err)
			}
		}
		c.must(t, stomp.Send, "the end", headers...)
	}
	t.Run("a busy topic", func(t *testing.T) {
		undisturbed(t, b, w, 400*mib, others, func() {
			slow := loginStomp(t, b)
			slow.must(t, stomp.Subscribe, "", "id", "1", "destination", "/topic/busy", "activemq.prefetchSize", "1000000000")
			flood(t, 60_000, tenKib, "destination", "/topic/busy")
		})
	})
	t.Run("a queue with a backlog", func(t *testing.T) {
		flood(t, 300, strings.Repeat("x", 1<<20), "destination", "/queue/backlog", "persistent", "true")
		undisturbed(t, b, w, 128*mib, others, func() {
			for range 2 {
				slow := loginStomp(t, b)
				if err := slow.write(stomp.Subscribe, "", "id", "1", "destination", "/queue/backlog", "activemq.prefetchSize", "1000000000", "ack", "client"); err != nil {
					t.Fatal(err)
				}
				c := loginStomp(t, b)
				for range 500 { // time for the broker to read the backlog back
					c.must(t, stomp.Send, "x", "destination", "/queue/backlog.time", "persistent", "true")
				}
				slow.conn.Close()
			}
		})
		// Nothing of it is lost to who reads.
		c := loginStomp(t, b)
		if err := c.write(stomp.Subscribe, "", "id", "1", "destination", "/queue/backlog", "activemq.prefetchSize", "1000000000"); err != nil {
			t.Fatal(err)
		}
		for n := 0; ; n++ {
			if f := c.message(t); string(f.Body) == "the end" {
				if n < 300 {
					t.Errorf("%d messages, want at least 300", n)
				}
				break
			}
		}
	})
	t.Run("never acknowledges", func(t *testing.T) {
		undisturbed(t, b, w, 400*mib, others, func() {
			c := loginStomp(t, b)
			c.must(t, stomp.Subscribe, "", "id", "1", "destination", "/queue/hoard", "activemq.prefetchSize", "1000000000", "ack", "client")
			var all sync.WaitGroup
			all.Go(func() {
				for {
					if f, err := c.next(); err != nil || string(f.Body) == "the end" {
						return
					}
				}
			})
			flood(t, 60_000, tenKib, "destination", "/queue/hoard")
			all.Wait()
		})
	})
	t.Run("asks and does not listen", func(t *testing.T) {
		undisturbed(t, b, w, 128*mib, others, func() {
			for _, command := range []wire.Command{
				&wire.KeepAliveInfo{BaseCommand: wire.BaseCommand{CommandID: 9, ResponseRequired: true}},
				&wire.ConsumerInfo{BaseCommand: wire.BaseCommand{CommandID: 9, ResponseRequired: true}, ConsumerID: wire.ConsumerID{ConnectionID: "x", Value: 1},
					Destination: wire.Destination{Type: wire.CodeQueue, Name: "x"}, Selector: "a = = '" + strings.Repeat("x", 1<<10) + "'"},
			} {
				c := loginWire(t, b)
				frame, err := c.encode(command)
				if err != nil {
					t.Fatal(err)
				}
				frames := bytes.Repeat(frame, 1+64<<10/len(frame))
				for range 200 * mib / len(frames) {
					c.conn.SetWriteDeadline(time.Now().Add(time.Second))
					if _, err := c.conn.Write(frames); err != nil {
						break // cut off, or not read any more
					}
				}
			}
		})
	})
	t.Run("much that is small", func(t *testing.T) {
		flood(t, 300_000, "x", "destination", "/queue/small", "persistent", "true")
		c := loginStomp(t, b)
		if err := c.write(stomp.Subscribe, "", "id", "1", "destination", "/queue/small", "activemq.prefetchSize", "1000000000"); err != nil {
			t.Fatal(err)
		}
		for {
			if f := c.message(t); string(f.Body) == "the end" {
				break
			}
		}
	})
}

// TestLarge is about large things that are allowed, and larger ones that are not.
func TestLarge(t *testing.T) {
	needSomething(t)
	b := startOwn(t, "", brokerOptions{})
	w := startWitness(t, b)
	t.Run("a message of 90 MiB", func(t *testing.T) {
		undisturbed(t, b, w, 700*mib, others, func() {
			c := loginStomp(t, b)
			body := strings.Repeat("0123456789abcdef", 90*mib/16)
			c.must(t, stomp.Send, body, "destination", "/queue/large", "persistent", "true", "content-length", fmt.Sprint(len(body)))
			c.must(t, stomp.Subscribe, "", "id", "1", "destination", "/queue/large")
			if f := c.message(t); string(f.Body) != body {
				t.Errorf("it came back with %d bytes", len(f.Body))
			}
		})
	})
	t.Run("a transaction of 100,000 messages", func(t *testing.T) {
		b := startOwn(t, "", brokerOptions{}) // without the garbage of a large message, which lets the collector wait
		w := startWitness(t, b)
		// Of the 300 MiB that are sent, memory has bodies up to limits.memory, what the journal has not written, and as much garbage again.
		undisturbed(t, b, w, 400*mib, others, func() {
			for _, end := range []string{stomp.Commit, stomp.Abort, ""} {
				c := loginStomp(t, b)
				c.must(t, stomp.Begin, "", "transaction", "t")
				frame := bytes.Repeat(appendStomp(nil, stomp.Send, strings.Repeat("x", 1<<10), "destination", "/queue/tx", "persistent", "true", "transaction", "t"), 100)
				for range 1000 {
					if err := c.writeBytes(frame); err != nil {
						t.Fatal(err)
					}
				}
				if end == "" {
					c.conn.Close()
					continue
				}
				c.must(t, end, "", "transaction", "t")
			}
		})
		c := loginStomp(t, b)
		c.must(t, stomp.Send, "the end", "destination", "/queue/tx", "persistent", "true")
		if err := c.write(stomp.Subscribe, "", "id", "1", "destination", "/queue/tx"); err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; string(c.message(t).Body) != "the end"; n++ {
		}
		if n != 100_000 {
			t.Errorf("%d messages came of the transactions, want 100,000", n)
		}
	})
}
