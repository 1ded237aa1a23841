// Package load puts a broker under load over OpenWire, as its clients do, and checks what comes out: that nothing is lost, that nothing comes
// twice, and that each producer's messages come in their order.
package load

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/client/openwire"
	wire "github.com/godwitmq/godwit/codec/openwire"
)

// Options say what load. Producers must be at least 1; for the rest the zero value works.
type Options struct {
	URL            string // "": tcp://127.0.0.1:61616
	User, Password string
	TLS            *tls.Config // for ssl://

	// Destination is the queue's or topic's name; "" means one of this run's own, which is removed at the end.
	Destination string
	Topic       bool
	Producers   int // each with a connection of its own
	Consumers   int // as well; 0: what was sent stays
	Size        int // of a message's body in bytes, at least MinSize; 0 means 1024
	Persistent  bool
	Transacted  int  // messages in a transaction, of producers and of consumers; 0: none
	Async       bool // senders do not wait until the broker has a message
	Prefetch    int  // of a consumer; 0 means 1000, and 32766 for topics

	Count    int64         // messages to send, by all producers together; 0: as many as Duration allows
	Duration time.Duration // of sending; 0 with a Count means no bound, else 10 s
	Patience time.Duration // for the next message, when all have been sent; 0 means 10 s
}

// MinSize is the smallest body: what the check needs is in it.
const MinSize = 28

