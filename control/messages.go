package control

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
)

const (
	maxMessages  = 10_000   // in one answer or request
	maxAnswer    = 64 << 20 // bytes of bodies in one answer, about; one message is always given
	browseLimit  = 100      // messages, if the caller does not say
	maxWait      = 10 * time.Minute
	theConsumer  = broker.ConsumerID(1)
	theTx        = broker.TxID(1)
	maxInflation = 16 << 20 // bytes to which one body is inflated to be shown
)

// browse shows what waits in a queue, and takes nothing away. Query: limit, selector, bodies=true.
func (s *Server) browse(kind message.Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, err := s.browsed(r, kind)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		respond(w, answer)
	}
}

func (s *Server) browsed(r *http.Request, kind message.Kind) (*api.Browsed, error) {
	d, err := named(r, kind)
	if err != nil {
		return nil, err
	}
	if err := allowed(r, Read, d); err != nil {
		return nil, err
	}
	query := r.URL.Query()
	limit := browseLimit
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxMessages {
			return nil, malformed(r, "limit %q is not a number from 1 to %d", text, maxMessages)
		}
	}
	bodies := query.Get("bodies") == "true"
	l, err := s.dial(r)
	if err != nil {
		return nil, err
	}
	defer l.close()
	ref := l.ref()
	// One more than will be shown tells whether there are more.
	if _, err := l.ask(ref, &broker.Subscribe{Conn: l.id(), Ref: ref, Consumer: theConsumer, Destination: d, Selector: query.Get("selector"), Browser: true, Prefetch: limit + 1}); err != nil {
		return nil, err
	}
	answer := &api.Browsed{Messages: []api.Message{}}
	for size := 0; ; {
		e, err := l.receive()
		switch {
		case err != nil:
			return nil, err
		case e.Kind == broker.EndOfBrowse:
			return answer, nil
		case e.Kind == broker.ConsumerClosed && e.Err != nil:
			return nil, e.Err
		case e.Kind == broker.Delivery && (len(answer.Messages) == limit || size > maxAnswer):
			answer.More = true
			return answer, nil
		case e.Kind == broker.Delivery:
			answer.Messages = append(answer.Messages, show(e, bodies))
			if bodies {
				size += len(e.Message.Content)
			}
		}
	}
}

// show makes a message's JSON form.
func show(e broker.Effect, body bool) api.Message {
	m := e.Message
	shown := api.Message{
		ID: m.ID.String(), Sequence: e.Sequence, Destination: m.Destination.String(), Original: m.Original.String(), ReplyTo: m.ReplyTo.String(),
		CorrelationID: m.CorrelationID, JMSType: m.JMSType, Group: m.GroupID, GroupSequence: m.GroupSequence, User: m.UserID,
		Timestamp: moment(m.Timestamp), Received: moment(m.Received), Expiration: moment(m.Expiration), Priority: int(m.Priority), Persistent: m.Persistent,
		Redeliveries: e.Redeliveries, Type: m.Type.String(), Size: len(m.Content), Properties: map[string]any{},
	}
	// Properties that cannot be read to their end are shown as far as they can: better some than an error for all messages.
	_ = m.Properties.Range(func(name string, value any) bool {
		shown.Properties[name] = showValue(value)
		return true
	})
	if !body {
		return shown
	}
	data, err := m.BodyJSON(maxInflation)
	if err != nil {
		shown.BodyError = err.Error()
		return shown
	}
	shown.Body = data
	return shown
}

// showValue replaces what JSON cannot write.
func showValue(value any) any {
	switch v := value.(type) {
	case message.Char:
		return string(rune(v))
	case float32:
		return showFloat(float64(v), value)
	case float64:
		return showFloat(v, value)
	case map[string]any:
		for name := range v {
			v[name] = showValue(v[name])
		}
	case []any:
		for i := range v {
			v[i] = showValue(v[i])
		}
	}
	return value
}

func showFloat(f float64, value any) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return fmt.Sprint(f)
	}
	return value
}

// moment is a time in ms since 1970; 0 is none.
func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	t := time.UnixMilli(ms).UTC()
	if y := t.Year(); y < 0 || y > 9999 { // JSON has no form for it
		return time.Time{}
	}
	return t
}

// send takes messages in, all or none.
func (s *Server) send(kind message.Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sent, err := s.sent(r, kind)
		if err != nil {
			s.failed(w, r, err)
			return
		}
		respond(w, sent)
	}
}

func (s *Server) sent(r *http.Request, kind message.Kind) (*api.Sent, error) {
	d, err := named(r, kind)
	if err != nil {
		return nil, err
	}
	if err := allowed(r, Write, d); err != nil {
		return nil, err
	}
	var request api.SendRequest
	if err := decode(r, &request); err != nil {
		return nil, err
	}
	if n := len(request.Messages); n < 1 || n > maxMessages {
		return nil, malformed(r, "%d messages; expected 1 to %d", n, maxMessages)
	}
	messages := make([]*message.Message, len(request.Messages))
	producer := "ID:godwit-http-" + rand.Text()
	now := time.Now()
	for i := range messages {
		if messages[i], err = compose(&request.Messages[i], d, now); err != nil {
			return nil, malformed(r, "message %d: %v", i, err)
		}
		messages[i].ID = message.ID{Producer: producer, Sequence: int64(i) + 1}
		messages[i].UserID = userOf(r)
		messages[i].Encode()
	}
	return s.submit(r, messages, allowed(r, Create, d) == nil)
}

