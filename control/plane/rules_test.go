package plane_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/plane"
)

const one, two = "b-00000001", "b-00000002"

var bob = plane.Origin{Scope: plane.Scope{Account: "222222222222", Region: "eu-west-1"}, Who: "AKIABOB"}

func TestRefusals(t *testing.T) {
	with := func(change func(c *plane.CreateBroker)) plane.CreateBroker {
		c := create("2", plane.Single)
		change(&c)
		return c
	}
	elsewhere := alice
	elsewhere.Region = "us-east-1"
	for name, tt := range map[string]struct {
		by        plane.Origin
		do        plane.Command
		kind      plane.Kind
		attribute string
	}{
		"no account":              {operator, create("2", plane.Single), plane.BadRequest, ""},
		"name":                    {alice, with(func(c *plane.CreateBroker) { c.Name = "a.b" }), plane.BadRequest, "brokerName"},
		"name is taken":           {alice, with(func(c *plane.CreateBroker) { c.Name = "broker-1" }), plane.Conflict, "brokerName"},
		"id is taken":             {bob, with(func(c *plane.CreateBroker) { c.ID = one }), plane.Conflict, "brokerId"},
		"engine":                  {alice, with(func(c *plane.CreateBroker) { c.Engine = "RABBITMQ" }), plane.BadRequest, "engineType"},
		"version":                 {alice, with(func(c *plane.CreateBroker) { c.Version = "4.0" }), plane.BadRequest, "engineVersion"},
		"mode":                    {alice, with(func(c *plane.CreateBroker) { c.Mode = "CLUSTER_MULTI_AZ" }), plane.BadRequest, "deploymentMode"},
		"type":                    {alice, with(func(c *plane.CreateBroker) { c.Type = "mq.m7g.medium" }), plane.BadRequest, "hostInstanceType"},
		"storage":                 {alice, with(func(c *plane.CreateBroker) { c.StorageGB = -1 }), plane.BadRequest, "storageSize"},
		"log level":               {alice, with(func(c *plane.CreateBroker) { c.Logs.Level = "chatty" }), plane.BadRequest, "logs"},
		"storage type":            {alice, with(func(c *plane.CreateBroker) { c.StorageType = "floppy" }), plane.BadRequest, "storageType"},
		"two subnets of one":      {alice, with(func(c *plane.CreateBroker) { c.Subnets = []string{"subnet-a", "subnet-b"} }), plane.BadRequest, "subnetIds"},
		"one subnet of a pair":    {alice, with(func(c *plane.CreateBroker) { c.Mode, c.Subnets = plane.Pair, []string{"subnet-a"} }), plane.BadRequest, "subnetIds"},
		"unknown subnet":          {alice, with(func(c *plane.CreateBroker) { c.Subnets = []string{"subnet-z"} }), plane.BadRequest, "subnetIds"},
		"unknown group":           {alice, with(func(c *plane.CreateBroker) { c.SecurityGroups = []string{"sg-99999999"} }), plane.BadRequest, "securityGroups"},
		"somebody else's group":   {bob, with(func(c *plane.CreateBroker) { c.SecurityGroups = []string{"sg-00000001"} }), plane.BadRequest, "securityGroups"},
		"no user":                 {alice, with(func(c *plane.CreateBroker) { c.Users = nil }), plane.BadRequest, "users"},
		"plain password":          {alice, with(func(c *plane.CreateBroker) { c.Users[0].Hash = "secret" }), plane.BadRequest, "password"},
		"no configuration":        {alice, with(func(c *plane.CreateBroker) { c.Default = nil }), plane.BadRequest, "configuration"},
		"unknown configuration":   {alice, with(func(c *plane.CreateBroker) { c.Configuration.ID = "c-99999999" }), plane.BadRequest, "configuration"},
		"somebody else's":         {bob, with(func(c *plane.CreateBroker) { c.Configuration.ID = "c-00000001" }), plane.BadRequest, "configuration"},
		"unknown revision":        {alice, with(func(c *plane.CreateBroker) { c.Configuration = plane.ConfigurationRef{ID: "c-00000001", Revision: 2} }), plane.BadRequest, "configuration"},
		"too large for the nodes": {alice, with(func(c *plane.CreateBroker) { c.Type = "mq.huge" }), plane.Conflict, "hostInstanceType"},
		"unknown broker":          {alice, plane.DeleteBroker{ID: two}, plane.NotFound, "broker-id"},
		"somebody else's broker":  {bob, plane.DeleteBroker{ID: one}, plane.NotFound, "broker-id"},
		"another region's":        {elsewhere, plane.UpdateBroker{ID: one}, plane.NotFound, "broker-id"},
		"switchover of one":       {alice, plane.Switchover{ID: one}, plane.BadRequest, "broker-id"},
		"user exists":             {alice, plane.CreateUser{Broker: one, User: plane.NewUser{Name: "admin", Hash: hash}}, plane.Conflict, "username"},
		"user name":               {alice, plane.CreateUser{Broker: one, User: plane.NewUser{Name: "a", Hash: hash}}, plane.BadRequest, "username"},
		"groups":                  {alice, plane.UpdateUser{Broker: one, Name: "admin", Groups: ptr([]string{"a b"})}, plane.BadRequest, "groups"},
		"no such user":            {alice, plane.DeleteUser{Broker: one, Name: "nobody"}, plane.NotFound, "username"},
		"group in use":            {alice, plane.DeleteSecurityGroup{ID: "sg-00000001"}, plane.Conflict, "id"},
		"rule":                    {alice, plane.UpdateSecurityGroup{ID: "sg-00000001", Rules: ptr([]plane.Rule{{Network: netip.MustParsePrefix("10.1.0.0/8"), To: 9}})}, plane.BadRequest, "rules"},
		"configuration in use":    {alice, plane.DeleteConfiguration{ID: "c-00000001"}, plane.Conflict, "configuration-id"},
		"configuration name":      {alice, plane.CreateConfiguration{ID: "c-00000009", Name: "of-1", Engine: plane.ActiveMQ}, plane.Conflict, "name"},
		"tags":                    {alice, plane.Tag{ID: one, Tags: map[string]string{"": "x"}}, plane.BadRequest, "tags"},
		"tags of nothing":         {alice, plane.Tag{ID: two, Tags: map[string]string{"a": "x"}}, plane.NotFound, "resource-arn"},
		"type does not fit":       {alice, plane.UpdateBroker{ID: one, Type: ptr("mq.t3.micro"), Usage: &plane.Usage{MemoryBytes: 2 << 30}}, plane.BadRequest, "hostInstanceType"},
		"connections do not fit":  {alice, plane.UpdateBroker{ID: one, Type: ptr("mq.t3.micro"), Usage: &plane.Usage{Connections: 301}}, plane.BadRequest, "hostInstanceType"},
		"storage does not fit":    {alice, plane.UpdateBroker{ID: one, StorageGB: ptr(1), Usage: &plane.Usage{StorageBytes: 2 << 30}}, plane.BadRequest, "storageSize"},
		"node in use":             {operator, plane.RemoveNode{Name: "node-a"}, plane.Conflict, "name"},
		"lost, with all messages": {operator, plane.RemoveNode{Name: "node-a", Lost: true}, plane.Conflict, "name"},
		"no room to drain to":     {operator, plane.RemoveNode{Name: "node-z"}, plane.NotFound, "name"},
		"ranges overlap":          {operator, plane.RegisterNode{Name: "node-z", Zone: "z", Range: netip.MustParsePrefix("127.0.64.128/25")}, plane.Conflict, "range"},
		"another range":           {operator, plane.RegisterNode{Name: "node-a", Zone: "a", Range: netip.MustParsePrefix("127.0.99.0/24")}, plane.Conflict, "range"},
		"built-in type":           {operator, plane.PutInstanceType{Type: plane.InstanceType{Name: "mq.m5.large", MemoryBytes: 1 << 30, Connections: 1, StorageGB: 1}}, plane.Conflict, "name"},
		"key":                     {operator, plane.CreateKey{ID: "AKIA", Secret: strings.Repeat("s", 40), Account: "111111111111"}, plane.BadRequest, "id"},
		"key of no account":       {operator, plane.CreateKey{ID: "AKIA567890123456", Secret: strings.Repeat("s", 40), Account: "me"}, plane.BadRequest, "account"},
		"old report":              {operator, plane.Observed{Broker: one, Number: 1, Generation: 1}, plane.Stale, ""},
		"report of no operation":  {operator, plane.StepDone{Broker: one, Step: 1}, plane.Stale, ""},
		"report of no broker":     {operator, plane.StepFailed{Broker: two, Step: 1}, plane.Stale, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, plane.Options{}).nodes("a", "b")
			b.must(operator, plane.PutInstanceType{Type: plane.InstanceType{Name: "mq.huge", MemoryBytes: 1 << 40, Connections: 1, StorageGB: 1}})
			b.must(alice, plane.CreateSecurityGroup{ID: "sg-00000001", Name: "office"})
			c := create("1", plane.Single)
			c.SecurityGroups, c.Subnets = []string{"sg-00000001"}, []string{"subnet-a"}
			b.must(alice, c)
			b.run()
			b.refused(tt.by, tt.do, tt.kind, tt.attribute)
		})
	}
}

