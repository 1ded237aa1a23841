package control

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
)

// Conn is a connection to the core, as *engine.Conn is.
type Conn interface {
	ID() broker.ConnID
	// Submit hands events over, in order.
	Submit(events ...broker.Event)
	// Wait blocks until effects are there and appends them to dst[:0]; io.EOF after the connection's end.
	Wait(dst []broker.Effect) ([]broker.Effect, error)
	// Close ends the connection and wakes Wait.
	Close()
}

// link is one request's own connection to the core: the API is a client like any other. It is for one goroutine.
type link struct {
	conn    Conn
	ctx     context.Context
	unwatch func() bool
	next    broker.Ref
	waiting []broker.Effect // arrived, not yet asked for
	buffer  []broker.Effect
	at      int
}

// dial registers a new connection. When ctx ends, the connection does, and with it every wait.
func dial(ctx context.Context, connect func() (Conn, error), about broker.Connect) (*link, error) {
	conn, err := connect()
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, ctx: ctx}
	l.unwatch = context.AfterFunc(ctx, conn.Close)
	about.Conn, about.Protocol, about.Listener = conn.ID(), "http", "http"
	about.Name = fmt.Sprintf("http:%d", conn.ID())
	about.Ref = l.ref()
	if _, err := l.ask(about.Ref, &about); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// detach lets the link live on after ctx, which the caller has made sure of to end it in another way.
func (l *link) detach() {
	l.unwatch()
	l.ctx = context.Background()
}

func (l *link) close() {
	l.unwatch()
	l.conn.Close()
}

func (l *link) id() broker.ConnID { return l.conn.ID() }

// ref is a new reference.
func (l *link) ref() broker.Ref {
	l.next++
	return l.next
}

// ask submits an event with that reference and waits for its answer. Other effects that come before it stay for receive.
func (l *link) ask(ref broker.Ref, event broker.Event) (broker.Effect, error) {
	l.conn.Submit(event)
	for {
		e, err := l.arrive()
		if err != nil {
			return broker.Effect{}, err
		}
		if e.Kind == broker.Answer && e.Ref == ref {
			if e.Err != nil {
				return broker.Effect{}, e.Err
			}
			return e, nil
		}
		l.waiting = append(l.waiting, e)
	}
}

// receive gives the next effect.
func (l *link) receive() (broker.Effect, error) {
	if len(l.waiting) > 0 {
		e := l.waiting[0]
		l.waiting = l.waiting[1:]
		return e, nil
	}
	return l.arrive()
}

// arrive gives the next effect that comes from the core.
func (l *link) arrive() (broker.Effect, error) {
	for l.at == len(l.buffer) {
		effects, err := l.conn.Wait(l.buffer)
		if err != nil {
			return broker.Effect{}, l.ended(err)
		}
		l.buffer, l.at = effects, 0
	}
	e := l.buffer[l.at]
	l.buffer[l.at] = broker.Effect{}
	l.at++
	if e.Kind == broker.Closed {
		if e.Err != nil {
			return e, e.Err
		}
		return e, l.ended(io.EOF)
	}
	if e.Kind == broker.Answer && e.Ref == 0 && e.Err != nil {
		return e, e.Err
	}
	return e, nil
}

// ended says why there is nothing more: the request's end or the broker's.
func (l *link) ended(err error) error {
	if cause := context.Cause(l.ctx); cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) {
		return &api.Error{Status: 503, Code: api.Unavailable, Detail: "the broker has ended the connection: it is stopping or recovering"}
	}
	return err
}
