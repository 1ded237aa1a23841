package mqapi

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Rules are what requests are held against, as far as that needs no state. The zero value is Amazon's limits and engine versions.
type Rules struct {
	// Catalog says what brokers can be made of. nil: DefaultCatalog. It is asked anew for each request.
	Catalog func() Catalog
	// LDAP says that brokers can look up users in LDAP. Without it whatever asks for that is refused.
	LDAP bool
	// EncryptedDisks says that what brokers store lies on disks that the operator has encrypted. Without it a request for encryption is
	// refused, because Godwit itself encrypts nothing that it stores.
	EncryptedDisks bool

	SecurityGroups     int // that a broker may have. 0: 5
	Users              int // that a broker may be made with. 0: 250
	Groups             int // that a user may be in. 0: 20
	Tags               int // that a request may set or remove. 0: 50
	ConfigurationBytes int // of a revision, decoded. 0: 256 KiB
	DescriptionLength  int // of a revision, in characters. 0: 1024
	StorageGiB         int // that a broker may ask for. 0: 16384
}

// Catalog is what brokers can be made of.
type Catalog struct {
	EngineVersions []string // without patch level: 5.19
	InstanceTypes  []InstanceType
}

// InstanceType is a size of brokers.
type InstanceType struct {
	Name string
	EBS  bool // may be had with storage type EBS
}

// DefaultCatalog has Amazon's instance types for ActiveMQ, one between its smallest and the next, and the versions that Amazon offers.
func DefaultCatalog() Catalog {
	c := Catalog{EngineVersions: []string{"5.18", "5.19"}}
	for _, name := range []string{"mq.t2.micro", "mq.t3.micro", "mq.m4.large", "mq.m5.medium", "mq.m5.large", "mq.m5.xlarge", "mq.m5.2xlarge", "mq.m5.4xlarge"} {
		c.InstanceTypes = append(c.InstanceTypes, InstanceType{Name: name, EBS: strings.HasPrefix(name, "mq.m5.")})
	}
	return c
}

func (c Catalog) instanceType(name string) (InstanceType, bool) {
	i := slices.IndexFunc(c.InstanceTypes, func(t InstanceType) bool { return t.Name == name })
	if i < 0 {
		return InstanceType{}, false
	}
	return c.InstanceTypes[i], true
}

// check is one request being held against the rules.
type check struct {
	Rules
	caller  Caller
	catalog Catalog
	unknown []string // keys of the body that the operation does not have
}

func (r Rules) check(c Caller, unknown []string) *check {
	r.SecurityGroups = cmp.Or(r.SecurityGroups, 5)
	r.Users = cmp.Or(r.Users, 250)
	r.Groups = cmp.Or(r.Groups, 20)
	r.Tags = cmp.Or(r.Tags, 50)
	r.ConfigurationBytes = cmp.Or(r.ConfigurationBytes, 256<<10)
	r.DescriptionLength = cmp.Or(r.DescriptionLength, 1024)
	r.StorageGiB = cmp.Or(r.StorageGiB, 16384)
	k := &check{Rules: r, caller: c, unknown: unknown}
	if r.Catalog != nil {
		k.catalog = r.Catalog()
	} else {
		k.catalog = DefaultCatalog()
	}
	return k
}

// Check holds a request, a pointer to one of the generated structures, against all rules that need no state. The error is a BadRequest, or says
// that something is another account's, and names the member at fault. The handler has done this with every request that reaches the Service.
func (r Rules) Check(c Caller, request any) error {
	if broken, problem := r.check(c, nil).run(request); broken != nil {
		return problem
	}
	return nil
}

// run gives the first rule that the request breaks, and what to answer.
func (k *check) run(request any) (*rule, *Error) {
	op := strings.TrimSuffix(reflect.TypeOf(request).Elem().Name(), "Request")
	var broken *rule
	var found *Error
	walk(reflect.ValueOf(request).Elem(), "", "", func(path, pattern string, value any) bool {
		for i := range rules {
			r := &rules[i]
			if r.value == nil || !r.isFor(op) || !slices.Contains(r.Attributes, pattern) {
				continue
			}
			if problem := r.value(k, value); problem != "" {
				if rest, ok := strings.CutPrefix(problem, "{}"); ok {
					problem = path + rest
				}
				broken, found = r, &Error{Kind: cmp.Or(r.kind, BadRequest), Attribute: path, Message: problem}
				return false
			}
		}
		return true
	})
	if broken != nil {
		return broken, found
	}
	for i := range rules {
		r := &rules[i]
		if r.whole == nil || !r.isFor(op) {
			continue
		}
		if attribute, problem := r.whole(k, request); problem != "" {
			return r, &Error{Kind: BadRequest, Attribute: attribute, Message: problem}
		}
	}
	return nil, nil
}

func (r *rule) isFor(op string) bool {
	return len(r.Operations) == 0 || slices.Contains(r.Operations, op)
}

// walk visits all that is there of a request: members, parts of lists and structures. pattern is the path without indices: users[].groups[] for
// users[1].groups[0]. It stops when visit returns false, and returns whether it has not.
func walk(v reflect.Value, path, pattern string, visit func(path, pattern string, value any) bool) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return v.IsNil() || walk(v.Elem(), path, pattern, visit)
	case reflect.Struct:
		for _, m := range Members(v.Type()) {
			if !walk(v.Field(m.index), join(path, m.Wire), join(pattern, m.Wire), visit) {
				return false
			}
		}
		return true
	case reflect.Slice:
		if v.IsNil() {
			return true
		}
		if !visit(path, pattern, v.Interface()) {
			return false
		}
		for i := range v.Len() {
			if !walk(v.Index(i), fmt.Sprintf("%s[%d]", path, i), pattern+"[]", visit) {
				return false
			}
		}
		return true
	case reflect.Map:
		return v.IsNil() || visit(path, pattern, v.Interface())
	}
	return visit(path, pattern, v.Interface())
}