func TestLimits(t *testing.T) {
	b := newBench(t, plane.Options{Limits: plane.Limits{Brokers: 1, Users: 1, GroupsPerUser: 1, SecurityGroups: 1, SecurityGroupsBroker: 1, Rules: 1, Tags: 1, Keys: 1, Nodes: 1, Types: 1, Revisions: 2, RevisionBytes: 10,
		ConfigurationBytes: 35, Configurations: 2, BrokersInAll: 2}}).nodes("a")
	b.must(alice, create("1", plane.Single))
	b.run()
	key := plane.CreateKey{ID: "AKIA567890123456", Secret: strings.Repeat("s", 40), Account: "111111111111"}
	b.must(operator, key)
	key.ID += "7"
	b.must(alice, plane.CreateSecurityGroup{ID: "sg-00000001", Name: "a"})
	b.must(operator, plane.PutInstanceType{Type: plane.InstanceType{Name: "mq.a", MemoryBytes: 1 << 30, Connections: 1, StorageGB: 1}})
	b.must(alice, plane.UpdateConfiguration{ID: "c-00000001", Data: []byte("0123456789")})
	b.must(alice, plane.CreateConfiguration{ID: "c-00000002", Name: "x", Engine: plane.ActiveMQ})

	b.refused(alice, create("2", plane.Single), plane.BadRequest, "brokerName")
	b.must(bob, func() plane.CreateBroker { c := create("3", plane.Single); return c }())
	b.refused(plane.Origin{Scope: plane.Scope{Account: "333333333333", Region: "x"}}, create("4", plane.Single), plane.BadRequest, "brokerName")
	b.refused(alice, plane.CreateUser{Broker: one, User: plane.NewUser{Name: "second", Hash: hash}}, plane.BadRequest, "username")
	b.refused(alice, plane.UpdateUser{Broker: one, Name: "admin", Groups: ptr([]string{"aa", "bb"})}, plane.BadRequest, "groups")
	b.refused(operator, key, plane.Conflict, "id")
	b.refused(alice, plane.CreateSecurityGroup{ID: "sg-00000002", Name: "b"}, plane.Conflict, "id")
	b.refused(alice, plane.UpdateSecurityGroup{ID: "sg-00000001", Rules: ptr(make([]plane.Rule, 2))}, plane.BadRequest, "rules")
	b.refused(alice, plane.UpdateBroker{ID: one, SecurityGroups: ptr([]string{"sg-00000001", "sg-00000001"})}, plane.BadRequest, "securityGroups")
	b.refused(alice, plane.Tag{ID: one, Tags: map[string]string{"a": "1", "b": "2"}}, plane.BadRequest, "tags")
	b.refused(operator, plane.RegisterNode{Name: "node-b", Zone: "b", Range: netip.MustParsePrefix("10.0.0.0/8")}, plane.Conflict, "name")
	b.refused(operator, plane.PutInstanceType{Type: plane.InstanceType{Name: "mq.b", MemoryBytes: 1 << 30, Connections: 1, StorageGB: 1}}, plane.Conflict, "name")
	b.refused(alice, plane.UpdateConfiguration{ID: "c-00000001"}, plane.Conflict, "configuration-id")
	b.refused(alice, plane.UpdateConfiguration{ID: "c-00000002", Data: []byte("01234567890")}, plane.BadRequest, "data")
	b.refused(bob, plane.UpdateConfiguration{ID: "c-00000003", Data: []byte("0123456789")}, plane.Conflict, "data")
	b.refused(alice, plane.CreateConfiguration{ID: "c-00000005", Name: "y", Engine: plane.ActiveMQ}, plane.Conflict, "name")
}

