package stomp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/session"
)

// outgoing keeps an event and its message in one piece of memory.
type outgoing struct {
	broker.Send
	message message.Message
}

// The headers of SEND that are not properties. The first of each counts.
const (
	hasDestination = 1 << iota
	hasPersistent
	hasPriority
	hasExpires
	hasCorrelation
	hasType
	hasReply
	hasTimestamp
	hasGroup
	hasGroupSequence
	hasLength
	hasMessageType
	hasTransaction
	hasTransformation
)

// send handles SEND.
func (c *connection) send(h stomp.Headers, body []byte, receipt string) error {
	o := &outgoing{}
	m := &o.message
	o.Conn, o.Message = c.core.ID(), m
	m.Priority = message.DefaultPriority
	c.properties.Reset()
	var seen uint
	var messageType, length, transformation string
	for i := range h {
		first := func(flag uint) bool {
			fresh := seen&flag == 0
			seen |= flag
			return fresh
		}
		value := h[i].Value
		var err error
		switch h[i].Name {
		case "destination":
			if first(hasDestination) {
				var n name
				n, err = c.resolve(value)
				m.Destination = n.destination
			}
		case "persistent":
			if first(hasPersistent) {
				m.Persistent = strings.EqualFold(value, "true")
			}
		case "priority":
			if first(hasPriority) {
				var n int64
				n, err = number("priority", value)
				m.Priority = uint8(min(max(n, 0), 9))
			}
		case "expires":
			if first(hasExpires) {
				m.Expiration, err = number("expires", value)
			}
		case "timestamp":
			if first(hasTimestamp) {
				m.Timestamp, err = number("timestamp", value)
			}
		case "correlation-id":
			if first(hasCorrelation) {
				m.CorrelationID = value
			}
		case "type":
			if first(hasType) {
				m.JMSType = value
			}
		case "JMSXGroupID":
			if first(hasGroup) {
				m.GroupID = value
			}
		case "JMSXGroupSeq":
			if first(hasGroupSequence) {
				var n int64
				n, err = number("JMSXGroupSeq", value)
				m.GroupSequence = int32(n)
				if err == nil && int64(m.GroupSequence) != n {
					err = &refusal{text: fmt.Sprintf("JMSXGroupSeq is too large: %s", value)}
				}
			}
		case "reply-to":
			if !first(hasReply) {
				continue
			}
			if !isDestination(value) {
				err = c.property("reply-to", value)
				break
			}
			var n name
			n, err = c.resolve(value)
			m.ReplyTo = n.destination
		case "transaction":
			if first(hasTransaction) {
				o.Tx, err = c.transaction(value)
			}
		case "content-length":
			if first(hasLength) {
				length = value
			}
		case "amq-msg-type":
			if first(hasMessageType) {
				messageType = value
			}
		case "transformation":
			if first(hasTransformation) {
				transformation = value
			}
		case "receipt", "message-id", "redelivered", "subscription", "JMSXUserID":
		default:
			err = c.property(h[i].Name, value)
		}
		if err != nil {
			return err
		}
	}
	if m.Destination.IsZero() {
		return &refusal{text: "SEND received without a destination"}
	}
	var err error
	if m.Type, err = bodyType(seen, messageType); err != nil {
		return err
	}
	if seen&hasMessageType != 0 && seen&hasLength != 0 {
		if err := c.property("content-length", length); err != nil {
			return err
		}
	}
	if m.Content = body; body == nil {
		m.Content = []byte{} // an empty body, and not none
	}
	if transformation != "" {
		if err := c.transformIn(m, transformation); err != nil {
			return err
		}
	}
	mayCreate, denied := c.permit.Send(c.identity, c.bursts, m.Destination)
	if denied == nil {
		denied = session.MayAnswer(c.identity, m)
	}
	if denied != nil {
		return &refusal{text: denied.Detail}
	}
	o.MayCreate = mayCreate
	if c.opt.UserID {
		m.UserID = c.identity.Name()
	}
	m.Received = time.Now().UnixMilli()
	if seen&hasTimestamp == 0 {
		m.Timestamp = m.Received
	}
	c.sequence++
	m.ID = message.ID{Producer: c.producer, Sequence: c.sequence}
	m.Properties = c.properties.Properties()
	var refused *broker.Error
	if o.Schedule, refused = broker.ScheduleOf(m.Properties); refused != nil {
		return &refusal{text: refused.Detail}
	}
	if m.Persistent {
		m.Encode()
	} else {
		m.Properties = slices.Clone(m.Properties)
	}
	o.Ref = c.confirmation(receipt)
	c.event(&o.Send)
	return nil
}

// bodyType is the JMS type of a body, as ActiveMQ takes it: what amq-msg-type says, else bytes with a content-length and text without.
func bodyType(seen uint, messageType string) (message.Type, error) {
	switch {
	case seen&hasMessageType != 0 && strings.EqualFold(messageType, "text"):
		return message.Text, nil
	case seen&hasMessageType != 0 && strings.EqualFold(messageType, "bytes"):
		return message.Bytes, nil
	case seen&hasMessageType != 0:
		return message.Plain, &refusal{text: fmt.Sprintf("Unsupported message type '%s'", messageType)}
	case seen&hasLength != 0:
		return message.Bytes, nil
	}
	return message.Text, nil
}

// property sets a property of the message at hand; the first of a name counts.
func (c *connection) property(name, value string) error {
	if c.properties.Has(name) {
		return nil
	}
	if err := c.properties.SetString(name, value); err != nil {
		return &refusal{text: fmt.Sprintf("The header %q cannot be a property: %v", name, err)}
	}
	return nil
}

// number reads a header that must be one.
func number(name, value string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	if err != nil {
		return 0, &refusal{text: fmt.Sprintf("The %s header must be a whole number, got %q", name, value)}
	}
	return n, nil
}
