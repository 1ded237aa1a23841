package stomp

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/message"
)

// write turns effects into frames until the last one.
func (s *session) write() {
	var effects []broker.Effect
	for !s.closing {
		var err error
		if effects, err = s.core.Wait(effects); err != nil {
			break
		}
		if !s.writeAll(effects) {
			break
		}
		if cap(effects) > keepList && !s.core.Pending() {
			effects = nil
		}
	}
	s.mu.Lock()
	s.ended = true
	if s.beats != nil {
		s.beats.Stop()
	}
	s.room.Broadcast()
	s.mu.Unlock()
	if s.closing {
		closeWrite(s.conn)
	}
	s.conn.SetReadDeadline(time.Now().Add(s.opt.Linger)) // the reader may be the last to know
}

// writeAll encodes effects, writes them, and acknowledges what the session has to. It returns false if that failed.
func (s *session) writeAll(effects []broker.Effect) bool {
	s.mu.Lock()
	for i := range effects {
		s.effect(&effects[i])
		if s.closing {
			break
		}
		if len(s.out) >= flushSize {
			s.mu.Unlock()
			if !s.flush() {
				return false
			}
			s.mu.Lock()
		}
	}
	s.mu.Unlock()
	return s.flush()
}

func (s *session) flush() bool {
	if len(s.out) > 0 {
		if s.closing {
			s.conn.SetWriteDeadline(time.Now().Add(s.opt.Linger))
		}
		_, err := s.conn.Write(s.out)
		if s.out = s.out[:0]; cap(s.out) > keepSize && (cap(s.out) > 4*flushSize || !s.core.Pending()) {
			s.out = nil
		}
		if err != nil {
			return false
		}
	}
	if len(s.unacked) == 0 {
		return true
	}
	s.mu.Lock()
	acks := make([]broker.Event, len(s.unacked))
	for i, sub := range s.unacked {
		acks[i] = &broker.Ack{Conn: s.core.ID(), Consumer: sub.id, Kind: broker.Consumed, Last: sub.lastWritten}
		sub.due = false
	}
	s.mu.Unlock()
	clear(s.unacked)
	s.unacked = s.unacked[:0]
	s.core.Submit(acks...)
	return true
}

// effect encodes one effect. The caller holds mu.
func (s *session) effect(e *broker.Effect) {
	switch e.Kind {
	case broker.Delivery:
		if sub := s.subscriptions[e.Consumer]; sub != nil {
			s.deliver(sub, e)
		}
	case broker.Answer:
		s.answered(e)
	case broker.EndOfBrowse:
		if sub := s.subscriptions[e.Consumer]; sub != nil {
			b := append(s.out, sub.prefix...)
			b = stomp.AppendHeader(b, s.version, "destination", s.appendText(s.scratch[:0], sub.destination))
			b = append(b, "message-id:0\nbrowser:end\n"...)
			s.out = stomp.AppendBody(b, nil)
		}
	case broker.ConsumerClosed:
		if sub := s.subscriptions[e.Consumer]; sub != nil {
			s.remove(sub)
			s.appendBrokerError(e.Err, "")
		}
	case broker.Closed:
		s.appendBrokerError(e.Err, "")
		s.closing = true
	}
}

// answered does what the answer to an event is for. The caller holds mu.
func (s *session) answered(e *broker.Effect) {
	a := s.taken(e.Ref)
	switch a.kind {
	case noAnswer:
		// Of acknowledgements the session has checked itself which there are; a message that is gone meanwhile is no
		// fault of the client.
		if e.Err != nil && !(e.Err.Code == broker.NotFound && e.Err.Op == "acknowledge") {
			s.appendBrokerError(e.Err, "")
		}
		return
	case welcome:
		if e.Err == nil {
			s.appendConnected(a.receipt, a.text)
			s.startBeats()
			return
		}
		s.closing = true
	case subscribe:
		if sub := s.subscriptions[a.consumer]; e.Err != nil && sub != nil {
			s.remove(sub)
		}
	case commit:
		s.settle(a.tx, e.Err == nil)
	case refuse, fatal:
		s.out = appendError(s.out, s.version, a.text, a.text, a.receipt)
		s.closing = a.kind == fatal
		return
	case goodbye:
		s.closing = true
	}
	switch {
	case e.Err != nil:
		s.appendBrokerError(e.Err, a.receipt)
	case a.receipt != "":
		b := stomp.AppendCommand(s.out, stomp.Receipt)
		b = stomp.AppendHeader(b, s.version, "receipt-id", a.receipt)
		s.out = stomp.AppendBody(b, nil)
	}
}

func (s *session) appendBrokerError(err *broker.Error, receipt string) {
	if err == nil {
		err = &broker.Error{Detail: "The connection was closed by the broker"}
	}
	s.out = appendError(s.out, s.version, err.Detail, err.Error(), receipt)
}

