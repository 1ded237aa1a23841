package plane

import (
	"net/netip"
	"slices"
	"time"
)

// Node is a machine that runs instances.
type Node struct {
	Name        string       `json:"name"`
	Zone        string       `json:"zone"`
	Subnets     []string     `json:"subnets,omitempty"`
	Range       netip.Prefix `json:"range"`                 // of the addresses that instances get; one address alone is shared by all, which then have ports of their own
	MemoryBytes int64        `json:"memoryBytes,omitempty"` // for all instances together; 0: no limit
	Instances   int          `json:"instances,omitempty"`   // how many, witnesses included; 0: no limit
	Draining    bool         `json:"draining,omitempty"`    // takes no more instances; those that it has move away
	Key         string       `json:"key,omitempty"`         // SHA-256 of the key of a machine that has joined, in hex; "": the node is where the control plane is
	Created     time.Time    `json:"created"`
}

// RegisterNode says that a node is there, and what it is like. A node does so at each start.
type RegisterNode struct {
	Name, Zone  string
	Subnets     []string
	Range       netip.Prefix
	MemoryBytes int64
	Instances   int
}

// check refuses what cannot be a node, or has the addresses of another one.
func (c RegisterNode) check(tx *tx) error {
	if err := checkName("name", c.Name); err != nil {
		return err
	}
	if err := checkName("zone", c.Zone); err != nil {
		return err
	}
	for _, s := range c.Subnets {
		if err := checkName("subnets", s); err != nil {
			return err
		}
	}
	switch {
	case len(c.Subnets) > 16:
		return bad("subnets", "a node is in at most 16 subnets")
	case !c.Range.IsValid() || c.Range != c.Range.Masked():
		return bad("range", "[%v] is no range of addresses: an address and a length, such as 127.0.64.0/18", c.Range)
	case c.MemoryBytes < 0 || c.Instances < 0:
		return bad("memoryBytes", "a capacity is not negative")
	}
	for _, other := range tx.s.nodes.all() {
		if other.Name != c.Name && other.Range.Overlaps(c.Range) {
			return conflict("range", "addresses of %v are those of node [%s] (%v)", c.Range, other.Name, other.Range)
		}
	}
	return nil
}

func (c RegisterNode) do(tx *tx) error {
	if err := c.check(tx); err != nil {
		return err
	}
	n := tx.s.nodes.edit(c.Name)
	if n != nil && n.Key != "" {
		return conflict("name", "node [%s] is another machine, which has joined: give this one another name", c.Name)
	}
	if n == nil {
		if len(tx.s.nodes.rows) >= tx.limits().Nodes {
			return conflict("name", "there are %d nodes already, which is the limit: remove some", len(tx.s.nodes.rows))
		}
		n = &Node{Name: c.Name, Created: tx.now}
	}
	if n.Range.IsValid() && (n.Range != c.Range || n.Zone != c.Zone) && len(tx.s.on(c.Name)) > 0 {
		return conflict("range", "node [%s] runs instances that have addresses of %v and count on zone [%s]: drain it before it is given others", c.Name, n.Range, n.Zone)
	}
	was := *n
	n.Zone, n.Subnets, n.Range, n.MemoryBytes, n.Instances = c.Zone, c.Subnets, c.Range, c.MemoryBytes, c.Instances
	tx.id = c.Name
	if was.Zone == n.Zone && slices.Equal(was.Subnets, n.Subnets) && was.Range == n.Range && was.MemoryBytes == n.MemoryBytes && was.Instances == n.Instances {
		return nil
	}
	tx.s.nodes.put(tx, c.Name, n)
	return nil
}

// DrainNode has all instances of a node move away, or (Drain false) takes that back: then those that have not begun to move stay.
type DrainNode struct {
	Name  string
	Drain bool
}

