package plane

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// OperationKind says what began an operation.
type OperationKind string

// The kinds.
const (
	OpCreate     OperationKind = "create"
	OpUpdate     OperationKind = "update" // mode, subnets, or a type that does not fit where the instances are
	OpReboot     OperationKind = "reboot"
	OpUpgrade    OperationKind = "upgrade"
	OpSwitchover OperationKind = "switchover"
	OpRepair     OperationKind = "repair" // a node drains or is lost
	OpDelete     OperationKind = "delete"
)

// Operation is work on a broker that takes time. A broker has one at a time; it is durable, and goes on where it was after a crash.
type Operation struct {
	Serial uint64        `json:"serial"`
	Kind   OperationKind `json:"kind"`
	Who    string        `json:"who,omitempty"`
	Began  time.Time     `json:"began"`
	Steps  []Step        `json:"steps"` // done, current, to come
	At     int           `json:"at"`    // index of the current one
	// Attempts, NotBefore and Error are of the current step: how often it has failed, when it may be tried again, and why it failed last.
	Attempts  int       `json:"attempts,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	Error     string    `json:"error,omitempty"`
	Stuck     bool      `json:"stuck,omitempty"`    // the step has failed too often, and there is nothing to go back to: it is tried for ever
	Undo      *Goal     `json:"undo,omitempty"`     // of before; nil: there is nothing to go back to
	Rollback  string    `json:"rollback,omitempty"` // why it is on its way back; "": it is not
	Avoid     []string  `json:"avoid,omitempty"`    // nodes on which an instance did not start
}

// Current is the step that is being carried out.
func (o *Operation) Current() *Step { return &o.Steps[o.At] }

// StepKind says what a reconciler does for a step.
type StepKind string

// The kinds. Each is idempotent: what is so already is done.
const (
	// StepStart: the generation runs on its node, and nothing older of the same number: that is ended first, in good order, its data kept. Done when it serves, or stands by and has
	// caught up, or, of a witness, when it has the log.
	StepStart StepKind = "start"
	// StepStop: the generation has ended and never starts again; its data is removed.
	StepStop StepKind = "stop"
	// StepPair: the messages of the running instance are in the log of all three nodes, and it serves from there.
	StepPair StepKind = "convert to a pair"
	// StepSingle: the messages are in files of the instance, which serves alone.
	StepSingle StepKind = "convert to a single instance"
	// StepSwitchover: the instance is the active one.
	StepSwitchover StepKind = "switch over to"
)

// Step is one of an operation.
type Step struct {
	ID         uint64   `json:"id,omitempty"` // given when the step becomes the current one: of a broker, later steps have higher ones
	Kind       StepKind `json:"kind"`
	Number     int      `json:"number"`
	Generation uint64   `json:"generation"` // final when the step becomes the current one
	Node       string   `json:"node"`
	Restart    bool     `json:"restart,omitempty"` // StepStart: in the place of the generation that runs there
}

// String is such as "start 2 on node-b".
func (s Step) String() string { return fmt.Sprintf("%s %d on %s", s.Kind, s.Number, s.Node) }

// Cost is what a change costs the broker's clients.
type Cost struct {
	Restart   []int      `json:"restart,omitempty"`   // instances that are restarted in their places, without the witness
	Failover  []Failover `json:"failover,omitempty"`  // changes of the active instance, in their order
	Reconnect int        `json:"reconnect,omitempty"` // how often clients are sent away and served again at the same place, by a conversion of the log
	Moved     []int      `json:"moved,omitempty"`     // standbys that go away or elsewhere: clients that had come to them, and were brought to the active instance, reconnect
	// Later is what the rest costs that waits for the maintenance window, which is at LaterAt; nil: nothing waits.
	Later   *Cost     `json:"later,omitempty"`
	LaterAt time.Time `json:"laterAt,omitzero"`
}

// Failover is a change of the active instance.
type Failover struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// String is such as "restart: no, failover: 1 to 2".
func (c Cost) String() string {
	restart := numbers(c.Restart)
	var failover []string
	for _, f := range c.Failover {
		failover = append(failover, fmt.Sprintf("%d to %d", f.From, f.To))
	}
	text := "restart: " + orNo(restart) + ", failover: " + orNo(failover)
	if c.Reconnect > 0 {
		text += fmt.Sprintf(", clients reconnect: %d times", c.Reconnect)
	}
	if len(c.Moved) > 0 {
		text += fmt.Sprintf(", clients that came to %s reconnect", orNo(numbers(c.Moved)))
	}
	if c.Later != nil {
		text += fmt.Sprintf("; at %s: %s", c.LaterAt.Format(time.RFC3339), c.Later)
	}
	return text
}

func numbers(list []int) (words []string) {
	for _, n := range list {
		words = append(words, fmt.Sprint(n))
	}
	return words
}

func orNo(list []string) string {
	if len(list) == 0 {
		return "no"
	}
	return strings.Join(list, ", ")
}

// costOf is that of steps while an instance is active.
func costOf(steps []Step, active int) (c Cost) {
	for _, s := range steps {
		switch {
		case s.Kind == StepStop && s.Number == active:
			c.Moved = nil // the broker goes
			return c
		case s.Kind == StepStop && s.Number != Witness:
			c.Moved = append(c.Moved, s.Number)
		case s.Kind == StepSwitchover && s.Number != active:
			c.Failover = append(c.Failover, Failover{active, s.Number})
			active = s.Number
		case s.Kind == StepPair || s.Kind == StepSingle:
			c.Reconnect++
		case s.Restart && s.Number != Witness:
			c.Restart = append(c.Restart, s.Number)
		}
	}
	if c.Reconnect > 0 {
		c.Moved = nil // all do
	}
	slices.Sort(c.Moved)
	return c
}

// begin makes an operation of what differs between the goal and the facts, and saves the broker. Without a difference there is none. undo is the goal of before.
func (tx *tx) begin(b *Broker, kind OperationKind, undo *Goal) error {
	if op := b.Operation; op != nil {
		return conflict("broker-id", "operation %s is at work on broker [%s], at step %q: wait until it is done", op.Kind, b.ID, op.Current().String())
	}
	steps, err := tx.plan(b)
	if err != nil {
		return err
	}
	b.Blocked = ""
	if len(steps) > 0 {
		p := tx.planOf(b.ID)
		later, at := p.Cost.Later, p.Cost.LaterAt
		p.Steps, p.Cost = slices.Clone(steps), costOf(steps, b.Active)
		p.Cost.Later, p.Cost.LaterAt = later, at
	}
	b.Operation = &Operation{Serial: tx.next(), Kind: kind, Who: tx.by.Who, Began: tx.now, Steps: steps, Undo: undo}
	tx.proceed(b)
	return nil
}

// stepsKept is how many steps that are done an operation remembers.
const stepsKept = 50

// proceed goes to the current step, or ends the operation if there is none, and saves the broker.
func (tx *tx) proceed(b *Broker) {
	op := b.Operation
	op.Attempts, op.NotBefore, op.Error, op.Stuck = 0, time.Time{}, "", false
	for op.At == len(op.Steps) {
		if b.Log == NoLog && !b.Goal.Gone {
			b.Log = FileLog
			if b.Goal.Mode == Pair {
				b.Log = NodesLog
			}
			if b.Active == 0 {
				b.Active, b.ActiveSince = 1, tx.now
			}
		}
		more, err := tx.plan(b)
		if err != nil {
			b.Blocked = err.Error()
		}
		if err != nil || len(more) == 0 {
			tx.end(b)
			return
		}
		op.Steps = append(op.Steps, more...)
	}
	if n := op.At - stepsKept; n > 0 {
		op.Steps, op.At = op.Steps[n:], stepsKept
	}
	s := op.Current()
	if first := b.before(s); first != nil {
		op.Steps = slices.Insert(op.Steps, op.At, *first)
		s = op.Current()
	}
	s.ID = tx.next()
	switch s.Kind {
	case StepStart:
		i := b.generation(s.Number, s.Generation)
		if !i.Wanted || s.Restart { // only now, so that no list of before can have had it, and not have it
			i.Generation = tx.next()
			for n, was := op.At, s.Generation; n < len(op.Steps); n++ {
				if later := &op.Steps[n]; later.Number == s.Number && later.Generation == was {
					later.Generation = i.Generation
				}
			}
		}
		i.Version, i.Wanted, i.Up, i.Down, i.Detail, i.Program, i.Newer = b.Goal.Version, true, false, false, "", "", ""
	case StepStop:
		i := b.generation(s.Number, s.Generation)
		i.Wanted, i.Leaving = false, true
	}
	tx.save(b)
}

// before is the switchover that has to come before a step, nil if none has: what has become active since the plan was made is not ended, and only what is active becomes the only one.
func (b *Broker) before(s *Step) *Step {
	to := 0
	switch {
	case b.Log != NodesLog || b.Goal.Gone || s.Number == Witness:
	case s.Number == b.Active && (s.Kind == StepStop || s.Restart):
		to = 3 - s.Number
	case s.Number != b.Active && s.Kind == StepSingle:
		to = s.Number
	}
	if i := b.Instance(to); i != nil && i.Up {
		return &Step{Kind: StepSwitchover, Number: to, Generation: i.Generation, Node: i.Node}
	}
	return nil
}

func (tx *tx) end(b *Broker) {
	op := b.Operation
	b.Operation = nil
	b.Goal.Active = 0
	if len(op.Steps) > 0 || op.Rollback != "" {
		b.Last = &Outcome{Operation: op.Kind, Ended: tx.now, Error: op.Rollback}
	}
	switch {
	case op.Rollback != "":
		tx.event(b, string(op.Kind)+" rolled back", op.Rollback)
	case len(op.Steps) > 0:
		tx.event(b, string(op.Kind)+" done", "")
	}
	if op.Kind == OpDelete && len(b.Instances) == 0 {
		tx.s.brokers.drop(tx, b.ID)
		return
	}
	tx.save(b)
}

// report finds the broker and the step that a report is about. A nil step: it was done before.
func (tx *tx) report(id string, step uint64) (*Broker, *Step, error) {
	b := tx.s.brokers.edit(id)
	if b == nil || b.Operation == nil {
		return nil, nil, refuse(Stale, "", "no operation is at work on broker [%s]", id)
	}
	op := b.Operation
	if op.Current().ID == step {
		return b, op.Current(), tx.mine(op.Current().Node)
	}
	if slices.ContainsFunc(op.Steps[:op.At], func(s Step) bool { return s.ID == step }) {
		return b, nil, nil
	}
	return nil, nil, refuse(Stale, "", "step %d is none of the operation that is at work on broker [%s]", step, id)
}

// StepDone reports that what the current step of an operation says is so. Twice is as good as once.
type StepDone struct {
	Broker string
	Step   uint64
	Epoch  uint64 // of StepSwitchover: the log's epoch in which the instance is active
}

func (c StepDone) do(tx *tx) error {
	b, s, err := tx.report(c.Broker, c.Step)
	if err != nil || s == nil {
		return err
	}
	if s.Kind == StepSwitchover && c.Epoch == 0 {
		return bad("epoch", "say in which epoch of the log the instance is active")
	}
	tx.id = b.ID
	switch s.Kind {
	case StepStart:
		b.generation(s.Number, s.Generation).Up = true
	case StepStop:
		b.Instances = slices.DeleteFunc(b.Instances, func(i Instance) bool { return i.Number == s.Number && i.Generation == s.Generation })
	case StepPair:
		b.Log, b.Epoch, b.LogSince = NodesLog, 0, tx.next()
	case StepSingle:
		b.Log = FileLog
		tx.activate(b, s.Number)
	case StepSwitchover:
		tx.leads(b, s.Number, c.Epoch)
	}
	b.Operation.At++
	tx.proceed(b)
	return nil
}

// leads believes that an instance is the active one, unless something is known of a later epoch: reports may be late.
func (tx *tx) leads(b *Broker, number int, epoch uint64) {
	if epoch > b.Epoch {
		b.Epoch = epoch
		tx.activate(b, number)
	}
}

func (tx *tx) activate(b *Broker, number int) {
	if b.Active != number {
		b.Active, b.ActiveSince = number, tx.now
	}
}

// StepFailed reports that an attempt at the current step has failed. It is tried again after a while (Effect.NotBefore), and after Limits.Attempts the operation is rolled
// back, if there is something to go back to.
type StepFailed struct {
	Broker  string
	Step    uint64
	Attempt int    // of the Effect
	Error   string // words for people
}

// maxError bounds what is kept of an agent's words, in bytes.
const maxError = 1024

func (c StepFailed) do(tx *tx) error {
	b, s, err := tx.report(c.Broker, c.Step)
	if err != nil || s == nil || c.Attempt != b.Operation.Attempts {
		return err
	}
	tx.id = b.ID
	op := b.Operation
	limits := tx.limits()
	if s.Kind == StepSingle && b.before(s) != nil { // another has become active, so it could not succeed
		tx.proceed(b)
		return nil
	}
	op.Error = c.Error[:min(len(c.Error), maxError)]
	op.Attempts++
	wait := limits.BackoffTo
	if n := op.Attempts - 1; n < 20 {
		wait = min(wait, limits.BackoffFrom<<n)
	}
	op.NotBefore = tx.now.Add(wait)
	if op.Attempts >= limits.Attempts {
		if tx.turn(b, s) {
			return nil
		}
		op.Stuck = true
	}
	tx.save(b)
	return nil
}

// turn gives an operation another way: back to the goal of before, or over another node. It says whether there is one.
func (tx *tx) turn(b *Broker, s *Step) bool {
	op := b.Operation
	if s.Kind == StepStop { // whatever the goal, it has begun to end
		return false
	}
	if op.Undo != nil {
		return tx.rollBack(b, fmt.Sprintf("%s: %s", s, op.Error))
	}
	if i := b.generation(s.Number, s.Generation); s.Kind != StepStart || s.Restart || b.only() == i {
		return false
	}
	avoid := op.Avoid
	op.Avoid = append(slices.Clip(avoid), s.Node)
	p := &planner{tx: tx, b: b}
	if fresh, err := p.place(s.Number); err == nil && !slices.Contains(op.Avoid, fresh.Node) && tx.replan(b) {
		return true
	}
	op.Avoid = avoid
	return false
}

// rollBack has an operation go back to the goal of before. It says whether it could.
func (tx *tx) rollBack(b *Broker, why string) bool {
	op := b.Operation
	was, undo := b.Goal, op.Undo
	b.Goal, op.Undo, op.Rollback = *undo, nil, why
	if !tx.replan(b) {
		b.Goal, op.Undo, op.Rollback = was, undo, ""
		return false
	}
	return true
}

// replan makes the steps anew that are not done, and goes on with them; the broker is saved. It says whether it could.
func (tx *tx) replan(b *Broker) bool {
	op := b.Operation
	steps, err := tx.plan(b)
	if err != nil {
		return false
	}
	if op.Kind == OpCreate && b.Goal.Gone {
		b.Failed = op.Rollback
	}
	op.Steps = append(op.Steps[:op.At], steps...)
	tx.proceed(b)
	return true
}

// repair begins an operation if something differs and none is at work. One that cannot be begun is tried again at the next Tick.
func (tx *tx) repair(id string) {
	b := tx.s.brokers.edit(id)
	if b.Operation != nil || b.Failed != "" {
		return
	}
	blocked := b.Blocked
	steps, err := tx.plan(decoded[Broker](encode(b)))
	switch {
	case err != nil:
		b.Blocked = err.Error()
	case len(steps) == 0:
		b.Blocked = ""
	default:
		tx.event(b, "repair begins", steps[0].String())
		if tx.begin(b, OpRepair, nil) == nil { // it was planned just now
			return
		}
	}
	if b.Blocked != blocked {
		tx.save(b)
	}
}

// lose forgets what a broker had on a node that is gone.
func (tx *tx) lose(id, node string) {
	b := tx.s.brokers.edit(id)
	b.Instances = slices.DeleteFunc(b.Instances, func(i Instance) bool { return i.Node == node })
	if other := b.Instance(3 - b.Active); b.Log == NodesLog && b.Instance(b.Active) == nil && other != nil {
		tx.activate(b, other.Number)
	}
	if b.Operation == nil {
		tx.save(b)
		tx.repair(id)
		return
	}
	why := "node " + node + " is lost, and no other has room for what ran there"
	if !tx.replan(b) && (b.Operation.Undo == nil || !tx.rollBack(b, why)) {
		b.Operation.Rollback, b.Blocked = why, why // and Ticks try to repair it
		tx.end(b)
	}
}

// Observed reports how an instance is. Only what differs from the report before is recorded.
type Observed struct {
	Broker     string
	Number     int
	Generation uint64
	Up         bool
	Epoch      uint64 // of the log of a pair in which it is the active instance; 0: it is not
	Applied    uint64 // version of the spec that is in force in it
	Detail     string // words for people, if something is wrong
	Program    string // version of the program that it runs; "": that is not known
	Newer      string // version that a restart would run; "": the same
}

// maxProgram bounds what is kept of a program's version, in bytes.
const maxProgram = 128

func (c Observed) do(tx *tx) error {
	b := tx.s.brokers.edit(c.Broker)
	if b == nil {
		return refuse(Stale, "", "broker [%s] does not exist", c.Broker)
	}
	i := b.generation(c.Number, c.Generation)
	if i == nil || !i.Wanted {
		return refuse(Stale, "", "generation %d of instance %d of broker [%s] is not to run", c.Generation, c.Number, c.Broker)
	}
	if err := tx.mine(i.Node); err != nil {
		return err
	}
	tx.id = b.ID
	was, active, epoch := *i, b.Active, b.Epoch
	i.Down, i.Detail, i.Applied = !c.Up, c.Detail[:min(len(c.Detail), maxError)], max(i.Applied, min(c.Applied, b.Version))
	i.Program, i.Newer = c.Program[:min(len(c.Program), maxProgram)], c.Newer[:min(len(c.Newer), maxProgram)]
	if i.Down != was.Down || i.Detail != was.Detail {
		i.Seen = tx.now
	}
	if c.Up && b.Log == NodesLog && c.Number != Witness && c.Applied > b.LogSince { // or it speaks of a log of before
		tx.leads(b, c.Number, c.Epoch)
	}
	if *i != was || b.Active != active || b.Epoch != epoch {
		tx.save(b)
	}
	return nil
}

// Tick is the passing of time: what waits for a maintenance window that is open begins, a pending version, or a newer program where that is wanted (AutoMinor), and what could not be repaired is tried again. Every minute or so is often enough.
type Tick struct{}

func (Tick) do(tx *tx) error {
	tx.forgetInvites()
	for id, row := range tx.s.brokers.all() {
		switch {
		case row.Operation != nil || row.Failed != "":
		case row.PendingVersion != "" && row.MaintenanceWindow.Open(tx.now, tx.s.opt.Zone):
			b := tx.s.brokers.edit(id)
			tx.event(b, "upgrade begins", "the maintenance window is open; version "+b.PendingVersion)
			if err := tx.upgrade(b); err != nil {
				tx.events = tx.events[:len(tx.events)-1]
			}
		case row.Newer() != "" && row.AutoMinor && row.MaintenanceWindow.Open(tx.now, tx.s.opt.Zone) && !row.failedSince(tx.now.Add(-windowLength)):
			b := tx.s.brokers.edit(id)
			tx.event(b, "upgrade begins", "the maintenance window is open; "+row.Newer())
			if err := tx.upgrade(b); err != nil {
				tx.events = tx.events[:len(tx.events)-1]
			}
		case !tx.s.settled(row):
			tx.repair(id)
		}
	}
	return nil
}

// failedSince says whether the last operation was rolled back since then: it is not tried again and again in one window.
func (b *Broker) failedSince(then time.Time) bool {
	return b.Last != nil && b.Last.Error != "" && b.Last.Ended.After(then)
}

// Urgent says whether a command may use a log's last room: those that free space, and reports about what has happened already.
func Urgent(c Command) bool {
	switch c.(type) {
	case StepDone, StepFailed, Observed, Tick, DeleteBroker, DeleteConfiguration, DeleteKey, DeleteSecurityGroup, DeleteInstanceType, DeleteUser, RemoveNode, Untag:
		return true
	}
	return false
}
