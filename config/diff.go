package config

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
)

// Change is one setting that differs between two configurations.
type Change struct {
	Key      string
	Old, New string // as in the file; what is secret is not shown
}

// String is the key with both values, or the key alone for what is not shown.
func (c Change) String() string {
	if c.Old == "" && c.New == "" {
		return c.Key
	}
	return fmt.Sprintf("%s: %s -> %s", c.Key, c.Old, c.New)
}

// Diff compares two configurations: what a running broker takes over, and what needs a restart. Lists are compared
// as a whole and not shown.
func Diff(old, new *Config) (live, restart []Change) {
	diff(reflect.ValueOf(*old), reflect.ValueOf(*new), "", false, &live, &restart)
	return live, restart
}

func diff(old, new reflect.Value, prefix string, isLive bool, live, restart *[]Change) {
	for i := range old.NumField() {
		f := old.Type().Field(i)
		if !f.IsExported() {
			continue
		}
		key := join(prefix, f.Tag.Get("yaml"))
		fieldLive := isLive || f.Tag.Get("live") == "yes"
		if f.Type.Kind() == reflect.Struct {
			diff(old.Field(i), new.Field(i), key, fieldLive, live, restart)
			continue
		}
		if reflect.DeepEqual(old.Field(i).Interface(), new.Field(i).Interface()) {
			continue
		}
		change := Change{Key: key}
		if typeName(f.Type) != "list" && f.Tag.Get("secret") != "yes" {
			change.Old, change.New = text(old.Field(i)), text(new.Field(i))
		}
		if fieldLive {
			*live = append(*live, change)
		} else {
			*restart = append(*restart, change)
		}
	}
}

// own are the sections that differ between the instances of one broker: a node's addresses, files and certificates, and what its machine has.
var own = []string{"data", "listeners", "tls", "http", "journal", "cluster", "shutdown", "log"}

// Digest sums up what must be the same on all instances of one broker: policies, limits, credentials. It says nothing of passwords, nor of users in a file.
func (c *Config) Digest() string {
	all := c.Redacted()
	for _, section := range own {
		delete(all, section)
	}
	if credentials, ok := all["credentials"].(map[string]any); ok {
		delete(credentials, "usersFile")
		for _, elsewhere := range []string{"ldap", "oidc"} {
			if section, ok := credentials[elsewhere].(map[string]any); ok {
				delete(section, "ca")
				delete(section, "serviceAccountPasswordFile")
			}
		}
	}
	data, err := json.Marshal(all)
	if err != nil {
		return "" // it is made of texts, numbers, lists and maps: there is none
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:6])
}

// Live is a copy of c with the settings of new that a running broker takes over.
func (c *Config) Live(new *Config) *Config {
	merged := *c
	takeLive(reflect.ValueOf(&merged).Elem(), reflect.ValueOf(*new))
	return &merged
}

func takeLive(to, from reflect.Value) {
	for i := range to.NumField() {
		f := to.Type().Field(i)
		switch {
		case !f.IsExported():
		case f.Tag.Get("live") == "yes":
			to.Field(i).Set(from.Field(i))
		case f.Type.Kind() == reflect.Struct:
			takeLive(to.Field(i), from.Field(i))
		}
	}
}
