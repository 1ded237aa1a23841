package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/godwitmq/godwit/client/openwire"
	wire "github.com/godwitmq/godwit/codec/openwire"
)

// producer sends its share.
type producer struct {
	of      *Run
	conn    *openwire.Conn
	message wire.Message
	next    int64 // sequence of the next message
	latency histogram
}

func (r *Run) newProducer(ctx context.Context, n int) (*producer, error) {
	conn, err := r.dial(ctx, nil)
	if err != nil {
		return nil, err
	}
	body := make([]byte, r.options.Size)
	binary.BigEndian.PutUint64(body, r.id)
	binary.BigEndian.PutUint32(body[8:], uint32(n))
	for i := MinSize; i < len(body); i++ {
		body[i] = byte(i)
	}
	id := conn.ProducerID(conn.NextID())
	p := &producer{of: r, conn: conn, message: wire.Message{
		Type: wire.CodeBytesMessage, ProducerID: id, MessageID: wire.MessageID{ProducerID: id}, Destination: r.destination,
		Persistent: r.options.Persistent, Priority: 4, Content: body,
	}}
	if _, err := conn.Call(&wire.ProducerInfo{ProducerID: id, Destination: r.destination}); err != nil {
		_ = conn.Close() // the refusal is what counts
		return nil, fmt.Errorf("open a producer: %w", err)
	}
	return p, nil
}

// run sends until ctx ends or nothing is left to be sent.
func (p *producer) run(ctx context.Context) error {
	var err error
	for err == nil && ctx.Err() == nil {
		if p.of.options.Transacted > 0 {
			n := p.of.take(int64(p.of.options.Transacted))
			if n == 0 {
				break
			}
			err = p.transaction(n)
			continue
		}
		if p.of.take(1) == 0 {
			break
		}
		err = p.single()
	}
	if err != nil {
		return fmt.Errorf("send: %w", err)
	}
	if err := p.conn.Sync(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	return nil
}

// take gives up to n messages of what is left.
func (r *Run) take(n int64) int64 {
	if r.options.Count == 0 {
		return n
	}
	before := r.left.Add(-n) + n
	return max(0, min(n, before))
}

// single sends one message outside of a transaction.
func (p *producer) single() error {
	begun := p.stamp()
	if p.of.options.Async {
		if err := p.conn.Post(&p.message); err != nil {
			return err
		}
	} else {
		if _, err := p.conn.Call(&p.message); err != nil {
			return err
		}
		p.latency.add(p.of.now() - begun)
	}
	p.of.sent.Add(1)
	return nil
}

// transaction sends n messages in one.
func (p *producer) transaction(n int64) error {
	tx := p.conn.NextID()
	if err := p.conn.Post(p.conn.Transaction(tx, wire.TransactionBegin)); err != nil {
		return err
	}
	begun := p.of.now()
	p.message.TransactionID = p.conn.TransactionID(tx)
	for range n {
		p.stamp()
		if err := p.conn.Post(&p.message); err != nil {
			return err
		}
	}
	if _, err := p.conn.Call(p.conn.Transaction(tx, wire.TransactionCommitOnePhase)); err != nil {
		return err
	}
	p.latency.add(p.of.now() - begun)
	p.of.sent.Add(n)
	return nil
}

// stamp makes the next message, and gives the time in it.
func (p *producer) stamp() int64 {
	now := p.of.now()
	binary.BigEndian.PutUint64(p.message.Content[12:], uint64(p.next))
	binary.BigEndian.PutUint64(p.message.Content[20:], uint64(now))
	p.next++
	p.message.MessageID.ProducerSequenceID = p.next
	p.message.Timestamp = time.Now().UnixMilli()
	return now
}
