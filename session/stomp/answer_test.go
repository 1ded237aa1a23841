package stomp

import (
	"testing"

	"github.com/godwitmq/godwit/security"
)

// The broker's answers to statistics questions go where those who ask may write, and nowhere else.
func TestAnswersGoWhereOneMayWrite(t *testing.T) {
	hash, err := security.HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"users"}
	deps := openDeps(t, security.Policy{Mode: security.Mandatory, Users: []security.User{{Name: "user", PasswordHash: hash, Groups: all}},
		Rights: []security.Entry{{Destination: "queue://MINE", Read: all, Write: all, Admin: all}, {Destination: "queue://ActiveMQ.Statistics.>", Write: all}}})
	script(t, deps, Options{}, "a> CONNECT|login:user|passcode:secret", "a< CONNECTED",
		"a> SUBSCRIBE|destination:/queue/MINE|transformation:jms-map-json|receipt:0", "a< RECEIPT|receipt-id:0",
		"a> SEND|destination:/queue/ActiveMQ.Statistics.Broker|reply-to:/queue/SECRET", "a< ERROR|message:User user is not authorized to write to: queue://SECRET",
		"a> SEND|destination:/queue/ActiveMQ.Statistics.Broker|reply-to:/queue/MINE|correlation-id:7", "a< MESSAGE|correlation-id:7|transformation:jms-map-json",
		"a> SEND|destination:/queue/MINE|reply-to:/queue/SECRET||any other message may name what it likes", "a< MESSAGE||any other message may name what it likes")
}
