package plane

import (
	"fmt"
	"maps"
	"time"
)

// ActiveMQ is the only engine type.
const ActiveMQ = "ACTIVEMQ"

// Configuration is a named series of revisions. Its engine type and version are fixed.
type Configuration struct {
	Scope
	ID             string            `json:"id"` // c-...
	Name           string            `json:"name"`
	Description    string            `json:"description,omitempty"`
	Engine         string            `json:"engine"`
	Version        string            `json:"engineVersion"`
	Authentication string            `json:"authentication"` // simple or ldap
	Created        time.Time         `json:"created"`
	Latest         int               `json:"latest"` // revision; the first is 1
	Tags           map[string]string `json:"tags,omitempty"`
}

// Revision is one state of a configuration. It never changes.
type Revision struct {
	Configuration string    `json:"configuration"`
	Number        int       `json:"number"`
	Created       time.Time `json:"created"`
	Description   string    `json:"description,omitempty"`
	Data          []byte    `json:"data"` // XML, as given
}

// ConfigurationRef names a revision.
type ConfigurationRef struct {
	ID       string `json:"id"`
	Revision int    `json:"revision"`
}

// revisionKey is a revision's id in its table. Those of a configuration stand in their order.
func revisionKey(id string, number int) string { return fmt.Sprintf("%s/%06d", id, number) }

// CreateConfiguration makes a configuration with its first revision.
type CreateConfiguration struct {
	ID, Name, Description string
	Engine, Version       string // Version "": the default
	Authentication        string // "": simple
	Data                  []byte // of the first revision
	Tags                  map[string]string
}

func (c CreateConfiguration) do(tx *tx) error {
	scope, err := tx.scope()
	if err != nil {
		return err
	}
	if c.Version == "" {
		c.Version = tx.s.opt.Versions[0]
	}
	if c.Authentication == "" {
		c.Authentication = "simple"
	}
	if err := checkID("id", "c-", c.ID); err != nil {
		return err
	}
	if err := tx.checkEngine(c.Engine, c.Version); err != nil {
		return err
	}
	if err := tx.checkTags(c.Tags); err != nil {
		return err
	}
	mine := tx.s.Configurations(scope)
	switch {
	case !between(len(c.Name), 1, 150) || !only(c.Name, "-._~"):
		return bad("name", "[%s] is no name of a configuration: 1 to 150 letters, digits, -, ., _ and ~", c.Name)
	case c.Authentication != "simple" && c.Authentication != "ldap":
		return bad("authenticationStrategy", "[%s] is no authentication strategy: simple or ldap", c.Authentication)
	case tx.s.configurations.get(c.ID) != nil:
		return conflict("id", "configuration [%s] exists already", c.ID)
	case len(mine) >= tx.limits().Configurations:
		return conflict("name", "there are %d configurations already, which is the limit: delete some", len(mine))
	}
	for _, other := range mine {
		if other.Name == c.Name {
			return conflict("name", "configuration [%s] has the name [%s]", other.ID, c.Name)
		}
	}
	tx.id = c.ID
	return tx.revise(&Configuration{Scope: scope, ID: c.ID, Name: c.Name, Engine: c.Engine, Version: c.Version, Authentication: c.Authentication,
		Created: tx.now, Tags: c.Tags}, c.Data, c.Description)
}

// UpdateConfiguration adds a revision. Authentication follows the content; "" leaves it.
type UpdateConfiguration struct {
	ID, Description string
	Data            []byte
	Authentication  string
}

func (c UpdateConfiguration) do(tx *tx) error {
	conf := tx.s.configurations.edit(c.ID)
	if conf == nil || !tx.by.sees(conf.Scope) {
		return missing("configuration-id", "configuration", c.ID)
	}
	if c.Authentication != "" {
		conf.Authentication = c.Authentication
	}
	tx.id = c.ID
	return tx.revise(conf, c.Data, c.Description)
}

func (tx *tx) revise(conf *Configuration, data []byte, description string) error {
	total := len(data)
	for _, r := range tx.s.revisions.rows { // a sum: the order does not show
		total += len(r.Data)
	}
	switch {
	case conf.Latest >= tx.limits().Revisions:
		return conflict("configuration-id", "configuration [%s] has %d revisions, which is the limit: make another configuration", conf.ID, conf.Latest)
	case len(data) > tx.limits().RevisionBytes:
		return bad("data", "a configuration has at most %d bytes, this one has %d", tx.limits().RevisionBytes, len(data))
	case total > tx.limits().ConfigurationBytes:
		return conflict("data", "all configurations together would have %d bytes, the limit is %d: delete some", total, tx.limits().ConfigurationBytes)
	case len(description) > 1024:
		return bad("description", "a description has at most 1,024 characters")
	}
	conf.Latest++
	conf.Description = description
	tx.s.configurations.put(tx, conf.ID, conf)
	tx.s.revisions.put(tx, revisionKey(conf.ID, conf.Latest), &Revision{Configuration: conf.ID, Number: conf.Latest, Created: tx.now, Description: description, Data: data})
	return nil
}

