package stomp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
)

// summary is what a JMS client sees of a message.
func summary(m *message.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q to %s", m.Type, m.Content, m.Destination)
	for _, field := range []struct {
		name  string
		value any
		there bool
	}{{"persistent", "", m.Persistent}, {"priority", m.Priority, m.Priority != 4}, {"expires", m.Expiration, m.Expiration != 0}, {"correlation", m.CorrelationID, m.CorrelationID != ""},
		{"type", m.JMSType, m.JMSType != ""}, {"reply", m.ReplyTo, !m.ReplyTo.IsZero()}, {"group", m.GroupID, m.GroupID != ""}, {"sequence", m.GroupSequence, m.GroupSequence != 0},
		{"at", m.Timestamp, m.Timestamp < 1e12}} {
		if field.there {
			fmt.Fprintf(&b, " %s=%v", field.name, field.value)
		}
	}
	m.Properties.Range(func(name string, value any) bool {
		fmt.Fprintf(&b, " %s:%v", name, value)
		return true
	})
	return b.String()
}

func TestSendToJMS(t *testing.T) {
	tests := map[string]struct{ frame, want string }{
		"text":             {"SEND|destination:/queue/j||hö", `text "hö" to queue://j`},
		"empty":            {"SEND|destination:/queue/j", `text "" to queue://j`},
		"bytes":            {"SEND|destination:/queue/j|content-length:3||a\x00b", `bytes "a\x00b" to queue://j`},
		"type text":        {"SEND|destination:/queue/j|content-length:2|amq-msg-type:text||ab", `text "ab" to queue://j content-length:2`},
		"type bytes":       {"SEND|destination:/queue/j|amq-msg-type:bytes||ab", `bytes "ab" to queue://j`},
		"persistent":       {"SEND|destination:/queue/j|persistent:true|n:1||x", `text "x" to queue://j persistent= n:1`},
		"fields":           {"SEND|destination:/queue/j|priority:11|correlation-id:c|type:t|timestamp:7|expires:99999999999999", `text "" to queue://j priority=9 expires=99999999999999 correlation=c type=t at=7`},
		"negative":         {"SEND|destination:/queue/j|priority:-3", `text "" to queue://j priority=0`},
		"reply":            {"SEND|destination:/queue/j|reply-to:/topic/r", `text "" to queue://j reply=topic://r`},
		"temporary reply":  {"SEND|destination:/queue/j|reply-to:/temp-queue/r", `text "" to queue://j reply=temp-queue://ID:host-61613-1795382540159-1:1:1`},
		"reply is text":    {"SEND|destination:/queue/j|reply-to:r", `text "" to queue://j reply-to:r`},
		"group":            {"SEND|destination:/queue/j|JMSXGroupID:g|JMSXGroupSeq:3", `text "" to queue://j group=g sequence=3`},
		"properties":       {"SEND|destination:/queue/j|b:2|a:1|b:3|content-type:text/plain|noColon", `text "" to queue://j b:2 a:1 content-type:text/plain noColon:`},
		"dropped":          {"SEND|destination:/queue/j|message-id:1|redelivered:true|subscription:2|JMSXUserID:u", `text "" to queue://j`},
		"jms-byte":         {"SEND|destination:/queue/j|transformation:jms-byte|content-length:1||x", `bytes "x" to queue://j`},
		"map":              {`SEND|destination:/queue/j|transformation:jms-map-json||{"map":{"entry":[{"string":["name","James"]},{"string":"size","int":5}]}}`, `map "\x00\x00\x00\x02\x00\x04name\t\x00\x05James\x00\x04size\x05\x00\x00\x00\x05" to queue://j`},
		"map of one":       {`SEND|destination:/queue/j|transformation:jms-map-json||{"map":{"entry":{"string":"n","null":""}}}`, `map "\x00\x00\x00\x01\x00\x01n\x00" to queue://j`},
		"empty map":        {`SEND|destination:/queue/j|transformation:jms-map-json||{"map":{}}`, `map "\x00\x00\x00\x00" to queue://j`},
		"map, broken":      {`SEND|destination:/queue/j|transformation:jms-map-json||{"map":{"entry":{"int":5}}}`, `text "{\"map\":{\"entry\":{\"int\":5}}}" to queue://j transformation:jms-map-json transformation-error:an entry has 1 parts, expected a key and a value`},
		"map, no JSON":     {`SEND|destination:/queue/j|transformation:jms-map-json||x`, `text "x" to queue://j transformation:jms-map-json transformation-error:invalid character 'x' looking for beginning of value`},
		"object":           {`SEND|destination:/queue/j|transformation:jms-object-json||x`, `text "x" to queue://j transformation:jms-object-json transformation-error:the transformation jms-object-json is not supported`},
		"second of header": {"SEND|destination:/queue/j|destination:/queue/other|priority:5|priority:x", `text "" to queue://j priority=5`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			deps := openDeps(t, security.Policy{})
			c := dial(t, deps, Options{})
			defer c.Close()
			c.send("CONNECT")
			if f, err := c.reader.Next(); err != nil || f.Command != "CONNECTED" {
				t.Fatalf("got %s, %v", short(f), err)
			}
			c.send(tt.frame)
			if got := summary(connectJMS(t, deps).receive("j")); got != tt.want {
				t.Errorf("%s is\n%s, want\n%s", tt.frame, got, tt.want)
			}
		})
	}
}

