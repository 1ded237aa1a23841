package plane

import "strings"

const (
	mib = 1 << 20
	gib = 1 << 30
)

// witnessMemory is what the third instance of a pair takes, which holds a copy of the log and no broker.
const witnessMemory = 128 * mib

// InstanceType is a size of instances: what they may use.
type InstanceType struct {
	Name        string `json:"name"` // mq.m5.large
	VCPU        int    `json:"vcpu,omitempty"`
	MemoryBytes int64  `json:"memoryBytes"`
	Connections int    `json:"connections"` // of each protocol
	StorageGB   int    `json:"storageGB"`   // of a broker that does not say how much it wants
	Own         bool   `json:"own,omitempty"`
}

// builtin are Amazon MQ's types for ActiveMQ, and what is missing between them.
var builtin = []*InstanceType{
	{Name: "mq.t3.nano", VCPU: 2, MemoryBytes: gib / 2, Connections: 100, StorageGB: 10},
	{Name: "mq.t2.micro", VCPU: 1, MemoryBytes: gib, Connections: 300, StorageGB: 20},
	{Name: "mq.t3.micro", VCPU: 2, MemoryBytes: gib, Connections: 300, StorageGB: 20},
	{Name: "mq.t3.small", VCPU: 2, MemoryBytes: 2 * gib, Connections: 500, StorageGB: 50},
	{Name: "mq.m5.medium", VCPU: 2, MemoryBytes: 4 * gib, Connections: 1000, StorageGB: 100},
	{Name: "mq.m4.large", VCPU: 2, MemoryBytes: 8 * gib, Connections: 2000, StorageGB: 200},
	{Name: "mq.m5.large", VCPU: 2, MemoryBytes: 8 * gib, Connections: 2000, StorageGB: 200},
	{Name: "mq.m5.xlarge", VCPU: 4, MemoryBytes: 16 * gib, Connections: 2000, StorageGB: 200},
	{Name: "mq.m5.2xlarge", VCPU: 8, MemoryBytes: 32 * gib, Connections: 2000, StorageGB: 200},
	{Name: "mq.m5.4xlarge", VCPU: 16, MemoryBytes: 64 * gib, Connections: 2000, StorageGB: 200},
}

// PutInstanceType makes a type of the operator's own, or changes one, for the brokers that have it as well.
type PutInstanceType struct{ Type InstanceType }

func (c PutInstanceType) do(tx *tx) error {
	t := c.Type
	t.Own = true
	was := tx.s.InstanceType(t.Name)
	users := list(&tx.s.brokers, func(b *Broker) bool { return b.Goal.Type == t.Name })
	switch {
	case !strings.HasPrefix(t.Name, "mq.") || !between(len(t.Name), 4, 64) || !only(t.Name, ".-"):
		return bad("name", "[%s] is no name of an instance type: mq. and at most 61 letters, digits, . and -", t.Name)
	case was != nil && !was.Own:
		return conflict("name", "instance type [%s] is one of Amazon MQ's or Godwit's and cannot be changed: choose another name", t.Name)
	case t.MemoryBytes < 64*mib:
		return bad("memoryBytes", "an instance needs at least 64 MiB of memory")
	case !between(t.Connections, 1, 1_000_000):
		return bad("connections", "there can be 1 to 1,000,000 connections of each protocol")
	case !between(t.StorageGB, 1, tx.limits().StorageGB):
		return bad("storageGB", "the storage is 1 to %d GB", tx.limits().StorageGB)
	case t.VCPU < 0:
		return bad("vcpu", "there is no negative number of processors")
	case was != nil && t.MemoryBytes != was.MemoryBytes && len(users) > 0:
		return conflict("memoryBytes", "broker [%s] has this type, and a place by its memory: make another type, and give it to the broker", users[0].ID)
	case was == nil && len(tx.s.types.rows) >= tx.limits().Types:
		return conflict("name", "there are %d own instance types already, which is the limit: delete some", len(tx.s.types.rows))
	}
	tx.id = t.Name
	tx.s.types.put(tx, t.Name, &t)
	for _, b := range users {
		tx.renew(b.ID)
	}
	return nil
}

// DeleteInstanceType removes a type of the operator's own that no broker has.
type DeleteInstanceType struct{ Name string }

func (c DeleteInstanceType) do(tx *tx) error {
	if tx.s.types.get(c.Name) == nil {
		return missing("name", "instance type", c.Name)
	}
	for _, b := range tx.s.brokers.all() {
		if b.Goal.Type == c.Name || b.Operation != nil && b.Operation.Undo != nil && b.Operation.Undo.Type == c.Name {
			return conflict("name", "broker [%s] has instance type [%s]", b.ID, c.Name)
		}
	}
	tx.s.types.drop(tx, c.Name)
	return nil
}

// InstanceType is a type by its name, nil if there is none.
func (s *State) InstanceType(name string) *InstanceType {
	for _, t := range builtin {
		if t.Name == name {
			return t
		}
	}
	return s.types.get(name)
}

// InstanceTypes lists Amazon MQ's and Godwit's types, the smallest first, then the operator's own by name.
func (s *State) InstanceTypes() []*InstanceType {
	return append(append([]*InstanceType(nil), builtin...), list(&s.types, nil)...)
}
