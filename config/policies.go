package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/godwitmq/godwit/message"
)

// NewPolicy is a policy that says nothing yet: all is as in the sections at the top.
func (c *Config) NewPolicy(destination string) Policy {
	from := Config{Policies: []Policy{{Destination: destination}}}
	to, top := reflect.ValueOf(&from).Elem(), reflect.ValueOf(*c)
	for i := range to.NumField() {
		if f := to.Type().Field(i); f.IsExported() && f.Type.Kind() == reflect.Struct {
			to.Field(i).Set(top.Field(i))
		}
	}
	from.completePolicies()
	return from.Policies[0]
}

// Set gives a key, which is not in a list, the value that a text stands for, as an environment variable would: "redelivery.delay", "5s".
func (p *Policy) Set(key, value string) error { return set(reflect.ValueOf(p).Elem(), key, value) }

// Set is that of Policy for the whole configuration.
func (c *Config) Set(key, value string) error { return set(reflect.ValueOf(c).Elem(), key, value) }

// Text is the value of a key as Set takes it. It is false for what has no such key.
func (p *Policy) Text(key string) (string, bool) { return get(reflect.ValueOf(p).Elem(), key) }

// Text is that of Policy for the whole configuration.
func (c *Config) Text(key string) (string, bool) { return get(reflect.ValueOf(c).Elem(), key) }

func get(v reflect.Value, key string) (string, bool) {
	field, _, ok := find(v, key)
	if !ok {
		return "", false
	}
	if list, ok := field.Interface().([]string); ok {
		return strings.Join(list, ","), true
	}
	return text(field), true
}

func set(v reflect.Value, key, value string) error {
	field, tag, ok := find(v, key)
	if !ok {
		return fmt.Errorf("there is no key %q", key)
	}
	return parse(field, tag, value)
}

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
	k.flow(c.Flow, "")
	k.consumption(c.Consumers, c.Subscribers, c.Slow, "")
	k.check(c.Scheduler.MaxRepeat >= 1, "scheduler.maxRepeat", "%d is out of range; expected 1 or more", c.Scheduler.MaxRepeat)
	k.check(c.Scheduler.MaxJobs >= 1, "scheduler.maxJobs", "%d is out of range; expected 1 or more", c.Scheduler.MaxJobs)
	_, err := c.Scheduler.Location()
	k.check(err == nil, "scheduler.timeZone", "%q is not a time zone; expected for example Europe/Berlin", c.Scheduler.TimeZone)
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
		k.flow(p.Flow, key+".")
		k.consumption(p.Consumers, p.Subscribers, p.Slow, key+".")
		k.keep(p.Keep, d.Kind.IsTopic(), key+".keep")
		k.inactive(p.Inactive, key+".inactive")
		k.check(p.MaximumDestinations >= 0, key+".maximumDestinations", "%d is negative; expected 0 for no bound, or more", p.MaximumDestinations)
	}
}

// Location is the time zone of CRON entries.
func (s Scheduler) Location() (*time.Location, error) {
	if s.TimeZone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(s.TimeZone)
}

func (k checker) redelivery(r Redelivery, key string) {
	k.check(r.Maximum >= -1, key+".maximum", "%d is out of range; expected 0 or more, or -1 for redeliveries without end", r.Maximum)
	k.check(r.Multiplier >= 1 && r.Multiplier <= 100, key+".multiplier", "%v is out of range; expected 1 to 100", r.Multiplier)
	k.check(r.CollisionAvoidance >= 0 && r.CollisionAvoidance <= 1, key+".collisionAvoidance", "%v is out of range; expected 0 to 1", r.CollisionAvoidance)
}

func (k checker) deadLetter(d DeadLetter, key string) {
	name, err := message.ParseDestination(d.Queue, message.Queue)
	ok := err == nil && name.Kind == message.Queue && !name.IsPattern() && !strings.ContainsAny(name.Name, ",?")
	k.check(ok, key+".queue", "%q is not the name of one queue", d.Queue)
	if d.Strategy == "individual" {
		// Else a dead letter would go where it died.
		k.check(d.QueuePrefix+d.QueueSuffix != "", key+".queuePrefix", "prefix and suffix are both empty: a queue would be its own dead-letter queue")
		k.check(d.TopicPrefix+d.TopicSuffix != "", key+".topicPrefix", "prefix and suffix are both empty: a topic would be its own dead-letter topic")
	}
	for _, affix := range []struct{ key, text string }{{"queuePrefix", d.QueuePrefix}, {"queueSuffix", d.QueueSuffix}, {"topicPrefix", d.TopicPrefix}, {"topicSuffix", d.TopicSuffix}} {
		k.check(!strings.ContainsAny(affix.text, ",?*>"), key+"."+affix.key, "%q has a character that is not part of a destination's name", affix.text)
	}
	for i, text := range d.Drop {
		_, err := d.dropped(text)
		k.check(err == nil, fmt.Sprintf("%s.drop[%d]", key, i), "%q is no regular expression: %v", text, err)
	}
}

func (DeadLetter) dropped(text string) (*regexp.Regexp, error) {
	return regexp.Compile("^(?:" + text + ")$")
}

// Dropped is Drop, each expression matching whole names. What Validate refuses is left out.
func (d DeadLetter) Dropped() []*regexp.Regexp {
	var all []*regexp.Regexp
	for _, text := range d.Drop {
		if x, err := d.dropped(text); err == nil {
			all = append(all, x)
		}
	}
	return all
}