func TestCreateTwice(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a")
	c := create("1", plane.Single)
	c.Token, c.RequestDigest = "token", "digest"
	if id := b.must(alice, c).ID; id != one {
		t.Fatalf("id is %s", id)
	}
	again := c
	again.ID, again.Users = two, []plane.NewUser{{Name: "admin", Hash: strings.Replace(hash, "c2Fs", "d3Fs", 1)}}
	if change := b.must(alice, again); change.ID != one || len(change.Records) != 0 {
		t.Errorf("the second makes %s with %d records, want %s without any", change.ID, len(change.Records), one)
	}
	again.RequestDigest = "another"
	b.refused(alice, again, plane.Conflict, "creatorRequestId")
	again.Default = &plane.CreateConfiguration{ID: "c-00000002", Name: "x", Engine: plane.ActiveMQ}
	if id := b.must(bob, again).ID; id != two { // a token is an account's own
		t.Errorf("the other account's id is %s, want %s", id, two)
	}
}

// TestRollback fails each step of each operation for ever: what can be taken back is, and the broker is as it was.
func TestRollback(t *testing.T) {
	for name, tt := range map[string]struct {
		mode    plane.Mode
		do      plane.Command
		failing string
		state   plane.BrokerState
		steps   string
		goal    func(g plane.Goal) bool
	}{
		"create":                 {plane.Pair, nil, "start 2", plane.CreationFailed, "start 3, start 1, stop 1, stop 2, stop 3", func(g plane.Goal) bool { return g.Gone }},
		"to a pair, start":       {plane.Single, plane.UpdateBroker{ID: one, Mode: ptr(plane.Pair)}, "start 2", plane.Running, "start 3, stop 2, stop 3", func(g plane.Goal) bool { return g.Mode == plane.Single }},
		"to a pair, conversion":  {plane.Single, plane.UpdateBroker{ID: one, Mode: ptr(plane.Pair)}, "convert to a pair 1", plane.Running, "start 3, start 2, stop 2, stop 3", func(g plane.Goal) bool { return g.Mode == plane.Single }},
		"to one, conversion":     {plane.Pair, plane.UpdateBroker{ID: one, Mode: ptr(plane.Single)}, "convert to a single instance 1", plane.Running, "", func(g plane.Goal) bool { return g.Mode == plane.Pair }},
		"to one, stop":           {plane.Pair, plane.UpdateBroker{ID: one, Mode: ptr(plane.Single)}, "stop 2", plane.CriticalActionRequired, "convert to a single instance 1", func(g plane.Goal) bool { return g.Mode == plane.Single }},
		"switchover":             {plane.Pair, plane.Switchover{ID: one}, "switch over to 2", plane.Running, "", func(g plane.Goal) bool { return g.Active == 0 }},
		"subnets of one":         {plane.Single, plane.UpdateBroker{ID: one, Subnets: ptr([]string{"subnet-d"})}, "switch over to 2", plane.Running, "start 3, start 2, convert to a pair 1, convert to a single instance 1, stop 2, stop 3", func(g plane.Goal) bool { return len(g.Subnets) == 0 }},
		"reboot, it stays down":  {plane.Single, plane.RebootBroker{ID: one}, "start 1", plane.CriticalActionRequired, "", nil},
		"upgrade of the standby": {plane.Pair, upgrade{}, "start 2", plane.CriticalActionRequired, "start 3, start 3", func(g plane.Goal) bool { return g.Version == "5.19" }},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, plane.Options{}).nodes("a", "b", "c", "d")
			fails := func(e plane.Effect) string {
				if br := b.broker(one); fmt.Sprintf("%s %d", e.Kind, e.Spec.Number) == tt.failing && (br.Operation == nil || br.Operation.Attempts < 50) {
					return "it is broken"
				}
				return ""
			}
			if tt.do == nil {
				b.fails = fails
			}
			b.must(alice, create("1", tt.mode))
			b.run()
			if tt.do != nil {
				b.steps()
				b.fails = fails
				do := tt.do
				if _, ok := do.(upgrade); ok {
					b.must(alice, plane.UpdateBroker{ID: one, Version: ptr("5.18")})
					do = plane.RebootBroker{ID: one}
				}
				b.must(alice, do)
				for range 40 { // to where it is stuck, if it is
					if br := b.broker(one); br.Operation == nil || br.Operation.Stuck {
						break
					}
					b.one()
				}
			}
			b.state(one, tt.state)
			if got := b.steps(); got != tt.steps {
				t.Errorf("steps are\n  %s, want\n  %s", got, tt.steps)
			}
			br := b.broker(one)
			if tt.goal != nil && !tt.goal(br.Goal) {
				t.Errorf("goal is %+v", br.Goal)
			}
			if tt.state != plane.CriticalActionRequired && (br.Last == nil || !strings.Contains(br.Last.Error, "it is broken")) {
				t.Errorf("the last operation is %+v, want it to say why it was rolled back", br.Last)
			}
			b.replays()
			b.fails = nil // what is stuck goes on as soon as it can
			b.run()
			if tt.state == plane.CriticalActionRequired {
				b.state(one, plane.Running)
			}
			b.must(alice, plane.DeleteBroker{ID: one})
			b.run()
			if memory, n := b.s.Load("node-a"); memory != 0 || n != 0 {
				t.Errorf("node-a has a load of %d, %d instances, when all is deleted", memory, n)
			}
			b.replays()
		})
	}
}

