package stomp

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/message"
)

// write turns effects into frames until the last one.
func (c *connection) write() {
	var effects []broker.Effect
	for !c.closing {
		var err error
		if effects, err = c.core.Wait(effects); err != nil {
			break
		}
		if !c.writeAll(effects) {
			break
		}
		if cap(effects) > keepList && !c.core.Pending() {
			effects = nil
		}
	}
	c.mu.Lock()
	c.ended = true
	if c.beats != nil {
		c.beats.Stop()
	}
	c.room.Broadcast()
	c.mu.Unlock()
	if c.closing {
		c.core.Close() // what it held is for others now, and not when the client has read its last frame
		closeWrite(c.conn)
	}
	c.conn.SetReadDeadline(time.Now().Add(c.opt.Linger)) // the reader may be the last to know
}

// writeAll encodes effects, writes them, and acknowledges what the session has to. It returns false if that failed.
func (c *connection) writeAll(effects []broker.Effect) bool {
	c.mu.Lock()
	for i := range effects {
		c.effect(&effects[i])
		if c.closing {
			break
		}
		if len(c.out) >= flushSize {
			c.mu.Unlock()
			if !c.flush() {
				return false
			}
			c.mu.Lock()
		}
	}
	c.mu.Unlock()
	return c.flush()
}

func (c *connection) flush() bool {
	if len(c.out) > 0 {
		if len(c.unacked) > 0 {
			c.mu.Lock()
			for _, sub := range c.unacked {
				sub.sent = sub.lastWritten
			}
			c.mu.Unlock()
		}
		if c.closing {
			c.conn.SetWriteDeadline(time.Now().Add(c.opt.Linger))
		}
		_, err := c.conn.Write(c.out)
		if c.out = c.out[:0]; cap(c.out) > keepSize && (cap(c.out) > 4*flushSize || !c.core.Pending()) {
			c.out = nil
		}
		if err != nil {
			return false
		}
	}
	if len(c.unacked) == 0 {
		return true
	}
	c.mu.Lock()
	acks := make([]broker.Event, len(c.unacked))
	for i, sub := range c.unacked {
		acks[i] = &broker.Ack{Conn: c.core.ID(), Consumer: sub.id, Kind: broker.Consumed, Last: sub.lastWritten}
		sub.due = false
	}
	c.mu.Unlock()
	clear(c.unacked)
	c.unacked = c.unacked[:0]
	c.core.Submit(acks...)
	return true
}

// effect encodes one effect. The caller holds mu.
func (c *connection) effect(e *broker.Effect) {
	switch e.Kind {
	case broker.Delivery:
		if sub := c.subscriptions[e.Consumer]; sub != nil {
			c.deliver(sub, e)
		}
	case broker.Answer:
		c.answered(e)
	case broker.EndOfBrowse:
		if sub := c.subscriptions[e.Consumer]; sub != nil {
			b := append(c.out, sub.prefix...)
			b = stomp.AppendHeader(b, c.version, "destination", c.appendText(c.scratch[:0], sub.destination))
			b = append(b, "message-id:0\nbrowser:end\n"...)
			c.out = stomp.AppendBody(b, nil)
		}
	case broker.ConsumerClosed:
		if sub := c.subscriptions[e.Consumer]; sub != nil {
			c.remove(sub)
			c.appendBrokerError(e.Err, "")
		}
	case broker.Closed:
		c.appendBrokerError(e.Err, "")
		c.closing = true
	}
}

// answered does what the answer to an event is for. The caller holds mu.
func (c *connection) answered(e *broker.Effect) {
	a := c.taken(e.Ref)
	switch a.kind {
	case noAnswer:
		// Of acknowledgements the session has checked itself which there are; a message that is gone meanwhile is no
		// fault of the client.
		if e.Err != nil && !(e.Err.Code == broker.NotFound && e.Err.Op == "acknowledge") {
			c.refused.Note(c.deps.Log(), c.identity.Name(), c.peer.Remote, e.Err)
			c.appendBrokerError(e.Err, "")
		}
		return
	case welcome:
		if e.Err == nil {
			c.visit = c.deps.Roster.Arrive(c.about)
			c.appendConnected(a.receipt, a.text)
			c.startBeats()
			return
		}
		c.closing = true
	case subscribe:
		if sub := c.subscriptions[a.consumer]; e.Err != nil && sub != nil {
			c.remove(sub)
		}
	case commit:
		c.settle(a.tx, e.Err == nil)
	case refuse, fatal:
		c.out = appendError(c.out, c.version, a.text, a.text, a.receipt)
		c.closing = a.kind == fatal
		return
	case goodbye:
		c.closing = true
	}
	switch {
	case e.Err != nil:
		c.refused.Note(c.deps.Log(), c.identity.Name(), c.peer.Remote, e.Err)
		c.appendBrokerError(e.Err, a.receipt)
	case a.receipt != "":
		b := stomp.AppendCommand(c.out, stomp.Receipt)
		b = stomp.AppendHeader(b, c.version, "receipt-id", a.receipt)
		c.out = stomp.AppendBody(b, nil)
	}
}

