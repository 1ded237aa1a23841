package stomp

import (
	"io"
	"testing"

	"github.com/godwitmq/godwit/security"
)

// FuzzSession gives a session that is logged in anything for frames: it may refuse and close, but must come to its end, and
// must not trouble another client of the same broker.
func FuzzSession(f *testing.F) {
	for _, frames := range []string{
		"SEND|destination:/queue/a|receipt:1||x", "SUBSCRIBE|id:1|destination:/queue/a,/queue/b?consumer.prefetchSize=1&consumer.selector=a%3D1|ack:client", "SUBSCRIBE|id:1|destination:/topic/>|selector:a = ",
		"BEGIN|transaction:t", "SEND|destination:/temp-queue/t|reply-to:/temp-topic/r|transaction:t|transformation:jms-map-json||{\"map\":{}}", "COMMIT|transaction:t", "ABORT|transaction:t",
		"ACK|id:ID:host-61613-1795382540159-1:1:1:1|message-id:x|subscription:1", "NACK|id:1", "UNSUBSCRIBE|id:1", "UNSUBSCRIBE|activemq.subscriptionName:n", "DISCONNECT|receipt:2", "CONNECT",
		"SUBSCRIBE|id:2|destination:/queue/a|browser:true", "SEND|destination:/remote-temp-queue/ID:x|persistent:true|priority:99|expires:1|content-length:3||abc", "SUBSCRIBE|id:3|destination:/topic/d|activemq.subscriptionName:n|transformation:jms-json",
	} {
		for _, version := range []byte{0, 1, 2} {
			f.Add(version, append(wire("SUBSCRIBE|id:1|destination:/queue/a|ack:client"), wire(frames)...))
		}
	}
	deps := openDeps(f, security.Policy{})
	witness := dial(f, deps, Options{})
	witness.send("CONNECT")
	if _, err := witness.reader.Next(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, version byte, frames []byte) {
		c := dial(t, deps, Options{MaxFrameSize: 1 << 16, MaxSubscriptions: 8, MaxTransactions: 2, MaxTemporaries: 3, MaxReceipts: 4, Linger: 1})
		c.send("CONNECT|client-id:fuzz|accept-version:1." + string('0'+version%3))
		if frame, err := c.reader.Next(); err != nil || frame.Command != "CONNECTED" {
			t.Fatalf("got %s, %v", short(frame), err)
		}
		read := make(chan struct{})
		go func() {
			defer close(read)
			io.Copy(io.Discard, c)
		}()
		c.Write(frames) // it may be cut off in the middle
		c.Close()
		<-c.served
		<-read
		witness.t = t
		witness.send("SEND|destination:/topic/witness|receipt:1")
		if frame, err := witness.reader.Next(); err != nil || frame.Command != "RECEIPT" {
			t.Fatalf("another client got %s, %v", short(frame), err)
		}
	})
}
