// Package api is what the HTTP API and its clients say to each other: the JSON of requests and answers. docs: docs/http.md.
package api

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/godwitmq/godwit/audit"
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/readiness"
)

// Error is the body of every answer that is not a success.
type Error struct {
	Status int    `json:"-"`
	Code   string `json:"code"`         // "not found", "denied": those of broker.Code, and "unauthorized", "unavailable"
	Op     string `json:"op,omitempty"` // what was tried
	Detail string `json:"detail"`       // for people
}

// Error is Op and Detail.
func (e *Error) Error() string {
	if e.Op == "" {
		return e.Detail
	}
	return e.Op + ": " + e.Detail
}

// Codes beside those of broker.Code.
const (
	Unauthorized = "unauthorized" // credentials are missing or wrong
	Unavailable  = "unavailable"  // the broker is starting, recovering or stopping: try again
)

// Destinations answers GET queues and GET topics.
type Destinations struct {
	Destinations []broker.DestinationView `json:"destinations"`
}

// Connections answers GET connections.
type Connections struct {
	Connections []broker.ConnectionView `json:"connections"`
}

// Consumers answers GET consumers.
type Consumers struct {
	Consumers []broker.ConsumerView `json:"consumers"`
}

// Subscriptions answers GET subscriptions.
type Subscriptions struct {
	Subscriptions []broker.SubscriptionView `json:"subscriptions"`
}

// Message is a message as it was found.
type Message struct {
	ID            string         `json:"id"`
	Sequence      uint64         `json:"sequence"` // the broker's own number of it
	Destination   string         `json:"destination"`
	Original      string         `json:"original,omitempty"` // where it was sent at first
	ReplyTo       string         `json:"replyTo,omitempty"`
	CorrelationID string         `json:"correlationId,omitempty"`
	JMSType       string         `json:"jmsType,omitempty"`
	Group         string         `json:"group,omitempty"`
	GroupSequence int32          `json:"groupSequence,omitempty"`
	User          string         `json:"user,omitempty"`
	Timestamp     time.Time      `json:"timestamp,omitzero"`  // by the producer
	Received      time.Time      `json:"received,omitzero"`   // by the broker
	Expiration    time.Time      `json:"expiration,omitzero"` // absent: never
	Priority      int            `json:"priority"`
	Persistent    bool           `json:"persistent"`
	Redeliveries  int            `json:"redeliveries"`
	Type          string         `json:"type"` // text, bytes, map, stream, object, plain
	Size          int            `json:"size"` // of the body as it is stored, in bytes
	Properties    map[string]any `json:"properties,omitempty"`
	// Body is null, or has one member: text, base64, map or stream. Absent if bodies were not asked for.
	Body json.RawMessage `json:"body,omitempty"`
	// BodyError says why there is no body, for example that it inflates to too many bytes.
	BodyError string `json:"bodyError,omitempty"`
}

// Send is one message to be sent.
type Send struct {
	// Text is the body of a text message, Base64 that of a bytes message, Map that of a map message. At most one is given.
	Text   *string        `json:"text,omitempty"`
	Base64 *string        `json:"base64,omitempty"`
	Map    map[string]any `json:"map,omitempty"`

	NonPersistent bool           `json:"nonPersistent,omitempty"`
	Priority      *int           `json:"priority,omitempty"` // 0 to 9; 4 if absent
	TimeToLive    string         `json:"timeToLive,omitempty"`
	ReplyTo       string         `json:"replyTo,omitempty"` // queue://NAME
	CorrelationID string         `json:"correlationId,omitempty"`
	JMSType       string         `json:"jmsType,omitempty"`
	Group         string         `json:"group,omitempty"`
	GroupSequence int32          `json:"groupSequence,omitempty"`
	Properties    map[string]any `json:"properties,omitempty"` // text, true or false, whole numbers (int32 if they fit, else int64) and doubles
}

// SendRequest asks to send messages, all or none of them.
type SendRequest struct {
	Messages []Send `json:"messages"`
}

// Sent answers a SendRequest: the messages are as safe as they asked to be.
type Sent struct {
	IDs []string `json:"ids"`
}

