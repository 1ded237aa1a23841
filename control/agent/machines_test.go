package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
	"github.com/godwitmq/godwit/security"
)

// controller is a control plane that other machines join.
type controller struct {
	t         *testing.T
	plane     *durable.Plane
	authority *cluster.Authority
	address   string
}

func newController(t *testing.T) *controller {
	t.Helper()
	dir := t.TempDir()
	p, err := durable.OpenDir(filepath.Join(dir, "journal"), durable.Options{TickEvery: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := &controller{t: t, plane: p}
	if c.authority, err = OpenMachines(dir); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.address = l.Addr().String()
	local := &Local{Plane: p, Dir: dir}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- NewMachines(c.authority, func() *Local { return local }, testLogger(t)).Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *controller) do(command plane.Command) *plane.Change {
	c.t.Helper()
	change, err := c.plane.Do(context.Background(), plane.Origin{Scope: plane.Scope{Account: "111122223333", Region: "eu-central-1"}, Who: "tester"}, command)
	if err != nil {
		c.t.Fatalf("%T: %v", command, err)
	}
	return change
}

// invite makes a token for a node.
func (c *controller) invite(name, of string) cluster.Token {
	c.t.Helper()
	token, secret, err := c.authority.Token([]string{c.address}, name)
	if err != nil {
		c.t.Fatal(err)
	}
	c.do(plane.InviteNode{Node: plane.RegisterNode{Name: name, Zone: name, Range: netip.MustParsePrefix(of)}, Secret: hex.EncodeToString(secret[:]), Expires: time.Now().Add(time.Hour)})
	return token
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := cluster.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// join has a machine join, and gives what it asks with.
func (c *controller) join(token cluster.Token) *Remote {
	c.t.Helper()
	key := newKey(c.t)
	given, err := token.Join(context.Background(), key)
	if err != nil {
		c.t.Fatal(err)
	}
	return c.remote(given.Certificate, key, given.Authority)
}

func (c *controller) remote(certificate []byte, key *ecdsa.PrivateKey, authority []byte) *Remote {
	c.t.Helper()
	text, err := cluster.EncodeKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, text)
	if err != nil {
		c.t.Fatal(err)
	}
	r, err := NewRemote([]string{"127.0.0.1:1", c.address}, pair, authority) // at the first nobody is
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(r.Close)
	return r
}

// A node gets and reports what is its own, and nothing else; who was removed is nobody.
func TestMachines(t *testing.T) {
	t.Parallel()
	c := newController(t)
	ctx := t.Context()
	eastToken, westToken := c.invite("east", "127.9.1.0/24"), c.invite("west", "127.9.2.0/24")
	east, west := c.join(eastToken), c.join(westToken)

	var refused *cluster.Refused
	if _, err := eastToken.Join(ctx, newKey(t)); !errors.As(err, &refused) || !strings.Contains(err.Error(), "used already") {
		t.Errorf("a token that was used: %v", err)
	}
	if _, err := c.invite("north", "127.9.3.0/24").Join(ctx, newKey(t)); err != nil { // and is of no use to others
		t.Errorf("joining: %v", err)
	}
	wrong, _, err := c.authority.Token([]string{c.address}, "south")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := wrong.Join(ctx, newKey(t)); !errors.As(err, &refused) || !strings.Contains(err.Error(), "of no invite") {
		t.Errorf("a token that nobody has given: %v", err)
	}

	hash, err := security.HashPassword(password)
	if err != nil {
		t.Fatal(err)
	}
	id := durable.NewID("b")
	c.do(plane.CreateBroker{ID: id, Name: "orders", Mode: plane.Single, Engine: plane.ActiveMQ, Type: "mq.m5.large", Users: []plane.NewUser{{Name: user, Hash: hash}},
		Default: &plane.CreateConfiguration{ID: durable.NewID("c"), Name: "orders", Engine: plane.ActiveMQ, Data: []byte("<broker/>")}})
	orders, err := east.Orders(ctx, "", 0)
	if err != nil || len(orders.Effects) != 1 || orders.Effects[0].Kind != plane.Start || orders.Effects[0].Spec.Users[user].Hash != hash {
		t.Fatalf("east's orders %+v, %v", orders, err)
	}
	e := orders.Effects[0]
	if other, err := west.Orders(ctx, "east", 0); err != nil || len(other.Effects) != 0 { // what it says that it is does not count
		t.Errorf("west's orders %+v, %v", other, err)
	}

	key := &newKey(t).PublicKey
	name, hosts := keyOf(&e.Spec), []string{e.Spec.Address.String(), hostName(&e.Spec, domain)}
	seen := plane.Observed{Broker: id, Number: 1, Generation: e.Spec.Generation, Up: true}
	for what, try := range map[string]func(*Remote) error{
		"a report": func(r *Remote) error { return r.Report(ctx, "east", seen) },
		"a step": func(r *Remote) error {
			return r.Report(ctx, "east", plane.StepFailed{Broker: id, Step: e.Step, Attempt: e.Attempt, Error: "x"})
		},
		"the configuration":   func(r *Remote) error { _, err := r.Configuration(ctx, e.Spec.Configuration); return err },
		"the password":        func(r *Remote) error { _, err := r.Password(ctx, id); return err },
		"a certificate":       func(r *Remote) error { _, err := r.ServerCertificate(ctx, name, hosts, key); return err },
		"a node certificate":  func(r *Remote) error { _, _, err := r.NodeCertificate(ctx, id, "1", hosts[:1], key); return err },
		"certificate of none": func(r *Remote) error { _, _, err := r.NodeCertificate(ctx, id, "1", nil, key); return err },
	} {
		if err := try(west); plane.KindOf(err) != plane.Denied {
			t.Errorf("%s of east's instance, by west: %v; want denied", what, err)
		}
		if err := try(east); err != nil {
			t.Errorf("%s of east's instance, by east: %v", what, err)
		}
	}
	if _, err := east.ServerCertificate(ctx, name, append(hosts, "payroll.example.com"), key); plane.KindOf(err) != plane.Denied {
		t.Errorf("a certificate for another's name: %v; want denied", err)
	}
	if err := east.Report(ctx, "east", plane.RemoveNode{Name: "west"}); plane.KindOf(err) != plane.Denied || c.plane.State().Node("west") == nil {
		t.Errorf("an operator's command by a node: %v; want denied", err)
	}

	// Whoever has no certificate of the service's machines is not answered.
	stranger, err := cluster.OpenAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	own := newKey(t)
	certificate, err := stranger.Certify("east", nil, &own.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := c.remote(certificate, own, c.authority.PEM()).Orders(ctx, "east", 0); err == nil {
		t.Errorf("a certificate of another authority: orders %+v", o)
	}
	// And one that is of it by name, but not by key.
	certificate, err = c.authority.Certify("east", nil, &own.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := c.remote(certificate, own, c.authority.PEM()).Orders(ctx, "east", 0); err != nil || o.Removed == "" || len(o.Effects) > 0 {
		t.Errorf("another key in east's name: %+v, %v", o, err)
	}

	// A removed node is told what runs elsewhere. One of the same name that joins anew is another.
	if err := east.Report(ctx, "east", plane.StepDone{Broker: id, Step: e.Step}); err != nil {
		t.Fatal(err)
	}
	c.do(plane.RemoveNode{Name: "west"})
	if o, err := west.Orders(ctx, "west", 0); err != nil || !strings.Contains(o.Removed, "not node [west] any more") || o.Elsewhere[name] != e.Spec.Generation {
		t.Errorf("orders of a removed node: %+v, %v", o, err)
	}
	if err := west.Report(ctx, "west", seen); plane.KindOf(err) != plane.Denied {
		t.Errorf("a report of a removed node: %v; want denied", err)
	}
	if _, err := westToken.Join(ctx, newKey(t)); !errors.As(err, &refused) {
		t.Errorf("the token of a removed node: %v", err)
	}
	again := c.join(c.invite("west", "127.9.2.0/24"))
	if o, err := again.Orders(ctx, "west", 0); err != nil || o.Removed != "" {
		t.Errorf("orders of a node that has joined anew: %+v, %v", o, err)
	}
	if o, err := west.Orders(ctx, "west", 0); err != nil || o.Removed == "" {
		t.Errorf("orders of the one before: %+v, %v", o, err)
	}
}

// removedPlane says that the node is none any more.
type removedPlane struct {
	Plane
	elsewhere map[string]uint64
}

func (p *removedPlane) Orders(context.Context, string, uint64) (Orders, error) {
	return Orders{Removed: "it was removed", Elsewhere: p.elsewhere}, nil
}

// A removed node ends what is newer elsewhere, keeps its data for a while, and leaves the rest alone.
func TestRemovedNode(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for key, generation := range map[string]uint64{"b-moved-1": 5, "b-newer-1": 9, "b-only-1": 5} {
		if err := os.MkdirAll(filepath.Join(data, "instances", key), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := writeJSON(filepath.Join(data, "instances", key, noteFile), note{Generation: generation}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	a := New(&removedPlane{elsewhere: map[string]uint64{"b-moved-1": 7, "b-newer-1": 7}}, Options{Node: "west", Data: data, Logger: testLogger(t), LookEvery: 10 * time.Millisecond})
	go func() { ended <- a.Run(ctx) }()
	for deadline := time.Now().Add(patience); exists(filepath.Join(data, "instances", "b-moved-1")); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what runs elsewhere is not ended")
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if a.ended.up("b-moved-1") != 5 {
		t.Errorf("generation %d is noted as ended, want 5", a.ended.up("b-moved-1"))
	}
	if left, _ := filepath.Glob(filepath.Join(data, leftDir, "b-moved-1@5-*")); len(left) != 1 {
		t.Errorf("its data is at %v", left)
	}
	for _, key := range []string{"b-newer-1", "b-only-1"} {
		if !exists(filepath.Join(data, "instances", key)) || a.ended.up(key) != 0 {
			t.Errorf("%s was ended", key)
		}
	}
}
