package plane

import (
	"net/netip"
	"reflect"
	"time"
)

// Spec is all that an agent needs to know to run an instance. It is for reading: it shares memory with the state.
type Spec struct {
	Scope
	Broker  string
	Name    string
	Number  int
	Witness bool
	// Generation names the process, Version what of the rest is to be in force in it. Both only grow: an agent ignores an older one than it has.
	Generation, Version uint64
	Node, Zone          string
	Address             netip.Addr
	Ports               Ports
	// Cluster says that the instance is one of several, whose log is on their nodes; else it runs alone, with files.
	Cluster bool
	// Log is where the broker's messages are, as far as the plane knows: with NoLog the instances of a pair begin a log, with FileLog they wait for the one that has the messages.
	Log           LogKind
	Peers         []Peer // the broker's instances, this one among them, by number
	EngineVersion string
	MemoryBytes   int64
	Connections   int // of each protocol
	StorageBytes  int64
	Configuration ConfigurationRef // its data: State.Revision
	Users         map[string]User
	LDAP          *LDAP
	Restricted    bool   // the broker has security groups: only what Rules let in comes in
	Rules         []Rule // of all its security groups
	Logs          Logs
}

// Peer is an instance as the others know it.
type Peer struct {
	Number     int
	Generation uint64
	Node       string
	Address    netip.Addr
	Ports      Ports
}

// Ports are those of an instance.
type Ports struct {
	OpenWire, OpenWireTLS, AMQPTLS, STOMP, STOMPTLS, MQTTTLS, WSS int
	Console                                                       int // HTTPS
	API                                                           int // HTTP, for the agent
	Log, Routes, Relay                                            int // between instances
}

// PortsOf are the ports of a slot: 0 has the standard ones, those of Amazon MQ and ActiveMQ; each other one has 32 of its own from 20000 on.
func PortsOf(slot int) Ports {
	if slot == 0 {
		return Ports{OpenWire: 61616, OpenWireTLS: 61617, AMQPTLS: 5671, STOMP: 61613, STOMPTLS: 61614, MQTTTLS: 8883, WSS: 61619, Console: 8162, API: 8161, Log: 4222, Routes: 6222, Relay: 61620}
	}
	n := 20000 + 32*(slot-1)
	return Ports{OpenWire: n, OpenWireTLS: n + 1, AMQPTLS: n + 2, STOMP: n + 3, STOMPTLS: n + 4, MQTTTLS: n + 5, WSS: n + 6, Console: n + 7, API: n + 8, Log: n + 9, Routes: n + 10, Relay: n + 11}
}

func (s *State) spec(b *Broker, i *Instance) Spec {
	t := s.InstanceType(b.Goal.Type)
	if t == nil { // the operator's own that a rolled back goal had
		t = &InstanceType{}
	}
	spec := Spec{Scope: b.Scope, Broker: b.ID, Name: b.Name, Number: i.Number, Witness: i.Number == Witness, Generation: i.Generation, Version: b.Version, Node: i.Node, Zone: i.Zone,
		Address: i.Address, Ports: PortsOf(i.Slot), Cluster: b.cluster(i), Log: b.Log, EngineVersion: i.Version, MemoryBytes: i.MemoryBytes, Connections: t.Connections,
		StorageBytes: int64(b.StorageGB) * gib, Configuration: b.Configuration, Users: b.Users, LDAP: b.LDAP, Logs: b.Logs}
	for number := 1; number <= Witness; number++ {
		if peer := b.Instance(number); peer != nil {
			spec.Peers = append(spec.Peers, Peer{peer.Number, peer.Generation, peer.Node, peer.Address, PortsOf(peer.Slot)})
		}
	}
	for _, id := range b.SecurityGroups {
		spec.Restricted = true
		spec.Rules = append(spec.Rules, s.groups.get(id).Rules...)
	}
	return spec
}

// cluster says whether an instance is one of several. The one that has the messages in files is not, until they are converted.
func (b *Broker) cluster(i *Instance) bool {
	switch b.Log {
	case NoLog:
		return b.Goal.Mode == Pair
	case FileLog:
		return i.Number != b.Active
	}
	return true
}

