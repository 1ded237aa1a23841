package plane

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Mode is how many instances a broker has.
type Mode string

// The modes, by Amazon MQ's names.
const (
	Single Mode = "SINGLE_INSTANCE"
	Pair   Mode = "ACTIVE_STANDBY_MULTI_AZ" // two, and a witness
)

// Witness is the number of the third instance of a pair, which holds a copy of the log and never serves. The others are 1 and 2.
const Witness = 3

// LogKind is where a broker's messages are.
type LogKind string

// The kinds.
const (
	NoLog    LogKind = ""      // the broker is being created
	FileLog  LogKind = "file"  // in files of the active instance, which is the only one
	NodesLog LogKind = "nodes" // in a log that is replicated over the three instances
)

// Goal is what a broker is to be. What differs from it is an operation's work.
type Goal struct {
	Mode    Mode     `json:"mode"`
	Version string   `json:"engineVersion"`
	Type    string   `json:"type"`
	Subnets []string `json:"subnets,omitempty"` // where instances may be; empty: anywhere
	Active  int      `json:"active,omitempty"`  // the instance that is to become active; 0: it does not matter
	Restart uint64   `json:"restart,omitempty"` // instances of a generation up to this are to be restarted
	Gone    bool     `json:"gone,omitempty"`    // nothing is to run
}

// Instance is one process of a broker: planned, running, or being ended. While one moves there are two of its number, of which one is being ended before the other begins.
type Instance struct {
	Number      int        `json:"number"`     // 1, 2 or Witness. It names a process, not a rank: a single broker that has moved has number 2
	Generation  uint64     `json:"generation"` // of the process; while it is only planned, a placeholder
	Node        string     `json:"node"`
	Zone        string     `json:"zone"`
	Subnet      string     `json:"subnet,omitempty"`
	Address     netip.Addr `json:"address"`
	Slot        int        `json:"slot,omitempty"` // 0: the standard ports; see PortsOf
	MemoryBytes int64      `json:"memoryBytes"`    // that is reserved for it
	Version     string     `json:"engineVersion"`
	Wanted      bool       `json:"wanted,omitempty"`  // its process is to run. False and not Leaving: it is only planned
	Up          bool       `json:"up,omitempty"`      // it has come up at this generation
	Leaving     bool       `json:"leaving,omitempty"` // its process is being ended
	Down        bool       `json:"down,omitempty"`    // as its agent saw it last
	Detail      string     `json:"detail,omitempty"`  // words of the agent about that
	Seen        time.Time  `json:"seen,omitzero"`     // when Down or Detail changed
	Applied     uint64     `json:"applied,omitempty"` // version of the spec that is in force in it
	Program     string     `json:"program,omitempty"` // version of the program that it runs, in its agent's words
	Newer       string     `json:"newer,omitempty"`   // version that a restart would run; "": the same
}

// Logs says which logs a broker keeps.
type Logs struct {
	General bool   `json:"general,omitempty"`
	Audit   bool   `json:"audit,omitempty"`
	Level   string `json:"level,omitempty"` // debug, info, warn or error; "": info
}

// Outcome is how an operation ended.
type Outcome struct {
	Operation OperationKind `json:"operation"`
	Ended     time.Time     `json:"ended"`
	Error     string        `json:"error,omitempty"` // why it was rolled back; "": it was done
}