// ReceiveRequest asks for messages. The answer comes when there is one, and takes with it what else is there, or when Wait is over.
type ReceiveRequest struct {
	Max      int    `json:"max,omitempty"`  // 1 if absent
	Wait     string `json:"wait,omitempty"` // "30s": how long to wait for the first; absent: not at all
	Selector string `json:"selector,omitempty"`
	// Confirm, a duration, has the messages kept for the client until it has confirmed the receipt. Without it they count as consumed
	// when the answer has been written, and what is lost on the way is lost.
	Confirm string `json:"confirm,omitempty"`
}

// Received answers a ReceiveRequest.
type Received struct {
	Messages []Message `json:"messages"`
	// Receipt is to be posted as receipts/RECEIPT/confirm before ConfirmBefore; then the messages are gone for good. If it is not, or
	// receipts/RECEIPT/release is posted, they go back to their places. Absent if there are no messages.
	Receipt       string    `json:"receipt,omitempty"`
	ConfirmBefore time.Time `json:"confirmBefore,omitzero"`
}

// Browsed answers GET messages.
type Browsed struct {
	Messages []Message `json:"messages"`
	More     bool      `json:"more"` // whether the limit, of messages or bytes, cut off the rest
}

// SweepRequest asks to move, copy or remove messages that wait in a queue. The answer is lines of JSON, each a Swept; the last is done.
type SweepRequest struct {
	To       string   `json:"to,omitempty"`       // queue://NAME, where to move or copy; a copy may go to topic://NAME
	Selector string   `json:"selector,omitempty"` // JMS; absent: all
	IDs      []string `json:"ids,omitempty"`      // JMSMessageIDs of the only messages that are meant; absent: all
	Limit    int      `json:"limit,omitempty"`    // how many messages at most; 0: all
	DryRun   bool     `json:"dryRun,omitempty"`   // change nothing
	First    int      `json:"first,omitempty"`    // how many messages a dry run shows, at most 1000
	Progress bool     `json:"progress,omitempty"` // lines while it works; else only the last

	// Of a retry of dead letters:
	Origin string `json:"origin,omitempty"` // only those that died there: queue://NAME, topic://NAME, or a pattern
	Cause  string `json:"cause,omitempty"`  // only those whose cause contains this text
	Rate   int    `json:"rate,omitempty"`   // messages a second at most; 0: as fast as it goes
}

// Swept is how far a sweep is. The numbers are from its beginning.
type Swept struct {
	Total    int       `json:"total"`    // how many messages waited at the beginning
	Examined int       `json:"examined"` // of those, how many it has looked at
	Affected int       `json:"affected"` // of those, how many it has moved, copied, removed, or would have
	Done     bool      `json:"done"`
	Batch    uint64    `json:"batch,omitempty"` // of a retry: names it for its undo
	Error    *Error    `json:"error,omitempty"` // why it ended early; what was affected stays so
	First    []Message `json:"first,omitempty"` // of a dry run, without bodies
}

// Retries answers GET retries.
type Retries struct {
	Retries []broker.RetryView `json:"retries"`
}

// Undone answers the undo of a retry.
type Undone struct {
	Messages int `json:"messages"` // dead letters again
}

// ScheduleEdit changes a scheduled message.
type ScheduleEdit struct {
	Next time.Time `json:"next"` // when it is due next
}

// Purged answers a purge.
type Purged struct {
	Removed int `json:"removed"`
}

// Change is a setting that a reload found changed.
type Change struct {
	Key string `json:"key"`
	Old string `json:"old,omitempty"`
	New string `json:"new,omitempty"`
}

// Reloaded answers a reload.
type Reloaded struct {
	Live    []Change `json:"live"`    // hold now
	Restart []Change `json:"restart"` // need a restart
	Notes   []string `json:"notes"`   // what else was read again
}

