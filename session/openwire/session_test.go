package openwire

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/security"
)

func TestHandshake(t *testing.T) {
	tests := map[string]struct {
		format wire.WireFormat
		first  wire.Command // instead of a ConnectionInfo
		info   wire.ConnectionInfo
		class  string
	}{
		"version 12":           {format: java(12)},
		"version 1":            {format: java(1)},
		"version 99":           {format: java(99)},
		"NMS":                  {format: wire.WireFormat{Version: 10, MaxInactivity: 30 * time.Second}},
		"no client id":         {format: java(12), info: wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: "c"}}, class: "jakarta.jms.InvalidClientIDException"},
		"no client id, javax":  {format: wire.WireFormat{Version: 12, ProviderVersion: "5.19.1"}, info: wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: "c"}}, class: "javax.jms.InvalidClientIDException"},
		"wrong password":       {format: java(12), info: wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: "c"}, ClientID: "x", UserName: "user", Password: "wrong"}, class: "java.lang.SecurityException"},
		"no password":          {format: java(12), info: wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: "c"}, ClientID: "x"}, class: "java.lang.SecurityException"},
		"a message at once":    {format: java(12), first: &wire.Message{Type: wire.CodeMessage}, class: "java.lang.IllegalStateException"},
		"a broker's connector": {format: java(12), info: wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: "c"}, ClientID: "x", BrokerMasterConnector: true}, class: "java.lang.IllegalStateException"},
	}
	s := newServer(t, secured(t))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			c := s.dial("ID:" + name)
			c.hello(tt.format)
			if tt.class == "" {
				c.login()
				c.ask(&wire.RemoveInfo{ObjectID: wire.ConnectionID{Value: c.name}})
				c.write(&wire.ShutdownInfo{})
				if _, err := c.any(); err != io.EOF {
					t.Errorf("after the goodbye: %v, want the end of the connection", err)
				}
				return
			}
			var command wire.Command = &tt.info
			if tt.first != nil {
				command = tt.first
			}
			if got := c.refused(command); got.Class != tt.class {
				t.Errorf("refused by %s: %s, want class %s", got.Class, got.Message, tt.class)
			}
			c.conn.Close()
		})
	}
}

// secured is a policy with one user, who may use everything but queue CLOSED and may create only below OPEN.
func secured(t testing.TB) security.Policy {
	t.Helper()
	hash, err := security.HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	return security.Policy{Mode: security.Mandatory, Users: []security.User{{Name: "user", PasswordHash: hash, Groups: []string{"g"}}},
		Rights: []security.Entry{{Destination: "OPEN.>", Read: []string{"g"}, Write: []string{"g"}, Admin: []string{"g"}}, {Destination: "KNOWN", Read: []string{"g"}, Write: []string{"g"}}}}
}