// Broker is one, with all that belongs to it.
type Broker struct {
	Scope
	ID            string    `json:"id"` // b-<uuid>
	Name          string    `json:"name"`
	Created       time.Time `json:"created"`
	Token         string    `json:"token,omitempty"` // of the request that made it
	RequestDigest string    `json:"requestDigest,omitempty"`

	// Goal changes by operations, all else down to Tags at once.
	Goal              Goal               `json:"goal"`
	PendingVersion    string             `json:"pendingEngineVersion,omitempty"` // waits for the maintenance window or a reboot
	StorageGB         int                `json:"storageGB"`
	StorageType       string             `json:"storageType,omitempty"`
	AutoMinor         bool               `json:"autoMinorVersionUpgrade,omitempty"`
	Public            bool               `json:"publiclyAccessible,omitempty"`
	Configuration     ConfigurationRef   `json:"configuration"`
	Configurations    []ConfigurationRef `json:"configurations,omitempty"` // that it had before, newest first
	SecurityGroups    []string           `json:"securityGroups,omitempty"`
	Users             map[string]User    `json:"users,omitempty"`
	LDAP              *LDAP              `json:"ldap,omitempty"` // nil: there are only Users
	Logs              Logs               `json:"logs,omitzero"`
	MaintenanceWindow Window             `json:"maintenanceWindow"`
	Tags              map[string]string  `json:"tags,omitempty"`

	// Facts.
	Log         LogKind    `json:"log,omitempty"`
	Active      int        `json:"active,omitempty"` // the instance that serves, as far as is known; 0: none yet
	ActiveSince time.Time  `json:"activeSince,omitzero"`
	Epoch       uint64     `json:"epoch,omitempty"`    // of the nodes' log in which Active became active; 0: not known
	LogSince    uint64     `json:"logSince,omitempty"` // reports of a spec of a version up to this are about another log
	Instances   []Instance `json:"instances,omitempty"`
	Operation   *Operation `json:"operation,omitempty"` // at work
	Last        *Outcome   `json:"last,omitempty"`
	Placement   string     `json:"placement,omitempty"` // why the instances are less apart than they could be; "": they are in different zones
	Blocked     string     `json:"blocked,omitempty"`   // why something that is to be repaired cannot be; tried again at every Tick
	Failed      string     `json:"failed,omitempty"`    // why it could not be created: it can only be deleted
	Version     uint64     `json:"version"`             // of the specs of its instances
}

// BrokerState is Amazon MQ's word for how a broker is.
type BrokerState string

// The states.
const (
	CreationInProgress     BrokerState = "CREATION_IN_PROGRESS"
	CreationFailed         BrokerState = "CREATION_FAILED"
	DeletionInProgress     BrokerState = "DELETION_IN_PROGRESS"
	Running                BrokerState = "RUNNING"
	RebootInProgress       BrokerState = "REBOOT_IN_PROGRESS"
	CriticalActionRequired BrokerState = "CRITICAL_ACTION_REQUIRED"
)

// State is how the broker is, and what is wrong if something is. Operations that clients do not notice leave it RUNNING.
func (b *Broker) State() (BrokerState, string) {
	op := b.Operation
	switch {
	case op != nil && op.Kind == OpDelete:
		return DeletionInProgress, ""
	case b.Failed != "":
		return CreationFailed, b.Failed
	case op != nil && op.Kind == OpCreate:
		return CreationInProgress, ""
	case op != nil && op.Stuck:
		return CriticalActionRequired, fmt.Sprintf("operation %s: step %q fails: %s", op.Kind, op.Current().String(), op.Error)
	case op != nil && (op.Kind == OpReboot || op.Kind == OpUpgrade):
		return RebootInProgress, ""
	case b.Blocked != "":
		return CriticalActionRequired, b.Blocked
	}
	for _, i := range b.Instances {
		if i.Up && i.Down {
			return CriticalActionRequired, fmt.Sprintf("instance %d on node %s does not work: %s", i.Number, i.Node, i.Detail)
		}
	}
	return Running, ""
}

// Instance is the one of a number that is there or will be, not one that is being ended; nil if there is none.
func (b *Broker) Instance(number int) *Instance {
	for n := range b.Instances {
		if i := &b.Instances[n]; i.Number == number && !i.Leaving {
			return i
		}
	}
	return nil
}

// generation is the instance of a number and generation, nil if there is none.
func (b *Broker) generation(number int, generation uint64) *Instance {
	for n := range b.Instances {
		if i := &b.Instances[n]; i.Number == number && i.Generation == generation {
			return i
		}
	}
	return nil
}

// only is the instance that has the only copy of the messages, nil if there is none.
func (b *Broker) only() *Instance {
	if b.Log != FileLog {
		return nil
	}
	return b.Instance(b.Active)
}

func (b *Broker) hasGroup(id string) bool { return slices.Contains(b.SecurityGroups, id) }