// upgrade stands for an update of the version, and a reboot.
type upgrade struct{ plane.Command }

// TestWindow has a pending version wait for the window.
func TestWindow(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a", "b", "c")
	c := create("1", plane.Pair)
	c.MaintenanceWindow = plane.Window{Day: "TUESDAY", Time: "03:00", Zone: "Europe/Berlin"}
	b.must(alice, c)
	b.run()
	b.steps()
	b.must(alice, plane.UpdateBroker{ID: one, Version: ptr("5.18")})
	for _, at := range []string{"2026-11-30T13:00:00Z", "2026-12-01T01:59:59Z", "2026-12-01T04:00:00Z"} {
		b.now, _ = time.Parse(time.RFC3339, at)
		b.must(plane.Origin{}, plane.Tick{})
		if br := b.broker(one); br.Operation != nil {
			t.Fatalf("at %s an operation has begun", at)
		}
	}
	b.now, _ = time.Parse(time.RFC3339, "2026-12-08T03:59:59Z")
	b.must(plane.Origin{}, plane.Tick{})
	b.state(one, plane.RebootInProgress)
	b.run()
	if got, want := b.steps(), "start 3, start 2, switch over to 2, start 1"; got != want {
		t.Errorf("steps are %s, want %s", got, want)
	}
	if br := b.broker(one); br.Goal.Version != "5.18" || br.PendingVersion != "" || br.Instance(1).Version != "5.18" {
		t.Errorf("broker is %+v", br)
	}
}