func TestNotOpenWire(t *testing.T) {
	s := newServer(t, security.Policy{})
	for name, bytes := range map[string]string{
		"HTTP":             "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"wrong magic":      "\x00\x00\x00\x0e\x01ActiveMZ\x00\x00\x00\x0c\x00",
		"another command":  "\x00\x00\x00\x06\x0a\x00\x00\x00\x01\x00",
		"nested":           "\x00\x00\x00\x1d\x01ActiveMQ\x00\x00\x00\x0c\x01\x00\x00\x00\x0b\x00\x00\x00\x01\x00\x01a\x0b\xff\xff\xff",
		"a hundred zeroes": strings.Repeat("\x00", 100),
	} {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			c := s.dial("x")
			read[*wire.WireFormatInfo](c)
			go c.conn.Write([]byte(bytes))
			if got, err := c.any(); err != io.EOF {
				t.Errorf("got %v, %v; want the end of the connection", got, err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	const c1 = "ID:refused"
	consumer := wire.ConsumerID{ConnectionID: c1, SessionID: 1, Value: 1}
	producer := wire.ProducerID{ConnectionID: c1, SessionID: 1, Value: 1}
	local := wire.TransactionID{Type: wire.CodeLocalTransactionID, ConnectionID: c1, Value: 7}
	xa := wire.TransactionID{Type: wire.CodeXATransactionID, FormatID: 1, GlobalID: "g", BranchQualifier: "b"}
	tests := map[string]struct {
		command     wire.Command
		class, text string
		fatal       bool
	}{
		"read what is closed":    {&wire.ConsumerInfo{ConsumerID: consumer, Destination: queue("CLOSED")}, "java.lang.SecurityException", "User user is not authorized to read from: queue://CLOSED", false},
		"read part of it":        {&wire.ConsumerInfo{ConsumerID: consumer, Destination: queue("OPEN.A,CLOSED")}, "java.lang.SecurityException", "not authorized to read", false},
		"make what one may not":  {&wire.ConsumerInfo{ConsumerID: consumer, Destination: queue("KNOWN")}, "java.lang.SecurityException", "not authorized to create", false},
		"produce to closed":      {&wire.ProducerInfo{ProducerID: wire.ProducerID{ConnectionID: c1, SessionID: 1, Value: 2}, Destination: queue("CLOSED")}, "java.lang.SecurityException", "User user is not authorized to write to: queue://CLOSED", false},
		"send to closed":         {&wire.Message{Type: wire.CodeMessage, ProducerID: producer, Destination: queue("CLOSED")}, "java.lang.SecurityException", "write to: queue://CLOSED", false},
		"send nowhere":           {&wire.Message{Type: wire.CodeMessage, ProducerID: producer}, "jakarta.jms.InvalidDestinationException", "no destination", false},
		"send to a pattern":      {&wire.Message{Type: wire.CodeMessage, ProducerID: producer, Destination: queue("OPEN.*")}, "jakarta.jms.InvalidDestinationException", "pattern", false},
		"send to a lost temp":    {&wire.Message{Type: wire.CodeMessage, ProducerID: producer, Destination: wire.Destination{Type: wire.CodeTempQueue, Name: "gone"}}, "jakarta.jms.InvalidDestinationException", "temp-queue://gone", false},
		"broken properties":      {&wire.Message{Type: wire.CodeMessage, ProducerID: producer, Destination: queue("OPEN.A"), MarshalledProperties: []byte{0, 0, 0, 9, 1}}, "jakarta.jms.MessageFormatException", "properties", false},
		"unknown producer":       {&wire.Message{Type: wire.CodeMessage, ProducerID: wire.ProducerID{ConnectionID: c1, SessionID: 1, Value: 99}, Destination: queue("OPEN.A")}, "java.lang.IllegalStateException", "ID:refused:1:99 is not registered", false},
		"unknown session":        {&wire.ConsumerInfo{ConsumerID: wire.ConsumerID{ConnectionID: c1, SessionID: 99, Value: 1}, Destination: queue("OPEN.A")}, "java.lang.IllegalStateException", "session ID:refused:99 is not registered", false},
		"another connection":     {&wire.ProducerInfo{ProducerID: wire.ProducerID{ConnectionID: "ID:other", SessionID: 1, Value: 1}}, "java.lang.IllegalStateException", "ID:other", false},
		"bad selector":           {&wire.ConsumerInfo{ConsumerID: consumer, Destination: queue("OPEN.A"), Selector: "a ="}, "jakarta.jms.InvalidSelectorException", "", false},
		"durable on a queue":     {&wire.ConsumerInfo{ConsumerID: consumer, Destination: queue("OPEN.A"), SubscriptionName: "s"}, "jakarta.jms.InvalidDestinationException", "", false},
		"unknown subscription":   {&wire.RemoveSubscriptionInfo{ClientID: "client of " + c1, SubscriptionName: "nope"}, "jakarta.jms.InvalidDestinationException", "No durable subscription exists", false},
		"others' subscription":   {&wire.RemoveSubscriptionInfo{ClientID: "somebody", SubscriptionName: "s"}, "jakarta.jms.InvalidClientIDException", "somebody", false},
		"ack out of nothing":     {&wire.TransactionInfo{TransactionID: local, Type: wire.TransactionCommitOnePhase}, "jakarta.jms.JMSException", "has not been started", false},
		"send in no transaction": {&wire.Message{Type: wire.CodeMessage, ProducerID: producer, Destination: queue("OPEN.A"), TransactionID: local}, "jakarta.jms.JMSException", "has not been started", false},
		"prepare a local one":    {&wire.TransactionInfo{TransactionID: local, Type: wire.TransactionPrepare}, "javax.transaction.xa.XAException", "xaErrorCode:-6", false},
		"XA":                     {&wire.TransactionInfo{TransactionID: xa, Type: wire.TransactionEnd}, "javax.transaction.xa.XAException", "xaErrorCode:-4", false},
		"XA rollback":            {&wire.TransactionInfo{TransactionID: xa, Type: wire.TransactionRollback}, "javax.transaction.xa.XAException", "xaErrorCode:-4", false},
		"send in XA":             {&wire.Message{Type: wire.CodeMessage, ProducerID: producer, Destination: queue("OPEN.A"), TransactionID: xa}, "javax.transaction.xa.XAException", "xaErrorCode:-4", false},
		"remove others' queue":   {&wire.DestinationInfo{Destination: queue("CLOSED"), OperationType: wire.OperationRemove}, "java.lang.SecurityException", "remove", false},
		"remove nothing":         {&wire.RemoveInfo{}, "java.lang.IllegalStateException", "", false},
		"pull by nobody":         {&wire.MessagePull{ConsumerID: consumer}, "java.lang.IllegalStateException", "", false},
		"log in twice":           {&wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: c1}, ClientID: "x"}, "java.lang.IllegalStateException", "already", true},
		"a bridge":               {&wire.BrokerInfo{NetworkConnection: true}, "java.lang.IllegalStateException", "network connectors", true},
		"what brokers send":      {&wire.MessageDispatch{}, "java.lang.IllegalStateException", "MessageDispatch", true},
	}
	s := newServer(t, secured(t))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := *s
			s.t = t
			c := s.connect(c1)
			got := c.refused(tt.command)
			if got.Class != tt.class || !strings.Contains(got.Message, tt.text) {
				t.Errorf("refused by %s: %s; want %s: ...%s...", got.Class, got.Message, tt.class, tt.text)
			}
			if tt.fatal {
				c.conn.Close()
				return
			}
			c.ask(&wire.ConsumerInfo{ConsumerID: c.consumer(50), Destination: queue("OPEN.B"), PrefetchSize: 1}) // the connection lives
			c.ask(&wire.RemoveInfo{ObjectID: wire.ConnectionID{Value: c.name}})
		})
	}
}

