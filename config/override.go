package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// short are the environment variables beside those that are made from the keys.
var short = map[string]string{
	"GODWIT_LISTEN":      "listeners",
	"GODWIT_HTTP":        "http.address",
	"GODWIT_CREDENTIALS": "credentials.mode",
}

// environment makes overrides of the variables that mean a key. Others that begin with GODWIT_ are let be: Kubernetes makes
// such for a service of that name.
func environment(environ []string) []Override {
	keys := map[string]string{}
	for _, f := range Fields() {
		if f.Env != "" {
			keys[f.Env] = f.Key
		}
	}
	for name, key := range short {
		keys[name] = key
	}
	var overrides []Override
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		key, ok := keys[name]
		if !ok || value == "" {
			continue
		}
		origin := "environment variable " + name
		if key != "listeners" {
			overrides = append(overrides, Override{Key: key, Value: value, Origin: origin})
			continue
		}
		for one := range strings.SplitSeq(value, ",") {
			overrides = append(overrides, Override{Key: key, Value: strings.TrimSpace(one), Origin: origin})
		}
	}
	// os.Environ has no order that means something.
	slices.SortStableFunc(overrides, func(a, b Override) int { return strings.Compare(a.Origin, b.Origin) })
	return overrides
}

func (c *Config) override(overrides []Override, problems *Problems) {
	replaced := false
	for _, o := range overrides {
		if o.Key == "listeners" {
			if !replaced {
				c.Listeners, replaced = nil, true
			}
			c.addListener(o, problems)
			continue
		}
		v, tag, ok := find(reflect.ValueOf(c).Elem(), o.Key)
		if !ok {
			problems.add(o.Origin, o.Key, "there is no such key")
			continue
		}
		if err := parse(v, tag, o.Value); err != nil {
			problems.add(o.Origin, o.Key, "%s", err)
			continue
		}
		c.origins[o.Key] = o.Origin
	}
}

func (c *Config) addListener(o Override, problems *Problems) {
	protocol, url, ok := strings.Cut(o.Value, "=")
	if !ok {
		problems.add(o.Origin, "", "%q has no protocol; expected for example openwire=tcp://127.0.0.1:61616", o.Value)
		return
	}
	at := fmt.Sprintf("listeners[%d]", len(c.Listeners))
	for _, part := range []string{"", ".url", ".protocol"} {
		c.origins[at+part] = o.Origin
	}
	c.Listeners = append(c.Listeners, Listener{Protocol: protocol, URL: url})
}

// find gives the field of a key without lists.
func find(v reflect.Value, key string) (reflect.Value, reflect.StructTag, bool) {
	word, rest, more := strings.Cut(key, ".")
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get("yaml") != word || word == "" {
			continue
		}
		if more && f.Type.Kind() == reflect.Struct {
			return find(v.Field(i), rest)
		}
		if !more && f.Type.Kind() != reflect.Struct && (f.Type.Kind() != reflect.Slice || f.Type == textsType) {
			return v.Field(i), f.Tag, true
		}
	}
	return reflect.Value{}, "", false
}
