package message

// Value gives what a selector's identifier stands for (Jakarta Messaging 3.1, 3.8.1.1 and 3.5.9): a header field for the names that begin
// with JMS, else a property. It is nil, a bool, an int64, a float64 or a string; nil is an absent or null value, and one that
// selectors cannot compute with (bytes, maps, lists). What belongs to a delivery is as at the first; see Delivered.
func (m *Message) Value(name string) any {
	if len(name) > 3 && name[:3] == "JMS" {
		if value, known := m.header(name); known {
			return value
		}
	}
	if value, ok := m.Properties.find(name); ok {
		return selectorValue(value)
	}
	return nil
}

func (m *Message) header(name string) (value any, known bool) {
	switch name {
	case "JMSDestination":
		return orNil(m.Destination.String()), true
	case "JMSReplyTo":
		return orNil(m.ReplyTo.String()), true
	case "JMSType":
		return orNil(m.JMSType), true
	case "JMSMessageID":
		return orNil(m.ID.String()), true
	case "JMSCorrelationID":
		return orNil(m.CorrelationID), true
	case "JMSTimestamp":
		return m.Timestamp, true
	case "JMSExpiration":
		return m.Expiration, true
	case "JMSPriority":
		return int64(m.Priority), true
	case "JMSDeliveryMode":
		if m.Persistent {
			return "PERSISTENT", true
		}
		return "NON_PERSISTENT", true
	case "JMSRedelivered":
		return false, true
	case "JMSXDeliveryCount":
		return int64(1), true
	case "JMSXGroupID":
		return orNil(m.GroupID), true
	case "JMSXGroupSeq":
		return int64(m.GroupSequence), true
	case "JMSXUserID":
		return orNil(m.UserID), true
	case "JMSActiveMQBrokerInTime":
		return m.Received, true
	}
	return nil, false
}

// orNil makes an absent text a null.
func orNil(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// Delivered is a message together with how often it was delivered before.
type Delivered struct {
	*Message
	Redeliveries int
}

// Value is the message's Value, with JMSRedelivered and JMSXDeliveryCount (1 at the first delivery) of this delivery.
func (d Delivered) Value(name string) any {
	switch name {
	case "JMSRedelivered":
		return d.Redeliveries > 0
	case "JMSXDeliveryCount":
		return int64(d.Redeliveries) + 1
	}
	return d.Message.Value(name)
}