func (o Options) filled() (Options, error) {
	fill := func(n *int, without int) {
		if *n == 0 {
			*n = without
		}
	}
	fill(&o.Size, 1024)
	if o.Topic {
		fill(&o.Prefetch, 32766)
	}
	fill(&o.Prefetch, 1000)
	if o.URL == "" {
		o.URL = "tcp://127.0.0.1:61616"
	}
	if o.Duration == 0 && o.Count == 0 {
		o.Duration = 10 * time.Second
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	switch {
	case o.Producers < 1 || o.Producers > 10_000:
		return o, errors.New("a load needs 1 to 10000 producers")
	case o.Consumers < 0 || o.Consumers > 10_000:
		return o, errors.New("a load has 0 to 10000 consumers")
	case o.Size < MinSize || o.Size > 64<<20:
		return o, fmt.Errorf("a message has %d bytes to 64 MiB", MinSize)
	case o.Transacted < 0 || o.Prefetch < 1 || o.Count < 0 || o.Duration < 0:
		return o, errors.New("a negative number, or a prefetch of 0, makes no sense")
	}
	return o, nil
}

// Latencies are of one kind of thing, in nanoseconds.
type Latencies struct {
	Count               int64
	P50, P99, P999, Max time.Duration
}

// Result is what came out.
type Result struct {
	Destination string
	Sent        int64 // messages that the broker has, or whose send was not refused
	Received    int64 // deliveries; of a topic each consumer's count
	Expected    int64 // deliveries that there had to be
	Lost        int64
	Duplicates  int64 // without the redelivered flag, which nothing here could cause
	Disordered  int64 // after a later one of the same producer
	Redelivered int64 // with the flag

	Sending   time.Duration // from the first send to the last answer
	Receiving time.Duration // from the first send to the last delivery
	Sends     Latencies     // until the broker has answered: of a message, or of a transaction
	EndToEnd  Latencies     // from before the send to the delivery
}

// SendRate is messages a second.
func (r *Result) SendRate() float64 { return rate(r.Sent, r.Sending) }

// ReceiveRate is deliveries a second.
func (r *Result) ReceiveRate() float64 { return rate(r.Received, r.Receiving) }

func rate(n int64, in time.Duration) float64 {
	if in <= 0 {
		return 0
	}
	return float64(n) / in.Seconds()
}

// Fault says what the broker did wrong, or is nil.
func (r *Result) Fault() error {
	if r.Lost+r.Duplicates+r.Disordered == 0 {
		return nil
	}
	return fmt.Errorf("the broker lost %d messages, delivered %d twice and %d out of order", r.Lost, r.Duplicates, r.Disordered)
}

// Progress is how far a run is.
type Progress struct{ Sent, Received int64 }

// Run is one load.
type Run struct {
	options     Options
	destination wire.Destination
	own         bool   // the destination
	id          uint64 // in each body
	begun       time.Time
	producers   []*producer
	consumers   []*consumer
	tallies     []*tally // one of all consumers of a queue, or one of each
	left        atomic.Int64
	sent        atomic.Int64
	received    atomic.Int64
	last        atomic.Int64 // ns since begun, of the last delivery
	failed      chan error
}

// New connects producers and consumers. ctx is for that alone. Close must be called at the end.
func New(ctx context.Context, options Options) (*Run, error) {
	options, err := options.filled()
	if err != nil {
		return nil, err
	}
	var id [8]byte
	rand.Read(id[:])
	r := &Run{options: options, id: binary.BigEndian.Uint64(id[:]), begun: time.Now(), failed: make(chan error, 1)}
	r.destination = wire.Destination{Type: wire.CodeQueue, Name: options.Destination}
	if options.Topic {
		r.destination.Type = wire.CodeTopic
	}
	if options.Destination == "" {
		r.own, r.destination.Name = true, fmt.Sprintf("godwit.bench.%x", id)
	}
	if err := r.connect(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// connecting is how many connections are made at a time: one after the other, thousands would spend their time waiting for answers.
const connecting = 16

func (r *Run) connect(ctx context.Context) error {
	r.consumers = make([]*consumer, r.options.Consumers)
	for n := range r.consumers {
		if r.options.Topic || n == 0 {
			r.tallies = append(r.tallies, newTally(r.options.Producers))
		}
	}
	err := each(len(r.consumers), func(n int) (err error) {
		r.consumers[n], err = r.newConsumer(ctx, r.tallies[n%len(r.tallies)])
		return err
	})
	if err != nil {
		return err
	}
	r.producers = make([]*producer, r.options.Producers)
	return each(len(r.producers), func(n int) (err error) {
		r.producers[n], err = r.newProducer(ctx, n)
		return err
	})
}

// each does 0 to n-1, some at a time and in no order, until all are done or one has failed; it gives the first error.
func each(n int, do func(i int) error) error {
	var next atomic.Int64
	var workers sync.WaitGroup
	failed := make(chan error, connecting)
	for range min(n, connecting) {
		workers.Go(func() {
			for len(failed) == 0 {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := do(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	workers.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func (r *Run) dial(ctx context.Context, dispatch func(*wire.MessageDispatch, bool)) (*openwire.Conn, error) {
	o := r.options
	return openwire.Dial(ctx, o.URL, openwire.Options{User: o.User, Password: o.Password, TLS: o.TLS, Dispatch: dispatch})
}

// Destination is where the load goes.
func (r *Run) Destination() string {
	if r.options.Topic {
		return "topic://" + r.destination.Name
	}
	return "queue://" + r.destination.Name
}

// Progress may be asked while Go runs.
func (r *Run) Progress() Progress { return Progress{Sent: r.sent.Load(), Received: r.received.Load()} }

// fail ends the run; the first reason counts.
func (r *Run) fail(err error) {
	select {
	case r.failed <- err:
	default:
	}
}

// now is a clock that does not jump: ns since the run was made.
func (r *Run) now() int64 { return int64(time.Since(r.begun)) }

// Go sends until Count or Duration is reached or ctx ends, then waits for what is still on its way. An error means that it could not be
// measured; what the broker did wrong is in the Result.
func (r *Run) Go(ctx context.Context) (*Result, error) {
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	if r.options.Duration > 0 {
		sending, cancel = context.WithTimeout(sending, r.options.Duration)
		defer cancel()
	}
	r.left.Store(r.options.Count)
	first := r.now()
	var senders sync.WaitGroup
	for _, p := range r.producers {
		senders.Go(func() {
			if err := p.run(sending); err != nil {
				r.fail(err)
				cancel()
			}
		})
	}
	finished := make(chan struct{})
	go func() { senders.Wait(); close(finished) }()
	if err := r.await(sending, finished); err != nil {
		return nil, err
	}
	ended := r.now()
	if err := r.drain(); err != nil {
		return nil, err
	}
	result := &Result{Destination: r.Destination(), Sending: time.Duration(ended - first), Receiving: time.Duration(max(0, r.last.Load()-first))}
	r.count(result)
	return result, nil
}

// await waits for the senders, but not for ever once they should have ended.
func (r *Run) await(sending context.Context, finished <-chan struct{}) error {
	select {
	case <-finished:
		return nil
	case err := <-r.failed: // a consumer's too
		return err
	case <-sending.Done():
	}
	patience := time.NewTimer(r.options.Patience)
	defer patience.Stop()
	select {
	case <-finished:
		return nil
	case err := <-r.failed:
		return err
	case <-patience.C:
		return fmt.Errorf("the broker has not answered for %v", r.options.Patience)
	}
}

// drain waits until all has been received, or nothing comes any more.
func (r *Run) drain() error {
	expected := r.expected()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	patience := time.NewTimer(r.options.Patience)
	defer patience.Stop()
	for seen := r.received.Load(); seen < expected; {
		select {
		case err := <-r.failed:
			return err
		case <-patience.C:
			return nil
		case <-tick.C:
			if now := r.received.Load(); now != seen {
				seen = now
				patience.Reset(r.options.Patience)
			}
		}
	}
	for _, c := range r.consumers {
		if err := c.finish(); err != nil {
			return err
		}
	}
	select {
	case err := <-r.failed:
		return err
	default:
		return nil
	}
}

// expected is how many deliveries there must be.
func (r *Run) expected() int64 {
	switch {
	case len(r.consumers) == 0:
		return 0
	case r.options.Topic:
		return r.sent.Load() * int64(len(r.consumers))
	}
	return r.sent.Load()
}

func (r *Run) count(into *Result) {
	into.Sent, into.Received, into.Expected = r.sent.Load(), r.received.Load(), r.expected()
	var sends, all histogram
	for _, p := range r.producers {
		sends.merge(&p.latency)
	}
	for _, c := range r.consumers {
		c.mu.Lock()
		all.merge(&c.latency)
		into.Redelivered += c.redelivered
		into.Disordered += c.disordered
		c.mu.Unlock()
	}
	for _, t := range r.tallies {
		t.mu.Lock()
		into.Lost += into.Sent - t.count
		into.Duplicates += t.twice
		t.mu.Unlock()
	}
	into.Sends, into.EndToEnd = sends.summary(), all.summary()
}

// Close ends all connections, and removes the destination if it was the run's own. It gives the last error.
func (r *Run) Close() error {
	var last atomic.Pointer[error]
	var closing sync.WaitGroup
	closed := func(err error) {
		if err != nil {
			last.Store(&err)
		}
	}
	for _, c := range r.consumers {
		if c != nil { // connected
			closing.Go(func() { closed(c.close()) })
		}
	}
	closing.Wait()
	for n, p := range r.producers {
		if p == nil {
			continue
		}
		closing.Go(func() {
			if n == 0 && r.own {
				closed(r.remove(p))
			}
			closed(p.conn.Close())
		})
	}
	closing.Wait()
	if err := last.Load(); err != nil {
		return *err
	}
	return nil
}

func (r *Run) remove(p *producer) error {
	defer p.conn.Within(r.options.Patience)()
	info := &wire.DestinationInfo{ConnectionID: wire.ConnectionID{Value: p.conn.ID()}, Destination: r.destination, OperationType: wire.OperationRemove}
	if _, err := p.conn.Call(info); err != nil {
		return fmt.Errorf("remove %s: %w", r.Destination(), err)
	}
	return nil
}
