// Package config is godwit.yaml: what it may say, what holds where it is silent, and what is wrong with it. It opens no
// socket and starts nothing; whoever needs a setting is given it.
//
// A setting is a field of Config with four tags: yaml is its key, doc says what it is for, allowed lists the only values, and
// live:"yes" says that a running broker takes a change over at once. The reader, the environment, the comparison of two
// configurations and docs/configuration.md are all made from these tags, so there is one place to add a setting.
package config

import (
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// FileName is the file that is read from the working directory if none is named.
const FileName = "godwit.yaml"

// Config is everything that godwit.yaml can say.
type Config struct {
	Data        string      `yaml:"data" path:"yes" doc:"Folder of the journal, the users and the development certificates. Made if it is missing."`
	Broker      Broker      `yaml:"broker" doc:"The broker itself."`
	Listeners   []Listener  `yaml:"listeners" doc:"Where clients connect. Any entry replaces the four default listeners."`
	TLS         TLS         `yaml:"tls" doc:"The certificate of TLS listeners."`
	HTTP        HTTP        `yaml:"http" doc:"The HTTP API, which the command line uses."`
	Metrics     Metrics     `yaml:"metrics" live:"yes" doc:"What is measured, and who is sent it (docs/metrics.md)."`
	Access      Access      `yaml:"access" live:"yes" doc:"From where clients may connect. The HTTP API and other instances are not concerned."`
	Credentials Credentials `yaml:"credentials" doc:"Who may connect, and what they may do."`
	Limits      Limits      `yaml:"limits" doc:"What one client, or all of them, may take."`
	Redelivery  Redelivery  `yaml:"redelivery" live:"yes" doc:"What happens to a message that a consumer could not process."`
	DeadLetter  DeadLetter  `yaml:"deadLetter" live:"yes" doc:"Where messages go that nobody can process."`
	Expiry      Expiry      `yaml:"expiry" live:"yes" doc:"What happens to a message whose time is over."`
	Consumers   Consumers   `yaml:"consumers" live:"yes" doc:"How queues deal with their consumers and with message groups."`
	Subscribers Subscribers `yaml:"subscribers" live:"yes" doc:"How topics deal with subscribers that do not keep up, come late, or stay away."`
	Flow        Flow        `yaml:"flow" live:"yes" doc:"How much may be at a destination, and what becomes of a message for which there is no room."`
	Slow        Slow        `yaml:"slowConsumers" live:"yes" doc:"When a consumer loses its place because messages wait for it and its window is full. By default never."`
	Advisories  Advisories  `yaml:"advisories" live:"yes" doc:"What subscribers of the topics ActiveMQ.Advisory.> are told of messages. They are always told of connections, consumers, producers, destinations, expired messages and dead letters, unless broker.advisories is false."`
	Policies    []Policy    `yaml:"policies" live:"yes" doc:"What holds for some destinations. Of the entries that fit a destination the most specific one holds alone: a name before *, * before >."`
	Scheduler   Scheduler   `yaml:"scheduler" doc:"Messages that are to be delivered later (AMQ_SCHEDULED_DELAY and its like)."`
	Journal     Journal     `yaml:"journal" doc:"The log on disk."`
	Cluster     Cluster     `yaml:"cluster" doc:"Several nodes that run one broker: one instance is active, another stands by. Without cluster.name this is a broker alone."`
	Service     Managed     `yaml:"service" doc:"A service for several brokers: Amazon MQ's API at /v1 of the HTTP API, and the brokers that are made through it, each a process of its own. The broker that the rest of this configuration is about is none of them."`
	Services    []Service   `yaml:"services" live:"yes" doc:"How clients are grouped in godwit clients: the first entry that fits a connection names its service. Those that none fits are grouped by their users, else by what their client ids begin with, else by their addresses."`
	Shutdown    Shutdown    `yaml:"shutdown" doc:"How the broker stops."`
	Log         Log         `yaml:"log" doc:"The program's own log, on standard error."`

	Destinations          []string               `yaml:"destinations" live:"yes" doc:"Queues and topics that are always there: queue://NAME or topic://NAME. They are made at the start or a reload, and never removed for being inactive."`
	VirtualTopics         []VirtualTopic         `yaml:"virtualTopics" live:"yes" doc:"Topics whose messages are copied into queues, one for each subscriber. Any entry replaces the built-in one, topics VirtualTopic.> with queues Consumer.*.VirtualTopic.>; an empty list is none."`
	CompositeDestinations []CompositeDestination `yaml:"compositeDestinations" live:"yes" doc:"Queues and topics whose messages are forwarded to others."`
	MirroredQueues        []MirroredQueues       `yaml:"mirroredQueues" live:"yes" doc:"Queues whose messages are copied to a topic beside each as well."`
	Inactive              Inactive               `yaml:"inactive" live:"yes" doc:"What happens to destinations that nobody uses."`
	Sweep                 Sweep                  `yaml:"sweep" live:"yes" doc:"How inactive destinations are looked for."`

	file    string            // as read; "" for none
	origins map[string]string // key -> where its value came from, for messages
}

// Broker is the broker's identity.
type Broker struct {
	Name           string        `yaml:"name" doc:"The name that clients see in BrokerInfo and people in the console: letters, digits, '.', '_' and '-'."`
	Advisories     bool          `yaml:"advisories" live:"yes" doc:"Whether there are advisories at all. Without them Java clients that use temporary destinations need watchTopicAdvisories=false."`
	Statistics     bool          `yaml:"statistics" live:"yes" doc:"Whether messages sent to ActiveMQ.Statistics.Broker, ActiveMQ.Statistics.Destination.NAME and ActiveMQ.Statistics.Subscription are answered."`
	UserID         bool          `yaml:"userID" doc:"Whether receivers are told who sent a message, in JMSXUserID: the name under which the sender logged in. (ActiveMQ: populateJMSXUserID.)"`
	TemporaryGrace time.Duration `yaml:"temporaryGrace" doc:"How long temporary queues wait for clients that come back by themselves after a switchover, a failover or a restart: who answers to one meanwhile is not told that it does not exist. 0: not at all."`
}

// Advisories say which advisories about messages there are.
type Advisories struct {
	Delivered    bool `yaml:"delivered" doc:"Each message that comes in."`
	Dispatched   bool `yaml:"dispatched" doc:"Each message that is given to a consumer."`
	Consumed     bool `yaml:"consumed" doc:"Each message of a queue that is acknowledged."`
	Discarded    bool `yaml:"discarded" doc:"Each message that a topic's subscriber loses because too many wait for it."`
	NoConsumer   bool `yaml:"noConsumer" doc:"Each non-persistent message that comes in while nobody consumes: it is sent to the advisory topic itself."`
	SlowConsumer bool `yaml:"slowConsumer" doc:"A consumer whose window is full while messages wait."`
	FastProducer bool `yaml:"fastProducer" doc:"A producer that a limit holds up."`
	Full         bool `yaml:"full" doc:"A destination that reaches a limit."`
	Bodies       bool `yaml:"bodies" doc:"Messages in advisories keep their bodies."`
}

// Listener is one address where clients connect.
type Listener struct {
	Name           string   `yaml:"name" doc:"Name for people, in logs and lists. By default protocol and port."`
	Protocol       string   `yaml:"protocol" allowed:"openwire|stomp|auto" doc:"Protocol spoken here; auto tells by a client's first bytes."`
	URL            string   `yaml:"url" doc:"tcp://HOST:PORT is plain, tls://HOST:PORT is TLS, tcp+tls://HOST:PORT takes both and tells by the first byte."`
	ClientAuth     string   `yaml:"clientAuth" allowed:"off|optional|required" doc:"Whether TLS clients show a certificate of their own, if not as tls.clientAuth says."`
	ProxyFrom      []string `yaml:"proxyFrom" doc:"Networks (10.0.0.0/8) of load balancers that send a PROXY protocol header; from there it is demanded."`
	MaxConnections int      `yaml:"maxConnections" doc:"Connections at a time on this listener. 0 leaves it to limits.connectionsPerListener."`
}

// TLS is a certificate with its key, and what is asked of clients.
type TLS struct {
	Certificate string `yaml:"certificate" path:"yes" doc:"PEM file with the certificate and its chain. Empty: a development certificate is made in the data folder. Read again when it changes."`
	Key         string `yaml:"key" path:"yes" doc:"PEM file with the certificate's key."`
	ClientAuth  string `yaml:"clientAuth" allowed:"off|optional|required" doc:"Whether clients show a certificate of their own."`
	ClientCA    string `yaml:"clientCA" path:"yes" doc:"PEM file with the authorities that client certificates must come from."`
}

// HTTP is the API's listener.
type HTTP struct {
	Address     string   `yaml:"address" doc:"HOST:PORT of the API; off switches it off. Off loopback it demands credentials."`
	Certificate string   `yaml:"certificate" path:"yes" doc:"PEM file with a certificate: the API speaks HTTPS."`
	Key         string   `yaml:"key" path:"yes" doc:"PEM file with the certificate's key."`
	Hosts       []string `yaml:"hosts" live:"yes" doc:"Further host names under which the API may be called. A loopback API answers to localhost and loopback addresses only, so that no web page can reach it under another name."`
	Admins      []string `yaml:"admins" live:"yes" doc:"Groups that may use all of the API, where it demands credentials."`
	Operators   []string `yaml:"operators" live:"yes" doc:"Groups that may do everything with messages, destinations and clients, and switch over, but nothing with users, configuration and the process itself, where the API demands credentials."`
	Readers     []string `yaml:"readers" live:"yes" doc:"Groups that may read lists and metrics, but no messages, where it demands credentials."`
	Console     bool     `yaml:"console" doc:"Show the web console, at /console/ of the API's address."`
	Jolokia     Jolokia  `yaml:"jolokia" live:"yes" doc:"What tools that ask ActiveMQ's Jolokia agent get at /api/jolokia (docs/metrics.md)."`
}

// Jolokia is about /api/jolokia.
type Jolokia struct {
	NeedOrigin bool     `yaml:"needOrigin" doc:"Whether calls without the header Origin are refused, as ActiveMQ does. A foreign Origin is refused always."`
	Allow      []string `yaml:"allow" doc:"Operations that administrators may ask for there: purge, pause, resume of queues; addQueue, addTopic, removeQueue, removeTopic of the broker. By default none: it is for reading."`
}

// Access says from where clients may connect.
type Access struct {
	Restricted bool         `yaml:"restricted" doc:"Only connections that a rule lets in may come. Those that are there already and that none lets in any more are closed."`
	Rules      []AccessRule `yaml:"rules" doc:"What is let in, if restricted is true: what any entry allows."`
}

// AccessRule lets in connections from a network to a range of ports.
type AccessRule struct {
	Network string `yaml:"network" doc:"Addresses of clients, as 10.1.0.0/16; behind a load balancer that sends a PROXY header, those that it tells."`
	From    int    `yaml:"from" doc:"First port of listeners that they may connect to."`
	To      int    `yaml:"to" doc:"Last port. 0 is the same as from."`
}

// Admits is a function that says whether a client's address may connect to a port; nil: all may.
func (a Access) Admits() func(client netip.Addr, port int) bool {
	if !a.Restricted {
		return nil
	}
	type rule struct {
		network  netip.Prefix
		from, to int
	}
	rules := make([]rule, 0, len(a.Rules))
	for _, r := range a.Rules {
		if network, err := netip.ParsePrefix(r.Network); err == nil { // Validate has seen to it
			rules = append(rules, rule{network, r.From, max(r.From, r.To)})
		}
	}
	return func(client netip.Addr, port int) bool {
		client = client.Unmap().WithZone("")
		return slices.ContainsFunc(rules, func(r rule) bool { return r.network.Contains(client) && r.from <= port && port <= r.to })
	}
}

// Credentials says who may connect.
type Credentials struct {
	Mode          string  `yaml:"mode" live:"yes" allowed:"ignore|observe|optional|mandatory" doc:"ignore reads and forgets user names and passwords; observe checks them, admits all the same, and reports who would be refused; optional checks those that are sent; mandatory demands them."`
	AllowInsecure bool    `yaml:"allowInsecure" live:"yes" doc:"Must be true for mode ignore, observe or optional on an address that is not loopback: anybody who reaches it may connect."`
	Users         []User  `yaml:"users" live:"yes" doc:"Users, beside those of usersFile."`
	UsersFile     string  `yaml:"usersFile" path:"yes" live:"yes" doc:"File of users, one a line, as godwit users writes it. Empty: the file users in the data folder."`
	Rights        []Right `yaml:"rights" live:"yes" doc:"What groups may do. Without any entry every user may do everything."`

	Certificates []CertificateUser `yaml:"certificates" live:"yes" doc:"Users that client certificates make which no user's subject is; the first entry that fits counts."`
	LDAP         LDAP              `yaml:"ldap" live:"yes" doc:"Users and groups in LDAP, in the words of Amazon MQ's ldapServerMetadata. A name that is among users or in usersFile is asked there alone."`
	OIDC         OIDC              `yaml:"oidc" live:"yes" doc:"Tokens of an identity provider as passwords. They are verified here, with its keys."`
}

// User is one user.
type User struct {
	Name         string   `yaml:"name" doc:"User name."`
	Password     string   `yaml:"password" secret:"yes" doc:"The password's hash (argon2id or bcrypt), as godwit users hash prints it."`
	Certificates []string `yaml:"certificates" doc:"Subjects of client certificates that log this user in: CN=client1, O=T."`
	Groups       []string `yaml:"groups" doc:"Groups the user is in."`
}

// Right gives groups the right to do something with destinations. All rights that match a destination are joined.
type Right struct {
	Destination string   `yaml:"destination" doc:"queue://NAME, topic://NAME, NAME for both, or temp://> for all temporary ones; * stands for one segment, > for the rest."`
	Read        []string `yaml:"read" doc:"Groups that may consume and browse. * is every user."`
	Write       []string `yaml:"write" doc:"Groups that may send."`
	Admin       []string `yaml:"admin" doc:"Groups that may create and remove, which the first use of a destination does."`
}

// Limits bounds what clients may take.
type Limits struct {
	FrameSize              Size          `yaml:"frameSize" doc:"Largest frame, and so about the largest message, that is accepted."`
	Frames                 Size          `yaml:"frames" live:"yes" doc:"Memory for frames that have begun to come and are not whole yet, of all connections together, beyond 64 KiB each. A frame for which there is none waits, and its connection with it, for half a minute, and is then refused. 0 is a quarter of process, or 256 MiB without process; what is said here must not be less than frameSize."`
	Connections            int           `yaml:"connections" live:"yes" doc:"Connections at a time, over all listeners."`
	ConnectionsPerListener int           `yaml:"connectionsPerListener" live:"yes" doc:"Connections at a time on each listener that does not say itself (maxConnections). 0 leaves it to connections."`
	ConnectionsPerAddress  int           `yaml:"connectionsPerAddress" doc:"Connections at a time from one client address. 0 is no limit."`
	LoginTimeout           time.Duration `yaml:"loginTimeout" doc:"Time a client has to log in."`
	LoginBytes             Size          `yaml:"loginBytes" doc:"Bytes a client may send before it is logged in."`
	Cache                  Size          `yaml:"cache" live:"yes" doc:"Memory for bodies of waiting persistent messages. What does not fit is read back from the journal when its turn comes."`
	Process                Size          `yaml:"process" live:"yes" doc:"Memory that the whole process may take. When most of it is in use, messages wait and are then refused (see flow.wait), while consuming goes on. 0 is no limit."`
	Memory                 Size          `yaml:"memory" live:"yes" doc:"Memory for waiting non-persistent messages. What does not fit waits in the journal; it does not survive a restart there either."`
	Destinations           int           `yaml:"destinations" doc:"Queues and topics at a time."`
	Transaction            int           `yaml:"transaction" doc:"Messages and acknowledgements in one transaction."`
	DuplicateProducers     int           `yaml:"duplicateProducers" doc:"Producers whose last message is remembered, so that a copy sent again after a failover is recognised."`
}

// FrameMemory is Frames, or what stands for it, in bytes.
func (l Limits) FrameMemory() int64 {
	switch {
	case l.Frames != 0:
		return int64(l.Frames)
	case l.Process != 0:
		return int64(l.Process / 4)
	}
	return max(256<<20, int64(l.FrameSize))
}

// Redelivery is the broker's policy for messages that were not processed.
type Redelivery struct {
	Maximum            int           `yaml:"maximum" doc:"Redeliveries by the broker before a message is a dead letter. 0: a message that a client gives up is one at once (ActiveMQ's clients have tried six times by then), and one that comes back does so without limit. -1: redeliveries never end."`
	InitialDelay       time.Duration `yaml:"initialDelay" doc:"Time before the first redelivery of a message that a client gave up. 0s is that of delay."`
	Delay              time.Duration `yaml:"delay" doc:"Time before each further redelivery."`
	Multiplier         float64       `yaml:"multiplier" doc:"How many times as long each further redelivery waits as the one before; then delay counts only if initialDelay is 0s."`
	MaximumDelay       time.Duration `yaml:"maximumDelay" doc:"Longest time before a redelivery. 0s is no bound."`
	CollisionAvoidance float64       `yaml:"collisionAvoidance" doc:"The part, 0 to 1, by which a wait is made longer or shorter at random, so that what failed together does not come back together."`
	Then               string        `yaml:"then" allowed:"dead-letter|drop" doc:"What becomes of a message that has had all its redeliveries."`
}

// DeadLetter is where messages go that cannot be processed.
type DeadLetter struct {
	Strategy        string        `yaml:"strategy" allowed:"shared|individual|discard" doc:"shared: all go to queue. individual: each destination has a dead-letter destination of its own, named prefix, name, suffix. discard: they are dropped."`
	Queue           string        `yaml:"queue" doc:"The queue of strategy shared."`
	QueuePrefix     string        `yaml:"queuePrefix" doc:"individual: what comes before the name of a queue."`
	QueueSuffix     string        `yaml:"queueSuffix" doc:"individual: what comes after the name of a queue."`
	TopicPrefix     string        `yaml:"topicPrefix" doc:"individual: what comes before the name of a topic."`
	TopicSuffix     string        `yaml:"topicSuffix" doc:"individual: what comes after the name of a topic."`
	QueueMessagesTo string        `yaml:"queueMessagesTo" allowed:"queue|topic" doc:"individual: whether dead letters of queues go to a queue or to a topic, where they are kept for durable subscriptions alone."`
	TopicMessagesTo string        `yaml:"topicMessagesTo" allowed:"queue|topic" doc:"individual: the same for dead letters of topics."`
	PerSubscription bool          `yaml:"perSubscription" doc:"individual: each durable subscription has its own: .CLIENT:NAME comes before the suffix."`
	Drop            []string      `yaml:"drop" doc:"Regular expressions: dead letters of destinations whose whole name one of them matches are dropped."`
	NonPersistent   bool          `yaml:"nonPersistent" doc:"Whether non-persistent messages are kept there too, or dropped."`
	Expiration      time.Duration `yaml:"expiration" doc:"Time after which a dead letter itself is dropped. 0s is never."`
}

// Expiry is the policy for messages whose time is over.
type Expiry struct {
	To         string        `yaml:"to" allowed:"dead-letter|drop" doc:"Whether expired messages go to the dead-letter queue or are dropped."`
	Default    time.Duration `yaml:"default" doc:"How long a message lives whose sender says nothing. 0s is for ever."`
	Ceiling    time.Duration `yaml:"ceiling" doc:"How long a message may live at most, whatever its sender says. 0s is no bound."`
	BrokerTime bool          `yaml:"brokerTime" doc:"Whether a message's time counts from the broker's clock, and its timestamp is that, for senders whose clocks are wrong."`
	FutureOnly bool          `yaml:"futureOnly" doc:"Whether a message is left alone that would live longer as it is."`
}

// Scheduler is about messages that are to be delivered later.
type Scheduler struct {
	Enabled   bool   `yaml:"enabled" live:"yes" doc:"Whether messages are delivered later that ask for it; otherwise they are delivered at once."`
	MaxRepeat int    `yaml:"maxRepeat" live:"yes" doc:"How often a message may ask to be delivered again (AMQ_SCHEDULED_REPEAT)."`
	MaxJobs   int    `yaml:"maxJobs" live:"yes" doc:"How many messages may wait for their time. Each takes about 200 bytes of memory."`
	TimeZone  string `yaml:"timeZone" doc:"Time zone of CRON entries, as Europe/Berlin. Empty: that of the machine."`
}

// Policy is what holds for the destinations that fit a name or pattern.
type Policy struct {
	Destination string      `yaml:"destination" doc:"queue://NAME, topic://NAME, temp-queue://NAME or temp-topic://NAME; * stands for one segment, > for the rest."`
	Redelivery  Redelivery  `yaml:"redelivery" doc:"Instead of the section redelivery."`
	DeadLetter  DeadLetter  `yaml:"deadLetter" doc:"Instead of the section deadLetter."`
	Expiry      Expiry      `yaml:"expiry" doc:"Instead of the section expiry."`
	Consumers   Consumers   `yaml:"consumers" doc:"Instead of the section consumers. For queues."`
	Subscribers Subscribers `yaml:"subscribers" doc:"Instead of the section subscribers. For topics."`
	Slow        Slow        `yaml:"slowConsumers" doc:"Instead of the section slowConsumers."`
	Advisories  Advisories  `yaml:"advisories" doc:"Instead of the section advisories."`

	Keep                Keep     `yaml:"keep" doc:"Which messages wait. For queues; all, if nothing is said."`
	Inactive            Inactive `yaml:"inactive" doc:"Instead of the section inactive."`
	MaximumDestinations int      `yaml:"maximumDestinations" doc:"How many destinations may be there for which this entry holds. 0 is no bound but limits.destinations."`
	Flow                Flow     `yaml:"flow" doc:"Instead of the section flow."`
}

// Journal is the log on disk.
type Journal struct {
	SegmentSize Size `yaml:"segmentSize" doc:"Size of one file of the journal. They are written in full once and reused."`
	MaxSize     Size `yaml:"maxSize" live:"yes" doc:"Disk space for the journal. When it is used up, sends are refused and everything else goes on. 0 is what the disk has."`
	Reserve     Size `yaml:"reserve" doc:"Disk space kept back, so that acknowledgements work on a full disk. 0 is a quarter of a segment."`
}

// Cluster makes this process one of several nodes that run one broker on a replicated log.
type Cluster struct {
	Name        string        `yaml:"name" doc:"Name of this instance, unique in the cluster and the same at every start. Empty: no cluster."`
	Role        string        `yaml:"role" allowed:"broker|witness" doc:"broker serves clients, as the active instance or as a standby; witness only keeps a copy of the log, so that two machines and a small third one can tell who is cut off."`
	Listen      string        `yaml:"listen" doc:"HOST:PORT at which the other nodes reach this one's copy of the log."`
	Nodes       []ClusterNode `yaml:"nodes" live:"yes" doc:"All nodes of the cluster, this one included: three, of which two or three are brokers. When another has moved, its new addresses are taken over live; the copies of the log find each other meanwhile by the node that has moved, which knows the others."`
	Certificate string        `yaml:"certificate" path:"yes" doc:"PEM file with this node's certificate. Nodes show each other certificates of one authority that signs nothing else; without, all addresses between nodes must be loopback."`
	Key         string        `yaml:"key" path:"yes" doc:"PEM file with the certificate's key."`
	CA          string        `yaml:"ca" path:"yes" doc:"PEM file with the authority of the nodes' certificates."`
	Relay       bool          `yaml:"relay" doc:"A standby takes clients and carries what they say to the active instance. false: it refuses them."`
	Await       bool          `yaml:"await" doc:"An empty log is left to a broker alone that brings what it has (godwit convert): no instance begins one. Once there is something in the log it makes no difference."`
	Hold        time.Duration `yaml:"hold" doc:"How long a client that comes while no instance is active waits before it is refused."`
	Heartbeat   time.Duration `yaml:"heartbeat" doc:"How often the active instance says in the log that it is there, if it has nothing else to say."`
	Silence     time.Duration `yaml:"silence" doc:"How long the log is silent before a standby takes over."`
	GiveUp      time.Duration `yaml:"giveUp" doc:"How long an active instance tries to reach most of the nodes before it sends its clients away and stands by: cut off from the others, it would only keep its clients from the next active one."`
	DNS         DNS           `yaml:"dns" live:"yes" doc:"A name that follows the active instance, for clients that know no other address. A standby looks at it, too, so that what is wrong shows before it is needed."`
}

// ClusterNode is one node of a cluster, as the others know it.
type ClusterNode struct {
	Name      string   `yaml:"name" doc:"The node's cluster.name."`
	Log       string   `yaml:"log" doc:"HOST:PORT of its copy of the log: its cluster.listen."`
	Relay     string   `yaml:"relay" doc:"HOST:PORT at which it takes the clients of standbys while it is active. Empty for a witness."`
	API       string   `yaml:"api" doc:"URL of its HTTP API, by which the others ask it how it is."`
	Clients   []string `yaml:"clients" doc:"URLs at which OpenWire clients with a failover: transport reach it, as tcp://HOST:PORT or ssl://HOST:PORT: they are told all of their kind when they connect (ActiveMQ: updateClusterClients). Only what every client can reach and resolve. Empty: they use the addresses that they know."`
	Addresses []string `yaml:"addresses" doc:"IP addresses, of either version, that cluster.dns.name gets while this node is the active one. Empty: those in clients."`
}

// ClientURLs are those at which clients reach the brokers, by TLS or plain, those of the instance named first before the others.
func (c *Cluster) ClientURLs(first string, secure bool) []string {
	scheme := "tcp://"
	if secure {
		scheme = "ssl://"
	}
	var urls []string
	for _, own := range []bool{true, false} {
		for _, n := range c.Nodes {
			for _, u := range n.Clients {
				if (n.Name == first) == own && strings.HasPrefix(u, scheme) {
					urls = append(urls, u)
				}
			}
		}
	}
	return urls
}

// On says whether this is a node of a cluster.
func (c *Cluster) On() bool { return c.Name != "" }

// Witness says whether this node only keeps a copy of the log.
func (c *Cluster) Witness() bool { return c.On() && c.Role == "witness" }

// Node is a node by its name, or nil.
func (c *Cluster) Node(name string) *ClusterNode {
	for i := range c.Nodes {
		if c.Nodes[i].Name == name {
			return &c.Nodes[i]
		}
	}
	return nil
}

// Shutdown says how the broker stops.
type Shutdown struct {
	Grace time.Duration `yaml:"grace" live:"yes" doc:"Time that clients have to finish what they have begun."`
	Carry Size          `yaml:"carry" doc:"At a stop in good order, or a switchover: how many bytes of messages that wait in memory only (non-persistent ones, and replies in temporary queues) are written to the journal for the next start, or the other instance. 0: none; they are lost then."`
}

// Log is the program's own log.
type Log struct {
	Level  string `yaml:"level" live:"yes" allowed:"debug|info|warn|error" doc:"What is worth a line."`
	Format string `yaml:"format" allowed:"text|json" doc:"Lines for people or for programs."`
	Audit  string `yaml:"audit" path:"yes" live:"yes" doc:"File for what was done and by whom, a line of JSON each (docs/operations.md). Empty: it goes to the program's log, as lines with log=audit. A file that was moved away is made anew at a reload."`
	Rotate Size   `yaml:"rotate" live:"yes" doc:"How large the audit file becomes before another begins."`
	Kept   int    `yaml:"kept" live:"yes" doc:"How many older audit files there are beside it."`
}

// Default is what holds where godwit.yaml, the environment and the flags are silent.
func Default() *Config {
	return &Config{
		Data:   "godwit-data",
		Broker: Broker{Name: "godwit", Advisories: true, Statistics: true, TemporaryGrace: 30 * time.Second},
		Listeners: []Listener{
			{Name: "openwire", Protocol: "openwire", URL: "tcp://127.0.0.1:61616"},
			{Name: "openwire+ssl", Protocol: "openwire", URL: "tls://127.0.0.1:61617"},
			{Name: "stomp", Protocol: "stomp", URL: "tcp://127.0.0.1:61614"},
			{Name: "stomp+ssl", Protocol: "stomp", URL: "tls://127.0.0.1:61615"},
		},
		TLS:         TLS{ClientAuth: "off"},
		HTTP:        HTTP{Address: "127.0.0.1:8161", Console: true, Admins: []string{"admins"}, Operators: []string{"operators"}, Readers: []string{"readers"}},
		Metrics:     Metrics{Budget: 350, Destination: []string{"messages", "inFlight", "consumers", "producers", "enqueued", "dequeued", "expired", "dead"}},
		Credentials: Credentials{Mode: "ignore", LDAP: defaultLDAP(), OIDC: defaultOIDC()},
		Limits: Limits{
			FrameSize:          100 << 20,
			Connections:        10_000,
			LoginTimeout:       30 * time.Second,
			LoginBytes:         64 << 10,
			Cache:              8 << 20,
			Memory:             64 << 20,
			Destinations:       100_000,
			Transaction:        1_000_000,
			DuplicateProducers: 4096,
		},
		Redelivery:  Redelivery{Multiplier: 1, Then: "dead-letter"},
		DeadLetter:  DeadLetter{Strategy: "shared", Queue: "ActiveMQ.DLQ", QueuePrefix: "ActiveMQ.DLQ.Queue.", TopicPrefix: "ActiveMQ.DLQ.Topic.", QueueMessagesTo: "queue", TopicMessagesTo: "queue"},
		Expiry:      Expiry{To: "dead-letter"},
		Scheduler:   Scheduler{Enabled: true, MaxRepeat: 1000, MaxJobs: 1_000_000},
		Consumers:   defaultConsumers(),
		Subscribers: defaultSubscribers(),
		Slow:        defaultSlow(),
		Flow:        defaultFlow(),
		Journal:     Journal{SegmentSize: 16 << 20},
		Cluster:     Cluster{Role: "broker", Relay: true, Hold: 2 * time.Second, Heartbeat: 50 * time.Millisecond, Silence: 300 * time.Millisecond, GiveUp: 5 * time.Second, DNS: DNS{TTL: 5 * time.Second}},
		Service:     Managed{Account: "000000000000", Region: "eu-central-1", Node: "local", Addresses: "127.0.64.0/18", Burst: 100, Rate: 15, Nodes: ManagedNodes{Timeout: 30 * time.Second}, LDAP: ManagedLDAP{Transport: "ldaps"}},
		Shutdown:    Shutdown{Grace: 10 * time.Second, Carry: 16 << 20},
		Log:         Log{Level: "info", Format: "text", Rotate: 64 << 20, Kept: 5},

		Inactive:      Inactive{After: time.Minute},
		Sweep:         Sweep{Every: 10 * time.Second},
		VirtualTopics: []VirtualTopic{{Topic: "VirtualTopic.>", Prefix: virtualPrefix}},
	}
}

// File is the file that was read, or "".
func (c *Config) File() string { return c.file }

// UsersPath is the file of users.
func (c *Config) UsersPath() string {
	if c.Credentials.UsersFile != "" {
		return c.Credentials.UsersFile
	}
	return filepath.Join(c.Data, "users")
}

// JournalPath is the journal's folder.
func (c *Config) JournalPath() string { return filepath.Join(c.Data, "journal") }

// Off says whether the API is switched off.
func (h HTTP) Off() bool { return h.Address == "off" }

// Loopback says whether only this machine can reach the API.
func (h HTTP) Loopback() bool {
	host, _, err := net.SplitHostPort(h.Address)
	return err == nil && IsLoopback(host)
}

// Transport is "tcp", "tls" or "tcp+tls", and the address is HOST:PORT. Both are empty for a URL that Validate refuses.
func (l Listener) Transport() (transport, address string) {
	u, err := url.Parse(l.URL)
	if err != nil {
		return "", ""
	}
	return u.Scheme, u.Host
}

// Loopback says whether only this machine can reach the listener.
func (l Listener) Loopback() bool {
	_, address := l.Transport()
	host, _, err := net.SplitHostPort(address)
	return err == nil && IsLoopback(host)
}

// IsLoopback says whether a host, without port, names only this machine.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}
