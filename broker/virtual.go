package broker

import (
	"slices"
	"strings"

	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/selector"
)

// VirtualTopic copies what is sent to topics into the queues beside them, one for each of the topic's subscribers, so that these are as
// good as any queue: ActiveMQ's virtual topics.
type VirtualTopic struct {
	Topic string // a name or a pattern
	// A queue of topic T is named Prefix, T, Postfix. Whole segments of both may be *, which stands for any one.
	Prefix, Postfix string
	// SelectorAware gives a queue only what one of its consumers selects: a queue without consumers gets nothing, unless
	// RememberSelectors has the selectors of earlier consumers count too.
	SelectorAware, RememberSelectors bool
	// DropWhenFull lets a send succeed although a queue has no room for its copy, which is then lost.
	DropWhenFull bool
	// HidesTopic leaves the message's original destination as the producer sent it, instead of naming the topic there.
	HidesTopic bool
}

// builtInVirtualTopics is ActiveMQ's.
var builtInVirtualTopics = []VirtualTopic{{Topic: "VirtualTopic.>", Prefix: "Consumer.*."}}

// topicOf gives the topic, or a pattern of topics, whose messages go to a queue of that name.
func (v *VirtualTopic) topicOf(queue string) (topic string, ok bool) {
	if topic, ok = message.Between(queue, v.Prefix, v.Postfix); !ok {
		return "", false
	}
	if message.MatchName(v.Topic, topic) || (message.Destination{Name: topic}).IsPattern() && message.Overlap(v.Topic, topic) {
		return topic, true
	}
	return "", false
}

// fan is the queues that get copies of a virtual topic's messages.
type fan struct {
	copies []copyTo // by the queue's name, none twice
}

// copyTo is one queue and the rule by which it gets copies.
type copyTo struct {
	queue *destination
	rule  *VirtualTopic
	topic string // or a pattern
}

func (f *fan) add(c copyTo) {
	i, found := slices.BinarySearchFunc(f.copies, c.queue, func(x copyTo, d *destination) int {
		return strings.Compare(x.queue.name.String(), d.name.String())
	})
	if !found {
		f.copies = slices.Insert(f.copies, i, c)
	}
}

// appendTo appends the backlogs that get a copy of m.
func (f *fan) appendTo(to []*backlog, m *message.Message) []*backlog {
	for _, c := range f.copies {
		if !c.rule.SelectorAware || c.queue.selects(m) {
			to = append(to, c.queue.queue)
		}
	}
	return to
}

// selects says whether a consumer of the queue, or one that it remembers, would take m.
func (d *destination) selects(m *message.Message) bool {
	for _, a := range d.queue.attached {
		if s := a.consumer.selector; s == nil || s.Matches(m) {
			return true
		}
	}
	return d.remembered != nil && d.remembered.selects(m)
}

// fanOf gives the fan of a topic, made now if it is not there.
func (b *Broker) fanOf(topic string) *fan {
	f := b.routing.fans[topic]
	if f == nil {
		f = &fan{}
		b.routing.fans[topic] = f
		for _, c := range b.routing.wild {
			if message.MatchName(c.topic, topic) && message.MatchName(c.rule.Topic, topic) {
				f.add(c)
			}
		}
	}
	return f
}

// joinFans makes a queue get the copies that are for it.
func (b *Broker) joinFans(d *destination) {
	d.copied, d.hidesTopic, d.remembers, d.dropsCopies = false, false, false, false
	if d.name.Kind != message.Queue {
		return
	}
	for i := range b.routing.virtual {
		v := &b.routing.virtual[i]
		topic, ok := v.topicOf(d.name.Name)
		if !ok {
			continue
		}
		d.copied, d.hidesTopic, d.dropsCopies = true, v.HidesTopic, v.DropWhenFull
		d.remembers = d.remembers || v.SelectorAware && v.RememberSelectors
		c := copyTo{queue: d, rule: v, topic: topic}
		if !(message.Destination{Name: topic}).IsPattern() {
			b.fanOf(topic).add(c)
			continue
		}
		b.routing.wild = append(b.routing.wild, c)
		for name, f := range b.routing.fans {
			if message.MatchName(topic, name) && message.MatchName(v.Topic, name) {
				f.add(c)
			}
		}
	}
	if !d.remembers {
		d.remembered = nil
	}
}