func TestMessageFromJMS(t *testing.T) {
	var all message.PropertiesBuilder
	for _, p := range []struct {
		name  string
		value any
	}{{"s", "a:b\nc"}, {"b", true}, {"i8", int8(-1)}, {"i64", int64(1) << 40}, {"f", float32(1)}, {"d", 1e10}, {"small", 1.5e-5}, {"c", message.Char('x')}, {"content-length", "77"}} {
		if err := all.Set(p.name, p.value); err != nil {
			t.Fatal(err)
		}
	}
	q := message.Destination{Kind: message.Queue, Name: "j"}
	tests := map[string]struct {
		message *message.Message
		want    string
	}{
		"fields": {&message.Message{ID: message.ParseID("ID:p:1:1:1:5"), Destination: q, CorrelationID: "c", JMSType: "t", ReplyTo: message.Destination{Kind: message.TempTopic, Name: "ID:x:1"},
			Original: message.Destination{Kind: message.Topic, Name: "o"}, UserID: "u", Priority: 7, Persistent: true, Type: message.Text, Content: []byte("x")},
			"MESSAGE|destination:/queue/j|message-id:ID:p:1:1:1:5|correlation-id:c|type:t|reply-to:/remote-temp-topic/ID:x:1|original-destination:/topic/o|JMSXUserID:u|priority:7|persistent:true|expires:0|!content-length||x"},
		"properties": {&message.Message{ID: message.ParseID("p"), Destination: q, Type: message.Text, Content: []byte("body"), Properties: all.Properties()},
			"MESSAGE|message-id:p|s:a:b\nc|b:true|i8:-1|i64:1099511627776|f:1.0|d:1.0E10|small:1.5E-5|c:x|content-length:4||body"},
		"bytes":         {&message.Message{Destination: q, Type: message.Bytes, Content: []byte{1, 0, 2}}, "MESSAGE|content-length:3||\x01\x00\x02"},
		"text with NUL": {&message.Message{Destination: q, Type: message.Text, Content: []byte("a\x00b")}, "MESSAGE|content-length:3||a\x00b"},
		"map":           {&message.Message{Destination: q, Type: message.Map, Encoding: message.OpenWire, Content: []byte{0, 0, 0, 0}}, "MESSAGE|!content-length||"},
		"plain":         {&message.Message{Destination: q}, "MESSAGE|!content-length||"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			deps := openDeps(t, security.Policy{})
			connectJMS(t, deps).send(tt.message)
			script(t, deps, Options{}, "a> CONNECT|accept-version:1.2", "a< CONNECTED", "a> SUBSCRIBE|id:1|destination:/queue/j", "a< "+strings.ReplaceAll(tt.want, "a:b\nc", "a:b..."))
		})
	}
}

