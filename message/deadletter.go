package message

import "strings"

// Death is how a message came to be a dead letter.
type Death struct {
	Cause        string // in words for people; "" if its consumer named none
	Subscription string // "CLIENT/NAME" of the durable subscription that it waited for; "" for a queue
	Redeliveries int    // how often it was delivered again before
	At           int64  // ms since 1970
}

// The properties of a dead letter. The first three are ActiveMQ's.
const (
	DeadLetterCause        = "dlqDeliveryFailureCause"
	OriginalExpiration     = "originalExpiration"
	OriginalDeliveryMode   = "originalDeliveryMode"
	DeadLetterOrigin       = "dlqOrigin"       // queue://NAME or topic://NAME where it died
	DeadLetterSubscription = "dlqSubscription" // CLIENT/NAME, if it waited for a durable subscription
	DeadLetterRedeliveries = "dlqRedeliveries" // int
	DeadLetterArrival      = "dlqFirstArrival" // long, ms since 1970: when the broker had it first
	DeadLetterTime         = "dlqTime"         // long, ms since 1970: when it died
	DeadLetterBatch        = "dlqRetry"        // long: the batch of the newest retry that took it back to its origin
)

// DeadLetter gives the copy of m that goes to a dead-letter destination: same ID and body, the origin kept in Original, how it died as properties,
// persistent and without expiry.
func (m *Message) DeadLetter(to Destination, d Death) *Message {
	c := m.Copy()
	c.Original, c.Destination = m.Destination, to
	set := []Property{{DeadLetterOrigin, m.Destination.String()}, {DeadLetterRedeliveries, int32(d.Redeliveries)}, {DeadLetterTime, d.At}}
	if _, known := m.Properties.Get(DeadLetterArrival); !known {
		set = append(set, Property{DeadLetterArrival, m.Received})
	}
	if d.Cause != "" {
		set = append(set, Property{DeadLetterCause, "java.lang.Throwable: " + d.Cause})
	}
	if d.Subscription != "" {
		set = append(set, Property{DeadLetterSubscription, d.Subscription})
	}
	if m.Expiration != 0 {
		set = append(set, Property{OriginalExpiration, m.Expiration})
		c.Expiration = 0
	}
	if !m.Persistent {
		set = append(set, Property{OriginalDeliveryMode, "NON_PERSISTENT"})
		c.Persistent = true
	}
	c.Properties = m.Properties.Change(func(name string) bool {
		return name == DeadLetterCause || name == DeadLetterSubscription || name == OriginalExpiration
	}, set...)
	return c
}

// Origin says where a dead letter died, and for which durable subscription. It is zero for a message that is none; one that another broker made says it
// in Original.
func (m *Message) Origin() (d Destination, subscription string) {
	if text, _ := m.Properties.Get(DeadLetterOrigin); text != nil {
		if name, ok := text.(string); ok {
			if parsed, err := ParseDestination(name, NoDestination); err == nil {
				d = parsed
			}
		}
		subscription, _ = property[string](m.Properties, DeadLetterSubscription)
		return d, subscription
	}
	return m.Original, ""
}

// Cause is why a dead letter died, in words; "" if nobody said.
func (m *Message) Cause() string {
	text, _ := property[string](m.Properties, DeadLetterCause)
	return strings.TrimPrefix(text, "java.lang.Throwable: ")
}

// property gives a property of a certain type.
func property[T any](p Properties, name string) (v T, ok bool) {
	value, _ := p.Get(name)
	v, ok = value.(T)
	return v, ok
}