// Refusal is one client that mode observe admitted and mode mandatory would not.
type Refusal struct {
	User    string    `json:"user"`
	Address string    `json:"address"`
	Reason  string    `json:"reason"`
	Count   int64     `json:"count"`
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// Refusals answers GET refusals.
type Refusals struct {
	Mode     string    `json:"mode"`
	Refusals []Refusal `json:"refusals"`
}

// Caller answers GET caller: who calls, and what that one may do.
type Caller struct {
	User string `json:"user"`
	Role Role   `json:"role"`
	// Open says that this API lets everybody on its machine do everything: nobody was asked who he is.
	Open bool `json:"open,omitempty"`
}

// Role is what a caller may do with the API.
type Role string

// The roles, each of which may do what the one before may.
const (
	User     Role = "user"     // what credentials.rights give
	Reader   Role = "reader"   // and sees lists and metrics
	Operator Role = "operator" // and does everything with messages, destinations, clients and who is active
	Admin    Role = "admin"    // everything
)

// Listeners answers GET listeners.
type Listeners struct {
	Listeners []Listener `json:"listeners"`
}

// Listener is where clients reach a node.
type Listener struct {
	Name        string   `json:"name"`
	URLs        []string `json:"urls"` // as clients take them: tcp://HOST:PORT and ssl://HOST:PORT for OpenWire, stomp:// and stomp+ssl://
	Connections int      `json:"connections"`
}

// History answers GET history: how all destinations together, or one, were in the last hour. All lists have the same length; null is where nothing is known, because the
// broker did not run here, or the destination was not among the fullest and busiest hundred.
type History struct {
	Every int64      `json:"every"` // ms between two points
	At    []int64    `json:"at"`    // ms since 1970
	Size  []*float64 `json:"size"`  // messages
	In    []*float64 `json:"in"`    // messages a second
	Out   []*float64 `json:"out"`
	// Consumers are those of the destination, or the broker's.
	Consumers []*float64 `json:"consumers"`
}

// Version says what is running.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
	Broker  string `json:"broker,omitempty"` // the broker's name
	// Started is when the process began.
	Started time.Time `json:"started,omitzero"`
}

// Clients answers GET clients.
type Clients struct {
	Active   string              `json:"active,omitempty"` // the instance that serves them; "" of a broker alone
	Services []readiness.Service `json:"services"`
	Enqueued uint64              `json:"enqueued"` // messages, of all destinations that are there
	Dequeued uint64              `json:"dequeued"`
}

// Probe asks for a probe of a client's failover.
type Probe struct {
	Connection uint64 `json:"connection,omitempty"` // absent: one of the service's, by choice of the broker
	Refuse     string `json:"refuse,omitempty"`     // for how long the instance that it dialled refuses it: "5s"
	Wait       string `json:"wait,omitempty"`       // for how long it is waited for: "30s"
}

// Instance is one node of a broker that several run.
type Instance struct {
	Name   string    `json:"name"`
	Role   string    `json:"role"` // "active", "standby", "waiting", "witness", "starting", "unreachable"
	Since  time.Time `json:"since,omitzero"`
	Epoch  uint64    `json:"epoch,omitempty"`  // of the log, as this node has read it
	Active string    `json:"active,omitempty"` // who this node believes is active
	Lag    uint64    `json:"lag,omitempty"`    // entries of the log that it has not read yet
	Reason string    `json:"reason,omitempty"` // of the last change of role, or why it is unreachable
	// Config is a digest of the configuration that must be the same on all instances: policies, limits, credentials. Absent for a witness.
	Config string `json:"config,omitempty"`
	// Endpoints are where clients reach it: "openwire tcp://127.0.0.1:61616".
	Endpoints []string  `json:"endpoints,omitempty"`
	Started   time.Time `json:"started,omitzero"` // when the process began
	Version   string    `json:"version,omitempty"`
	Free      int64     `json:"free,omitempty"` // bytes that may still be written to the disk of its data folder
	// Behind are the nodes whose copies of the log are away or incomplete, as the active instance sees it.
	Behind []string `json:"behind,omitempty"`
	// TakenOver is how this instance became the active one the last time.
	TakenOver *TakeOver `json:"takenOver,omitempty"`
	// DNS is how the name is that follows the active instance. Absent: none does, or this node has no part in it.
	DNS         *DNS `json:"dns,omitempty"`
	Connections int  `json:"connections"` // open on its endpoints, those that it relays included
	// Listeners are its endpoints one by one.
	Listeners []Listener `json:"listeners,omitempty"`
}

// DNS is how the name is that follows the active instance (cluster.dns), as one instance sees it.
type DNS struct {
	Name    string    `json:"name"`
	Current bool      `json:"current"`          // it says who is active, and of the active one all its addresses
	Since   time.Time `json:"since,omitzero"`   // since when it is current, or is not
	Updated time.Time `json:"updated,omitzero"` // when this instance last wrote it
	Reason  string    `json:"reason,omitempty"` // why it is not current, and what to do
}

// TakeOver is a change of the active instance.
type TakeOver struct {
	At     time.Time `json:"at"`
	From   string    `json:"from,omitempty"`
	Reason string    `json:"reason"` // "switchover", "silence", "stop"
	Millis int64     `json:"millis"` // from the last sign of the one before until clients were served
}

