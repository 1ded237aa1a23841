package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/listen"
)

var (
	// ErrHere is what Serve fails with, having done nothing, when this instance is the active.
	ErrHere = errors.New("this instance is the active")
	// ErrNobody is what Serve fails with when no instance took the client in time.
	ErrNobody = errors.New("no instance is active")
	// ErrRefused is what Serve fails with when the active refused the client itself, for a limit.
	ErrRefused = errors.New("the active refused the client")

	// ErrHandedOver is the cause (context.Cause) of the end of a term in which the active itself has given its role away: it sends its clients away in good order, and
	// so is given a second for it.
	ErrHandedOver = errors.New("the active has handed over")

	errAgain = errors.New("a relayed connection is not relayed again")
)

// Directory knows which instance is active.
type Directory interface {
	// Active waits until an instance is active, or until ctx ends. The address is that of its relay listener, empty if it is
	// this instance. The term ends when that instance is no longer active, or no longer to be reached: connections to it are
	// then cut, but see ErrHandedOver.
	Active(ctx context.Context) (address string, term context.Context, err error)
}

// Options of a Carrier.
type Options struct {
	Directory Directory
	// Name of this instance, which the active is told; "" tells nothing.
	Name string
	// TLS has the certificate of this instance and, as RootCAs, the cluster's. The active's certificate is checked against
	// ServerName, or against the host of its address if that is empty. Nil: plain, and only loopback addresses are dialled.
	TLS *tls.Config
	// Hold is how long a client waits for an instance that takes it. 0 means 2 s: a client takes a refusal for what it is,
	// and silence for a broker that is there, for longer than it should.
	Hold time.Duration
	// MaxDials are on their way at once; others wait. A takeover brings all clients at once, and many handshakes that share
	// the processors end late together, where a few at a time end soon one after the other. 0 means 16.
	MaxDials int
}

// Stats count clients since the start; Current is a gauge.
type Stats struct {
	Current atomic.Int64 // carried now
	Holding atomic.Int64 // waiting now for somebody to take them; a gauge, too
	Carried atomic.Int64
	Refused atomic.Int64
}

// Carrier carries clients to the active. Its methods may be called concurrently.
type Carrier struct {
	options Options
	tls     *tls.Config // nil: plain
	dials   chan struct{}
	stats   Stats
}

const (
	// Pauses between tries grow. Whoever waits for a change of the term does not depend on them.
	firstPause = 20 * time.Millisecond
	maxPause   = 160 * time.Millisecond
	// linger is how long one side may go on after the other has ended: to read what was sent to it, and end, too.
	linger = 5 * time.Second
	// finish is how long an active that has handed over may go on with the clients that it has.
	finish = time.Second
)

// New makes a Carrier.
func New(options Options) *Carrier {
	if options.Hold <= 0 {
		options.Hold = 2 * time.Second
	}
	if options.MaxDials <= 0 {
		options.MaxDials = 16
	}
	c := &Carrier{options: options, dials: make(chan struct{}, options.MaxDials)}
	if options.TLS != nil {
		c.tls = options.TLS.Clone()
		c.tls.MinVersion = max(c.tls.MinVersion, tls.VersionTLS13)
		c.tls.DynamicRecordSizingDisabled = true // nobody waits for the begin of a page here
		if c.tls.ClientSessionCache == nil {
			c.tls.ClientSessionCache = tls.NewLRUClientSessionCache(0) // a takeover brings all clients at once
		}
	}
	return c
}

// Stats are the carrier's counters.
func (c *Carrier) Stats() *Stats { return &c.stats }

// Serve carries the client of a listener to the active until either side ends, ctx does, or the active's term. While
// nobody is active the client waits, for at most Options.Hold; then its connection is reset. ErrHere means that this
// instance is the active by now, and has yet to serve the connection, of which nothing was read. With any other error and with none
// the connection is closed; the end of either side is no error.
func (c *Carrier) Serve(ctx context.Context, conn net.Conn, info listen.Info) error {
	if info.Relayed {
		reset(conn)
		return errAgain
	}
	info.Via = c.options.Name
	active, term, err := c.reach(ctx, info)
	if errors.Is(err, ErrHere) {
		return err
	}
	if err != nil {
		c.stats.Refused.Add(1)
		reset(conn)
		return err
	}
	// From here on the active's limits hold, which knows when the client has logged in.
	if !info.LoggedIn() {
		c.stats.Refused.Add(1)
		hangUp(active)
		return listen.ErrLoginTime
	}
	c.stats.Carried.Add(1)
	c.stats.Current.Add(1)
	defer c.stats.Current.Add(-1)
	return join(ctx, term, conn, active)
}

// reach finds an instance that takes the client, and tries until the time is over.
func (c *Carrier) reach(ctx context.Context, info listen.Info) (net.Conn, context.Context, error) {
	header, err := formatHeader(info)
	if err != nil {
		return nil, nil, err
	}
	c.stats.Holding.Add(1)
	defer c.stats.Holding.Add(-1)
	ctx, cancel := context.WithTimeout(ctx, c.options.Hold)
	defer cancel()
	var last error
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		address, term, err := c.options.Directory.Active(ctx)
		if err == nil && address == "" {
			return nil, nil, ErrHere
		}
		var over <-chan struct{}
		if err == nil {
			over = term.Done()
			var active net.Conn
			if active, err = c.offer(ctx, term, address, header); err == nil {
				return active, term, nil
			}
			if errors.Is(err, ErrRefused) {
				return nil, nil, err
			}
		}
		if last == nil || ctx.Err() == nil {
			last = err // what comes of the end of the time says less
		}
		select {
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("%w: %w", ErrNobody, last)
		case <-over:
		case <-time.After(pause):
		}
	}
}

// offer connects to an instance and asks it to take the client.
func (c *Carrier) offer(ctx, term context.Context, address string, header []byte) (_ net.Conn, err error) {
	select {
	case c.dials <- struct{}{}:
		defer func() { <-c.dials }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(term, func() { cancel(ErrNotActive) })()
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			err = fmt.Errorf("relay to %s: %w", address, err)
		}
	}()
	active, err := c.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { hangUp(active) })
	answer := make([]byte, 1)
	if _, err = active.Write(header); err == nil {
		_, err = active.Read(answer)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	switch {
	case err != nil:
	case answer[0] == taken:
		return active, nil
	case answer[0] == passive:
		err = ErrNotActive
	case answer[0] == refused:
		err = ErrRefused
	default:
		err = fmt.Errorf("answer %d is unknown", answer[0])
	}
	hangUp(active)
	return nil, err
}

// dial connects, with TLS if there is any.
func (c *Carrier) dial(ctx context.Context, address string) (net.Conn, error) {
	if c.tls == nil && !(listen.Endpoint{Address: address}).Loopback() {
		return nil, errors.New("only loopback addresses are dialled without TLS")
	}
	var dialer net.Dialer
	tcp, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil || c.tls == nil {
		return tcp, err
	}
	config := c.tls
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	secure := tls.Client(tcp, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		tcp.Close()
		return nil, err
	}
	return secure, nil
}
