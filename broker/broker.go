// Package broker is the core of Godwit: a state machine that owns all destinations, subscriptions, transactions and
// messages, and all JMS semantics. It knows no protocol, socket, disk, goroutine, lock or clock: Step takes an event and the
// time, changes the state, and says in Effects what to append to the log and what to tell whom. The same records, given to
// Replay, give the same state again; so recovery, a standby and the simulator are one code path.
//
// The rule of safety: what an effect lets a client see must not be undone by a crash. An effect that depends on a
// record is marked (Effect.Held) and handed out only when that record is durable.
package broker

import (
	"fmt"
	"time"

	"github.com/godwitmq/godwit/message"
)

// Options are a core's limits and policies. The zero value works.
type Options struct {
	// Name is what the broker calls itself in words for people. "" means godwit.
	Name string
	// ID, Directory and Connectors (URLs by their ActiveMQ names: openwire, ssl, stomp, stomp+ssl) are what statistics tell; they may be empty.
	ID         string
	Directory  string
	Connectors map[string]string
	// CacheBytes is about how many bytes of waiting messages that are in the log stay in memory too; beyond it they are read back when
	// their turn comes. 0 means 8 MiB.
	CacheBytes int64
	// MemoryBytes is about how many bytes of waiting non-persistent messages stay in memory only; beyond it they are written to the log to
	// make room, from which they are not recovered. 0 means 64 MiB.
	MemoryBytes int64
	// SegmentBytes is the size of the log's segments: the log is trimmed so that it stays below 1.25 times its live
	// bytes and an eighth of a segment. 0 means 16 MiB.
	SegmentBytes int64
	// PackFrom is how many waiting messages make a backlog a long one, of which all but the front takes about 12 bytes a message, not 128. 0 means 16,384.
	PackFrom int
	// MaxDestinations bounds the number of destinations. 0 means 100,000.
	MaxDestinations int
	// MaxProducers bounds how many producers' last sequences are remembered for duplicate detection. 0 means 4096.
	MaxProducers int
	// MaxTransaction bounds the number of messages and acknowledgements in one transaction. 0 means 1,000,000.
	MaxTransaction int
	// MaxPrepared bounds the number of prepared transactions. 0 means 1,000,000.
	MaxPrepared int
	// MaxOutcomes bounds of how many connections, and of how many distributed transactions, commits are remembered for clients that ask again. 0 means 4096.
	MaxOutcomes int
	// TemporaryGrace is how long temporary destinations wait for an owner that is expected back. 0: none does.
	TemporaryGrace time.Duration
	// CarryBytes bounds the messages that a Stop writes to the log although nothing but a stop would have them survive: non-persistent ones, and those
	// of temporary queues. 0: none are.
	CarryBytes int64
	// DrainAtOnce bounds how many messages one Step removes when a queue is purged or removed; the next Ticks do the rest. 0 means 2048.
	DrainAtOnce int
	Policies    Policies
	// Location is the time zone of CRON entries. nil means UTC.
	Location *time.Location
}

// minSegmentBytes is the least SegmentBytes that makes sense.
const minSegmentBytes = 4 << 10

func (o Options) filled() Options {
	if o.Name == "" {
		o.Name = "godwit"
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 8 << 20
	}
	if o.MemoryBytes == 0 {
		o.MemoryBytes = 64 << 20
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = 16 << 20
	}
	o.SegmentBytes = max(o.SegmentBytes, minSegmentBytes)
	if o.PackFrom == 0 {
		o.PackFrom = 16384
	}
	if o.MaxDestinations == 0 {
		o.MaxDestinations = 100_000
	}
	if o.MaxProducers == 0 {
		o.MaxProducers = 4096
	}
	if o.MaxTransaction == 0 {
		o.MaxTransaction = 1_000_000
	}
	if o.MaxPrepared == 0 {
		o.MaxPrepared = 1_000_000
	}
	if o.MaxOutcomes == 0 {
		o.MaxOutcomes = 4096
	}
	if o.DrainAtOnce == 0 {
		o.DrainAtOnce = drainAtOnce
	}
	return o
}