// TestNewerProgram has a newer program come with the window where minor upgrades are automatic, else with a reboot, and not again and again if it fails.
func TestNewerProgram(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a", "b", "c")
	c := create("1", plane.Pair)
	c.MaintenanceWindow = plane.Window{Day: "TUESDAY", Time: "03:00", Zone: "UTC"}
	b.must(alice, c)
	b.run()
	b.steps()
	report := func(newer string) {
		b.t.Helper()
		for _, i := range b.broker(one).Instances {
			b.must(operator, plane.Observed{Broker: one, Number: i.Number, Generation: i.Generation, Up: true, Program: "v1", Newer: newer})
		}
	}
	const steps = "start 3, start 2, switch over to 2, start 1"
	tick := func(at string) {
		b.t.Helper()
		b.now, _ = time.Parse(time.RFC3339, at)
		b.must(plane.Origin{}, plane.Tick{})
	}
	report("v2")
	if newer := b.broker(one).Newer(); newer != "v2" {
		t.Fatalf("what is pending is %q", newer)
	}
	tick("2026-12-08T03:30:00Z")
	if br := b.broker(one); br.Operation != nil {
		t.Fatalf("%s has begun in the window, and upgrades are not automatic", br.Operation.Kind)
	}
	b.must(alice, plane.RebootBroker{ID: one, IfPending: true})
	b.run()
	if got := b.steps(); got != steps || b.broker(one).Newer() != "" {
		t.Errorf("a reboot has the steps %s, want %s; %q is pending behind it", got, steps, b.broker(one).Newer())
	}
	b.must(alice, plane.RebootBroker{ID: one, IfPending: true})
	if br := b.broker(one); br.Operation != nil {
		t.Fatalf("%s has begun though nothing is pending", br.Operation.Kind)
	}

	b.must(alice, plane.UpdateBroker{ID: one, AutoMinor: ptr(true)})
	report("v3")
	tick("2026-12-08T05:30:00Z")
	if br := b.broker(one); br.Operation != nil {
		t.Fatalf("%s has begun outside of the window", br.Operation.Kind)
	}
	b.fails = func(plane.Effect) string { return "v3 does not start" }
	tick("2026-12-15T03:00:10Z")
	b.state(one, plane.RebootInProgress)
	for b.broker(one).Operation.Rollback == "" {
		if b.now = b.now.Add(time.Minute); !b.one() {
			t.Fatal("it fails and is not rolled back")
		}
	}
	b.fails = nil
	b.run()
	report("v3")
	b.steps()
	tick("2026-12-15T04:30:00Z")
	if br := b.broker(one); br.Operation != nil {
		t.Fatalf("%s has begun in the window in which it was rolled back", br.Operation.Kind)
	}
	tick("2026-12-22T03:00:10Z")
	b.run()
	if b.steps() == "" || b.broker(one).Newer() != "" {
		t.Errorf("a week later %q is pending still", b.broker(one).Newer())
	}
	b.replays()
}

// TestLive sees that what is live reaches the instances as a new version of their specs, and begins no operation, not even while another is at work.
func TestLive(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a", "b", "c")
	b.must(alice, plane.CreateSecurityGroup{ID: "sg-00000001", Name: "office"})
	b.must(alice, create("1", plane.Pair))
	b.run()
	b.must(alice, plane.RebootBroker{ID: one}) // stays at work
	for _, tt := range []struct {
		do   plane.Command
		seen func(s plane.Spec) bool
	}{
		{plane.CreateUser{Broker: one, User: plane.NewUser{Name: "carol", Hash: hash, Groups: []string{"admins"}}}, func(s plane.Spec) bool { return s.Users["carol"].Groups[0] == "admins" }},
		{plane.UpdateUser{Broker: one, Name: "carol", Groups: &[]string{}}, func(s plane.Spec) bool { return len(s.Users["carol"].Groups) == 0 }},
		{plane.DeleteUser{Broker: one, Name: "carol"}, func(s plane.Spec) bool { return len(s.Users) == 1 }},
		{plane.UpdateBroker{ID: one, Logs: &plane.Logs{Audit: true}}, func(s plane.Spec) bool { return s.Logs.Audit }},
		{plane.UpdateBroker{ID: one, StorageGB: ptr(7)}, func(s plane.Spec) bool { return s.StorageBytes == 7<<30 }},
		{plane.UpdateConfiguration{ID: "c-00000001", Data: []byte("<broker/>")}, nil},
		{plane.UpdateBroker{ID: one, Configuration: &plane.ConfigurationRef{ID: "c-00000001"}}, func(s plane.Spec) bool { return s.Configuration.Revision == 2 }},
		{plane.UpdateBroker{ID: one, SecurityGroups: &[]string{"sg-00000001"}}, func(s plane.Spec) bool { return s.Restricted && len(s.Rules) == 0 }},
		{plane.UpdateSecurityGroup{ID: "sg-00000001", Rules: &[]plane.Rule{{Network: netip.MustParsePrefix("10.0.0.0/8"), From: 61617, To: 61617}}}, func(s plane.Spec) bool { return len(s.Rules) == 1 }},
		{plane.Tag{ID: one, Tags: map[string]string{"team": "payroll"}}, nil},
		{plane.UpdateBroker{ID: one, Window: &plane.Window{Day: "MONDAY", Time: "01:00"}}, nil},
	} {
		change := b.must(alice, tt.do)
		if len(change.Plan) > 0 || change.Cost(one).String() != "restart: no, failover: no" {
			t.Errorf("%T means %+v", tt.do, change.Plan)
		}
		if tt.seen == nil {
			if len(change.Effects) > 0 {
				t.Errorf("%T has effects: %+v", tt.do, change.Effects)
			}
			continue
		}
		var numbers []int
		for _, e := range change.Effects {
			if !tt.seen(e.Spec) || e.Spec.Version != b.broker(one).Version {
				t.Errorf("%T gives the spec %+v", tt.do, e.Spec)
			}
			numbers = append(numbers, e.Spec.Number)
		}
		slices.Sort(numbers)
		if !slices.Equal(numbers, []int{1, 2, 3}) {
			t.Errorf("%T reaches instances %v", tt.do, numbers)
		}
	}
	if br := b.broker(one); len(br.Configurations) != 1 || br.Configurations[0].Revision != 1 {
		t.Errorf("earlier configurations are %+v", br.Configurations)
	}
	b.refused(alice, plane.Switchover{ID: one}, plane.Conflict, "broker-id")
	b.run().replays()
}

