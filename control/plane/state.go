package plane

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Limits bound what there may be. A zero field stands for Amazon MQ's own limit, or for the one that is named.
type Limits struct {
	Brokers              int           // of an account in a region; 200
	BrokersInAll         int           // 2,000
	Configurations       int           // of an account in a region; 1,000
	Revisions            int           // of a configuration; 300
	RevisionBytes        int           // of one revision's data; 256 KiB
	ConfigurationBytes   int           // of the data of all revisions; 64 MiB
	Users                int           // of a broker; 250
	GroupsPerUser        int           // 20
	SecurityGroups       int           // of an account in a region; 500
	SecurityGroupsBroker int           // of a broker; 5
	Rules                int           // of a security group; 100
	Tags                 int           // of a resource; 50
	Keys                 int           // 1,000
	Nodes                int           // 1,000
	Types                int           // of the operator's own; 100
	StorageGB            int           // of a broker; 16,384
	Audit                int           // entries that are kept; 10,000
	AuditAge             time.Duration // for how long; 400 days
	Attempts             int           // of a step before the operation is rolled back; 5
	BackoffFrom          time.Duration // before the second attempt; doubled with each; 1 s
	BackoffTo            time.Duration // 5 minutes
}

func (l Limits) filled() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&l.Brokers, 200}, {&l.BrokersInAll, 2000}, {&l.Configurations, 1000}, {&l.Revisions, 300}, {&l.RevisionBytes, 256 << 10}, {&l.ConfigurationBytes, 64 << 20},
		{&l.Users, 250}, {&l.GroupsPerUser, 20}, {&l.SecurityGroups, 500}, {&l.SecurityGroupsBroker, 5}, {&l.Rules, 100}, {&l.Tags, 50}, {&l.Keys, 1000},
		{&l.Nodes, 1000}, {&l.Types, 100}, {&l.StorageGB, 16384}, {&l.Audit, 10_000}, {&l.Attempts, 5},
	} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	for _, f := range []struct {
		field *time.Duration
		value time.Duration
	}{{&l.AuditAge, 400 * 24 * time.Hour}, {&l.BackoffFrom, time.Second}, {&l.BackoffTo, 5 * time.Minute}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return l
}

// Options of a State. The zero value works.
type Options struct {
	Limits Limits
	// Versions are the engine versions that brokers can have, the default first. nil means 5.19 and 5.18.
	Versions []string
	// Zone finds a time zone by its name, such as Europe/Berlin. nil means that only UTC and offsets from it are known. It must give
	// the same as long as the process lives; [time.LoadLocation] does.
	Zone func(name string) (*time.Location, error)
}

// Scope is what an account has in a region. Whoever has the empty scope is the operator, who sees everything.
type Scope struct {
	Account string `json:"account,omitempty"` // twelve digits
	Region  string `json:"region,omitempty"`
}

// sees says whether what belongs to other is there at all for s.
func (s Scope) sees(other Scope) bool { return s == Scope{} || s == other }

// Origin is who gives a command.
type Origin struct {
	Scope
	Who  string // an access key's id, a login of the console, a node's name
	From string // the address from which it came
	Node string // of a node's report: it is believed about its own instances only; "": that is not asked
}

// Command is a wish to change the state. Its types are in this package.
type Command interface {
	do(tx *tx) error
}

// State is all that the control plane knows. It is never changed: a Step makes another. So it may be read by any number of
// goroutines, and kept. What its methods return is its own: to be read only.
type State struct {
	opt            *Options
	serial         uint64 // the highest number given out: of a step, a generation, a version
	keys           table[Key]
	nodes          table[Node]
	invites        table[Invite]
	groups         table[SecurityGroup]
	types          table[InstanceType]
	configurations table[Configuration]
	revisions      table[Revision]
	brokers        table[Broker]
	audit          []Entry
}

