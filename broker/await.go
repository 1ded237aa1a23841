package broker

import (
	"slices"
	"strings"

	"github.com/godwitmq/godwit/message"
)

// Temporary destinations live as long as their connection. When that ends for the broker's sake (a stop, a switchover, a crash), its client comes
// back by the same connection id and makes them again by the same names, but not at once; and who answers to one meanwhile must not hear that it does not exist. So
// such a destination waits for its owner for some time (Options.TemporaryGrace). After a start nobody knows which there were: then a send makes the
// one that it names.

// orphan has a temporary destination wait for its owner. false: it is not to.
func (b *Broker) orphan(d *destination) bool {
	if b.opt.TemporaryGrace <= 0 {
		return false
	}
	d.creator, d.owner = d.owner.about.Name, nil
	d.awaitedUntil = b.now + b.opt.TemporaryGrace.Milliseconds()
	b.awaited = append(b.awaited, d)
	return true
}

// await gives the temporary destination of that name for somebody who sends to it, if its owner is expected back; nil: it is there, or is not expected.
func (b *Broker) await(name message.Destination, op string) *destination {
	if !name.Kind.IsTemporary() || b.now >= b.awaitUntil || b.destinations[name] != nil || b.notExpected[name] || b.admitDestination(name, op) != nil {
		return nil
	}
	return b.createAwaited(name)
}

func (b *Broker) createAwaited(name message.Destination) *destination {
	d := b.create(name, nil)
	d.awaitedUntil = b.awaitUntil
	// All that are made after a start are awaited for as long; those that were orphaned since wait longer.
	at := slices.IndexFunc(b.awaited, func(x *destination) bool { return x.awaitedUntil > d.awaitedUntil })
	if at < 0 {
		at = len(b.awaited)
	}
	b.awaited = slices.Insert(b.awaited, at, d)
	return d
}

// ownerName is the name of the connection that a temporary destination is named after: what comes before its own number.
func ownerName(name message.Destination) string {
	owner, _, _ := cutLast(name.Name, ':')
	return owner
}

func cutLast(text string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(text, sep); i >= 0 {
		return text[:i], text[i+1:], true
	}
	return text, "", false
}

// adopt makes a connection the owner of a temporary destination that waits for it. false: it waits for another one.
func (b *Broker) adopt(d *destination, c *connection) bool {
	if c.about.Name == "" || ownerName(d.name) != c.about.Name {
		return false
	}
	b.awaitNoMore(d)
	d.owner = c
	c.temporaries = append(c.temporaries, d)
	return true
}

// maxNotExpected bounds the temporary destinations of which it is remembered, for the time after a start in which all others are expected, that they are gone.
const maxNotExpected = 10_000

// expectNoMore says that a temporary destination has come to its end.
func (b *Broker) expectNoMore(name message.Destination) {
	switch gone := &b.notExpected; {
	case b.now >= b.awaitUntil:
		*gone = nil
	case len(*gone) < maxNotExpected:
		if *gone == nil {
			*gone = map[message.Destination]bool{}
		}
		(*gone)[name] = true
	}
}

// awaitNoMore ends the waiting of a destination, if it waits.
func (b *Broker) awaitNoMore(d *destination) {
	if d.awaitedUntil != 0 {
		d.awaitedUntil = 0
		b.awaited = slices.DeleteFunc(b.awaited, func(x *destination) bool { return x == d })
	}
}

// endAwaiting removes the destinations whose owners have not come back in time.
func (b *Broker) endAwaiting() {
	for len(b.awaited) > 0 && b.awaited[0].awaitedUntil <= b.now {
		b.drop(b.awaited[0])
	}
}

// awaiting checks them for Audit.
func (a *audit) awaiting() {
	for i, d := range a.b.awaited {
		a.check(d.name.Kind.IsTemporary() && d.owner == nil && a.b.destinations[d.name] == d, "%s is awaited and should not be", d.name)
		a.check(i == 0 || a.b.awaited[i-1].awaitedUntil <= d.awaitedUntil, "%s is awaited out of turn", d.name)
	}
	n := 0
	for name, d := range a.b.destinations {
		if name.Kind.IsTemporary() {
			n++
			a.check((d.owner == nil) == (d.awaitedUntil != 0), "%s has no owner and is not awaited, or the other way round", name)
		}
	}
	a.check(n == a.b.temporaries, "there are %d temporary destinations, %d are counted", n, a.b.temporaries)
}
