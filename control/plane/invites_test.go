package plane_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/plane"
)

var (
	secretOne, secretTwo = strings.Repeat("1", 64), strings.Repeat("2", 64)
	keyOne, keyTwo       = strings.Repeat("a", 64), strings.Repeat("b", 64)
)

func invite(name, secret, of string) plane.InviteNode {
	return plane.InviteNode{Node: plane.RegisterNode{Name: name, Zone: "z", Range: netip.MustParsePrefix(of)}, Secret: secret, Expires: start.Add(time.Hour)}
}

// A token works once, for one key, until it expires, is replaced, or its node is removed.
func TestTokens(t *testing.T) {
	join := func(secret, key string) plane.JoinNode { return plane.JoinNode{Name: "east", Secret: secret, Key: key} }
	for name, tt := range map[string]struct {
		before func(b *bench)
		join   plane.JoinNode
		kind   plane.Kind // "": it joins
		words  string
	}{
		"right":        {nil, join(secretOne, keyOne), "", ""},
		"wrong secret": {nil, join(secretTwo, keyOne), plane.Denied, "of no invite"},
		"no invite":    {func(b *bench) { b.must(operator, plane.RemoveNode{Name: "east"}) }, join(secretOne, keyOne), plane.Denied, "of no invite"},
		"no key":       {nil, join(secretOne, ""), plane.BadRequest, "key"},
		"expired":      {func(b *bench) { b.now = start.Add(time.Hour) }, join(secretOne, keyOne), plane.Denied, "was good until"},
		"forgotten":    {func(b *bench) { b.now = start.Add(time.Hour); b.must(operator, plane.Tick{}) }, join(secretOne, keyOne), plane.Denied, "of no invite"},
		"replaced":     {func(b *bench) { b.must(operator, invite("east", secretTwo, "10.0.0.0/24")) }, join(secretOne, keyOne), plane.Denied, "of no invite"},
		"used":         {func(b *bench) { b.must(operator, join(secretOne, keyOne)) }, join(secretOne, keyTwo), plane.Denied, "used already"},
		"lost answer":  {func(b *bench) { b.must(operator, join(secretOne, keyOne)) }, join(secretOne, keyOne), "", ""},
		"removed": {func(b *bench) {
			b.must(operator, join(secretOne, keyOne))
			b.must(operator, plane.RemoveNode{Name: "east"})
		}, join(secretOne, keyOne), plane.Denied, "of no invite"},
		"range was taken": {func(b *bench) {
			b.must(operator, plane.RegisterNode{Name: "node-b", Zone: "b", Range: netip.MustParsePrefix("10.0.0.0/8")})
		}, join(secretOne, keyOne), plane.Conflict, "are those of node [node-b]"},
		"another's key": {func(b *bench) {
			b.must(operator, invite("west", secretTwo, "10.0.1.0/24"))
			b.must(operator, plane.JoinNode{Name: "west", Secret: secretTwo, Key: keyOne})
		}, join(secretOne, keyOne), plane.Denied, "is that of node [west]"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, plane.Options{}).nodes("a")
			b.must(operator, invite("east", secretOne, "10.0.0.0/24"))
			if tt.before != nil {
				tt.before(b)
			}
			_, err := b.do(plane.Origin{Who: "east"}, tt.join)
			if plane.KindOf(err) != tt.kind || err != nil && !strings.Contains(err.Error(), tt.words) {
				t.Errorf("joining: %v; want %q with %q", err, tt.kind, tt.words)
			}
			if n := b.s.Node("east"); tt.kind == "" && (n == nil || n.Key != keyOne || n.Zone != "z") {
				t.Errorf("the node is %+v", n)
			}
			for _, e := range b.s.Audit(plane.Scope{}, "", 0) {
				if text := string(e.Before) + string(e.After); strings.Contains(text, secretOne) || strings.Contains(text, secretTwo) {
					t.Errorf("the audit trail has a token's hash: %s", text)
				}
			}
			b.replays()
		})
	}
}

func TestInvitesThatAreRefused(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a")
	b.must(operator, invite("west", secretTwo, "10.0.1.0/24"))
	late := invite("east", secretOne, "10.0.0.0/24")
	late.Expires = start.Add(8 * 24 * time.Hour)
	past := late
	past.Expires = start
	b.refused(operator, late, plane.BadRequest, "expires")
	b.refused(operator, past, plane.BadRequest, "expires")
	b.refused(operator, invite("east", "short", "10.0.0.0/24"), plane.BadRequest, "secret")
	b.refused(operator, invite("node-a", secretOne, "10.0.0.0/24"), plane.Conflict, "name")
	b.refused(operator, invite("east", secretOne, "127.0.64.0/25"), plane.Conflict, "range")
	b.refused(operator, invite("east", secretOne, "10.0.1.0/25"), plane.Conflict, "range")
	b.must(operator, plane.JoinNode{Name: "west", Secret: secretTwo, Key: keyTwo})
	b.refused(operator, plane.RegisterNode{Name: "west", Zone: "z", Range: netip.MustParsePrefix("10.0.1.0/24")}, plane.Conflict, "name") // by a controller that has taken its name
}

// A node is believed about its own instances and no others.
func TestNodesActForThemselves(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a", "b")
	b.must(alice, create("1", plane.Single))
	work := b.s.Work()
	if len(work) != 1 || work[0].Spec.Node != "node-a" {
		t.Fatalf("work %+v", work)
	}
	e := work[0]
	own, other := plane.Origin{Who: "node-a", Node: "node-a"}, plane.Origin{Who: "node-b", Node: "node-b"}
	seen := plane.Observed{Broker: one, Number: 1, Generation: e.Spec.Generation, Up: true}
	b.refused(other, plane.StepFailed{Broker: one, Step: e.Step, Error: "no"}, plane.Denied, "")
	b.refused(other, plane.StepDone{Broker: one, Step: e.Step}, plane.Denied, "")
	b.refused(other, seen, plane.Denied, "")
	b.must(own, seen)
	b.must(own, plane.StepDone{Broker: one, Step: e.Step})
	b.state(one, plane.Running)
}