func TestCapturedSession(t *testing.T) {
	raw, err := os.ReadFile("testdata/loose-no-cache.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Connections []struct {
			Frames []struct{ Dir, Type, Hex string }
		}
	}
	if err := json.Unmarshal(raw, &recorded); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, security.Policy{})
	c := s.dial("")
	// The recorded broker agreed to stack traces; ours does not, which changes nothing in frames without exceptions.
	recordedFrames := wire.Decoder{Version: 12, StackTraces: true}
	sequences := map[wire.MessageID]int64{} // by id without sequence
	without := func(id wire.MessageID) wire.MessageID { id.BrokerSequenceID = 0; return id }
	waiting := 0
	var want, got []string
	take := func() {
		command, err := c.any()
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := command.(*wire.MessageDispatch); ok && d.Message != nil {
			sequences[without(d.Message.MessageID)] = d.Message.MessageID.BrokerSequenceID
		}
		got = append(got, essence(t, command))
	}
	for _, f := range recorded.Connections[0].Frames {
		b, err := hex.DecodeString(f.Hex)
		if err != nil {
			t.Fatal(err)
		}
		command, err := recordedFrames.Decode(b[4:])
		if err != nil {
			t.Fatal(err)
		}
		if f.Dir == "b2c" {
			want = append(want, essence(t, command))
			waiting++
			continue
		}
		for ; waiting > 0; waiting-- {
			take()
		}
		if a, ok := command.(*wire.MessageAck); ok { // our numbers differ from the recorded ones
			a.FirstMessageID.BrokerSequenceID = sequences[without(a.FirstMessageID)]
			a.LastMessageID.BrokerSequenceID = sequences[without(a.LastMessageID)]
		}
		c.write(command)
		if _, ok := command.(*wire.WireFormatInfo); ok {
			c.decoder.Version, c.encoder.Version = 12, 12
		}
	}
	for ; waiting > 0; waiting-- {
		take()
	}
	// The order of a Response and what else is sent is free.
	if missing := difference(want, got); len(missing) > 0 || len(got) != len(want) {
		t.Errorf("got %d frames, want %d\nnot sent:\n%s\nbut:\n%s", len(got), len(want), strings.Join(missing, "\n"), strings.Join(difference(got, want), "\n"))
	}
}

func difference(want, got []string) (missing []string) {
	left := map[string]int{}
	for _, g := range got {
		left[g]++
	}
	for _, w := range want {
		if left[w]--; left[w] < 0 {
			missing = append(missing, w)
		}
	}
	return missing
}

// essence is a broker's command without what differs from broker to broker and from run to run.
func essence(t *testing.T, command wire.Command) string {
	switch v := command.(type) {
	case *wire.WireFormatInfo:
		v.MarshalledProperties = nil
	case *wire.BrokerInfo:
		v.BrokerID, v.BrokerName, v.BrokerURL = wire.BrokerID{}, "", ""
	case *wire.ConnectionControl:
		return "ConnectionControl " + v.ConnectedBrokers + v.ReconnectTo
	case *wire.MessageDispatch:
		if m := v.Message; m != nil {
			m.BrokerInTime, m.BrokerOutTime, m.MessageID.BrokerSequenceID = 0, 0, 0
			m.BaseCommand = wire.BaseCommand{} // without meaning inside a dispatch
			m.RecievedByDFBridge = false       // between bridged brokers only
		}
	}
	b, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	return wire.TypeName(command.Code()) + " " + string(b)
}

// A client that says nothing is sent away too when it is not a user any more.
func TestUserRemoved(t *testing.T) {
	s := newServer(t, secured(t))
	c := s.dial("ID:removed")
	c.hello(java(12))
	c.login()
	if err := s.deps.Authority.Update(security.Policy{Mode: security.Mandatory}); err != nil {
		t.Fatal(err)
	}
	if got := read[*wire.ConnectionError](c); got.Exception.Class != "java.lang.SecurityException" {
		t.Errorf("got %+v", got.Exception)
	}
	c.conn.Close()
}

// A client that comes while the broker closes is not left waiting.
func TestBrokerClosed(t *testing.T) {
	s := newServer(t, security.Policy{})
	if err := s.deps.Engine.Close(); err != nil {
		t.Fatal(err)
	}
	c := s.dial("ID:late")
	read[*wire.WireFormatInfo](c)
	c.write(java(12).Info())
	if got, err := c.any(); err != io.EOF {
		t.Errorf("got %v, %v; want the end of the connection", got, err)
	}
}