// edit is a copy of a broker that may be changed by its users: it exists and is not on its way out.
func (tx *tx) edit(id string) (*Broker, error) {
	b := tx.s.brokers.edit(id)
	switch {
	case b == nil || !tx.by.sees(b.Scope):
		return nil, missing("broker-id", "broker", id)
	case b.Goal.Gone || b.Failed != "":
		state, _ := b.State()
		return nil, conflict("broker-id", "broker [%s] is in state %s", id, state)
	}
	tx.id = id
	return b, nil
}

// CreateBroker makes a broker. If the scope has one with the same Token already, that one is meant: Change.ID names it, and nothing is done.
type CreateBroker struct {
	ID, Name string
	// Token is the request's creatorRequestId; "" makes no claim. RequestDigest is a hash over the request as it came (not over this command, in which hashes are salted): with the
	// same token and another digest, the command is a Conflict.
	Token, RequestDigest string
	Mode                 Mode
	Engine               string
	Version              string // "": the default
	Type                 string
	StorageGB            int // 0: the type's
	StorageType          string
	Subnets              []string
	SecurityGroups       []string
	Users                []NewUser
	LDAP                 *LDAP
	// Configuration may be without revision: the latest. If it is empty, Default is made, and taken.
	Configuration     ConfigurationRef
	Default           *CreateConfiguration
	Logs              Logs
	MaintenanceWindow Window // zero: Sunday 02:00 UTC
	AutoMinor, Public bool
	Tags              map[string]string
}

func (c CreateBroker) do(tx *tx) error {
	scope, err := tx.scope()
	if err != nil {
		return err
	}
	mine := tx.s.Brokers(scope)
	if c.Token != "" {
		for _, b := range mine {
			if b.Token == c.Token {
				if b.RequestDigest != c.RequestDigest {
					return conflict("creatorRequestId", "broker [%s] was made with the same creatorRequestId by another request", b.ID)
				}
				tx.id = b.ID
				return nil
			}
		}
	}
	if err := checkID("brokerId", "b-", c.ID); err != nil {
		return err
	}
	if c.Version == "" {
		c.Version = tx.s.opt.Versions[0]
	}
	if err := tx.checkEngine(c.Engine, c.Version); err != nil {
		return err
	}
	if err := tx.checkTags(c.Tags); err != nil {
		return err
	}
	t := tx.s.InstanceType(c.Type)
	switch {
	case !between(len(c.Name), 1, 50) || !only(c.Name, "-_"):
		return bad("brokerName", "[%s] is no name of a broker: 1 to 50 letters, digits, - and _", c.Name)
	case len(c.Token) > 256 || len(c.RequestDigest) > 256:
		return bad("creatorRequestId", "a creatorRequestId has at most 256 characters")
	case c.StorageType != "" && c.StorageType != "efs" && c.StorageType != "ebs":
		return bad("storageType", "[%s] is no storage type: efs or ebs", c.StorageType)
	case t == nil:
		return bad("hostInstanceType", "instance type [%s] does not exist", c.Type)
	case tx.s.brokers.get(c.ID) != nil:
		return conflict("brokerId", "broker [%s] exists already", c.ID)
	case len(mine) >= tx.limits().Brokers:
		return bad("brokerName", "there are %d brokers already, which is the limit: delete some", len(mine))
	case len(tx.s.brokers.rows) >= tx.limits().BrokersInAll:
		return bad("brokerName", "there are %d brokers of all accounts already, which is the limit", len(tx.s.brokers.rows))
	}
	for _, b := range mine {
		if b.Name == c.Name {
			return conflict("brokerName", "broker [%s] has the name [%s]", b.ID, c.Name)
		}
	}
	if c.StorageGB == 0 {
		c.StorageGB = t.StorageGB
	}
	if c.MaintenanceWindow == (Window{}) {
		c.MaintenanceWindow = Window{Day: "SUNDAY", Time: "02:00", Zone: "UTC"}
	}
	if c.Configuration.ID == "" {
		if c.Default == nil {
			return bad("configuration", "say which configuration")
		}
		if err := c.Default.do(tx); err != nil {
			return err
		}
		c.Configuration = ConfigurationRef{ID: c.Default.ID, Revision: 1}
	}
	ref, err := tx.resolve(scope, c.Configuration, c.Version)
	if err != nil {
		return err
	}
	b := &Broker{Scope: scope, ID: c.ID, Name: c.Name, Created: tx.now, Token: c.Token, RequestDigest: c.RequestDigest,
		Goal:      Goal{Mode: c.Mode, Version: c.Version, Type: c.Type, Subnets: c.Subnets},
		StorageGB: c.StorageGB, StorageType: c.StorageType, AutoMinor: c.AutoMinor, Public: c.Public, Configuration: ref, SecurityGroups: c.SecurityGroups,
		Logs: c.Logs, MaintenanceWindow: c.MaintenanceWindow, Tags: c.Tags, LDAP: c.LDAP}
	if err := tx.check(b); err != nil {
		return err
	}
	if len(c.Users) == 0 && c.LDAP == nil {
		return bad("users", "a broker needs a user")
	}
	for _, u := range c.Users {
		if err := tx.addUser(b, u); err != nil {
			return err
		}
	}
	tx.id = b.ID
	undo := b.Goal
	undo.Gone = true
	return tx.begin(b, OpCreate, &undo)
}

