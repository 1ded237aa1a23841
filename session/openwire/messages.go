package openwire

import (
	"strconv"
	"strings"

	"github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/session"
)

// producer is one of a connection's.
type producer struct {
	id     wire.ProducerID
	number uint64 // in the core
	text   string // message.ID.Producer of its messages
	window bool   // wants ProducerAcks
	permit session.Permit
}

// producerText is how Java writes a ProducerID.
func producerText(id *wire.ProducerID) string {
	b := make([]byte, 0, len(id.ConnectionID)+24)
	b = append(append(b, id.ConnectionID...), ':')
	b = append(strconv.AppendInt(b, id.SessionID, 10), ':')
	return string(strconv.AppendInt(b, id.Value, 10))
}

// producerID reads producerText back.
func producerID(text string) (id wire.ProducerID, ok bool) {
	rest, value, ok := cutNumber(text)
	if !ok {
		return id, false
	}
	connection, number, ok := cutNumber(rest)
	if !ok {
		return id, false
	}
	return wire.ProducerID{ConnectionID: connection, SessionID: number, Value: value}, true
}

// cutNumber cuts ":n" off the end of a text, if n is written as Java writes it.
func cutNumber(text string) (rest string, n int64, ok bool) {
	i := strings.LastIndexByte(text, ':')
	if i <= 0 || i+1 == len(text) {
		return "", 0, false
	}
	digits := text[i+1:]
	n, err := strconv.ParseInt(digits, 10, 64)
	unsigned := strings.TrimPrefix(digits, "-")
	if err != nil || unsigned == "" || unsigned[0] < '0' || unsigned[0] > '9' || unsigned[0] == '0' && digits != "0" {
		return "", 0, false
	}
	return text[:i], n, true
}

// messageID gives the neutral form of an id. from is the producer that sends the message, nil if unknown.
func messageID(id *wire.MessageID, from *producer) message.ID {
	switch {
	case id.TextView != "":
		return message.ParseID(id.TextView)
	case from != nil && (id.ProducerID == from.id || id.ProducerID == wire.ProducerID{}):
		return message.ID{Producer: from.text, Sequence: id.ProducerSequenceID}
	}
	return message.ID{Producer: producerText(&id.ProducerID), Sequence: id.ProducerSequenceID}
}

// wireMessageID is the way back. Ids that OpenWire's form does not fit go as text, beside which clients still need a producer.
func wireMessageID(id message.ID, sequence uint64) wire.MessageID {
	to := wire.MessageID{ProducerSequenceID: id.Sequence, BrokerSequenceID: int64(sequence)}
	if from, ok := producerID(id.Producer); ok && id.Sequence >= 0 {
		to.ProducerID = from
		return to
	}
	to.TextView = id.String()
	to.ProducerID.ConnectionID = id.Producer
	to.ProducerSequenceID = max(0, id.Sequence)
	return to
}

// Kinds of destinations follow each other as their type codes do.
const kindOffset = wire.CodeQueue - byte(message.Queue)

// destination gives the neutral form of a name: without spaces around it, and without the options that a client's library should have
// taken off. It may be composite or a pattern.
func destination(d *wire.Destination) (message.Destination, *broker.Error) {
	name := d.Name
	if i := strings.IndexByte(name, '?'); i >= 0 {
		name = name[:i]
	}
	name = strings.TrimSpace(name)
	switch {
	case d.Type == 0 || name == "":
		return message.Destination{}, &broker.Error{Code: broker.InvalidDestination, Detail: "no destination was given"}
	case len(name) > message.MaxNameBytes:
		return message.Destination{}, &broker.Error{Code: broker.InvalidDestination, Detail: "the destination's name has " + strconv.Itoa(len(name)) + " bytes, more than " + strconv.Itoa(message.MaxNameBytes)}
	}
	return message.Destination{Kind: message.Kind(d.Type - kindOffset), Name: name}, nil
}

// isSpecial says whether a name is composite or a pattern.
func isSpecial(d message.Destination) bool { return strings.Contains(d.Name, ",") || d.IsPattern() }

func wireDestination(d message.Destination) wire.Destination {
	if d.IsZero() {
		return wire.Destination{}
	}
	return wire.Destination{Type: byte(d.Kind) + kindOffset, Name: d.Name}
}

// inbound is a message on its way to the core, with its event, in one piece of memory.
type inbound struct {
	send    broker.Send
	message message.Message
}