// TestPlacement says where instances come to be, and that it is said if that is not far apart.
func TestPlacement(t *testing.T) {
	for name, tt := range map[string]struct{ zones, note string }{
		"three zones": {"a b c", ""},
		"two zones":   {"a b b", "the witness shares zone b"},
		"two nodes":   {"a b", "the witness shares node"},
		"one zone":    {"a a a", "both instances are in zone a"},
		"a laptop":    {"a", "both instances are on node node-a"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, plane.Options{}).nodes(strings.Fields(tt.zones)...)
			b.must(alice, create("1", plane.Pair))
			br := b.broker(one)
			if got := br.Placement; !strings.HasPrefix(got, tt.note) || (got == "") != (tt.note == "") {
				t.Errorf("placement is %q, want %q", got, tt.note)
			}
			nodes := map[string]bool{}
			addresses := map[netip.Addr]bool{}
			for _, i := range br.Instances {
				nodes[i.Node], addresses[i.Address] = true, true
			}
			if want := min(3, len(strings.Fields(tt.zones))); len(nodes) != want || len(addresses) != 3 {
				t.Errorf("instances are on %d nodes with %d addresses, want %d and 3: %+v", len(nodes), len(addresses), want, br.Instances)
			}
		})
	}
	t.Run("one address", func(t *testing.T) {
		b := newBench(t, plane.Options{})
		b.must(operator, plane.RegisterNode{Name: "host", Zone: "z", Range: netip.MustParsePrefix("10.1.2.3/32")})
		b.must(alice, create("1", plane.Pair))
		ports := map[int]bool{}
		for _, e := range b.run().s.Work() {
			if e.Spec.Address.String() != "10.1.2.3" {
				t.Errorf("address is %v", e.Spec.Address)
			}
			v := reflect.ValueOf(e.Spec.Ports)
			for n := range v.NumField() {
				ports[int(v.Field(n).Int())] = true
			}
		}
		if want := 3 * reflect.TypeFor[plane.Ports]().NumField(); len(ports) != want {
			t.Errorf("there are %d ports, want %d", len(ports), want)
		}
	})
	t.Run("addresses run out", func(t *testing.T) {
		b := newBench(t, plane.Options{})
		b.must(operator, plane.RegisterNode{Name: "host", Zone: "z", Range: netip.MustParsePrefix("127.0.64.0/30")})
		b.must(alice, create("1", plane.Single))
		b.must(alice, create("2", plane.Single))
		b.refused(alice, create("3", plane.Single), plane.Conflict, "subnetIds")
		b.must(alice, plane.DeleteBroker{ID: one})
		b.refused(alice, create("3", plane.Single), plane.Conflict, "subnetIds") // it is still being ended
		b.run()
		b.must(alice, create("3", plane.Single))
	})
}

// TestBlocked drains a node whose instances can go nowhere, until there is another.
func TestBlocked(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a")
	b.must(alice, create("1", plane.Pair))
	b.run()
	b.must(operator, plane.DrainNode{Name: "node-a", Drain: true})
	b.state(one, plane.CriticalActionRequired)
	if why := b.broker(one).Blocked; !strings.Contains(why, "node-a is draining") {
		t.Errorf("it is blocked by %q", why)
	}
	n := len(b.records)
	b.must(operator, plane.Tick{})
	if len(b.records) != n {
		t.Errorf("a tick that changes nothing writes %d records", len(b.records)-n)
	}
	b.must(operator, plane.RegisterNode{Name: "node-b", Zone: "b", Range: netip.MustParsePrefix("127.0.65.0/24")})
	b.must(operator, plane.Tick{})
	b.run().state(one, plane.Running)
	if on := b.s.OnNode("node-a"); len(on) != 0 {
		t.Errorf("on node-a is %+v", on)
	}
	b.must(operator, plane.RemoveNode{Name: "node-a"})
	b.replays()
}

