package plane

import (
	"net/netip"
	"time"
)

// Rule lets connections of a range of addresses come to a range of ports. To is the last port.
type Rule struct {
	Network     netip.Prefix `json:"network"`
	From        uint16       `json:"from"` // 0 to 65535: every port
	To          uint16       `json:"to"`
	Description string       `json:"description,omitempty"`
}

// SecurityGroup is a named set of rules. A broker lets in what any rule of any of its groups lets in; one without groups lets in everybody.
type SecurityGroup struct {
	Scope
	ID          string    `json:"id"` // sg-...
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"`
	Rules       []Rule    `json:"rules,omitempty"`
	Created     time.Time `json:"created"`
}

// CreateSecurityGroup makes one.
type CreateSecurityGroup struct {
	ID, Name, Description string
	Rules                 []Rule
}

func (c CreateSecurityGroup) do(tx *tx) error {
	scope, err := tx.scope()
	if err != nil {
		return err
	}
	if err := checkID("id", "sg-", c.ID); err != nil {
		return err
	}
	mine := tx.s.SecurityGroups(scope)
	switch {
	case tx.s.groups.get(c.ID) != nil:
		return conflict("id", "security group [%s] exists already", c.ID)
	case len(mine) >= tx.limits().SecurityGroups:
		return conflict("id", "there are %d security groups already, which is the limit: delete some", len(mine))
	}
	g := &SecurityGroup{Scope: scope, ID: c.ID, Created: tx.now}
	return tx.saveGroup(g, c.Name, c.Description, c.Rules)
}

// UpdateSecurityGroup gives one another name, description and rules, at once for all brokers that have it: connections that are no longer allowed are closed. What is nil stays.
type UpdateSecurityGroup struct {
	ID                string
	Name, Description *string
	Rules             *[]Rule
}

func (c UpdateSecurityGroup) do(tx *tx) error {
	g := tx.s.groups.edit(c.ID)
	if g == nil || !tx.by.sees(g.Scope) {
		return missing("id", "security group", c.ID)
	}
	return tx.saveGroup(g, or(c.Name, g.Name), or(c.Description, g.Description), or(c.Rules, g.Rules))
}

// or is what p points to, else the value.
func or[T any](p *T, value T) T {
	if p != nil {
		return *p
	}
	return value
}

func (tx *tx) saveGroup(g *SecurityGroup, name, description string, rules []Rule) error {
	if err := checkName("name", name); err != nil {
		return err
	}
	switch {
	case len(description) > 255:
		return bad("description", "a description has at most 255 characters")
	case len(rules) > tx.limits().Rules:
		return bad("rules", "a security group has at most %d rules", tx.limits().Rules)
	}
	for _, r := range rules {
		if !r.Network.IsValid() || r.Network != r.Network.Masked() || r.From > r.To || len(r.Description) > 255 {
			return bad("rules", "[%v %d-%d] is no rule: a network such as 10.1.0.0/16, the first and the last port", r.Network, r.From, r.To)
		}
	}
	for _, other := range tx.s.SecurityGroups(g.Scope) {
		if other.Name == name && other.ID != g.ID {
			return conflict("name", "security group [%s] has the name [%s]", other.ID, name)
		}
	}
	g.Name, g.Description, g.Rules = name, description, rules
	tx.id = g.ID
	tx.s.groups.put(tx, g.ID, g)
	for id, b := range tx.s.brokers.all() {
		if b.hasGroup(g.ID) {
			tx.renew(id)
		}
	}
	return nil
}

// DeleteSecurityGroup removes one that no broker has.
type DeleteSecurityGroup struct{ ID string }

func (c DeleteSecurityGroup) do(tx *tx) error {
	g := tx.s.groups.get(c.ID)
	if g == nil || !tx.by.sees(g.Scope) {
		return missing("id", "security group", c.ID)
	}
	for _, b := range tx.s.brokers.all() {
		if b.hasGroup(c.ID) {
			return conflict("id", "broker [%s] has security group [%s]", b.ID, c.ID)
		}
	}
	tx.s.groups.drop(tx, c.ID)
	return nil
}

// SecurityGroup is one by its id, nil if there is none in the scope.
func (s *State) SecurityGroup(scope Scope, id string) *SecurityGroup {
	if g := s.groups.get(id); g != nil && scope.sees(g.Scope) {
		return g
	}
	return nil
}

// SecurityGroups lists those of a scope by id.
func (s *State) SecurityGroups(scope Scope) []*SecurityGroup {
	return list(&s.groups, func(g *SecurityGroup) bool { return scope.sees(g.Scope) })
}