// appendError adds an ERROR frame.
func appendError(b []byte, version stomp.Version, text, body, receipt string) []byte {
	b = stomp.AppendCommand(b, stomp.ErrorFrame)
	b = append(b, "content-type:text/plain\n"...)
	if receipt != "" {
		b = stomp.AppendHeader(b, version, "receipt-id", receipt)
	}
	b = stomp.AppendHeader(b, version, "message", text)
	return stomp.AppendBody(b, []byte(strings.ReplaceAll(body, "\x00", " ")))
}

// deliver encodes a MESSAGE. The caller holds mu.
func (s *session) deliver(sub *subscription, e *broker.Effect) {
	m := e.Message
	b := append(s.out, sub.prefix...)
	from := m.Destination
	original := m.Original
	if strings.Contains(from.Name, ",") {
		from, original = sub.received(from), from
	}
	if from != sub.lastFrom || sub.lastLine == nil {
		s.scratch = s.appendText(s.scratch[:0], from)
		sub.lastFrom, sub.lastLine = from, stomp.AppendHeader(sub.lastLine[:0], s.version, "destination", s.scratch)
	}
	b = append(b, sub.lastLine...)
	s.scratch = append(s.scratch[:0], m.ID.Producer...)
	if m.ID.Sequence >= 0 && m.ID.Producer != "" {
		s.scratch = append(s.scratch, ':')
		s.scratch = strconv.AppendInt(s.scratch, m.ID.Sequence, 10)
	}
	b = stomp.AppendHeader(b, s.version, "message-id", s.scratch)
	if sub.mode != ackAuto {
		d := delivery{sequence: e.Sequence}
		if s.version == stomp.V12 {
			s.scratch = s.appendAck(s.scratch[:0], sub.id, e.Sequence)
			b = stomp.AppendHeader(b, s.version, "ack", s.scratch)
		} else {
			d.id = wireID(m.ID)
		}
		sub.waiting.push(d)
	} else if !sub.due {
		sub.due = true
		s.unacked = append(s.unacked, sub)
	}
	sub.lastWritten = e.Sequence
	b = stomp.AppendIntHeader(b, "expires", m.Expiration)
	b = stomp.AppendIntHeader(b, "priority", int64(m.Priority))
	b = stomp.AppendIntHeader(b, "timestamp", m.Timestamp)
	if m.Persistent {
		b = append(b, "persistent:true\n"...)
	}
	if e.Redeliveries > 0 {
		b = append(b, "redelivered:true\n"...)
	}
	if m.CorrelationID != "" {
		b = stomp.AppendHeader(b, s.version, "correlation-id", m.CorrelationID)
	}
	if !m.ReplyTo.IsZero() {
		s.scratch = s.appendText(s.scratch[:0], m.ReplyTo)
		b = stomp.AppendHeader(b, s.version, "reply-to", s.scratch)
	}
	if m.JMSType != "" {
		b = stomp.AppendHeader(b, s.version, "type", m.JMSType)
	}
	if m.UserID != "" {
		b = stomp.AppendHeader(b, s.version, "JMSXUserID", m.UserID)
	}
	if !original.IsZero() {
		s.scratch = s.appendText(s.scratch[:0], original)
		b = stomp.AppendHeader(b, s.version, "original-destination", s.scratch)
	}
	body, transformation := transformOut(m, sub.transformation)
	if transformation != "" {
		b = stomp.AppendHeader(b, s.version, "transformation", transformation)
	}
	withLength := m.Type == message.Bytes || bytes.IndexByte(body, 0) >= 0
	b, named := s.appendProperties(b, m.Properties, transformation != "")
	if withLength || named {
		b = stomp.AppendIntHeader(b, "content-length", int64(len(body)))
	}
	s.out = stomp.AppendBody(b, body)
}

// received says as which of its parts a message to a composite destination reached the subscription.
func (sub *subscription) received(composite message.Destination) message.Destination {
	sent, err := composite.Parts()
	if err != nil {
		return composite
	}
	wanted, err := sub.destination.Parts()
	if err != nil {
		return composite
	}
	for _, d := range sent {
		if slices.ContainsFunc(wanted, func(w message.Destination) bool {
			return w == d || w.Kind == d.Kind && w.IsPattern() && message.MatchName(w.Name, d.Name)
		}) {
			return d
		}
	}
	return composite
}

// appendProperties adds the properties as headers. named says that one claimed to be the body's length.
func (s *session) appendProperties(b []byte, p message.Properties, transformed bool) (_ []byte, named bool) {
	if len(p) == 0 {
		return b, false
	}
	// The broken rest of a map, if any, is left out: the message was taken as it is.
	_ = p.Range(func(name string, value any) bool {
		switch name {
		case "content-length":
			named = true
		case "transformation":
			if transformed {
				return true
			}
			fallthrough
		default:
			if text, ok := value.(string); ok {
				b = stomp.AppendHeader(b, s.version, name, text)
				return true
			}
			s.scratch = appendValue(s.scratch[:0], value)
			b = stomp.AppendHeader(b, s.version, name, s.scratch)
		}
		return true
	})
	return b, named
}