// TestBlockedBehindOperation has too little room for what two drained nodes have when an operation ends: nothing is half begun.
func TestBlockedBehindOperation(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a", "b", "c")
	b.must(alice, create("1", plane.Pair))
	b.run()
	b.must(operator, plane.RegisterNode{Name: "node-d", Zone: "d", Range: netip.MustParsePrefix("127.0.99.0/24"), Instances: 1})
	b.must(alice, plane.RebootBroker{ID: one})
	b.must(operator, plane.DrainNode{Name: "node-a", Drain: true})
	b.must(operator, plane.DrainNode{Name: "node-b", Drain: true})
	b.must(operator, plane.DrainNode{Name: "node-c", Drain: true})
	b.run().state(one, plane.CriticalActionRequired)
	for _, i := range b.broker(one).Instances {
		if !i.Up || i.Node == "node-d" {
			t.Errorf("instance is %+v", i)
		}
	}
	b.must(operator, plane.DrainNode{Name: "node-b"})
	b.must(operator, plane.DrainNode{Name: "node-c"})
	b.run().state(one, plane.Running)
	if br := b.broker(one); br.Instance(1).Node != "node-d" || br.Active != 2 {
		t.Errorf("instances are %+v", br.Instances)
	}
	b.replays()
}

// TestReports sees what old, late and repeated reports do: nothing.
func TestReports(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a", "b", "c")
	b.must(alice, create("1", plane.Pair))
	first := b.broker(one).Operation.Current().ID
	b.must(operator, plane.StepDone{Broker: one, Step: first})
	n := len(b.records)
	b.must(operator, plane.StepDone{Broker: one, Step: first})
	b.must(operator, plane.StepFailed{Broker: one, Step: first, Error: "late"})
	second := b.broker(one).Operation.Current().ID
	b.must(operator, plane.StepFailed{Broker: one, Step: second, Attempt: 3, Error: "not this one"})
	if len(b.records) != n {
		t.Errorf("reports that say nothing new write %d records", len(b.records)-n)
	}
	b.refused(operator, plane.StepDone{Broker: one, Step: second + 100}, plane.Stale, "")
	b.run()
	was := *b.broker(one).Instance(2)
	b.must(operator, plane.Observed{Broker: one, Number: 2, Generation: was.Generation, Up: true, Epoch: 100, Applied: 3})
	if br := b.broker(one); br.Active != 2 || !br.ActiveSince.Equal(b.now) || br.Instance(2).Applied != 3 {
		t.Errorf("broker is %+v, want 2 to be active", br)
	}
	b.must(operator, plane.Observed{Broker: one, Number: 1, Generation: b.broker(one).Instance(1).Generation, Up: true, Epoch: 99, Applied: 3})
	if br := b.broker(one); br.Active != 2 {
		t.Errorf("a report of an earlier epoch makes %d active", br.Active)
	}
	b.must(operator, plane.Observed{Broker: one, Number: 1, Generation: b.broker(one).Instance(1).Generation, Detail: "no disk"})
	b.state(one, plane.CriticalActionRequired)
	b.refused(alice, plane.Switchover{ID: one, To: 1}, plane.Conflict, "to")
	b.must(alice, plane.RebootBroker{ID: one})
	b.run()
	b.refused(operator, plane.Observed{Broker: one, Number: 2, Generation: was.Generation, Up: true}, plane.Stale, "")
	b.must(alice, plane.DeleteBroker{ID: one})
	b.refused(operator, plane.Observed{Broker: one, Number: 1, Generation: b.broker(one).Instances[0].Generation, Up: true}, plane.Stale, "")
}

// TestLost gives up nodes as long as two copies of a pair's log are left.
func TestLost(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a", "b", "c", "d")
	b.must(alice, create("1", plane.Pair))
	b.run()
	b.must(operator, plane.RemoveNode{Name: "node-b", Lost: true})
	b.refused(operator, plane.RemoveNode{Name: "node-c", Lost: true}, plane.Conflict, "name") // the one in its place is not there yet
	b.run()
	b.must(operator, plane.RemoveNode{Name: "node-c", Lost: true})
	b.run().state(one, plane.Running)
	b.must(alice, plane.DeleteBroker{ID: one})
	b.must(operator, plane.RemoveNode{Name: "node-a", Lost: true}) // nothing is to be kept any more
	b.must(operator, plane.RemoveNode{Name: "node-d", Lost: true})
	if n := len(b.s.Brokers(plane.Scope{})); n != 0 {
		t.Errorf("%d brokers are left", n)
	}
	b.replays()
}