// Broker is the core. One goroutine uses it at a time.
type Broker struct {
	opt      Options
	policies *Policies
	now      int64 // ms since 1970, of the Step at work
	out      *Effects

	sequence   uint64 // of the newest message
	nextID     uint64 // of the newest backlog in the log
	nextTx     uint64 // of the newest transaction in the log
	nextToken  uint64
	generation uint64 // of broker-made message ids: differs with each start

	destinations  map[message.Destination]*destination
	backlogs      map[uint64]*backlog // those in the log, by id
	connections   map[ConnID]*connection
	names         map[string]*connection
	clients       map[string]*connection
	durables      map[durableKey]*subscription
	shared        map[durableKey]*subscription // that are not durable
	wild          []*subscription              // topic subscriptions with a pattern
	wildConsumers []*consumer                  // queue consumers with a pattern
	producers     producers
	branches      branches
	outcomes      outcomes
	producing     map[message.Destination]int // producers by destination, as told by AddProducer
	timers        timers
	wheel         wheel
	schedule      schedule
	retries       retries
	delayed       map[*entry]int64 // when those come back that wait for a redelivery, ms since 1970; never ranged over where the order shows
	loads         map[uint64]*load
	dirty         []*backlog // to be dispatched at the end of the Step
	gated         []*backlog // that wait for consumers
	patrolAt      int64      // when the next patrol is, ms since 1970; 0: none
	fresh         []*stored  // came in the Step, may have to leave memory at its end
	long          []*backlog // became long in the Step
	packs         []*backlog // those that have packs, or had
	drains        []*drain   // that have more to remove, in turns
	cached        int64      // bytes of messages in memory that wait
	transient     int64      // of those, of messages that are not recovered from the log
	pending       int64      // bytes of messages in memory of open transactions
	unlogged      int64      // of those, of messages that are not in the log
	away          int64      // bytes of messages in memory that are at a consumer and nowhere else
	scratch       struct {
		targets []*backlog
		entries []*entry // for settle alone
		acked   []*entry // for ack alone
		parts   []part
		copies  []*backlog // of parts
		due     []*entry   // for tick alone
		run     []*entry   // for packList alone
	}
	actor             ConnID                       // on whose behalf destinations are made in this Step
	advisories        int                          // subscriptions to advisory topics
	messageAdvisories bool                         // whether a policy has any about messages
	temporaries       int                          // destinations
	awaited           []*destination               // of those, the ones without an owner, in the order in which the time is over that they wait for one
	awaitUntil        int64                        // ms since 1970: until when sends make temporary destinations whose owner may come back
	notExpected       map[message.Destination]bool // of those, what has come to its end since the start
	leaving           bool                         // nothing is delivered any more
	carried           []*carriedEntry              // by the Stop that was the last Step
	late              *load                        // being filled: messages that advisories need
	lateLoads         int                          // that and those that were asked for

	keys         []txKey // of a message that enters without its body in memory
	routing      routing
	policyCounts map[*Policy]int // destinations of the policies that bound them
	sweepAt      int64           // when inactive destinations are looked for, ms since 1970; 0 is never

	flow   flow
	log    space
	replay *replay // while replaying
}

// New makes an empty broker. Before its first Step all records of the log are given to Replay, then Recovered is called.
func New(opt Options) *Broker {
	opt = opt.filled()
	b := &Broker{
		opt:          opt,
		destinations: map[message.Destination]*destination{},
		backlogs:     map[uint64]*backlog{},
		connections:  map[ConnID]*connection{},
		names:        map[string]*connection{},
		clients:      map[string]*connection{},
		durables:     map[durableKey]*subscription{},
		shared:       map[durableKey]*subscription{},
		producing:    map[message.Destination]int{},
		policyCounts: map[*Policy]int{},
		producers:    producers{byID: map[string]*producer{}},
		branches:     newBranches(),
		outcomes:     newOutcomes(opt.MaxOutcomes, opt.MaxPrepared),
		loads:        map[uint64]*load{},
		delayed:      map[*entry]int64{},
		schedule:     schedule{jobs: map[uint64]*job{}},
		log:          space{segment: opt.SegmentBytes, extentBytes: extentBytes(opt.SegmentBytes), extents: map[uint64]*extent{}, room: 1 << 62},
		replay:       newReplay(),
	}
	b.setPolicies(opt.Policies)
	return b
}

// Step applies one event at a time (ms since 1970, never going back) and adds to out what is to be done. The records of one Step must be
// appended in one batch.
func (b *Broker) Step(now int64, event Event, out *Effects) {
	b.now, b.out, b.actor = now, out, 0
	b.do(event)
	if b.flow.waiting > 0 {
		b.flow.budget = max(1, b.opt.SegmentBytes/admitPart)
		b.refuseLate()
	}
	if b.wheel.size > 0 || len(b.timers) > 0 && b.timers[0].at <= now {
		b.tick()
	}
	if b.sweepAt != 0 && b.sweepAt <= now {
		b.removeInactive()
	}
	if b.patrolAt != 0 && b.patrolAt <= now {
		b.patrol()
	}
	if len(b.awaited) > 0 {
		b.endAwaiting()
	}
	b.dispatchDirty()
	for b.flow.waiting > 0 && b.takeWaiting() {
		b.tick() // some may have waited for longer than they live
		b.dispatchDirty()
	}
	b.askLate()
	b.relieve()
	b.packLong()
	b.clean()
	b.out = nil
}