// A map goes out in the form in which it came in, and a text as it is.
func TestTransformation(t *testing.T) {
	const form = `{"map":{"entry":[{"string":"b","boolean":true},{"string":"by","byte-array":"AQI="},{"string":"c","char":"x"},{"string":"d","double":1.5},{"string":"f","float":0.5},` +
		`{"string":"i","int":5},{"string":"l","long":-9223372036854775808},{"string":"n","null":""},{"string":["name","J\"ö"]},{"string":"nan","double":"NaN"},{"string":"s","short":-3},{"string":"y","byte":-128}]}}`
	script(t, openDeps(t, security.Policy{}), Options{}, "a> CONNECT", "a< CONNECTED",
		"a> SEND|destination:/queue/m|transformation:jms-map-json||"+form, "a> SEND|destination:/queue/m||text", "a> SEND|destination:/queue/m|transformation:jms-map-json||"+form,
		"a> SUBSCRIBE|id:1|destination:/queue/m|transformation:jms-json|ack:client|activemq.prefetchSize:2", "a< MESSAGE|transformation:jms-map-json|!content-length||"+form,
		"a< MESSAGE|transformation:jms-json||text", "a> SUBSCRIBE|id:2|destination:/queue/m", "a< MESSAGE|subscription:2|!transformation||")
}

func TestRights(t *testing.T) {
	hash, err := security.HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	deps := openDeps(t, security.Policy{Mode: security.Mandatory, Users: []security.User{{Name: "user", PasswordHash: hash, Groups: []string{"users"}}},
		Rights: []security.Entry{{Destination: "queue://USERS.>", Read: []string{"users"}, Write: []string{"users"}, Admin: []string{"users"}},
			{Destination: "queue://NOADM.>", Read: []string{"users"}, Write: []string{"users"}}, {Destination: "temp://>", Read: []string{"users"}}}})
	script(t, deps, Options{}, "b> CONNECT|login:user|passcode:wrong", "b< ERROR|content-type:text/plain|message:User name [user] or password is invalid.||User name [user] or password is invalid.", "b<EOF")
	script(t, deps, Options{}, "a> CONNECT|login:user|passcode:secret", "a< CONNECTED",
		"a> SEND|destination:/queue/SECRET", "a< ERROR|message:User user is not authorized to write to: queue://SECRET|!receipt-id",
		"a> SUBSCRIBE|destination:/queue/SECRET|receipt:1", "a< ERROR|message:User user is not authorized to read from: queue://SECRET|receipt-id:1",
		"a> SEND|destination:/queue/USERS.a,/queue/SECRET", "a< ERROR|message:User user is not authorized to write to: USERS.a,queue://SECRET",
		"a> SEND|destination:/queue/NOADM.x|receipt:2", "a< ERROR|message:User user is not authorized to create: queue://NOADM.x|receipt-id:2",
		"a> SUBSCRIBE|destination:/queue/>", "a< ERROR|message:User user is not authorized to read from: queue://>",
		"a> SUBSCRIBE|destination:/temp-queue/t", "a< ERROR|message:User user is not authorized to create: temp-queue://...",
		"a> SUBSCRIBE|destination:/queue/USERS.>", "a> SEND|destination:/queue/USERS.a||x", "a< MESSAGE||x")
}

func TestLimits(t *testing.T) {
	tests := map[string]struct {
		options Options
		steps   []string
	}{
		"subscriptions": {Options{MaxSubscriptions: 1}, []string{"a> SUBSCRIBE|id:1|destination:/queue/d", "a> SUBSCRIBE|id:2|destination:/queue/d", "a< ERROR|message:The connection has 1 subscriptions, its limit",
			"a> UNSUBSCRIBE|id:1", "a> SUBSCRIBE|id:2|destination:/queue/d|receipt:1", "a< RECEIPT"}},
		"transactions": {Options{MaxTransactions: 1}, []string{"a> BEGIN|transaction:1", "a> BEGIN|transaction:2", "a< ERROR|message:The connection has 1 open transactions, its limit",
			"a> ABORT|transaction:1", "a> BEGIN|transaction:2|receipt:1", "a< RECEIPT"}},
		"temporaries": {Options{MaxTemporaries: 1}, []string{"a> SUBSCRIBE|id:1|destination:/temp-queue/a", "a> SUBSCRIBE|id:2|destination:/temp-queue/a|receipt:1", "a< RECEIPT",
			"a> SUBSCRIBE|destination:/temp-queue/b", "a< ERROR|message:The connection has 1 temporary destinations, its limit"}},
		"frame":    {Options{MaxFrameSize: 100}, []string{"a> SEND|destination:/queue/d||" + strings.Repeat("x", 101), "a< ERROR|message:The maximum frame size was exceeded", "a<EOF"}},
		"receipts": {Options{MaxReceipts: 1}, []string{"a> SEND|destination:/queue/d|receipt:1", "a> SEND|destination:/queue/d|receipt:2", "a> SEND|destination:/queue/d|receipt:3", "a< RECEIPT|receipt-id:1", "a< RECEIPT|receipt-id:2", "a< RECEIPT|receipt-id:3"}},
		"server":   {Options{Server: "x"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			script(t, openDeps(t, security.Policy{}), tt.options, append([]string{"a> CONNECT", "a< CONNECTED"}, tt.steps...)...)
		})
	}
}