// send takes a message in. An error ends the connection.
func (c *connection) send(v *wire.Message) error {
	r := &c.reader
	p := r.last
	if p == nil || p.id != v.ProducerID {
		if p = r.producers[producerKey(&v.ProducerID)]; p == nil || !c.own(v.ProducerID.ConnectionID) {
			c.fail(v, illegal("producer "+producerText(&v.ProducerID)+" is not registered"))
			return nil
		}
		r.last = p
	}
	var tx broker.TxID
	var err *broker.Error
	if v.TransactionID.Type != 0 {
		if tx, err = c.openTransaction(&v.TransactionID); err != nil {
			c.fail(v, err)
			return nil
		}
	}
	in, err := c.inbound(v, p)
	if err == nil {
		in.send.MayCreate, err = p.permit.Send(r.who, r.burst, in.message.Destination)
	}
	if err == nil && in.message.ReplyTo.Kind != message.NoDestination {
		err = session.MayAnswer(r.who, &in.message)
	}
	if err != nil {
		if tx != 0 {
			c.spoil(tx, err)
		}
		c.fail(v, err)
		if p.window && !v.ResponseRequired {
			c.tell(&wire.ProducerAck{ProducerID: p.id, Size: windowSize(v)})
		}
		return nil
	}
	in.send.Tx = tx
	switch {
	case v.ResponseRequired:
		in.send.Ref = makeRef(refResponse, 0, uint32(v.CommandID))
	case p.window:
		in.send.Ref = makeRef(refWindow, p.number, uint32(windowSize(v)))
	}
	r.events = append(r.events, &in.send)
	return nil
}

// windowSize is what Java's clients count against a producer's window for a message, in bytes.
func windowSize(v *wire.Message) int32 {
	return int32(min(1024+len(v.Content)+len(v.MarshalledProperties), 1<<31-1))
}

// inbound makes the neutral form of a message. It keeps nothing of the frame.
func (c *connection) inbound(v *wire.Message, p *producer) (*inbound, *broker.Error) {
	d, err := destination(&v.Destination)
	if err != nil {
		return nil, err
	}
	properties := message.Properties(v.MarshalledProperties)
	if properties != nil {
		if err := properties.Valid(); err != nil {
			return nil, &broker.Error{Code: broker.Malformed, Op: "send to " + d.String(), Detail: "properties: " + err.Error(), Err: err}
		}
	}
	in := &inbound{}
	m := &in.message
	*m = message.Message{
		ID: messageID(&v.MessageID, p), Destination: d, CorrelationID: v.CorrelationID, JMSType: v.JMSType,
		GroupID: v.GroupID, GroupSequence: v.GroupSequence, Timestamp: v.Timestamp, Expiration: max(0, v.Expiration), Received: c.reader.now,
		Priority: uint8(min(max(v.Priority, 0), 9)), Persistent: v.Persistent, Type: message.Type(v.Type - wire.CodeMessage),
		Encoding: message.OpenWire, Properties: properties, Content: v.Content,
	}
	if m.Type == message.Blob {
		m.Content = blobContent(v)
	}
	if v.Compressed {
		m.Encoding = message.OpenWireCompressed
	}
	if v.ReplyTo.Type != 0 {
		m.ReplyTo = message.Destination{Kind: message.Kind(v.ReplyTo.Type - kindOffset), Name: v.ReplyTo.Name}
	}
	if v.OriginalDestination.Type != 0 {
		m.Original = message.Destination{Kind: message.Kind(v.OriginalDestination.Type - kindOffset), Name: v.OriginalDestination.Name}
	}
	if c.opt.UserID {
		m.UserID = c.reader.who.Name()
	}
	if in.send.Schedule, err = broker.ScheduleOf(properties); err != nil {
		return nil, err
	}
	m.Encode() // now, because the frame's buffer is used again
	in.send.Conn, in.send.Message = c.core.ID(), m
	if m.ID.Sequence >= 0 && v.MessageID != (wire.MessageID{}) {
		in.send.Tracked, in.send.Resent = m.Persistent, c.reader.again
	}
	return in, nil
}

// The fields that only a blob message has; in the neutral form they are its content, a primitive map.
const (
	blobURL     = "remoteBlobUrl"
	blobMime    = "mimeType"
	blobDeleted = "deletedByBroker"
)

func blobContent(v *wire.Message) []byte {
	var b message.PropertiesBuilder
	for _, x := range [...]struct{ name, value string }{{blobURL, v.RemoteBlobURL}, {blobMime, v.MimeType}} {
		if x.value != "" && b.SetString(x.name, x.value) != nil {
			return nil // never: the names are short
		}
	}
	if v.DeletedByBroker && b.Set(blobDeleted, true) != nil {
		return nil
	}
	return b.Properties()
}

func blobFields(m *message.Message, to *wire.Message) {
	fields := message.Properties(m.Content)
	get := func(name string) any { v, _ := fields.Get(name); return v }
	to.RemoteBlobURL, _ = get(blobURL).(string)
	to.MimeType, _ = get(blobMime).(string)
	to.DeletedByBroker, _ = get(blobDeleted).(bool)
	to.Content, to.Compressed = nil, false
}