func (c *connection) appendBrokerError(err *broker.Error, receipt string) {
	if err == nil {
		err = &broker.Error{Detail: "The connection was closed by the broker"}
	}
	c.out = appendError(c.out, c.version, err.Detail, err.Error(), receipt)
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
func (c *connection) deliver(sub *subscription, e *broker.Effect) {
	m := e.Message
	b := append(c.out, sub.prefix...)
	if m.Destination != sub.lastFrom || sub.lastLine == nil {
		c.scratch = c.appendText(c.scratch[:0], m.Destination)
		sub.lastFrom, sub.lastLine = m.Destination, stomp.AppendHeader(sub.lastLine[:0], c.version, "destination", c.scratch)
	}
	b = append(b, sub.lastLine...)
	c.scratch = append(c.scratch[:0], m.ID.Producer...)
	if m.ID.Sequence >= 0 && m.ID.Producer != "" {
		c.scratch = append(c.scratch, ':')
		c.scratch = strconv.AppendInt(c.scratch, m.ID.Sequence, 10)
	}
	b = stomp.AppendHeader(b, c.version, "message-id", c.scratch)
	if sub.mode != ackAuto {
		d := delivery{sequence: e.Sequence}
		if c.version == stomp.V12 {
			c.scratch = c.appendAck(c.scratch[:0], sub.id, e.Sequence)
			b = stomp.AppendHeader(b, c.version, "ack", c.scratch)
		} else {
			d.id = wireID(m.ID)
		}
		sub.waiting.push(d)
	} else if !sub.due {
		sub.due = true
		c.unacked = append(c.unacked, sub)
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
		b = stomp.AppendHeader(b, c.version, "correlation-id", m.CorrelationID)
	}
	if !m.ReplyTo.IsZero() {
		c.scratch = c.appendText(c.scratch[:0], m.ReplyTo)
		b = stomp.AppendHeader(b, c.version, "reply-to", c.scratch)
	}
	if m.JMSType != "" {
		b = stomp.AppendHeader(b, c.version, "type", m.JMSType)
	}
	if m.UserID != "" {
		b = stomp.AppendHeader(b, c.version, "JMSXUserID", m.UserID)
	}
	if !m.Original.IsZero() {
		c.scratch = c.appendText(c.scratch[:0], m.Original)
		b = stomp.AppendHeader(b, c.version, "original-destination", c.scratch)
	}
	body, transformation := transformOut(m, sub.transformation)
	if m.Advisory != nil {
		body, transformation = formatAdvisory(m.Advisory), advisoryJSON
		b = c.appendOrigin(b)
	}
	if transformation != "" {
		b = stomp.AppendHeader(b, c.version, "transformation", transformation)
	}
	withLength := m.Type == message.Bytes || bytes.IndexByte(body, 0) >= 0
	b, named := c.appendProperties(b, m.Properties, transformation != "")
	if withLength || named {
		b = stomp.AppendIntHeader(b, "content-length", int64(len(body)))
	}
	c.out = stomp.AppendBody(b, body)
}

// appendProperties adds the properties as headers. named says that one claimed to be the body's length.
func (c *connection) appendProperties(b []byte, p message.Properties, transformed bool) (_ []byte, named bool) {
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
				b = stomp.AppendHeader(b, c.version, name, text)
				return true
			}
			c.scratch = appendValue(c.scratch[:0], value)
			b = stomp.AppendHeader(b, c.version, name, c.scratch)
		}
		return true
	})
	return b, named
}