// Instances answers GET instances.
type Instances struct {
	Instances []Instance `json:"instances"`
}

// SwitchOver asks for another active instance.
type SwitchOver struct {
	To string `json:"to,omitempty"` // empty: the standby, if there is one
}

// SwitchedOver says what came of it.
type SwitchedOver struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Millis int64  `json:"millis"` // until the new one had the log
}

// Health answers healthz and readyz.
type Health struct {
	Status string `json:"status"`          // "ok", "starting", "recovering", "stopping", "standby", "witness"
	Role   string `json:"role,omitempty"`  // of an instance of several: "active", "standby", "witness", "starting"
	Ready  bool   `json:"ready,omitempty"` // clients that come here are served, be it by another instance
	Detail string `json:"detail,omitempty"`
	Config string `json:"config,omitempty"` // of an instance of several, and by /healthz only: as Instance.Config
}

// Convert asks for a broker alone to become an instance of several, or the other way round.
type Convert struct {
	To     string `json:"to"`             // "active-standby" or "single"
	Config string `json:"config"`         // path, on the broker's machine, of the configuration that holds from then on
	Plan   bool   `json:"plan,omitempty"` // only check
	Rate   int64  `json:"rate,omitempty"` // bytes a second that are copied at most; 0: 32 MiB, negative: no limit
}

// Converting is a line of the answer to POST convert.
type Converting struct {
	Phase   string  `json:"phase"`            // "checked", "copying", "handing over", "done"
	Checks  []Check `json:"checks,omitempty"` // of phase "checked"
	Records uint64  `json:"records,omitempty"`
	Bytes   uint64  `json:"bytes,omitempty"`
	Rest    uint64  `json:"rest,omitempty"`   // bytes of the log that are not copied yet
	Hash    string  `json:"hash,omitempty"`   // SHA-256 of the records, the same on both sides
	Millis  int64   `json:"millis,omitempty"` // for which nobody was served
	Note    string  `json:"note,omitempty"`
	Done    bool    `json:"done,omitempty"`
	Error   *Error  `json:"error,omitempty"`
}

// Check is a condition of a conversion.
type Check struct {
	What   string `json:"what"`
	Fine   bool   `json:"fine"`
	Detail string `json:"detail,omitempty"`
}

// Backup asks for a backup of the broker; with one of the members, of something of the service for several brokers. The answer is the file (docs/journal.md).
type Backup struct {
	Service bool   `json:"service,omitempty"` // the control plane
	Broker  string `json:"broker,omitempty"`  // one of its brokers, by name or id
	Rate    int64  `json:"rate,omitempty"`    // bytes a second that are read at most; 0: 32 MiB, negative: no limit
}

// Keys answers GET keys.
type Keys struct {
	Keys []Key `json:"keys"`
}

// Key is an access key, with which an account's requests to Amazon MQ's API are signed.
type Key struct {
	ID       string    `json:"id"`
	Account  string    `json:"account"`
	Note     string    `json:"note,omitempty"`
	Created  time.Time `json:"created"`
	Disabled bool      `json:"disabled,omitempty"`
}

// NewKey asks for an access key.
type NewKey struct {
	Account string `json:"account,omitempty"` // twelve digits; absent: service.account of the configuration
	Note    string `json:"note,omitempty"`
}

// CreatedKey answers a NewKey. The secret is shown here and never again.
type CreatedKey struct {
	Key
	Secret string `json:"secret"`
	Region string `json:"region"` // service.region of the configuration: which one to sign for if there is no reason for another
}

// ChangeKey changes an access key.
type ChangeKey struct {
	Disabled *bool `json:"disabled,omitempty"`
}

// SecurityGroups answers GET security-groups.
type SecurityGroups struct {
	SecurityGroups []SecurityGroup `json:"securityGroups"`
}

// SecurityGroup says from where clients may connect to the brokers that have it.
type SecurityGroup struct {
	ID          string        `json:"id"` // sg-...
	Name        string        `json:"name"`
	Account     string        `json:"account"`
	Region      string        `json:"region"`
	Description string        `json:"description,omitempty"`
	Rules       []NetworkRule `json:"rules"`
	Brokers     []string      `json:"brokers"` // ids of those that have it
	Created     time.Time     `json:"created"`
}