func (tx *tx) checkEngine(engine, version string) error {
	if engine != ActiveMQ {
		return bad("engineType", "Broker engine type [%s] is invalid: it can be %s", engine, ActiveMQ)
	}
	if !slices.Contains(tx.s.opt.Versions, version) {
		return bad("engineVersion", "Broker engine version [%s] is invalid for broker engine type [%s]: it can be one of %v", version, ActiveMQ, tx.s.opt.Versions)
	}
	return nil
}

// check is for what both CreateBroker and UpdateBroker set.
func (tx *tx) check(b *Broker) error {
	g := &b.Goal
	switch {
	case g.Mode != Single && g.Mode != Pair:
		return bad("deploymentMode", "[%s] is no deployment mode: %s or %s", g.Mode, Single, Pair)
	case tx.s.InstanceType(g.Type) == nil:
		return bad("hostInstanceType", "instance type [%s] does not exist", g.Type)
	case !between(b.StorageGB, 1, tx.limits().StorageGB):
		return bad("storageSize", "the storage is 1 to %d GB", tx.limits().StorageGB)
	case g.Mode == Single && len(g.Subnets) > 1:
		return bad("subnetIds", "Specify a single subnet in [%s] deployment mode.", g.Mode)
	case g.Mode == Pair && len(g.Subnets) != 0 && len(g.Subnets) != 2:
		return bad("subnetIds", "Specify two subnets in [%s] deployment mode, or none.", g.Mode)
	case !slices.Contains([]string{"", "debug", "info", "warn", "error"}, b.Logs.Level):
		return bad("logs", "[%s] is no log level: debug, info, warn or error", b.Logs.Level)
	case len(b.SecurityGroups) > tx.limits().SecurityGroupsBroker:
		return bad("securityGroups", "a broker has at most %d security groups", tx.limits().SecurityGroupsBroker)
	}
	for n, id := range g.Subnets {
		if slices.Contains(g.Subnets[:n], id) {
			return bad("subnetIds", "subnet [%s] is named twice", id)
		}
		if !slices.ContainsFunc(tx.s.Nodes(), func(node *Node) bool { return slices.Contains(node.Subnets, id) }) {
			return bad("subnetIds", "no node is in subnet [%s]", id)
		}
	}
	for n, id := range b.SecurityGroups {
		if slices.Contains(b.SecurityGroups[:n], id) {
			return bad("securityGroups", "security group [%s] is named twice", id)
		}
		if g := tx.s.groups.get(id); g == nil || g.Scope != b.Scope {
			return bad("securityGroups", "security group [%s] does not exist", id)
		}
	}
	if err := b.LDAP.check(); err != nil {
		return err
	}
	return b.MaintenanceWindow.check(tx.s.opt.Zone)
}

// Usage is what a broker uses, as far as the caller knows: a smaller size that is not enough for it is refused.
type Usage struct {
	MemoryBytes  int64 // without which it cannot go on
	Connections  int   // of the protocol that has most
	StorageBytes int64
}

