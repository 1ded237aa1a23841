package plane

import (
	"crypto/subtle"
	"net/netip"
	"time"
)

// Invite is what a machine needs to become a node: whoever shows the secret of which this has the hash, once, before it expires. What the node is like was said by who invites, not by the machine.
type Invite struct {
	Name        string       `json:"name"` // of the node
	Zone        string       `json:"zone"`
	Subnets     []string     `json:"subnets,omitempty"`
	Range       netip.Prefix `json:"range"`
	MemoryBytes int64        `json:"memoryBytes,omitempty"`
	Instances   int          `json:"instances,omitempty"`
	Secret      string       `json:"secret"` // SHA-256 of the token's secret, in hex
	Created     time.Time    `json:"created"`
	Expires     time.Time    `json:"expires"`
	Used        time.Time    `json:"used,omitzero"` // when the node has joined; zero: it has not
}

// like is what the invite says of the node.
func (i *Invite) like() RegisterNode {
	return RegisterNode{Name: i.Name, Zone: i.Zone, Subnets: i.Subnets, Range: i.Range, MemoryBytes: i.MemoryBytes, Instances: i.Instances}
}

// maxInviteLife bounds how long an invite is good.
const maxInviteLife = 7 * 24 * time.Hour

// InviteNode invites a machine to be a node. An invite of the same name that was not used is void then.
type InviteNode struct {
	Node    RegisterNode
	Secret  string // SHA-256 of the token's secret, in hex
	Expires time.Time
}

func (c InviteNode) do(tx *tx) error {
	n := c.Node
	switch {
	case tx.s.nodes.get(n.Name) != nil:
		return conflict("name", "there is a node [%s] already: remove it first, or choose another name", n.Name)
	case len(c.Secret) != 64 || !only(c.Secret, ""):
		return bad("secret", "the hash of a token's secret has 64 hexadecimal digits")
	case !c.Expires.After(tx.now) || c.Expires.After(tx.now.Add(maxInviteLife)):
		return bad("expires", "an invite ends in the future, after %v at the latest", maxInviteLife)
	case len(tx.s.nodes.rows)+len(tx.s.invites.rows) >= tx.limits().Nodes && tx.s.invites.get(n.Name) == nil:
		return conflict("name", "there are %d nodes and invites already, which is the limit: remove some", tx.limits().Nodes)
	}
	if err := n.check(tx); err != nil {
		return err
	}
	for _, other := range tx.s.invites.all() {
		if other.Name != n.Name && other.Used.IsZero() && other.Range.Overlaps(n.Range) {
			return conflict("range", "addresses of %v are those of node [%s], which is invited (%v)", n.Range, other.Name, other.Range)
		}
	}
	tx.id = n.Name
	tx.s.invites.put(tx, n.Name, &Invite{Name: n.Name, Zone: n.Zone, Subnets: n.Subnets, Range: n.Range, MemoryBytes: n.MemoryBytes, Instances: n.Instances,
		Secret: c.Secret, Created: tx.now, Expires: instant(c.Expires)})
	return nil
}

// JoinNode makes a node of an invite. Key is the hash of the key that the machine has made: from then on the node is who has that key, and nobody else, so that a machine that
// was removed, or one that had the name before, is not taken for it. The same key may join again, because the answer may have been lost.
type JoinNode struct {
	Name   string
	Secret string // SHA-256 of the token's secret, in hex
	Key    string // SHA-256 of the public key (PKIX, DER), in hex
}

func (c JoinNode) do(tx *tx) error {
	i := tx.s.invites.edit(c.Name)
	if i == nil || subtle.ConstantTimeCompare([]byte(i.Secret), []byte(c.Secret)) != 1 {
		return refuse(Denied, "", "the token is of no invite: a newer one was made, or the node was removed since. Take the newest, or invite the node again: `godwit nodes invite %s`", c.Name)
	}
	if len(c.Key) != 64 || !only(c.Key, "") {
		return bad("key", "the hash of a key has 64 hexadecimal digits")
	}
	n := tx.s.nodes.get(c.Name)
	switch {
	case !i.Used.IsZero() && (n == nil || n.Key != c.Key):
		return refuse(Denied, "", "the token was used already, at %s, with another key. If that was not this machine, somebody else is node [%s]: `godwit nodes remove %s` sends it away", i.Used.Format(time.RFC3339), c.Name, c.Name)
	case !tx.now.Before(i.Expires):
		return refuse(Denied, "", "the token was good until %s: invite the node again: `godwit nodes invite %s`", i.Expires.Format(time.RFC3339), c.Name)
	case n != nil && n.Key == c.Key && !i.Used.IsZero():
		tx.id = c.Name
		return nil
	}
	for _, other := range tx.s.nodes.all() {
		if other.Key == c.Key {
			return refuse(Denied, "", "the key is that of node [%s]: each machine makes its own", other.Name)
		}
	}
	like := i.like()
	if err := like.check(tx); err != nil { // what was free when it was invited may be taken
		return err
	}
	tx.id = c.Name
	tx.s.nodes.put(tx, c.Name, &Node{Name: c.Name, Zone: i.Zone, Subnets: i.Subnets, Range: i.Range, MemoryBytes: i.MemoryBytes, Instances: i.Instances, Key: c.Key, Created: tx.now})
	i.Used = tx.now
	tx.s.invites.put(tx, c.Name, i)
	return nil
}

// forgetInvites drops those that are over.
func (tx *tx) forgetInvites() {
	for name, i := range tx.s.invites.all() {
		if !tx.now.Before(i.Expires) {
			tx.s.invites.drop(tx, name)
		}
	}
}

// Invite is that of a node by its name, nil if there is none.
func (s *State) Invite(name string) *Invite { return s.invites.get(name) }

// Invites lists the invites by the names of nodes, those that were used among them until they expire.
func (s *State) Invites() []*Invite { return list(&s.invites, nil) }

// mine refuses what a node says of an instance on another one.
func (tx *tx) mine(node string) error {
	if tx.by.Node != "" && tx.by.Node != node {
		return refuse(Denied, "", "node [%s] reports about an instance on node [%s]", tx.by.Node, node)
	}
	return nil
}
