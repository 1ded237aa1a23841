package control

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
)

// maxConfirm is the longest time that a client may take to confirm a receipt, and maxHeld how many may wait for that.
const (
	maxConfirm = 15 * time.Minute
	maxHeld    = 1000
)

// receive takes messages out of a queue. They are acknowledged when the answer has been written or, if the client wants to confirm,
// when it has; in every other case they go back.
func (s *Server) receive(kind message.Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := s.received(w, r, kind); err != nil {
			s.failed(w, r, err)
		}
	}
}

// received returns errors that came before anything was answered.
func (s *Server) received(w http.ResponseWriter, r *http.Request, kind message.Kind) error {
	d, err := named(r, kind)
	if err != nil {
		return err
	}
	name, options, _ := strings.Cut(d.Name, "?")
	d.Name = name
	if err := allowed(r, Read, d); err != nil {
		return err
	}
	request := api.ReceiveRequest{Max: 1}
	if err := decode(r, &request); err != nil {
		return err
	}
	if request.Max < 1 || request.Max > maxMessages {
		return malformed(r, "max %d is out of range; expected 1 to %d", request.Max, maxMessages)
	}
	wait, err := span(r, "wait", request.Wait, maxWait)
	if err != nil {
		return err
	}
	confirm, err := span(r, "confirm", request.Confirm, maxConfirm)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.stopping, func() { cancel(context.Cause(s.stopping)) })()
	l, err := s.dialFor(ctx, r)
	if err != nil {
		return err
	}
	about := &broker.Subscribe{Destination: d, Selector: request.Selector, MayCreate: allowed(r, Create, d) == nil}
	if err := about.Options(options); err != nil {
		l.close()
		return malformed(r, "%s", err.Detail)
	}
	about.Prefetch = 0 // messages are pulled
	taken, err := take(l, about, request.Max, wait)
	if err != nil {
		l.close()
		return err
	}
	answer := api.Received{Messages: make([]api.Message, len(taken))}
	for i, e := range taken {
		answer.Messages[i] = show(e, true)
	}
	if len(taken) == 0 {
		l.close()
		respond(w, answer)
		return nil
	}
	h := &held{link: l, last: taken[len(taken)-1].Sequence, owner: callerOf(r).User}
	if confirm > 0 {
		return s.handOut(w, h, answer, confirm)
	}
	defer l.close() // which gives back what was not acknowledged
	if err := respond(w, answer); err != nil {
		s.log.Info("client went away during receive: messages were given back", "remote", r.RemoteAddr, "messages", len(taken), "error", err)
		return nil
	}
	// The client may close as soon as it has the answer: that must not cut off the acknowledgement.
	l.detach()
	if err := h.acknowledge(); err != nil {
		s.log.Warn("messages were received but not acknowledged: they will come again", "remote", r.RemoteAddr, "messages", len(taken), "error", err)
	}
	return nil
}

// span reads a duration of a request; "" is 0.
func span(r *http.Request, name, text string, most time.Duration) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		return 0, malformed(r, "%s %q is not a duration from 0s to %s", name, text, most)
	}
	return d, nil
}

// take gets up to max messages: it waits for the first, and then takes what is there.
func take(l *link, about *broker.Subscribe, max int, wait time.Duration) ([]broker.Effect, error) {
	about.Conn, about.Ref, about.Consumer = l.id(), l.ref(), theConsumer
	if _, err := l.ask(about.Ref, about); err != nil {
		return nil, err
	}
	if wait == 0 {
		wait = -1 // a Pull's 0 is for ever
	}
	var taken []broker.Effect
	for size := 0; len(taken) < max && size < maxAnswer; wait = -1 {
		l.conn.Submit(&broker.Pull{Conn: l.id(), Consumer: theConsumer, Wait: wait})
		e, err := pulled(l)
		if err != nil {
			return nil, err
		}
		if e.Kind == broker.PullEmpty {
			break
		}
		taken = append(taken, e)
		size += len(e.Message.Content)
	}
	return taken, nil
}

