package broker

import (
	"time"

	"github.com/godwitmq/godwit/message"
)

// ExpiryPolicy changes how long messages live that are sent to a destination, as ActiveMQ's timestamp plugin does.
type ExpiryPolicy struct {
	// Default is how long a message lives that says nothing. 0 is for ever.
	Default time.Duration
	// Ceiling is how long a message may live at most. 0 means that nothing bounds it, a message that says nothing included.
	Ceiling time.Duration
	// BrokerTime counts a message's life from the broker's clock and gives it that time as its timestamp, for clients whose clocks are wrong.
	BrokerTime bool
	// FutureOnly leaves messages alone whose expiry is later as it is.
	FutureOnly bool
}

// apply gives the message as the policy wants it: itself if there is nothing to change.
func (p *ExpiryPolicy) apply(m *message.Message, now int64) *message.Message {
	from := now
	if p.BrokerTime && m.Timestamp != 0 {
		from = m.Timestamp
	}
	life := p.Default.Milliseconds()
	if m.Expiration != 0 {
		life = m.Expiration - from
	}
	if most := p.Ceiling.Milliseconds(); most > 0 && life > most {
		life = most
	}
	expiration, timestamp := m.Expiration, m.Timestamp
	if m.Expiration != 0 || life > 0 {
		expiration = now + life
	}
	if p.BrokerTime {
		timestamp = now
	}
	if expiration == m.Expiration && timestamp == m.Timestamp || p.FutureOnly && expiration <= m.Expiration {
		return m
	}
	changed := m.Copy()
	changed.Expiration, changed.Timestamp = expiration, timestamp
	return changed
}