// Heart-beats: the server's at half the period whatever it sends, the client's missed after twice its own.
func TestHeartBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deps := openDeps(t, security.Policy{})
		c := dial(t, deps, Options{})
		begun := time.Now()
		c.send("CONNECT|accept-version:1.2|heart-beat:1000,3000")
		if f, err := c.reader.Next(); err != nil || f.Headers.Value("heart-beat") != "3000,1000" {
			t.Fatalf("got %s, %v", short(f), err)
		}
		for n := 1; n <= 4; n++ {
			if _, err := c.Read(make([]byte, 1)); err != nil || time.Since(begun) != time.Duration(n)*1500*time.Millisecond {
				t.Fatalf("heart-beat %d came after %v, %v; want them each 1.5 s", n, time.Since(begun), err)
			}
			c.Write([]byte("\n")) // less than 2 s since the last
		}
		_, err := io.Copy(io.Discard, c)
		if err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		if got, want := time.Since(begun), 8*time.Second; got != want {
			t.Errorf("a silent client was cut off after %v, want %v", got, want)
		}
		<-c.served
	})
}

// What the broker ends, it says so.
func TestShutDown(t *testing.T) {
	deps := openDeps(t, security.Policy{})
	before := dial(t, deps, Options{})
	before.stop()
	if err := <-before.served; err == nil {
		t.Error("a connection without a login was served to its end")
	}
	c := dial(t, deps, Options{})
	c.send("CONNECT|heart-beat:9000,0")
	if f, err := c.reader.Next(); err != nil || f.Command != "CONNECTED" {
		t.Fatalf("got %s, %v", short(f), err)
	}
	c.stop()
	f, err := c.reader.Next()
	if err != nil || f.Command != "ERROR" || f.Headers.Value("message") != "The broker is shutting down" {
		t.Errorf("got %s, %v; want an ERROR", short(f), err)
	}
	if f, err := c.reader.Next(); err == nil {
		t.Errorf("got %s after it", short(f))
	}
	if err := <-c.served; err != nil {
		t.Error(err)
	}
}

// A client that asks and asks and never reads the answers is cut off.
func TestClientThatNeverReads(t *testing.T) {
	deps := openDeps(t, security.Policy{}, engine.Options{MaxOutbox: 50})
	c := dial(t, deps, Options{Linger: 10 * time.Millisecond})
	c.send("CONNECT")
	c.reader.Next()
	frame := wire("SEND|destination:/remote-temp-queue/gone")
	for {
		if _, err := c.Write(frame); err != nil {
			break
		}
	}
	if err := <-c.served; err != nil {
		t.Error(err)
	}
}

// A client that vanishes leaves nothing behind: what it had not acknowledged is there for the next.
func TestVanishedClient(t *testing.T) {
	deps := openDeps(t, security.Policy{})
	c := dial(t, deps, Options{})
	c.send("CONNECT|accept-version:1.2")
	c.reader.Next()
	c.send("SEND|destination:/queue/v|persistent:true||x")
	c.send("BEGIN|transaction:t")
	c.send("SEND|destination:/queue/v|transaction:t||never")
	c.send("SUBSCRIBE|id:1|ack:client|destination:/queue/v")
	if f, err := c.reader.Next(); err != nil || f.Command != "MESSAGE" {
		t.Fatalf("got %s, %v", short(f), err)
	}
	c.Close()
	<-c.served
	j := connectJMS(t, deps)
	if m := j.receive("v"); string(m.Content) != "x" {
		t.Errorf("got %s", summary(m))
	}
	j.Submit(&broker.List{Conn: j.ID(), Ref: 9})
	view := j.next().Value.(*broker.View)
	if len(view.Connections) != 1 {
		t.Errorf("%d connections are left, want the JMS client's only", len(view.Connections))
	}
}

