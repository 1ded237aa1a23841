package message

// AdvisoryKind says what an advisory is about.
type AdvisoryKind uint8

// The kinds.
const (
	// AboutDestination: Destination came or went; Connection made it, if it is temporary.
	AboutDestination AdvisoryKind = iota
	// AboutConnection: Connection with ClientID, User and Remote.
	AboutConnection
	// AboutConsumer: a consumer of Destination with all that it has asked for.
	AboutConsumer
	// AboutProducer: a producer for Destination.
	AboutProducer
	// AboutSubscription: a durable subscription that was removed, by Connection.
	AboutSubscription
	// AboutMessage: Message.
	AboutMessage
	// AboutBroker: what the topic's name and the properties say.
	AboutBroker
)

// Advisory is the event that an advisory message tells of. Its sessions make of it what their protocol has for that.
type Advisory struct {
	Kind        AdvisoryKind
	Removed     bool // it has come to its end
	Destination Destination
	Connection  string // its id in its protocol's own text; "" for the broker
	ClientID    string
	User        string
	Remote      string // the client's address, for people
	ID          string // of a consumer or producer, in its protocol's own text

	// Of a consumer:
	Selector     string
	Subscription string // the name of a durable one
	Prefetch     int
	MaxPending   int
	Priority     int
	Browser      bool
	NoLocal      bool
	Exclusive    bool
	Retroactive  bool

	// Message is what AboutMessage is about; without its body unless that was asked for.
	Message *Message
}
