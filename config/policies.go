package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/godwitmq/godwit/message"
)

// completePolicies gives every key that a policy leaves open the value of the section of the same name at the top, if there is one.
func (c *Config) completePolicies() {
	top := reflect.ValueOf(*c)
	for i := range c.Policies {
		p := reflect.ValueOf(&c.Policies[i]).Elem()
		for j := range p.NumField() {
			f := p.Type().Field(j)
			if from := top.FieldByName(f.Name); from.IsValid() && f.Type.Kind() == reflect.Struct && from.Type() == f.Type {
				c.complete(p.Field(j), from, fmt.Sprintf("policies[%d].%s", i, f.Tag.Get("yaml")))
			}
		}
	}
}

func (c *Config) complete(to, from reflect.Value, key string) {
	for i := range to.NumField() {
		if _, said := c.origins[join(key, to.Type().Field(i).Tag.Get("yaml"))]; !said {
			to.Field(i).Set(from.Field(i))
		}
	}
}

func (k checker) policies() {
	c := k.config
	k.redelivery(c.Redelivery, "redelivery")
	k.deadLetter(c.DeadLetter, "deadLetter")
	k.consumption(c.Consumers, c.Subscribers, c.Slow, "")
	places := map[message.Destination]string{}
	for i, p := range c.Policies {
		key := fmt.Sprintf("policies[%d]", i)
		d, err := message.ParseDestination(p.Destination, message.NoDestination)
		if err != nil || strings.ContainsAny(d.Name, ",?") {
			k.check(false, key+".destination", "%q names no destinations; expected for example queue://ORDERS.>", p.Destination)
			continue
		}
		k.check(places[d] == "", key+".destination", "%s has a policy already, %s", d, places[d])
		places[d] = key
		k.redelivery(p.Redelivery, key+".redelivery")
		k.deadLetter(p.DeadLetter, key+".deadLetter")
		k.consumption(p.Consumers, p.Subscribers, p.Slow, key+".")
	}
}

func (k checker) redelivery(r Redelivery, key string) {
	k.check(r.Maximum >= 0, key+".maximum", "%d is negative; expected 0 or more", r.Maximum)
	k.check(r.Multiplier >= 1 && r.Multiplier <= 100, key+".multiplier", "%v is out of range; expected 1 to 100", r.Multiplier)
}

func (k checker) deadLetter(d DeadLetter, key string) {
	name, err := message.ParseDestination(d.Queue, message.Queue)
	ok := err == nil && name.Kind == message.Queue && !name.IsPattern() && !strings.ContainsAny(name.Name, ",?")
	k.check(ok, key+".queue", "%q is not the name of one queue", d.Queue)
}