// UpdateBroker changes what is not nil, at once if nothing needs a restart. A new engine version waits for the maintenance window or a reboot. Mode, subnets, and a type for which there is
// no room where an instance runs, are an operation; there is one at a time.
type UpdateBroker struct {
	ID             string
	Mode           *Mode
	Version        *string
	Type           *string
	StorageGB      *int
	Subnets        *[]string
	SecurityGroups *[]string
	Configuration  *ConfigurationRef
	Logs           *Logs
	Window         *Window
	AutoMinor      *bool
	LDAP           *LDAP  // nil: as before
	NoLDAP         bool   // the broker has its own users alone from now on
	Usage          *Usage // nil: not known
}

func (c UpdateBroker) do(tx *tx) error {
	b, err := tx.edit(c.ID)
	if err != nil {
		return err
	}
	undo := b.Goal
	undo.Subnets = slices.Clone(undo.Subnets)
	b.Goal.Mode = or(c.Mode, b.Goal.Mode)
	b.Goal.Type = or(c.Type, b.Goal.Type)
	b.Goal.Subnets = slices.Clone(or(c.Subnets, b.Goal.Subnets))
	b.StorageGB = or(c.StorageGB, b.StorageGB)
	b.SecurityGroups = slices.Clone(or(c.SecurityGroups, b.SecurityGroups))
	b.Logs = or(c.Logs, b.Logs)
	b.AutoMinor = or(c.AutoMinor, b.AutoMinor)
	switch {
	case c.LDAP != nil:
		b.LDAP = c.LDAP
	case c.NoLDAP:
		b.LDAP = nil
	}
	b.MaintenanceWindow = or(c.Window, b.MaintenanceWindow)
	if c.Mode != nil && c.Subnets == nil && *c.Mode != undo.Mode && len(undo.Subnets) > 0 {
		return bad("subnetIds", "the broker is in subnets %v: say in which it is to be as %s", undo.Subnets, *c.Mode)
	}
	if err := tx.check(b); err != nil {
		return err
	}
	if err := tx.enough(b, c.Usage); err != nil {
		return err
	}
	if c.Version != nil {
		if err := tx.checkEngine(ActiveMQ, *c.Version); err != nil {
			return err
		}
		b.PendingVersion = *c.Version
		if *c.Version == b.Goal.Version {
			b.PendingVersion = ""
		}
	}
	if c.Configuration != nil {
		version := b.Goal.Version
		if b.PendingVersion != "" {
			version = b.PendingVersion
		}
		ref, err := tx.resolve(b.Scope, *c.Configuration, version)
		if err != nil {
			return err
		}
		if ref != b.Configuration {
			history := slices.DeleteFunc(b.Configurations, func(r ConfigurationRef) bool { return r == b.Configuration })
			history = append([]ConfigurationRef{b.Configuration}, history...)
			b.Configurations = history[:min(len(history), configurationsKept)]
			b.Configuration = ref
		}
	}
	if b.PendingVersion != "" {
		tx.wait(b)
	}
	// What is live must not be refused because of an operation that is at work.
	if b.Goal.Mode == undo.Mode && b.Goal.Type == undo.Type && slices.Equal(b.Goal.Subnets, undo.Subnets) {
		tx.save(b)
		return nil
	}
	return tx.begin(b, OpUpdate, &undo)
}

// configurationsKept is how many earlier configurations a broker remembers.
const configurationsKept = 20

func (tx *tx) enough(b *Broker, u *Usage) error {
	if u == nil {
		return nil
	}
	t := tx.s.InstanceType(b.Goal.Type)
	switch {
	case u.MemoryBytes > t.MemoryBytes:
		return bad("hostInstanceType", "the broker needs %d MiB of memory now, [%s] has %d MiB", u.MemoryBytes/mib, t.Name, t.MemoryBytes/mib)
	case u.Connections > t.Connections:
		return bad("hostInstanceType", "the broker has %d connections of one protocol now, [%s] lets in %d", u.Connections, t.Name, t.Connections)
	case u.StorageBytes > int64(b.StorageGB)*gib:
		return bad("storageSize", "the broker stores %d MiB now, which is more than %d GB", u.StorageBytes/mib, b.StorageGB)
	}
	return nil
}