// userOf is the authenticated user, or "" for one whom nobody asked.
func userOf(r *http.Request) string {
	if caller := callerOf(r); caller.May != nil {
		return caller.User
	}
	return ""
}

// submit sends one message by itself, and several in a transaction.
func (s *Server) submit(r *http.Request, messages []*message.Message, mayCreate bool) (*api.Sent, error) {
	l, err := s.dial(r)
	if err != nil {
		return nil, err
	}
	defer l.close()
	sent := &api.Sent{IDs: make([]string, len(messages))}
	schedules := make([]*broker.Schedule, len(messages))
	for i, m := range messages {
		sent.IDs[i] = m.ID.String()
		var refused *broker.Error
		if schedules[i], refused = broker.ScheduleOf(m.Properties); refused != nil {
			return nil, refused
		}
	}
	if len(messages) == 1 {
		ref := l.ref()
		_, err := l.ask(ref, &broker.Send{Conn: l.id(), Ref: ref, Message: messages[0], MayCreate: mayCreate, Schedule: schedules[0]})
		return sent, err
	}
	ref := l.ref()
	if _, err := l.ask(ref, &broker.Begin{Conn: l.id(), Ref: ref, Tx: theTx}); err != nil {
		return nil, err
	}
	events := make([]broker.Event, len(messages))
	for i, m := range messages {
		events[i] = &broker.Send{Conn: l.id(), Tx: theTx, Message: m, MayCreate: mayCreate, Schedule: schedules[i]}
	}
	l.conn.Submit(events...)
	ref = l.ref()
	if _, err := l.ask(ref, &broker.Commit{Conn: l.id(), Ref: ref, Tx: theTx}); err != nil {
		return nil, err
	}
	return sent, nil
}

// compose makes a message of its JSON form.
func compose(from *api.Send, d message.Destination, now time.Time) (*message.Message, error) {
	m, err := composeBody(from, d)
	if err != nil {
		return nil, err
	}
	m.Persistent = !from.NonPersistent
	m.Timestamp, m.Received = now.UnixMilli(), now.UnixMilli()
	m.CorrelationID, m.JMSType, m.GroupID, m.GroupSequence = from.CorrelationID, from.JMSType, from.Group, from.GroupSequence
	if from.Priority != nil {
		if *from.Priority < 0 || *from.Priority > 9 {
			return nil, fmt.Errorf("priority %d is out of range; expected 0 to 9", *from.Priority)
		}
		m.Priority = uint8(*from.Priority)
	}
	if from.TimeToLive != "" {
		ttl, err := time.ParseDuration(from.TimeToLive)
		if err != nil || ttl < time.Millisecond {
			return nil, fmt.Errorf("timeToLive %q is not a duration of at least 1ms; expected for example 30s", from.TimeToLive)
		}
		m.Expiration = now.Add(ttl).UnixMilli()
	}
	if from.ReplyTo != "" {
		if m.ReplyTo, err = message.ParseDestination(from.ReplyTo, message.Queue); err != nil {
			return nil, fmt.Errorf("replyTo: %w", err)
		}
	}
	m.Properties, err = composeMap(from.Properties)
	return m, err
}

func composeBody(from *api.Send, d message.Destination) (*message.Message, error) {
	given := 0
	for _, is := range []bool{from.Text != nil, from.Base64 != nil, from.Map != nil} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return nil, fmt.Errorf("%d bodies; expected one of text, base64 and map", given)
	case from.Base64 != nil:
		body, err := base64.StdEncoding.DecodeString(*from.Base64)
		if err != nil {
			return nil, fmt.Errorf("base64: %w", err)
		}
		return message.NewBytes(d, body), nil
	case from.Map != nil:
		content, err := composeMap(from.Map)
		if err != nil {
			return nil, err
		}
		return &message.Message{Destination: d, Type: message.Map, Encoding: message.OpenWire, Content: content, Priority: message.DefaultPriority}, nil
	case from.Text != nil:
		return message.NewText(d, *from.Text), nil
	}
	return &message.Message{Destination: d, Type: message.Plain, Priority: message.DefaultPriority}, nil
}

// composeMap makes properties of JSON values; numbers are as decode leaves them.
func composeMap(values map[string]any) (message.Properties, error) {
	var b message.PropertiesBuilder
	for name, value := range values {
		if name == "" {
			return nil, fmt.Errorf("a property has no name")
		}
		v, err := composeValue(value)
		if err != nil {
			return nil, fmt.Errorf("property %q: %w", name, err)
		}
		if err := b.Set(name, v); err != nil {
			return nil, err
		}
	}
	return b.Properties(), nil
}

func composeValue(value any) (any, error) {
	switch v := value.(type) {
	case string, bool, nil:
		return v, nil
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			if n >= math.MinInt32 && n <= math.MaxInt32 {
				return int32(n), nil
			}
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("number %s is out of range", v)
		}
		return f, nil
	}
	return nil, fmt.Errorf("is neither text, number, true, false nor null")
}
