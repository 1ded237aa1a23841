package stomp

import (
	"testing"

	"github.com/godwitmq/godwit/security"
)

// TestUserID: receivers are told who sent a message if the broker is to tell them; what the sender says of that is not heeded.
func TestUserID(t *testing.T) {
	hash, err := security.HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	policy := security.Policy{Mode: security.Mandatory, Users: []security.User{{Name: "user", PasswordHash: hash}}}
	for want, options := range map[string]Options{"JMSXUserID:user": {UserID: true}, "!JMSXUserID": {}} {
		t.Run(want, func(t *testing.T) {
			script(t, openDeps(t, policy), options, "a> CONNECT|login:user|passcode:secret", "a< CONNECTED", "a> SUBSCRIBE|destination:/queue/d",
				"a> SEND|destination:/queue/d|JMSXUserID:fake||x", "a< MESSAGE|"+want+"||x")
		})
	}
}