// pulled waits for what answers a Pull.
func pulled(l *link) (broker.Effect, error) {
	for {
		e, err := l.receive()
		switch {
		case err != nil:
			return e, err
		case e.Kind == broker.ConsumerClosed && e.Err != nil:
			return e, e.Err
		case e.Kind == broker.Delivery || e.Kind == broker.PullEmpty:
			return e, nil
		}
	}
}

// held are messages that a client has but that are not settled.
type held struct {
	link  *link
	last  uint64 // Sequence of the last
	owner string
	timer *time.Timer
}

// acknowledge settles the messages; it returns when that is durable.
func (h *held) acknowledge() error {
	ref := h.link.ref()
	_, err := h.link.ask(ref, &broker.Ack{Conn: h.link.id(), Ref: ref, Consumer: theConsumer, Kind: broker.Consumed, Last: h.last})
	return err
}

// receipts are the messages that wait for their clients' confirmation.
type receipts struct {
	mu     sync.Mutex
	held   map[string]*held
	closed bool
}

// add keeps h for at most the time given, and names it.
func (rs *receipts) add(h *held, keep time.Duration) (string, error) {
	name := rand.Text()
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.closed || len(rs.held) >= maxHeld {
		return "", &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Detail: "too many receipts wait for confirmation"}
	}
	rs.held[name] = h
	h.timer = time.AfterFunc(keep, func() {
		if h := rs.take(name, ""); h != nil {
			h.link.close()
		}
	})
	return name, nil
}

// take removes a receipt, or gives nil if it is not there or, with an owner named, somebody else's.
func (rs *receipts) take(name, owner string) *held {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	h := rs.held[name]
	if h == nil || owner != "" && h.owner != owner {
		return nil
	}
	delete(rs.held, name)
	h.timer.Stop()
	return h
}

func (rs *receipts) releaseAll() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.closed = true
	for name, h := range rs.held {
		h.timer.Stop()
		h.link.close()
		delete(rs.held, name)
	}
}

// handOut answers with messages that are to be confirmed.
func (s *Server) handOut(w http.ResponseWriter, h *held, answer api.Received, keep time.Duration) error {
	h.link.detach()
	answer.ConfirmBefore = time.Now().Add(keep).UTC()
	receipt, err := s.receipts.add(h, keep)
	if err != nil {
		h.link.close()
		return err
	}
	answer.Receipt = receipt
	if err := respond(w, answer); err != nil {
		s.log.Info("client went away during receive: messages were given back", "error", err)
		if h := s.receipts.take(receipt, ""); h != nil {
			h.link.close()
		}
	}
	return nil
}

var errNoReceipt = &api.Error{Status: http.StatusNotFound, Code: broker.NotFound.String(), Op: "confirm or release a receipt",
	Detail: "there is no such receipt: its time is over and its messages were given back, or the broker was restarted"}

func (s *Server) confirm(w http.ResponseWriter, r *http.Request) {
	h := s.receipts.take(r.PathValue("receipt"), callerOf(r).User)
	if h == nil {
		fail(w, errNoReceipt)
		return
	}
	defer h.link.close()
	// The link is detached from any request: the client meant it, even if it does not wait for the answer.
	if err := h.acknowledge(); err != nil {
		var gone *api.Error
		if !errors.As(err, &gone) {
			s.log.Warn("messages were received but not acknowledged: they will come again", "remote", r.RemoteAddr, "error", err)
		}
		s.failed(w, r, err)
		return
	}
	respond(w, struct{}{})
}

func (s *Server) release(w http.ResponseWriter, r *http.Request) {
	h := s.receipts.take(r.PathValue("receipt"), callerOf(r).User)
	if h == nil {
		fail(w, errNoReceipt)
		return
	}
	h.link.close()
	respond(w, struct{}{})
}
