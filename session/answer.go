package session

import (
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/security"
)

// MayAnswer refuses a question whose answer would go where who may not write: the broker must not do for a client what the client may not do. Temporary destinations take
// answers from anybody.
func MayAnswer(who *security.Identity, m *message.Message) *broker.Error {
	to := m.ReplyTo
	if to.Kind == message.NoDestination || to.Kind.IsTemporary() || !broker.IsQuestion(m.Destination) {
		return nil
	}
	return Denied(who.MayWrite(security.Kind(to.Kind), to.Name))
}