// NetworkRule lets connections of a network come to a range of ports.
type NetworkRule struct {
	Network     netip.Prefix `json:"network"`        // 10.1.0.0/16
	From        uint16       `json:"from,omitempty"` // first port; with To 0: all
	To          uint16       `json:"to,omitempty"`   // last port; 0: the same as From
	Description string       `json:"description,omitempty"`
}

// NewSecurityGroup asks for a security group.
type NewSecurityGroup struct {
	Name        string        `json:"name"`
	Account     string        `json:"account,omitempty"` // absent: service.account of the configuration
	Region      string        `json:"region,omitempty"`  // absent: service.region of the configuration
	Description string        `json:"description,omitempty"`
	Rules       []NetworkRule `json:"rules,omitempty"`
}

// ChangeSecurityGroup changes what is given of a security group, at once for all brokers that have it.
type ChangeSecurityGroup struct {
	Name        *string        `json:"name,omitempty"`
	Description *string        `json:"description,omitempty"`
	Rules       *[]NetworkRule `json:"rules,omitempty"` // in place of those that are there
}

// InstanceTypes answers GET instance-types.
type InstanceTypes struct {
	InstanceTypes []InstanceType `json:"instanceTypes"`
}

// InstanceType is a size of instances. PUT instance-types/NAME takes one, without name and own.
type InstanceType struct {
	Name        string `json:"name,omitempty"` // mq.m5.large
	VCPU        int    `json:"vcpu,omitempty"`
	MemoryBytes int64  `json:"memoryBytes"`
	Connections int    `json:"connections"`   // of each protocol, at most
	StorageGB   int    `json:"storageGB"`     // of a broker that does not say how much it wants
	Own         bool   `json:"own,omitempty"` // made by the operator, who may change and delete it
}

// Audit answers GET audit: what was done here and by whom, the newest first.
type Audit struct {
	Entries []audit.Entry `json:"entries"`
}

// Nodes answers GET nodes: the machines of the service, those that are invited among them.
type Nodes struct {
	Nodes []Node `json:"nodes"`
}

// Node is a machine that runs instances of the service's brokers, or is invited to.
type Node struct {
	Name         string    `json:"name"`
	State        string    `json:"state"` // up, draining, lost, or invited
	Zone         string    `json:"zone"`
	Subnets      []string  `json:"subnets"`
	Range        string    `json:"range"`                 // of the addresses that instances get
	Local        bool      `json:"local,omitempty"`       // the control plane is there
	Instances    int       `json:"instances"`             // that are there, or are to be
	MaxInstances int       `json:"maxInstances,omitzero"` // 0: no limit
	MemoryBytes  int64     `json:"memoryBytes"`           // that they reserve
	MaxMemory    int64     `json:"maxMemoryBytes,omitzero"`
	Seen         time.Time `json:"seen,omitzero"`    // when it was heard of last; absent: not since the control plane was opened, or it is there
	Expires      time.Time `json:"expires,omitzero"` // of an invite
	Draining     bool      `json:"draining,omitempty"`
}

// InviteNode asks for a token with which a machine can join as a node.
type InviteNode struct {
	Name         string   `json:"name"`
	Zone         string   `json:"zone"`
	Subnets      []string `json:"subnets,omitempty"`
	Range        string   `json:"range"` // of the addresses that instances get there
	MemoryBytes  int64    `json:"memoryBytes,omitempty"`
	MaxInstances int      `json:"maxInstances,omitempty"`
	Addresses    []string `json:"addresses,omitempty"` // HOST:PORT at which the machine reaches the controller; absent: service.nodes.listen
	Seconds      int64    `json:"seconds,omitempty"`   // that the token is good; 0: an hour
}

// InvitedNode answers an InviteNode. The token is shown here and never again.
type InvitedNode struct {
	Name        string    `json:"name"`
	Token       string    `json:"token"`
	Expires     time.Time `json:"expires"`
	Addresses   []string  `json:"addresses"`
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the certificate of the authority of machines, in hex
}

// ChangeNode changes a node.
type ChangeNode struct {
	Draining *bool `json:"draining,omitempty"`
}

// Brokers answers GET brokers: those of the service, of all accounts and regions.
type Brokers struct {
	Brokers []Broker `json:"brokers"`
}

