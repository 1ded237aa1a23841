package jetstream

import (
	"fmt"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/layout"
)

// chain follows the log message by message and proves that each continues what came before. Nothing it has not passed is served.
type chain struct {
	stream string
	seq    uint64           // of the next message
	at     journal.Position // of the next batch
	link   layout.Link      // what the next batch must follow; unknown at the start of reading
	// long gathers the parts of a batch that came in several messages. What is there when another writer begins was never acknowledged.
	long      []byte
	longParts uint32
	proved    []proved // of the last message
}

type proved struct {
	head  layout.Header
	bytes []byte
}

func (c *chain) corrupt(reason string, args ...any) error {
	return &journal.CorruptError{File: c.stream, Sequence: c.seq, At: c.at, Reason: fmt.Sprintf(reason, args...)}
}

// next takes one message, proves all of it, and then calls fn for each batch that it makes whole, in order. It returns how many bytes of positions the
// message covers. A message that is not proved leaves the chain as it was; after an error of fn it is not to be used any more.
func (c *chain) next(seq uint64, data []byte, fn func(h *layout.Header, batch []byte) error) (covers uint64, err error) {
	if seq != c.seq {
		return 0, c.corrupt("message %d stands where %d belongs", seq, c.seq)
	}
	if len(data) == 0 {
		return 0, c.corrupt("an empty message")
	}
	was := *c
	if err := c.prove(data); err != nil {
		*c = was
		return 0, err
	}
	c.seq++
	for i := range c.proved {
		p := &c.proved[i]
		if err := fn(&p.head, p.bytes); err != nil {
			return 0, err
		}
		covers += uint64(p.head.Length)
	}
	return covers, nil
}

func (c *chain) prove(data []byte) (err error) {
	c.proved = c.proved[:0]
	if isPart(data) {
		if data, err = c.part(data); data == nil {
			return err
		}
	} else if c.long != nil {
		if err := c.abandoned(data); err != nil {
			return err
		}
	}
	wrong, err := eachBatch(data, func(h *layout.Header, batch []byte, hash layout.Digest) error {
		if !c.link.Known && c.at == 0 {
			c.at = h.Base
		}
		if h.Base != c.at {
			return c.corrupt("batch %d of position %d stands at position %d", h.Number, h.Base, c.at)
		}
		if wrong := c.link.Check(h); wrong != "" {
			return c.corrupt("%s", wrong)
		}
		c.link.Advance(h, hash)
		c.at = h.End()
		c.proved = append(c.proved, proved{*h, batch})
		return nil
	})
	if err == nil && wrong != "" {
		err = c.corrupt("%s", wrong)
	}
	c.long, c.longParts = nil, 0
	return err
}

// part adds a part, and returns the whole batch once it is complete.
func (c *chain) part(data []byte) ([]byte, error) {
	var p part
	if wrong := p.decode(data); wrong != "" {
		return nil, c.corrupt("%s", wrong)
	}
	if !c.link.Known && c.at == 0 && c.long == nil {
		c.at = p.base
	}
	if p.index != c.longParts && c.long != nil || p.index != 0 && c.long == nil || p.base != c.at {
		return nil, c.corrupt("part %d of the batch at position %d stands where part %d of position %d belongs", p.index, p.base, c.longParts, c.at)
	}
	if c.long == nil {
		c.long, c.longParts = make([]byte, 0, min(p.length, 8<<20)), 0
	}
	c.long = append(c.long, p.data...)
	c.longParts++
	if c.longParts < p.parts {
		return nil, nil
	}
	whole := c.long
	var h layout.Header
	if wrong := h.Parse(whole); wrong != "" {
		return nil, c.corrupt("%s", wrong)
	}
	if int64(h.Length) != int64(len(whole)) {
		return nil, c.corrupt("batch %d has %d bytes, its parts have %d", h.Number, h.Length, len(whole))
	}
	return whole, nil
}

// abandoned drops the parts of a batch whose writer did not come to its end. Only another writer's beginning may follow them.
func (c *chain) abandoned(data []byte) error {
	var h layout.Header
	if wrong := h.Parse(data); wrong != "" {
		return c.corrupt("%s", wrong)
	}
	if h.Flags != layout.FlagControl || h.Epoch <= c.link.Epoch {
		return c.corrupt("batch %d follows %d parts of a longer one of the same writer", h.Number, c.longParts)
	}
	c.long, c.longParts = nil, 0
	return nil
}