func TestAudit(t *testing.T) {
	b := newBench(t, plane.Options{Limits: plane.Limits{Audit: 8, AuditAge: 24 * time.Hour}}).nodes("a")
	secret := strings.Repeat("s3cret", 5)
	b.must(operator, plane.CreateKey{ID: "AKIA567890123456", Secret: secret, Account: "111111111111"})
	b.must(alice, create("1", plane.Single))
	b.run()
	b.must(alice, plane.UpdateUser{Broker: one, Name: "admin", Hash: ptr("$2b$12$" + strings.Repeat("x", 53)), Console: ptr(true)})
	b.must(alice, plane.UpdateBroker{ID: one, Type: ptr("mq.m5.medium")})
	var actions []string
	for _, e := range b.s.Audit(plane.Scope{}, "", 0) {
		actions = append(actions, e.Action)
		if text := string(e.Before) + string(e.After) + e.Detail; strings.Contains(text, secret) || strings.Contains(text, "$2b$") || strings.Contains(text, "argon2") {
			t.Errorf("entry %+v shows a secret", e)
		}
	}
	if got, want := strings.Join(actions, ", "), "RegisterNode, CreateKey, CreateBroker, create done, UpdateUser, UpdateBroker"; got != want {
		t.Errorf("actions are %s, want %s", got, want)
	}
	list := b.s.Audit(alice.Scope, one, 1)
	if len(list) != 1 || list[0].Who != alice.Who || list[0].From != alice.From || string(list[0].Before) != `{"goal":{"mode":"SINGLE_INSTANCE","engineVersion":"5.19","type":"mq.m5.large"}}` ||
		string(list[0].After) != `{"goal":{"mode":"SINGLE_INSTANCE","engineVersion":"5.19","type":"mq.m5.medium"}}` {
		t.Errorf("the last entry is %+v, before %s, after %s", list, list[0].Before, list[0].After)
	}
	if list := b.s.Audit(bob.Scope, "", 0); len(list) != 0 {
		t.Errorf("bob sees %+v", list)
	}
	for n := range 6 {
		b.must(alice, plane.Tag{ID: one, Tags: map[string]string{"n": fmt.Sprint(n)}})
	}
	if n := len(b.s.Audit(plane.Scope{}, "", 0)); n != 8 {
		t.Errorf("%d entries are kept, want 8", n)
	}
	b.replays()
	b.now = b.now.Add(25 * time.Hour)
	b.must(alice, plane.Untag{ID: one, Keys: []string{"n"}})
	if list := b.s.Audit(plane.Scope{}, "", 0); len(list) != 1 || list[0].Action != "Untag" {
		t.Errorf("a day later the entries are %+v", list)
	}
	b.replays()
}

// TestStatesDoNotChange sees that a state stays what it is, whatever is made of it.
func TestStatesDoNotChange(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a", "b", "c", "d")
	type kept struct {
		s      *plane.State
		digest string
	}
	var all []kept
	rnd := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		all = append(all, kept{b.s, b.s.Digest()})
		id := fmt.Sprintf("b-%08d", rnd.IntN(4))
		_, _ = b.do(alice, []plane.Command{create(fmt.Sprint(n%4), plane.Pair), plane.DeleteBroker{ID: id}, plane.Switchover{ID: id}, plane.RebootBroker{ID: id}, plane.Tick{},
			plane.UpdateBroker{ID: id, Mode: ptr([]plane.Mode{plane.Single, plane.Pair}[rnd.IntN(2)])}, plane.DeleteConfiguration{ID: fmt.Sprintf("c-%08d", rnd.IntN(4))},
			plane.DrainNode{Name: "node-a", Drain: rnd.IntN(2) == 0}, plane.CreateUser{Broker: id, User: plane.NewUser{Name: fmt.Sprint("user", n), Hash: hash}}}[rnd.IntN(9)])
		if rnd.IntN(2) == 0 {
			b.one()
		}
		if n%100 == 0 {
			b.replays()
		}
	}
	b.replays()
	for n, k := range all {
		if k.s.Digest() != k.digest {
			t.Fatalf("state %d of %d has changed", n, len(all))
		}
	}
}

func TestUnknownRecords(t *testing.T) {
	b := newBench(t, plane.Options{}).nodes("a")
	for name, data := range map[string]string{
		"empty": "", "kind": "\x63{}", "kind 0": "\x00{}", "table": "\x02" + `{"table":"spells","id":"x","value":{}}`, "field": "\x02" + `{"table":"key","id":"x","value":{"wand":1}}`,
		"no JSON": "\x02{", "field of the record": "\x05" + `{"serial":1,"at":"2026-11-30T12:00:00Z","mood":1}`, "format": "\x01" + `{"format":2,"serial":1}`, "drop of nothing": "\x03" + `{"table":"key","id":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := plane.NewReplay(plane.Options{})
			for _, data := range b.records {
				if err := r.Record(data); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Record([]byte(data)); !errors.Is(err, plane.ErrRecord) {
				t.Errorf("got %v, want ErrRecord", err)
			}
		})
	}
}
