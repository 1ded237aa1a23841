package plane

import (
	"cmp"
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
)

// fits says whether the instance of a number may stay where it is, and takes the memory that its type needs there. No instance fits nowhere.
func (p *planner) fits(number int) bool {
	i := p.at(number)
	if i == nil {
		return false
	}
	n := p.tx.s.nodes.get(i.Node)
	switch {
	case n == nil || n.Draining:
		return false
	case number != Witness && len(p.b.Goal.Subnets) > 0 && !slices.Contains(p.b.Goal.Subnets, i.Subnet):
		return false
	case !i.Up && p.b.Operation != nil && slices.Contains(p.b.Operation.Avoid, i.Node) && p.b.only() != i:
		return false
	}
	need := p.memory(number)
	if used, _ := p.tx.s.load(i.Node, p.b); n.MemoryBytes > 0 && need > i.MemoryBytes && used-i.MemoryBytes+need > n.MemoryBytes {
		return false
	}
	i.MemoryBytes = need
	return true
}

func (p *planner) memory(number int) int64 {
	if number == Witness {
		return witnessMemory
	}
	return p.tx.s.InstanceType(p.b.Goal.Type).MemoryBytes
}

// place finds a place for an instance: a node that takes more, as far from the broker's others as can be, then the one with the most room; an address that
// nobody has.
func (p *planner) place(number int) (Instance, error) {
	type candidate struct {
		node   *Node
		subnet string
		score  [5]int64 // the least is the best
	}
	var best *candidate
	var avoid []string
	if p.b.Operation != nil {
		avoid = p.b.Operation.Avoid
	}
	why := "there is no node"
	for _, n := range p.tx.s.nodes.all() {
		used, count := p.tx.s.load(n.Name, p.b)
		c := candidate{node: n}
		switch {
		case n.Draining:
			why = "node " + n.Name + " is draining"
			continue
		case n.Instances > 0 && count >= n.Instances, n.MemoryBytes > 0 && used+p.memory(number) > n.MemoryBytes:
			why = "node " + n.Name + " is full"
			continue
		}
		if number != Witness && len(p.b.Goal.Subnets) > 0 {
			c.score[1] = 2
			for _, id := range p.b.Goal.Subnets {
				taken := int64(0)
				if other := p.at(3 - number); other != nil && other.Subnet == id {
					taken = 1
				}
				if slices.Contains(n.Subnets, id) && taken < c.score[1] {
					c.subnet, c.score[1] = id, taken
				}
			}
			if c.subnet == "" {
				continue
			}
		} else if len(n.Subnets) > 0 {
			c.subnet = n.Subnets[0]
		}
		if slices.Contains(avoid, n.Name) {
			c.score[0] = 1
		}
		for _, other := range []int{1, 2, Witness} {
			if i := p.at(other); i != nil && other != number {
				if i.Zone == n.Zone {
					c.score[2]++
				}
				if i.Node == n.Name {
					c.score[3]++
				}
			}
		}
		c.score[4] = used
		if n.MemoryBytes > 0 {
			c.score[4] = used * 1000 / n.MemoryBytes
		}
		if best == nil || slices.CompareFunc(c.score[:], best.score[:], cmp.Compare) < 0 {
			best = &c
		}
	}
	if best == nil {
		attribute := "hostInstanceType"
		if len(p.b.Goal.Subnets) > 0 {
			attribute = "subnetIds"
		}
		return Instance{}, conflict(attribute, "there is no room for instance %d (%d MiB): %s; add a node, or choose other subnets or a smaller type", number, p.memory(number)/mib, why)
	}
	address, slot, ok := p.tx.address(best.node.Range, p.b, number)
	if !ok {
		return Instance{}, conflict("subnetIds", "node [%s] has no address left in %v: give it more", best.node.Name, best.node.Range)
	}
	return Instance{Number: number, Generation: p.tx.next(), Node: best.node.Name, Zone: best.node.Zone, Subnet: best.subnet, Address: address, Slot: slot,
		MemoryBytes: p.memory(number), Version: p.b.Goal.Version}, nil
}

const (
	maxHosts = 1 << 16 // of a range that are used
	maxSlots = 200     // of an address that is a range by itself
)

// address finds one of a range that no instance has. Where the search begins depends on the broker, so that an address that has become free is not
// the next one given to somebody else, whose clients those of before would then reach.
func (tx *tx) address(of netip.Prefix, b *Broker, number int) (netip.Addr, int, bool) {
	type place struct {
		address netip.Addr
		slot    int
	}
	used := map[place]bool{}
	add := func(b *Broker) {
		for _, i := range b.Instances {
			used[place{i.Address, i.Slot}] = true
		}
	}
	for id, row := range tx.s.brokers.rows { // into a set: the order does not show
		if id != b.ID {
			add(row)
		}
	}
	add(b)
	if of.IsSingleIP() {
		for slot := range maxSlots {
			if !used[place{of.Addr(), slot}] {
				return of.Addr(), slot, true
			}
		}
		return netip.Addr{}, 0, false
	}
	hosts := maxHosts
	if bits := of.Addr().BitLen() - of.Bits(); bits < 16 {
		hosts = 1 << bits
	}
	h := fnv.New32a()
	h.Write([]byte(b.ID))
	h.Write([]byte{byte(number)})
	begin := int(h.Sum32() % uint32(hosts))
	for n := range hosts {
		host := (begin + n) % hosts
		if last := host & 0xff; of.Addr().Is4() && hosts > 2 && (last == 0 || last == 0xff || host == hosts-1) {
			continue // the network's own, and those for all
		}
		a := plus(of.Addr(), host)
		if !used[place{a, 0}] {
			return a, 0, true
		}
	}
	return netip.Addr{}, 0, false
}

// plus is the address n after a, which is the first of a range that has it.
func plus(a netip.Addr, n int) netip.Addr {
	b := a.AsSlice()
	last := b[len(b)-4:]
	binary.BigEndian.PutUint32(last, binary.BigEndian.Uint32(last)+uint32(n))
	a, _ = netip.AddrFromSlice(b)
	return a
}