// leaveFans undoes joinFans.
func (b *Broker) leaveFans(d *destination) {
	of := func(c copyTo) bool { return c.queue == d }
	for i := range b.routing.virtual {
		topic, ok := b.routing.virtual[i].topicOf(d.name.Name)
		switch {
		case !ok:
		case (message.Destination{Name: topic}).IsPattern():
			b.routing.wild = slices.DeleteFunc(b.routing.wild, of)
			for name, f := range b.routing.fans {
				f.copies = slices.DeleteFunc(f.copies, of)
				b.dropFan(name, f)
			}
		default:
			if f := b.routing.fans[topic]; f != nil {
				f.copies = slices.DeleteFunc(f.copies, of)
				b.dropFan(topic, f)
			}
		}
	}
}

// dropFan forgets a fan that neither a topic nor a queue has a use for.
func (b *Broker) dropFan(topic string, f *fan) {
	if len(f.copies) == 0 && b.destinations[message.Destination{Kind: message.Topic, Name: topic}] == nil {
		delete(b.routing.fans, topic)
	}
}

// makeWildQueue makes the queue that a pattern names, if a virtual topic has copies for it: Consumer.A.VirtualTopic.> is such a queue. It gets what
// is sent to any topic that fits, also to one whose own queue is not there.
func (b *Broker) makeWildQueue(name message.Destination, op string, mayCreate bool, user string) *Error {
	if name.Kind != message.Queue || b.destinations[name] != nil {
		return nil
	}
	for i := range b.routing.virtual {
		if _, ok := b.routing.virtual[i].topicOf(name.Name); ok {
			_, err := b.lookup(name, op, mayCreate, user)
			return err
		}
	}
	return nil
}

// maxRemembered bounds the selectors that a queue remembers. One more, and it takes everything.
const maxRemembered = 100

// remembered are the selectors of the consumers that a queue has had.
type remembered struct {
	texts  []string
	parsed []*selector.Selector // nil: all
	home   uint64
}

func (r *remembered) selects(m *message.Message) bool {
	return slices.ContainsFunc(r.parsed, func(s *selector.Selector) bool { return s == nil || s.Matches(m) })
}

// add remembers one more, and says whether it was new.
func (r *remembered) add(text string, s *selector.Selector) bool {
	if slices.Contains(r.texts, "") || slices.Contains(r.texts, text) {
		return false
	}
	if s == nil || len(r.texts) >= maxRemembered {
		r.texts, r.parsed = []string{""}, []*selector.Selector{nil}
		return true
	}
	r.texts, r.parsed = append(r.texts, text), append(r.parsed, s)
	return true
}

// rememberSelector keeps what a new consumer of a queue selects, for the time when it is gone.
func (b *Broker) rememberSelector(d *destination, c *consumer) {
	if d.remembered == nil {
		d.remembered = &remembered{}
	}
	if d.remembered.add(strings.TrimSpace(c.about.Selector), c.selector) && d.queue.id != 0 {
		b.emitSelectors(d)
	}
}

func (b *Broker) writeSelectors(queue uint64, r *remembered) int {
	start := b.begin(recordSelectors)
	b.number(queue)
	b.number(uint64(len(r.texts)))
	for _, t := range r.texts {
		b.text(t)
	}
	return start
}

func (b *Broker) emitSelectors(d *destination) {
	b.emit(b.writeSelectors(d.queue.id, d.remembered), Record{Lazy: true, home: &d.remembered.home})
}

func (b *Broker) replaySelectors(position uint64, f *fields) error {
	q := b.replayTarget(f.number())
	r := &remembered{home: position}
	for range f.count() {
		text := f.text()
		s, err := parseSelector(text)
		if err != nil {
			return err
		}
		r.add(text, s)
	}
	if !f.failed {
		q.remembered = r
	}
	return nil
}