// DeleteConfiguration removes a configuration with all revisions. A broker that has it is a Conflict.
type DeleteConfiguration struct{ ID string }

func (c DeleteConfiguration) do(tx *tx) error {
	conf := tx.s.configurations.get(c.ID)
	if conf == nil || !tx.by.sees(conf.Scope) {
		return missing("configuration-id", "configuration", c.ID)
	}
	for _, b := range tx.s.brokers.all() {
		if b.Configuration.ID == c.ID {
			return conflict("configuration-id", "broker [%s] has configuration [%s]", b.ID, c.ID)
		}
	}
	tx.id = c.ID
	tx.s.configurations.drop(tx, c.ID)
	for n := 1; n <= conf.Latest; n++ {
		tx.s.revisions.drop(tx, revisionKey(c.ID, n))
	}
	return nil
}

// resolve finds the revision that is meant: 0 is the latest.
func (tx *tx) resolve(scope Scope, ref ConfigurationRef, version string) (ConfigurationRef, error) {
	conf := tx.s.Configuration(scope, ref.ID)
	if conf == nil {
		return ref, bad("configuration", "Can't find requested configuration [%s]. Make sure your configuration exists.", ref.ID)
	}
	if ref.Revision == 0 {
		ref.Revision = conf.Latest
	}
	switch {
	case !between(ref.Revision, 1, conf.Latest):
		return ref, bad("configuration", "configuration [%s] has no revision [%d]: the latest is %d", ref.ID, ref.Revision, conf.Latest)
	case conf.Version != version:
		return ref, bad("configuration", "configuration [%s] is for engine version [%s], the broker has [%s]", ref.ID, conf.Version, version)
	}
	return ref, nil
}

// Configuration is one by its id, nil if there is none in the scope.
func (s *State) Configuration(scope Scope, id string) *Configuration {
	if c := s.configurations.get(id); c != nil && scope.sees(c.Scope) {
		return c
	}
	return nil
}

// Configurations lists those of a scope by id.
func (s *State) Configurations(scope Scope) []*Configuration {
	return list(&s.configurations, func(c *Configuration) bool { return scope.sees(c.Scope) })
}

// Revision is a revision of a configuration, nil if there is none. Its data may not be changed.
func (s *State) Revision(ref ConfigurationRef) *Revision {
	return s.revisions.get(revisionKey(ref.ID, ref.Revision))
}

// Tag sets tags of a broker or a configuration; others stay.
type Tag struct {
	ID   string // b-... or c-...
	Tags map[string]string
}

func (c Tag) do(tx *tx) error {
	return tx.retag(c.ID, func(tags map[string]string) { maps.Copy(tags, c.Tags) })
}

// Untag removes tags of a broker or a configuration. One that is not there is no error.
type Untag struct {
	ID   string
	Keys []string
}

func (c Untag) do(tx *tx) error {
	return tx.retag(c.ID, func(tags map[string]string) {
		for _, k := range c.Keys {
			delete(tags, k)
		}
	})
}

func (tx *tx) retag(id string, change func(map[string]string)) error {
	tx.id = id
	var tags *map[string]string
	var save func()
	if b := tx.s.brokers.edit(id); b != nil && tx.by.sees(b.Scope) {
		tags, save = &b.Tags, func() { tx.save(b) }
	} else if c := tx.s.configurations.edit(id); c != nil && tx.by.sees(c.Scope) {
		tags, save = &c.Tags, func() { tx.s.configurations.put(tx, id, c) }
	} else {
		return missing("resource-arn", "resource", id)
	}
	was := maps.Clone(*tags)
	if *tags == nil {
		*tags = map[string]string{}
	}
	change(*tags)
	if err := tx.checkTags(*tags); err != nil {
		return err
	}
	if !maps.Equal(was, *tags) {
		save()
	}
	return nil
}

func (tx *tx) checkTags(tags map[string]string) error {
	if len(tags) > tx.limits().Tags {
		return bad("tags", "a resource has at most %d tags", tx.limits().Tags)
	}
	for k, v := range tags { // whichever is wrong: all are told alike
		if !between(len(k), 1, 128) || len(v) > 256 {
			return bad("tags", "the key of a tag has 1 to 128 characters, its value at most 256")
		}
	}
	return nil
}