// OnNode lists what is to run on a node, by broker and number. What runs there and is not in it is to be ended; an
// older generation of what is in it ends when the newer one starts. Generations above State.Serial are newer than the list.
func (s *State) OnNode(node string) (list []Spec) {
	for _, b := range s.brokers.all() {
		for n := range b.Instances {
			if i := &b.Instances[n]; i.Wanted && i.Node == node {
				list = append(list, s.spec(b, i))
			}
		}
	}
	return list
}

// EffectKind says what an effect is about.
type EffectKind string

// The kinds.
const (
	// Run: the instance is to run with this Spec: it is started again if it has ended, and takes over what is new in the Spec as it runs. There is nothing to report but Observed.
	Run EffectKind = "run"
	// The others are steps; they are reported with StepDone or StepFailed. See StepKind.
	Start         EffectKind = EffectKind(StepStart)
	Stop          EffectKind = EffectKind(StepStop)
	ConvertPair   EffectKind = EffectKind(StepPair)
	ConvertSingle EffectKind = EffectKind(StepSingle)
	SwitchoverTo  EffectKind = EffectKind(StepSwitchover)
)

// Effect is something to be done, at the instance of Spec.
type Effect struct {
	Kind      EffectKind
	Spec      Spec
	Operation OperationKind // which it belongs to; "" of Run
	Step      uint64        // for the report; 0 of Run
	Attempt   int           // for the report
	NotBefore time.Time     // when to try
}

// work lists the effects of a broker.
func (s *State) work(b *Broker) (list []Effect) {
	var current Step
	if b.Operation != nil {
		current = *b.Operation.Current()
	}
	for n := range b.Instances {
		i := &b.Instances[n]
		of := current.ID != 0 && i.Number == current.Number && i.Generation == current.Generation
		if i.Wanted && !(of && current.Kind == StepStart) {
			list = append(list, Effect{Kind: Run, Spec: s.spec(b, i)})
		}
		if of {
			op := b.Operation
			list = append(list, Effect{Kind: EffectKind(current.Kind), Spec: s.spec(b, i), Operation: op.Kind, Step: current.ID, Attempt: op.Attempts, NotBefore: op.NotBefore})
		}
	}
	return list
}

// Work lists all that is to be done now.
func (s *State) Work() (list []Effect) {
	for _, b := range s.brokers.all() {
		list = append(list, s.work(b)...)
	}
	return list
}

// newWork lists what was not to be done before.
func (s *State) newWork(was *State) (list []Effect) {
	type key struct {
		kind                      EffectKind
		generation, version, step uint64
		attempt                   int
	}
	of := func(e Effect) key { return key{e.Kind, e.Spec.Generation, e.Spec.Version, e.Step, e.Attempt} }
	for id, b := range s.brokers.all() {
		old := was.brokers.get(id)
		if old == b {
			continue
		}
		before := map[key]bool{}
		if old != nil {
			for _, e := range was.work(old) {
				before[of(e)] = true
			}
		}
		for _, e := range s.work(b) {
			if !before[of(e)] {
				list = append(list, e)
			}
		}
	}
	return list
}

// save puts a broker back. If that changes what its instances are to be like, their spec has a new version.
func (tx *tx) save(b *Broker) {
	if old := tx.s.brokers.get(b.ID); old == nil || !reflect.DeepEqual(tx.s.content(old), tx.s.content(b)) {
		b.Version = tx.next()
	}
	tx.s.brokers.put(tx, b.ID, b)
}

// renew gives the spec of a broker a new version because something has changed that it refers to.
func (tx *tx) renew(id string) {
	b := tx.s.brokers.edit(id)
	b.Version = tx.next()
	tx.s.brokers.put(tx, id, b)
}

// content is what counts of the specs of a broker.
func (s *State) content(b *Broker) (specs []Spec) {
	for n := range b.Instances {
		specs = append(specs, s.spec(b, &b.Instances[n]))
		specs[n].Version = 0
	}
	return specs
}