// dispatchDirty dispatches what has to be looked at.
func (b *Broker) dispatchDirty() {
	for len(b.dirty) > 0 {
		q := b.dirty[len(b.dirty)-1]
		b.dirty = b.dirty[:len(b.dirty)-1]
		q.dirty = false
		if q.keeping == nil {
			b.dispatch(q)
		} else {
			b.settleReplaced(q)
			b.dispatch(q)
			b.settleOldest(q)
		}
		if q.bounded {
			b.bound(q)
		}
		if b.messageAdvisories {
			b.adviseSlow(q)
		}
	}
}

// do does what an event asks for.
func (b *Broker) do(event Event) {
	switch ev := event.(type) {
	case *Send:
		b.send(ev)
	case *Ack:
		b.ack(ev)
	case *Begin:
		b.beginTx(ev)
	case *Commit:
		b.commit(ev)
	case *Rollback:
		b.rollback(ev)
	case *Pull:
		b.pull(ev)
	case *SetPrefetch:
		b.setPrefetch(ev)
	case *Throttle:
		b.throttle(ev)
	case *Subscribe:
		b.subscribe(ev)
	case *Unsubscribe:
		b.unsubscribe(ev)
	case *AddProducer:
		b.addProducer(ev)
	case *RemoveProducer:
		b.removeProducer(ev)
	case *Connect:
		b.connect(ev)
	case *Disconnect:
		b.disconnect(ev.Conn, ev.Returns)
	case *CreateDestination:
		b.createDestination(ev)
	case *RemoveDestination:
		b.removeDestination(ev)
	case *RemoveSubscription:
		b.removeSubscription(ev)
	case *PurgeSubscription:
		b.purgeSubscription(ev)
	case *Purge:
		b.purge(ev)
	case *Retries:
		b.listRetries(ev)
	case *UndoRetry:
		b.undoRetry(ev)
	case *ListSchedules:
		b.listSchedules(ev)
	case *EditSchedule:
		b.editSchedule(ev)
	case *RemoveSchedules:
		b.removeSchedules(ev)
	case *List:
		b.tell(Effect{Conn: ev.Conn, Ref: ev.Ref, Value: b.view()})
	case *Sweep:
		b.sweep(ev)
	case *SweepOn:
		b.sweepOn(ev)
	case *Pause:
		b.pause(ev)
	case *Loaded:
		b.loaded(ev)
	case *Configure:
		b.configure(ev)
	case *Limit:
		b.limit(ev)
	case *Spoil, *XABegin, *XAEnd, *XAPrepare, *XACommit, *XARollback, *XARecover, *XAForget, *ListTransactions, *SettleTransaction:
		b.distributed(ev)
	case *Pressure:
		b.pressure(ev)
	case Leave:
		b.leaving = true
	case Stop:
		b.stop()
	case Tick:
		b.drainOn()
	default:
		panic(fmt.Sprintf("broker: unknown event %T", event))
	}
}

// tell adds an effect.
func (b *Broker) tell(e Effect) { b.out.List = append(b.out.List, e) }

// answer answers an event when all records so far are durable, or at once if it failed. An event without Ref gets an
// answer only if it failed.
func (b *Broker) answer(conn ConnID, ref Ref, err *Error) {
	if ref == 0 && err == nil {
		return
	}
	b.tell(Effect{Conn: conn, Ref: ref, Err: err, hold: err == nil})
}

// touch marks a backlog for dispatch at the end of the Step.
func (b *Broker) touch(q *backlog) {
	if !q.dirty {
		q.dirty = true
		b.dirty = append(b.dirty, q)
	}
}

// stop marks a clean end: all connections are gone, so nothing is in flight any more, and what was has its redelivery counter raised; but for those
// that still wait to become dead letters, whose queues keep their mark.
func (b *Broker) stop() {
	waits := map[*backlog]bool{}
	for _, l := range b.loads {
		if e := l.dying; e != nil && e.state == dying {
			waits[e.backlog] = true
		}
	}
	for _, id := range sortedKeys(b.backlogs) {
		if q := b.backlogs[id]; q.mark != 0 && !waits[q] {
			b.emitMark(q, 0, true)
		}
	}
	b.carryOver()
	start := b.begin(recordStop)
	b.emit(start, Record{})
}

// start is where the broker's own message ids begin, so that two starts never make the same.
func (b *Broker) newID() message.ID {
	b.generation++
	return message.ID{Producer: fmt.Sprintf("ID:godwit-%d-%d", b.now, b.sequence), Sequence: int64(b.generation)}
}