// The last ERROR reaches a client that goes on sending; a close with unread bytes would be a reset that overtakes it.
func TestLastWords(t *testing.T) {
	c := tcp(t)
	c.send("CONNECT")
	if f, err := c.reader.Next(); err != nil || f.Command != "CONNECTED" {
		t.Fatalf("got %s, %v", short(f), err)
	}
	go func() {
		c.Write(append(wire("FOO"), make([]byte, 512<<10)...))
	}()
	if f, err := c.reader.Next(); err != nil || f.Headers.Value("message") != "Unknown STOMP action: FOO" {
		t.Errorf("got %s, %v; want the ERROR", short(f), err)
	}
	if _, err := c.reader.Next(); err != io.EOF {
		t.Errorf("after it: %v, want the end", err)
	}
}

// TestUserRemoved: who is not a user any more is sent away at once, silent or not; others notice nothing.
func TestUserRemoved(t *testing.T) {
	hash, err := security.HashPassword("p")
	if err != nil {
		t.Fatal(err)
	}
	ann, bob := security.User{Name: "ann", PasswordHash: hash}, security.User{Name: "bob", PasswordHash: hash}
	connect := func(deps *session.Deps, user, beat string) *client {
		c := serve(t, deps, Options{Linger: 50 * time.Millisecond}, socket)
		c.send("CONNECT|accept-version:1.2|login:" + user + "|passcode:p|heart-beat:" + beat)
		if f, err := c.reader.Next(); err != nil || f.Command != "CONNECTED" {
			t.Fatalf("login of %s = %v, %v", user, f, err)
		}
		return c
	}
	tests := map[string]struct {
		beat string
		say  []byte // for as long as it can
	}{
		"silent":           {"0,0", nil},
		"heart-beats only": {"3600000,0", []byte("\n")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			deps := openDeps(t, security.Policy{Mode: security.Mandatory, Users: []security.User{ann, bob}})
			a, b := connect(deps, "ann", tt.beat), connect(deps, "bob", tt.beat)
			defer b.stop()
			if err := deps.Authority.Update(security.Policy{Mode: security.Mandatory, Users: []security.User{bob}}); err != nil {
				t.Fatal(err)
			}
			if f, err := a.reader.Next(); err != nil || f.Command != "ERROR" || f.Headers.Value("message") != "User name [ann] or password is invalid." {
				t.Errorf("ann got %v, %v; want an ERROR that tells why", f, err)
			}
			for len(tt.say) > 0 {
				if _, err := a.Write(tt.say); err != nil {
					break
				}
			}
			if err := <-a.served; err != nil {
				t.Errorf("the session of ann ended with %v", err)
			}
			b.send("SEND|destination:/queue/q|receipt:1||x")
			if f, err := b.reader.Next(); err != nil || f.Command != "RECEIPT" {
				t.Errorf("bob got %v, %v; want the receipt", f, err)
			}
			b.Close()
			<-b.served
		})
	}
}

// slowToReturn is a socket whose Write gives what it has to the client at once, and returns late, as when the goroutine that writes loses its processor.
type slowToReturn struct{ net.Conn }

func (s slowToReturn) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	time.Sleep(20 * time.Millisecond)
	return n, err
}

// TestUnsubscribeAfterAuto: a message that was sent to an ack:auto subscription is the client's, also when UNSUBSCRIBE comes before the session has got to acknowledge it.
func TestUnsubscribeAfterAuto(t *testing.T) {
	c := serve(t, openDeps(t, security.Policy{}), Options{}, func(t testing.TB) (near, far net.Conn) {
		near, far = socket(t)
		return near, slowToReturn{far}
	})
	expect := func(want string) {
		t.Helper()
		f, err := c.reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		if problem := differs(f, want, func(s string) string { return s }, map[string]string{}); problem != "" {
			t.Fatalf("%s; got %s", problem, short(f))
		}
	}
	c.send("CONNECT|accept-version:1.2")
	expect("CONNECTED")
	c.reader.SetVersion(stomp.V12)
	for _, body := range []string{"one", "two", "three"} {
		c.send("SEND|destination:/queue/Q|receipt:s||" + body)
		expect("RECEIPT|receipt-id:s")
		c.send("SUBSCRIBE|id:1|destination:/queue/Q")
		expect("MESSAGE|!redelivered||" + body)
		c.send("UNSUBSCRIBE|id:1|receipt:u")
		expect("RECEIPT|receipt-id:u")
	}
}