// New is the state in which nothing exists.
func New(opt Options) *State {
	opt.Limits = opt.Limits.filled()
	if opt.Versions == nil {
		opt.Versions = []string{"5.19", "5.18"}
	}
	return &State{
		opt:            &opt,
		keys:           table[Key]{"key", map[string]*Key{}},
		nodes:          table[Node]{"node", map[string]*Node{}},
		invites:        table[Invite]{"invite", map[string]*Invite{}},
		groups:         table[SecurityGroup]{"security group", map[string]*SecurityGroup{}},
		types:          table[InstanceType]{"instance type", map[string]*InstanceType{}},
		configurations: table[Configuration]{"configuration", map[string]*Configuration{}},
		revisions:      table[Revision]{"revision", map[string]*Revision{}},
		brokers:        table[Broker]{"broker", map[string]*Broker{}},
	}
}

// Change is what a command does.
type Change struct {
	State   *State   // afterwards; the same as before if there are no Records
	Records [][]byte // to be appended to the log as one batch, whole or not at all
	Effects []Effect // that are new; to be carried out when the records are durable
	ID      string   // of the object that the command has made, or found instead
	Plan    []Plan   // of the brokers for which there is work now, or will be in their maintenance windows, by id
}

// Plan is what a command means for a broker.
type Plan struct {
	Broker string
	Cost   Cost   // for its clients
	Steps  []Step // of the operation that has begun
}

// Cost is that of a broker: nothing if there is no plan for it.
func (c *Change) Cost(broker string) Cost {
	for _, p := range c.Plan {
		if p.Broker == broker {
			return p.Cost
		}
	}
	return Cost{}
}

// Step carries out a command. Nothing has happened until the records are durable; whoever gives up the Change has undone it, so a dry run is a Step
// of which only the Plan is used. Errors are *Error.
func (s *State) Step(now time.Time, by Origin, c Command) (*Change, error) {
	next := *s
	tx := &tx{s: &next, was: s, now: instant(now), by: by, owned: map[string]bool{}}
	if err := c.do(tx); err != nil {
		return nil, err
	}
	if len(tx.records) == 0 {
		return &Change{State: s, ID: tx.id}, nil
	}
	tx.auditCommand(c)
	tx.record(recordStep, step{Serial: tx.next(), At: tx.now})
	return &Change{State: &next, Records: tx.records, Effects: next.newWork(s), ID: tx.id, Plan: tx.plans}, nil
}

// Serial grows with every Step that changes something.
func (s *State) Serial() uint64 { return s.serial }

// Digest is a hash over everything. Equal states have equal digests, however they came about.
func (s *State) Digest() string {
	h := sha256.New()
	for _, r := range s.Snapshot() {
		h.Write(r)
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// tx is a Step at work.
type tx struct {
	s, was  *State
	now     time.Time
	by      Origin
	owned   map[string]bool // tables whose map is copied already
	records [][]byte
	touched []touch
	events  []Entry
	id      string
	plans   []Plan
}

// planOf is the plan of a broker, made if there is none.
func (tx *tx) planOf(id string) *Plan {
	for n := range tx.plans {
		if tx.plans[n].Broker == id {
			return &tx.plans[n]
		}
	}
	tx.plans = append(tx.plans, Plan{Broker: id})
	return &tx.plans[len(tx.plans)-1]
}

// next gives a number that was never given before.
func (tx *tx) next() uint64 {
	tx.s.serial++
	return tx.s.serial
}

func (tx *tx) limits() *Limits { return &tx.s.opt.Limits }

func (tx *tx) record(kind recordKind, v any) { tx.records = append(tx.records, newRecord(kind, v)) }

// scope is where something new belongs.
func (tx *tx) scope() (Scope, error) {
	if tx.by.Account == "" || tx.by.Region == "" {
		return Scope{}, bad("", "say for which account and in which region")
	}
	return tx.by.Scope, nil
}

// instant is a time as records have it.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