// Broker is a broker of the service, as the operator sees it.
type Broker struct {
	ID          string           `json:"id"`
	Name        string           `json:"name"`
	Account     string           `json:"account"`
	Region      string           `json:"region"`
	State       string           `json:"state"`             // RUNNING; Amazon MQ's words
	Problem     string           `json:"problem,omitempty"` // what is wrong, if something is
	Mode        string           `json:"mode"`              // SINGLE_INSTANCE or ACTIVE_STANDBY_MULTI_AZ
	Version     string           `json:"engineVersion"`
	Pending     string           `json:"pendingEngineVersion,omitempty"` // waits for the maintenance window, or a reboot
	Newer       string           `json:"pendingProgram,omitempty"`       // version of Godwit that a reboot would bring; absent: what runs is what lies on the nodes
	Type        string           `json:"hostInstanceType"`
	Created     time.Time        `json:"created"`
	Active      string           `json:"active,omitempty"` // the active instance; absent: none yet
	ActiveSince time.Time        `json:"activeSince,omitzero"`
	Instances   []BrokerInstance `json:"instances"`
	Placement   string           `json:"placement,omitempty"` // why the instances are less apart than they could be
	Operation   *BrokerOperation `json:"operation,omitempty"` // at work
	Last        *BrokerOutcome   `json:"last,omitempty"`      // of the operation before
	Users       []string         `json:"users"`
	Own         bool             `json:"own,omitempty"` // the broker that the service's process runs itself, by its own configuration; id "own"
}

// BrokerInstance is one process of a broker.
type BrokerInstance struct {
	Name      string   `json:"name"` // BROKER-ID-1, or -2
	Active    bool     `json:"active,omitempty"`
	Witness   bool     `json:"witness,omitempty"` // keeps a copy of the log, and serves nobody
	Node      string   `json:"node"`
	Zone      string   `json:"zone"`
	Subnet    string   `json:"subnet,omitempty"`
	Address   string   `json:"address"`
	State     string   `json:"state"` // planned, starting, up, down or ending
	Detail    string   `json:"detail,omitempty"`
	Version   string   `json:"engineVersion"`
	Program   string   `json:"program,omitempty"` // version of Godwit that it runs
	Endpoints []string `json:"endpoints,omitempty"`
}

// BrokerOperation is work on a broker.
type BrokerOperation struct {
	Kind     string    `json:"kind"`
	Who      string    `json:"who,omitempty"`
	Began    time.Time `json:"began"`
	Steps    []string  `json:"steps"`
	At       int       `json:"at"`                 // index of the current one
	Attempts int       `json:"attempts,omitempty"` // of it that have failed
	Error    string    `json:"error,omitempty"`    // why the last one has
	Rollback string    `json:"rollback,omitempty"` // why the operation is on its way back
}

// BrokerOutcome is how an operation ended.
type BrokerOutcome struct {
	Operation string    `json:"operation"`
	Ended     time.Time `json:"ended"`
	Error     string    `json:"error,omitempty"` // why it was rolled back
}

// BrokerSwitchover asks to make another instance of a broker the active one.
type BrokerSwitchover struct {
	To   int  `json:"to,omitempty"`   // 1 or 2; absent: the standby
	Plan bool `json:"plan,omitempty"` // change nothing
}

// BrokerSwitchedOver answers it: the switchover has begun, or with plan would.
type BrokerSwitchedOver struct {
	From  string   `json:"from"`
	To    string   `json:"to"`
	Cost  string   `json:"cost"` // restart: no, failover: 1 to 2
	Steps []string `json:"steps"`
	// Clients are those that would not follow, if plan was asked for. Absent: that is not known.
	Clients []StrandedClient `json:"clients,omitzero"`
}

// BrokerReboot asks to restart the instances of a broker.
type BrokerReboot struct {
	IfPending bool `json:"ifPending,omitempty"` // only if that brings a pending version or a newer program
	Plan      bool `json:"plan,omitempty"`      // change nothing
}

// BrokerRebooted answers it: the restart has begun, or with plan would. Without steps there is nothing to do.
type BrokerRebooted struct {
	Cost  string   `json:"cost"` // restart: 2, 1, failover: 1 to 2
	Steps []string `json:"steps"`
}

// StrandedClient is a client that would not follow a switchover.
type StrandedClient struct {
	Service string   `json:"service,omitempty"`
	Client  string   `json:"client,omitempty"` // its id
	Remote  string   `json:"remote,omitempty"` // IP:PORT
	Reasons []string `json:"reasons"`
}