func (c DrainNode) do(tx *tx) error {
	n := tx.s.nodes.edit(c.Name)
	if n == nil {
		return missing("name", "node", c.Name)
	}
	tx.id = c.Name
	if n.Draining == c.Drain {
		return nil
	}
	n.Draining = c.Drain
	tx.s.nodes.put(tx, c.Name, n)
	for _, b := range tx.s.on(c.Name) {
		tx.repair(b.ID)
	}
	return nil
}

// RemoveNode forgets a node that runs nothing, and its invite, whether it was used or not. Lost says that it will not come back as it was: its instances are replaced by others elsewhere, without waiting for it. The log of a pair keeps
// what the lost instance had, if two of its three copies are left; the last copies of a broker's messages are not given up this way: that needs the broker's deletion.
type RemoveNode struct {
	Name string
	Lost bool
}

func (c RemoveNode) do(tx *tx) error {
	invite := tx.s.invites.get(c.Name)
	if tx.s.nodes.get(c.Name) == nil {
		if invite == nil {
			return missing("name", "node", c.Name)
		}
		tx.id = c.Name
		tx.s.invites.drop(tx, c.Name)
		return nil
	}
	tx.id = c.Name
	brokers := tx.s.on(c.Name)
	if len(brokers) > 0 && !c.Lost {
		return conflict("name", "node [%s] runs instances of %d brokers, [%s] among them: drain it first", c.Name, len(brokers), brokers[0].ID)
	}
	for _, b := range brokers {
		if only := b.only(); only != nil && only.Node == c.Name && !b.Goal.Gone {
			return conflict("name", "the messages of broker [%s] are on node [%s] alone: bring the node back, or delete the broker", b.ID, c.Name)
		}
		if copies := b.copiesBut(c.Name); b.Log == NodesLog && !b.Goal.Gone && copies < 2 {
			return conflict("name", "of the three copies of the log of broker [%s] %d would be left, and fewer than two decide nothing: bring the node back, or delete the broker", b.ID, copies)
		}
		if op := b.Operation; op != nil && (op.Current().Kind == StepSingle || op.Current().Kind == StepPair) {
			return conflict("name", "the messages of broker [%s] are being converted: that ends by itself, one way or the other; try again then", b.ID)
		}
	}
	tx.s.nodes.drop(tx, c.Name)
	if invite != nil { // whose key may not join again
		tx.s.invites.drop(tx, c.Name)
	}
	for _, b := range brokers {
		tx.lose(b.ID, c.Name)
	}
	return nil
}

// copiesBut counts the instances that have a copy of the nodes' log, without those on a node.
func (b *Broker) copiesBut(node string) (n int) {
	for _, i := range b.Instances {
		if i.Up && !i.Leaving && i.Node != node {
			n++
		}
	}
	return n
}

// on lists the brokers that have something on a node.
func (s *State) on(node string) []*Broker {
	return list(&s.brokers, func(b *Broker) bool {
		return slices.ContainsFunc(b.Instances, func(i Instance) bool { return i.Node == node })
	})
}

// Node is a node by its name, nil if there is none.
func (s *State) Node(name string) *Node { return s.nodes.get(name) }

// Nodes lists the nodes by name.
func (s *State) Nodes() []*Node { return list(&s.nodes, nil) }

// Load is what a node's instances take: their memory in bytes, and their number.
func (s *State) Load(node string) (memoryBytes int64, instances int) { return s.load(node, nil) }

// load counts instead of a broker's row the broker that is given.
func (s *State) load(node string, instead *Broker) (memoryBytes int64, instances int) {
	add := func(b *Broker) {
		for _, i := range b.Instances {
			if i.Node == node {
				memoryBytes += i.MemoryBytes
				instances++
			}
		}
	}
	for id, b := range s.brokers.rows { // a sum: the order does not show
		if instead == nil || id != instead.ID {
			add(b)
		}
	}
	if instead != nil {
		add(instead)
	}
	return memoryBytes, instances
}
