package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/godwitmq/godwit/client/openwire"
	wire "github.com/godwitmq/godwit/codec/openwire"
)

// consumer takes what comes. Without transactions it acknowledges each message, as JMS' automatic mode does, and writes the
// acknowledgements of those that came together at once.
type consumer struct {
	of    *Run
	conn  *openwire.Conn
	id    wire.ConsumerID
	tally *tally
	batch int // messages in a transaction; 0: none

	acks    []wire.MessageAck // of the deliveries that came together, or of the open transaction one
	post    []wire.Command    // room
	commits chan wire.MessageAck
	pending sync.WaitGroup // commits that are not done
	ended   chan struct{}  // the goroutine that commits has

	mu          sync.Mutex // guards what follows
	newest      []int64    // by producer
	latency     histogram
	redelivered int64
	disordered  int64
}

func (r *Run) newConsumer(ctx context.Context, t *tally) (*consumer, error) {
	c := &consumer{of: r, tally: t, newest: make([]int64, r.options.Producers), ended: make(chan struct{})}
	if r.options.Transacted > 0 {
		c.batch = min(r.options.Transacted, r.options.Prefetch)
		c.commits = make(chan wire.MessageAck, 2+r.options.Prefetch/c.batch) // more cannot be un-acknowledged
	}
	for i := range c.newest {
		c.newest[i] = -1
	}
	var err error
	if c.conn, err = r.dial(ctx, c.take); err != nil {
		return nil, err
	}
	c.id = c.conn.ConsumerID(c.conn.NextID())
	if c.batch > 0 {
		go c.commit()
	}
	if _, err := c.conn.Call(&wire.ConsumerInfo{ConsumerID: c.id, Destination: r.destination, PrefetchSize: int32(r.options.Prefetch)}); err != nil {
		_ = c.close() // the refusal is what counts
		return nil, fmt.Errorf("open a consumer: %w", err)
	}
	return c, nil
}

// take is one delivery, in the goroutine that reads.
func (c *consumer) take(d *wire.MessageDispatch, more bool) {
	r := c.of
	m := d.Message
	if m == nil || len(m.Content) < MinSize || binary.BigEndian.Uint64(m.Content) != r.id || int(binary.BigEndian.Uint32(m.Content[8:])) >= len(c.newest) {
		// It is not acknowledged, and goes to whom it belongs.
		r.fail(fmt.Errorf("%s holds messages that are not of this run: purge it, or choose another", r.Destination()))
		return
	}
	now := r.now()
	from, sequence := int(binary.BigEndian.Uint32(m.Content[8:])), int64(binary.BigEndian.Uint64(m.Content[12:]))
	c.mu.Lock()
	c.latency.add(now - int64(binary.BigEndian.Uint64(m.Content[20:])))
	switch {
	case d.RedeliveryCounter > 0:
		c.redelivered++
	case sequence < c.newest[from]:
		c.disordered++
	default:
		c.newest[from] = sequence
	}
	c.mu.Unlock()
	if c.tally.mark(from, sequence, d.RedeliveryCounter > 0) {
		r.received.Add(1)
	}
	r.last.Store(now)
	c.acknowledge(m.MessageID, more)
}

// acknowledge settles a delivery, now or with those after it.
func (c *consumer) acknowledge(id wire.MessageID, more bool) {
	ack := wire.MessageAck{AckType: wire.AckStandard, ConsumerID: c.id, Destination: c.of.destination, FirstMessageID: id, LastMessageID: id, MessageCount: 1}
	if c.batch > 0 {
		if len(c.acks) == 0 {
			c.acks = append(c.acks, ack)
		} else {
			c.acks[0].LastMessageID = id
			c.acks[0].MessageCount++
		}
		if int(c.acks[0].MessageCount) >= c.batch {
			c.pending.Add(1)
			c.commits <- c.acks[0]
			c.acks = c.acks[:0]
		}
		return
	}
	c.acks = append(c.acks, ack)
	if more && len(c.acks) < maxAcks {
		return
	}
	c.post = c.post[:0]
	for i := range c.acks {
		c.post = append(c.post, &c.acks[i])
	}
	if err := c.conn.Post(c.post...); err != nil {
		c.of.fail(fmt.Errorf("acknowledge: %w", err))
	}
	c.acks = c.acks[:0]
}

// maxAcks are written at once.
const maxAcks = 256

// commit acknowledges in transactions, which wait for their answers, as the reader must not.
func (c *consumer) commit() {
	defer close(c.ended)
	for ack := range c.commits {
		tx := c.conn.NextID()
		ack.TransactionID = c.conn.TransactionID(tx)
		err := c.conn.Post(c.conn.Transaction(tx, wire.TransactionBegin), &ack)
		if err == nil {
			_, err = c.conn.Call(c.conn.Transaction(tx, wire.TransactionCommitOnePhase))
		}
		if err != nil {
			c.of.fail(fmt.Errorf("commit acknowledgements: %w", err)) // and go on, or the reader would wait for us
		}
		c.pending.Done()
	}
}

// finish settles what is left of a transaction. Nothing more may come.
func (c *consumer) finish() error {
	if c.batch > 0 {
		defer c.conn.Within(c.of.options.Patience)()
		// When this is answered the reader is done with the last delivery.
		if err := c.conn.Sync(); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		if len(c.acks) > 0 {
			c.pending.Add(1)
			c.commits <- c.acks[0]
			c.acks = nil
		}
		c.pending.Wait()
	}
	return nil
}

// close ends the consumer.
func (c *consumer) close() error {
	err := c.conn.Close() // and with it the reader, which fills commits
	if c.batch > 0 {
		close(c.commits)
		<-c.ended
	}
	return err
}