// wait says in the cost when a pending version will be taken, and what that will cost.
func (tx *tx) wait(b *Broker) {
	trial := decoded[Broker](encode(b))
	trial.Goal.Version, trial.Operation = b.PendingVersion, nil
	if steps, err := tx.plan(trial); err == nil {
		later, cost := costOf(steps, b.Active), &tx.planOf(b.ID).Cost
		cost.Later = &later
		cost.LaterAt, _ = b.MaintenanceWindow.Next(tx.now, tx.s.opt.Zone)
	}
}

// Newer is the version of the program that a restart would bring to some instance; "": to none.
func (b *Broker) Newer() string {
	for _, i := range b.Instances {
		if i.Wanted && i.Newer != "" {
			return i.Newer
		}
	}
	return ""
}

// RebootBroker restarts the instances, with the version that is pending and the program that lies on their nodes: of a pair the witness and the standby first, then one switchover, then the one that was active.
type RebootBroker struct {
	ID string
	// IfPending leaves everything running if no version is pending, and no newer program.
	IfPending bool
}

func (c RebootBroker) do(tx *tx) error {
	b, err := tx.edit(c.ID)
	if err != nil {
		return err
	}
	if b.PendingVersion == "" && b.Newer() == "" {
		if c.IfPending {
			return nil
		}
		undo := b.Goal
		b.Goal.Restart = tx.s.serial
		return tx.begin(b, OpReboot, &undo)
	}
	return tx.upgrade(b)
}

// upgrade restarts all instances: with the pending version, if there is one, and with the program that lies on their nodes.
func (tx *tx) upgrade(b *Broker) error {
	undo := b.Goal
	b.Goal.Restart = tx.s.serial
	if b.PendingVersion != "" {
		b.Goal.Version, b.PendingVersion = b.PendingVersion, ""
	}
	return tx.begin(b, OpUpgrade, &undo)
}

// Switchover makes the other instance of a pair the active one, or the one that is named. It stays so.
type Switchover struct {
	ID string
	To int // 0: the one that is not active
}

func (c Switchover) do(tx *tx) error {
	b, err := tx.edit(c.ID)
	switch {
	case err != nil:
		return err
	case b.Log != NodesLog || b.Goal.Mode != Pair:
		return bad("broker-id", "broker [%s] is no pair, or not yet: there is nothing to switch over to", c.ID)
	case c.To != 0 && c.To != 1 && c.To != 2:
		return bad("to", "the instances of a pair that can be active are 1 and 2")
	}
	if c.To == 0 {
		c.To = 3 - b.Active
	}
	if c.To == b.Active && b.Operation == nil {
		return nil
	}
	if i := b.Instance(c.To); i == nil || !i.Up || i.Down {
		return conflict("to", "instance %d of broker [%s] does not work: it cannot become the active one", c.To, c.ID)
	}
	undo := b.Goal
	b.Goal.Active = c.To
	return tx.begin(b, OpSwitchover, &undo)
}

// DeleteBroker ends a broker in whatever state it is, and whatever is at work with it. When all its instances are gone, so is the broker.
type DeleteBroker struct{ ID string }

func (c DeleteBroker) do(tx *tx) error {
	b := tx.s.brokers.edit(c.ID)
	if b == nil || !tx.by.sees(b.Scope) {
		return missing("broker-id", "broker", c.ID)
	}
	tx.id = c.ID
	if b.Operation != nil && b.Operation.Kind == OpDelete {
		return nil
	}
	b.Goal.Gone = true
	b.Operation = nil
	return tx.begin(b, OpDelete, nil)
}

// Broker is one by its id, nil if there is none in the scope.
func (s *State) Broker(scope Scope, id string) *Broker {
	if b := s.brokers.get(id); b != nil && scope.sees(b.Scope) {
		return b
	}
	return nil
}

// Brokers lists those of a scope by id.
func (s *State) Brokers(scope Scope) []*Broker {
	return list(&s.brokers, func(b *Broker) bool { return scope.sees(b.Scope) })
}

// Versions lists the engine versions that brokers can have, the default first.
func (s *State) Versions() []string { return slices.Clone(s.opt.Versions) }
