package service

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
)

// world is a service on a real control plane, of which a test does what agents would do.
type world struct {
	*testing.T
	*Service
	plane *durable.Plane
	me    mqapi.Caller
	epoch uint64 // of the last step that was done
}

// newWorld has three nodes in as many zones and subnets.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, me: mqapi.Caller{Account: "123456789012", Region: "eu-central-1", AccessKeyID: "GWIAEXAMPLE", Source: netip.MustParseAddrPort("127.0.0.1:4711")}}
	p, err := durable.OpenDir(t.TempDir(), durable.Options{TickEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	w.plane = p
	t.Cleanup(w.close)
	w.Service = New(Options{Plane: func() *durable.Plane { return w.plane }, Secret: []byte("thirty-two bytes that stay here."), Account: "000000000000", Region: "eu-central-1", ConsoleURL: "http://127.0.0.1:8161/console/"})
	for i, zone := range []string{"a", "b", "c"} {
		w.command(plane.RegisterNode{Name: "node-" + zone, Zone: "eu-central-1" + zone, Subnets: []string{"subnet-" + zone}, Range: netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, byte(64 + i), 0}), 24)})
	}
	return w
}

func (w *world) close() {
	if w.plane != nil {
		if err := w.plane.Close(); err != nil {
			w.Error(err)
		}
	}
	w.plane = nil
}

func (w *world) command(c plane.Command) *plane.Change {
	w.Helper()
	change, err := w.plane.Do(w.Context(), plane.Origin{}, c)
	if err != nil {
		w.Fatalf("%T: %v", c, err)
	}
	return change
}

// work reports every step that there is to do as done.
func (w *world) work() {
	w.Helper()
	for did := true; did; {
		did = false
		for _, e := range w.plane.State().Work() {
			if e.Step != 0 && !did {
				w.epoch++
				w.command(plane.StepDone{Broker: e.Spec.Broker, Step: e.Step, Epoch: w.epoch})
				did = true
			}
		}
	}
}

// request is a broker as a caller asks for it.
func request(name string, mode mqapi.DeploymentMode) *mqapi.CreateBrokerRequest {
	return &mqapi.CreateBrokerRequest{BrokerName: name, DeploymentMode: mode, EngineType: mqapi.EngineTypeActiveMQ, HostInstanceType: "mq.m5.large", Users: []mqapi.User{{Username: "ann", Password: "correct horse", Groups: []string{"staff"}}}}
}

// create makes a broker that runs.
func (w *world) create(name string, mode mqapi.DeploymentMode) string {
	w.Helper()
	answer, err := w.CreateBroker(w.Context(), w.me, request(name, mode))
	if err != nil {
		w.Fatal(err)
	}
	w.work()
	return *answer.BrokerID
}

func (w *world) describe(id string) *mqapi.DescribeBrokerResponse {
	w.Helper()
	d, err := w.DescribeBroker(w.Context(), w.me, &mqapi.DescribeBrokerRequest{BrokerID: id})
	if err != nil {
		w.Fatal(err)
	}
	return d
}

// refused wants an error of a kind, about an attribute.
func (w *world) refused(what string, err error, kind mqapi.Kind, attribute string) {
	w.Helper()
	var e *mqapi.Error
	if !errors.As(err, &e) || e.Kind != kind || e.Attribute != attribute || e.Message == "" {
		w.Errorf("%s: got %v; want %s about %q", what, err, kind, attribute)
	}
}

const (
	single = mqapi.DeploymentModeSingleInstance
	pair   = mqapi.DeploymentModeActiveStandbyMultiAz
)

func TestLifeOfASingleBroker(t *testing.T) {
	w := newWorld(t)
	r := request("payroll", single)
	r.Tags, r.Logs, r.SubnetIDs, r.StorageSize = map[string]string{"team": "hr"}, &mqapi.Logs{Audit: new(true)}, []string{"subnet-b"}, new(int32(30))
	r.MaintenanceWindowStartTime = &mqapi.WeeklyStartTime{DayOfWeek: mqapi.DayOfWeekTuesday, TimeOfDay: "22:45", TimeZone: new("Europe/Berlin")}
	answer, err := w.CreateBroker(t.Context(), w.me, r)
	if err != nil {
		t.Fatal(err)
	}
	id := *answer.BrokerID
	if want := "arn:aws:mq:eu-central-1:123456789012:broker:payroll:" + id; *answer.BrokerARN != want || !strings.HasPrefix(id, "b-") {
		t.Errorf("ARN %s, want %s", *answer.BrokerARN, want)
	}
	if d := w.describe(id); *d.BrokerState != mqapi.BrokerStateCreationInProgress || *d.BrokerInstances[0].Active {
		t.Errorf("at first: state %s, instances %+v", *d.BrokerState, d.BrokerInstances)
	}
	w.work()
	d := w.describe(id)
	switch {
	case *d.BrokerState != mqapi.BrokerStateRunning || len(d.ActionsRequired) != 0:
		t.Errorf("state %s, actions %v", *d.BrokerState, d.ActionsRequired)
	case *d.EngineVersion != "5.19" || *d.EngineType != "ActiveMQ" || *d.DeploymentMode != single || *d.StorageSize != 30 || *d.StorageType != "efs" || *d.AuthenticationStrategy != "simple":
		t.Errorf("described as %s %s %s %d %s %s", *d.EngineVersion, *d.EngineType, *d.DeploymentMode, *d.StorageSize, *d.StorageType, *d.AuthenticationStrategy)
	case *d.MaintenanceWindowStartTime.TimeZone != "Europe/Berlin" || d.MaintenanceWindowStartTime.DayOfWeek != "TUESDAY" || d.MaintenanceWindowStartTime.TimeOfDay != "22:45":
		t.Errorf("maintenance window %+v", d.MaintenanceWindowStartTime)
	case !slices.Equal(d.SubnetIDs, []string{"subnet-b"}) || d.Tags["team"] != "hr" || !*d.Logs.Audit || d.Logs.General || *d.Logs.AuditLogGroup != "/aws/amazonmq/broker/"+id+"/audit":
		t.Errorf("subnets %v, tags %v, logs %+v", d.SubnetIDs, d.Tags, d.Logs)
	case len(d.Users) != 1 || d.Users[0].Username != "ann" || d.Users[0].PendingChange != nil:
		t.Errorf("users %+v", d.Users)
	case len(d.BrokerInstances) != 1 || !*d.BrokerInstances[0].Active || d.BrokerInstances[0].ActiveSince == nil:
		t.Errorf("instances %+v", d.BrokerInstances)
	case *d.Configurations.Current.Revision != 1 || d.Configurations.Pending != nil || len(d.Configurations.History) != 0:
		t.Errorf("configurations %+v", d.Configurations)
	}
	ip := *d.BrokerInstances[0].IPAddress
	if want := []string{"ssl://" + ip + ":61617", "stomp+ssl://" + ip + ":61614"}; !strings.HasPrefix(ip, "127.0.65.") || !slices.Equal(d.BrokerInstances[0].Endpoints, want) {
		t.Errorf("endpoints %v, want %v", d.BrokerInstances[0].Endpoints, want)
	}

	// A new version waits, as with Amazon MQ; all else is there at once.
	update := &mqapi.UpdateBrokerRequest{BrokerID: id, EngineVersion: new("5.18"), HostInstanceType: new("mq.m5.xlarge"), StorageSize: new(int32(40)), Logs: &mqapi.Logs{General: new(true)}, AutoMinorVersionUpgrade: new(true),
		MaintenanceWindowStartTime: &mqapi.WeeklyStartTime{DayOfWeek: mqapi.DayOfWeekFriday, TimeOfDay: "01:00"}}
	update.Plan = new(true)
	planned, err := w.UpdateBroker(t.Context(), w.me, update)
	if err != nil || !strings.HasPrefix(*planned.Cost, "restart: no, failover: no; at ") || !strings.HasSuffix(*planned.Cost, "restart: 1, failover: no") || *w.describe(id).HostInstanceType != "mq.m5.large" {
		t.Errorf("plan: cost %v, %v", planned, err)
	}
	update.Plan = nil
	updated, err := w.UpdateBroker(t.Context(), w.me, update)
	if err != nil || *updated.EngineVersion != "5.18" || *updated.Cost != *planned.Cost {
		t.Fatalf("update: %+v, %v", updated, err)
	}
	if d := w.describe(id); *d.EngineVersion != "5.19" || *d.PendingEngineVersion != "5.18" || *d.HostInstanceType != "mq.m5.xlarge" || d.PendingHostInstanceType != nil || *d.StorageSize != 40 ||
		!d.Logs.General || !*d.Logs.Audit || d.Logs.Pending != nil || !*d.AutoMinorVersionUpgrade || d.MaintenanceWindowStartTime.DayOfWeek != "FRIDAY" || *d.BrokerState != "RUNNING" {
		t.Errorf("after the update %+v, logs %+v", d, d.Logs)
	}
	if err := w.RebootBroker(t.Context(), w.me, &mqapi.RebootBrokerRequest{BrokerID: id}); err != nil {
		t.Fatal(err)
	}
	if d := w.describe(id); *d.BrokerState != mqapi.BrokerStateRebootInProgress {
		t.Errorf("right after the answer the state is %s; a waiter would think it is done", *d.BrokerState)
	}
	w.refused("a reboot during a reboot", w.RebootBroker(t.Context(), w.me, &mqapi.RebootBrokerRequest{BrokerID: id}), mqapi.Conflict, "broker-id")
	w.work()
	if d := w.describe(id); *d.BrokerState != "RUNNING" || *d.EngineVersion != "5.18" || d.PendingEngineVersion != nil {
		t.Errorf("after the reboot %s, version %s, pending %v", *d.BrokerState, *d.EngineVersion, d.PendingEngineVersion)
	}
	if _, err := w.DeleteBroker(t.Context(), w.me, &mqapi.DeleteBrokerRequest{BrokerID: id}); err != nil {
		t.Fatal(err)
	}
	if d := w.describe(id); *d.BrokerState != mqapi.BrokerStateDeletionInProgress {
		t.Errorf("state %s", *d.BrokerState)
	}
	w.refused("a user of one that goes", w.CreateUser(t.Context(), w.me, &mqapi.CreateUserRequest{BrokerID: id, Username: "bob", Password: "correct horse"}), mqapi.Conflict, "broker-id")
	w.work()
	_, err = w.DescribeBroker(t.Context(), w.me, &mqapi.DescribeBrokerRequest{BrokerID: id})
	w.refused("after the deletion", err, mqapi.NotFound, "broker-id")
	// Its default configuration stays; another broker of the name gets one of its own.
	w.create("payroll", single)
}

func TestPair(t *testing.T) {
	w := newWorld(t)
	id := w.create("orders", single)
	// A single broker becomes a pair, and says before what that costs.
	update := &mqapi.UpdateBrokerRequest{BrokerID: id, DeploymentMode: new(pair)}
	updated, err := w.UpdateBroker(t.Context(), w.me, update)
	if err != nil || !strings.Contains(*updated.Cost, "clients reconnect: 1 times") {
		t.Fatalf("%+v, %v", updated, err)
	}
	w.work()
	d := w.describe(id)
	if *d.DeploymentMode != pair || len(d.BrokerInstances) != 2 || !*d.BrokerInstances[0].Active || *d.BrokerInstances[1].Active || d.BrokerInstances[1].ActiveSince != nil || len(d.SubnetIDs) != 2 {
		t.Fatalf("instances %+v, subnets %v", d.BrokerInstances, d.SubnetIDs)
	}

	asked := plane.Spec{}
	w.options.Stranded = func(_ context.Context, active plane.Spec) ([]mqapi.SwitchoverClient, error) {
		asked = active
		return []mqapi.SwitchoverClient{{Service: new("billing"), Reasons: []string{"no failover: URL"}}}, nil
	}
	plan, err := w.SwitchoverBroker(t.Context(), w.me, &mqapi.SwitchoverBrokerRequest{BrokerID: id, Plan: new(true)})
	if err != nil || *plan.From != id+"-1" || *plan.Instance != id+"-2" || len(plan.Clients) != 1 || asked.Number != 1 || !asked.Cluster {
		t.Errorf("plan %+v, %v; asked %d", plan, err, asked.Number)
	}
	w.options.Stranded = func(context.Context, plane.Spec) ([]mqapi.SwitchoverClient, error) {
		return nil, errors.New("it is silent")
	}
	_, err = w.SwitchoverBroker(t.Context(), w.me, &mqapi.SwitchoverBrokerRequest{BrokerID: id, Plan: new(true)})
	w.refused("an instance that does not answer", err, mqapi.Conflict, "")
	w.options.Stranded = nil
	if plan, err = w.SwitchoverBroker(t.Context(), w.me, &mqapi.SwitchoverBrokerRequest{BrokerID: id, Plan: new(true)}); err != nil || plan.Clients != nil {
		t.Errorf("where nobody can tell: %+v, %v", plan, err)
	}
	if d := w.describe(id); !*d.BrokerInstances[0].Active {
		t.Error("a plan has switched over")
	}
	if _, err := w.SwitchoverBroker(t.Context(), w.me, &mqapi.SwitchoverBrokerRequest{BrokerID: id}); err != nil {
		t.Fatal(err)
	}
	w.work()
	if d := w.describe(id); *d.BrokerInstances[0].Active || !*d.BrokerInstances[1].Active || *d.BrokerState != "RUNNING" {
		t.Errorf("after the switchover %+v", d.BrokerInstances)
	}
	if _, err := w.SwitchoverBroker(t.Context(), w.me, &mqapi.SwitchoverBrokerRequest{BrokerID: id, Instance: new(id + "-2")}); err != nil {
		t.Errorf("to the one that is active: %v", err)
	}
	alone := w.create("alone", single)
	_, err = w.SwitchoverBroker(t.Context(), w.me, &mqapi.SwitchoverBrokerRequest{BrokerID: alone})
	w.refused("of a single broker", err, mqapi.BadRequest, "broker-id")

	// A broker that is not well says what is wrong.
	b := w.plane.State().Broker(plane.Scope{}, id)
	w.command(plane.Observed{Broker: id, Number: 1, Generation: b.Instance(1).Generation, Up: false, Detail: "the disk is gone"})
	if d := w.describe(id); *d.BrokerState != mqapi.BrokerStateCriticalActionRequired || len(d.ActionsRequired) != 1 || *d.ActionsRequired[0].ActionRequiredCode != "INSTANCE_DOWN" ||
		!strings.Contains(*d.ActionsRequired[0].ActionRequiredInfo, "the disk is gone") {
		t.Errorf("%s, %+v", *d.BrokerState, d.ActionsRequired)
	}
}

// A creation that fails says why, and the broker can only be deleted.
func TestCreationFails(t *testing.T) {
	w := newWorld(t)
	answer, err := w.CreateBroker(t.Context(), w.me, request("payroll", single))
	if err != nil {
		t.Fatal(err)
	}
	for attempt := range 5 {
		for _, e := range w.plane.State().Work() {
			w.command(plane.StepFailed{Broker: e.Spec.Broker, Step: e.Step, Attempt: attempt, Error: "no memory"})
		}
	}
	w.work()
	d := w.describe(*answer.BrokerID)
	if *d.BrokerState != mqapi.BrokerStateCreationFailed || len(d.ActionsRequired) != 1 || *d.ActionsRequired[0].ActionRequiredCode != "CREATION_FAILED" || !strings.Contains(*d.ActionsRequired[0].ActionRequiredInfo, "no memory") {
		t.Errorf("%s, %+v", *d.BrokerState, d.ActionsRequired)
	}
	if _, err := w.DeleteBroker(t.Context(), w.me, &mqapi.DeleteBrokerRequest{BrokerID: *answer.BrokerID}); err != nil {
		t.Error(err)
	}
}

// The same token means the same broker, although hashes of passwords differ each time; with another request it is refused.
func TestCreatorRequestID(t *testing.T) {
	w := newWorld(t)
	r := request("payroll", single)
	r.CreatorRequestID = new("token")
	first, err := w.CreateBroker(t.Context(), w.me, r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.CreateBroker(t.Context(), w.me, r)
	if err != nil || *again.BrokerID != *first.BrokerID {
		t.Errorf("the repeat: %+v, %v", again, err)
	}
	r.Users[0].Password = "another horse"
	_, err = w.CreateBroker(t.Context(), w.me, r)
	w.refused("another request with the token", err, mqapi.Conflict, "creatorRequestId")
	if n := len(w.plane.State().Brokers(plane.Scope{})); n != 1 {
		t.Errorf("there are %d brokers", n)
	}
	for _, record := range w.plane.State().Snapshot() {
		if strings.Contains(string(record), "horse") {
			t.Error("a password is in the log")
		}
	}
}

func TestUsers(t *testing.T) {
	w := newWorld(t)
	id := w.create("payroll", single)
	spec := func() plane.Spec {
		return w.plane.State().OnNode(w.plane.State().Broker(plane.Scope{}, id).Instances[0].Node)[0]
	}
	version := spec().Version
	if err := w.CreateUser(t.Context(), w.me, &mqapi.CreateUserRequest{BrokerID: id, Username: "bob", Password: "correct horse", Groups: []string{"staff"}, ConsoleAccess: new(true)}); err != nil {
		t.Fatal(err)
	}
	made := spec()
	if made.Version <= version || !strings.HasPrefix(made.Users["bob"].Hash, "$argon2id$") {
		t.Errorf("version %d after %d, user %+v", made.Version, version, made.Users["bob"])
	}
	u, err := w.DescribeUser(t.Context(), w.me, &mqapi.DescribeUserRequest{BrokerID: id, Username: "bob"})
	if err != nil || !*u.ConsoleAccess || !slices.Equal(u.Groups, []string{"staff"}) || u.Pending != nil {
		t.Errorf("%+v, %v", u, err)
	}
	if err := w.UpdateUser(t.Context(), w.me, &mqapi.UpdateUserRequest{BrokerID: id, Username: "bob", Groups: []string{}}); err != nil {
		t.Fatal(err)
	}
	if now := spec().Users["bob"]; len(now.Groups) != 0 || now.Hash != made.Users["bob"].Hash || !now.Console {
		t.Errorf("without groups %+v", now)
	}
	if err := w.UpdateUser(t.Context(), w.me, &mqapi.UpdateUserRequest{BrokerID: id, Username: "bob", Password: new("another horse")}); err != nil || spec().Users["bob"].Hash == made.Users["bob"].Hash {
		t.Errorf("a new password: %v", err)
	}
	list, err := w.ListUsers(t.Context(), w.me, &mqapi.ListUsersRequest{BrokerID: id})
	if err != nil || len(list.Users) != 2 || list.Users[0].Username != "ann" || list.NextToken != nil {
		t.Errorf("%+v, %v", list, err)
	}
	w.refused("one that exists", w.CreateUser(t.Context(), w.me, &mqapi.CreateUserRequest{BrokerID: id, Username: "bob", Password: "correct horse"}), mqapi.Conflict, "username")
	if err := w.DeleteUser(t.Context(), w.me, &mqapi.DeleteUserRequest{BrokerID: id, Username: "bob"}); err != nil {
		t.Fatal(err)
	}
	w.refused("an update of nobody", w.UpdateUser(t.Context(), w.me, &mqapi.UpdateUserRequest{BrokerID: id, Username: "bob"}), mqapi.NotFound, "username")
	w.refused("a deletion of nobody", w.DeleteUser(t.Context(), w.me, &mqapi.DeleteUserRequest{BrokerID: id, Username: "bob"}), mqapi.NotFound, "username")
	_, err = w.DescribeUser(t.Context(), w.me, &mqapi.DescribeUserRequest{BrokerID: id, Username: "bob"})
	w.refused("a description of nobody", err, mqapi.NotFound, "username")
}

func TestConfigurations(t *testing.T) {
	w := newWorld(t)
	made, err := w.CreateConfiguration(t.Context(), w.me, &mqapi.CreateConfigurationRequest{Name: "strict", EngineType: mqapi.EngineTypeActiveMQ, Tags: map[string]string{"team": "hr"}})
	if err != nil || *made.ARN != "arn:aws:mq:eu-central-1:123456789012:configuration:"+*made.ID || made.LatestRevision.Revision != 1 {
		t.Fatalf("%+v, %v", made, err)
	}
	_, err = w.CreateConfiguration(t.Context(), w.me, &mqapi.CreateConfigurationRequest{Name: "strict", EngineType: mqapi.EngineTypeActiveMQ})
	w.refused("the same name", err, mqapi.Conflict, "name")

	// The bytes stay as they are; what is not honoured is told.
	data := `<broker xmlns="http://activemq.apache.org/schema/core" useJmx="false">

  <plugins><forcePersistencyModeBrokerPlugin persistenceFlag="true"/></plugins>
  <destinationPolicy><policyMap><policyEntries><policyEntry queue="&gt;" gcInactiveDestinations="true"/></policyEntries></policyMap></destinationPolicy>
</broker>`
	updated, err := w.UpdateConfiguration(t.Context(), w.me, &mqapi.UpdateConfigurationRequest{ConfigurationID: *made.ID, Data: base64.StdEncoding.EncodeToString([]byte(data)), Description: new("second")})
	if err != nil || updated.LatestRevision.Revision != 2 {
		t.Fatalf("%+v, %v", updated, err)
	}
	if len(updated.Warnings) != 1 || *updated.Warnings[0].ElementName != "forcePersistencyModeBrokerPlugin" || updated.Warnings[0].Reason != mqapi.SanitizationWarningReasonDisallowedElementRemoved {
		t.Errorf("warnings %+v", updated.Warnings)
	}
	rev, err := w.DescribeConfigurationRevision(t.Context(), w.me, &mqapi.DescribeConfigurationRevisionRequest{ConfigurationID: *made.ID, ConfigurationRevision: "2"})
	if err != nil || *rev.Data != base64.StdEncoding.EncodeToString([]byte(data)) || *rev.Description != "second" {
		t.Errorf("%+v, %v", rev, err)
	}
	for _, number := range []string{"3", "99999999999999999999"} {
		_, err = w.DescribeConfigurationRevision(t.Context(), w.me, &mqapi.DescribeConfigurationRevisionRequest{ConfigurationID: *made.ID, ConfigurationRevision: number})
		w.refused("revision "+number, err, mqapi.NotFound, "configuration-revision")
	}
	for name, text := range map[string]string{"no XML": "hello", "no broker": "<beans/>", "an entity": `<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><broker>&a;</broker>`} {
		_, err = w.UpdateConfiguration(t.Context(), w.me, &mqapi.UpdateConfigurationRequest{ConfigurationID: *made.ID, Data: base64.StdEncoding.EncodeToString([]byte(text))})
		w.refused(name, err, mqapi.BadRequest, "data")
	}
	revisions, err := w.ListConfigurationRevisions(t.Context(), w.me, &mqapi.ListConfigurationRevisionsRequest{ConfigurationID: *made.ID})
	if err != nil || len(revisions.Revisions) != 2 || revisions.Revisions[1].Revision != 2 {
		t.Errorf("%+v, %v", revisions, err)
	}
	d, err := w.DescribeConfiguration(t.Context(), w.me, &mqapi.DescribeConfigurationRequest{ConfigurationID: *made.ID})
	if err != nil || d.LatestRevision.Revision != 2 || *d.Name != "strict" || d.Tags["team"] != "hr" || *d.EngineVersion != "5.19" {
		t.Errorf("%+v, %v", d, err)
	}

	// A broker takes it live, and it cannot go then.
	id := w.create("payroll", single)
	was := w.describe(id).Configurations.Current
	answer, err := w.UpdateBroker(t.Context(), w.me, &mqapi.UpdateBrokerRequest{BrokerID: id, Configuration: &mqapi.ConfigurationID{ID: *made.ID}})
	if err != nil || *answer.Configuration.Revision != 2 || *answer.Cost != "restart: no, failover: no" {
		t.Fatalf("%+v, %v", answer, err)
	}
	if c := w.describe(id).Configurations; c.Current.ID != *made.ID || *c.Current.Revision != 2 || c.Pending != nil || len(c.History) != 1 || c.History[0].ID != was.ID {
		t.Errorf("%+v", c)
	}
	_, err = w.UpdateBroker(t.Context(), w.me, &mqapi.UpdateBrokerRequest{BrokerID: id, Configuration: &mqapi.ConfigurationID{ID: *made.ID, Revision: new(int32(9))}})
	w.refused("a revision that there is not", err, mqapi.BadRequest, "configuration")
	_, err = w.DeleteConfiguration(t.Context(), w.me, &mqapi.DeleteConfigurationRequest{ConfigurationID: *made.ID})
	w.refused("one that is in use", err, mqapi.Conflict, "configuration-id")
	if _, err = w.DeleteConfiguration(t.Context(), w.me, &mqapi.DeleteConfigurationRequest{ConfigurationID: was.ID}); err != nil {
		t.Error(err)
	}
}

func TestTags(t *testing.T) {
	w := newWorld(t)
	id := w.create("payroll", single)
	conf := w.describe(id).Configurations.Current.ID
	for _, arn := range []string{w.me.BrokerARN("payroll", id), w.me.ConfigurationARN(conf)} {
		if err := w.CreateTags(t.Context(), w.me, &mqapi.CreateTagsRequest{ResourceARN: arn, Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
			t.Fatal(err)
		}
		if err := w.DeleteTags(t.Context(), w.me, &mqapi.DeleteTagsRequest{ResourceARN: arn, TagKeys: []string{"a", "none"}}); err != nil {
			t.Fatal(err)
		}
		list, err := w.ListTags(t.Context(), w.me, &mqapi.ListTagsRequest{ResourceARN: arn})
		if err != nil || len(list.Tags) != 1 || list.Tags["b"] != "2" {
			t.Errorf("%s: %+v, %v", arn, list, err)
		}
	}
	if d := w.describe(id); d.Tags["b"] != "2" {
		t.Errorf("described with %v", d.Tags)
	}
}

// What does not exist is not found, by whatever operation, and neither is what is another account's or region's.
func TestNotFound(t *testing.T) {
	w := newWorld(t)
	id := w.create("payroll", pair)
	conf := w.describe(id).Configurations.Current.ID
	elsewhere, other := w.me, w.me
	elsewhere.Region, other.Account = "us-east-1", "210987654321"
	for name, who := range map[string]struct {
		mqapi.Caller
		id, conf string
	}{"nothing": {w.me, durable.NewID("b"), durable.NewID("c")}, "another region": {elsewhere, id, conf}, "another account": {other, id, conf}} {
		c, b, k, ctx := who.Caller, who.id, who.conf, t.Context()
		data := base64.StdEncoding.EncodeToString([]byte(defaultData))
		for operation, call := range map[string]func() error{
			"DescribeBroker": func() error {
				_, err := w.DescribeBroker(ctx, c, &mqapi.DescribeBrokerRequest{BrokerID: b})
				return err
			},
			"UpdateBroker": func() error { _, err := w.UpdateBroker(ctx, c, &mqapi.UpdateBrokerRequest{BrokerID: b}); return err },
			"DeleteBroker": func() error { _, err := w.DeleteBroker(ctx, c, &mqapi.DeleteBrokerRequest{BrokerID: b}); return err },
			"RebootBroker": func() error { return w.RebootBroker(ctx, c, &mqapi.RebootBrokerRequest{BrokerID: b}) },
			"SwitchoverBroker": func() error {
				_, err := w.SwitchoverBroker(ctx, c, &mqapi.SwitchoverBrokerRequest{BrokerID: b})
				return err
			},
			"CreateUser": func() error {
				return w.CreateUser(ctx, c, &mqapi.CreateUserRequest{BrokerID: b, Username: "bob", Password: "correct horse"})
			},
			"UpdateUser": func() error { return w.UpdateUser(ctx, c, &mqapi.UpdateUserRequest{BrokerID: b, Username: "ann"}) },
			"DeleteUser": func() error { return w.DeleteUser(ctx, c, &mqapi.DeleteUserRequest{BrokerID: b, Username: "ann"}) },
			"DescribeUser": func() error {
				_, err := w.DescribeUser(ctx, c, &mqapi.DescribeUserRequest{BrokerID: b, Username: "ann"})
				return err
			},
			"ListUsers": func() error { _, err := w.ListUsers(ctx, c, &mqapi.ListUsersRequest{BrokerID: b}); return err },
		} {
			w.refused(name+": "+operation, call(), mqapi.NotFound, "broker-id")
		}
		for operation, call := range map[string]func() error{
			"DescribeConfiguration": func() error {
				_, err := w.DescribeConfiguration(ctx, c, &mqapi.DescribeConfigurationRequest{ConfigurationID: k})
				return err
			},
			"UpdateConfiguration": func() error {
				_, err := w.UpdateConfiguration(ctx, c, &mqapi.UpdateConfigurationRequest{ConfigurationID: k, Data: data})
				return err
			},
			"DeleteConfiguration": func() error {
				_, err := w.DeleteConfiguration(ctx, c, &mqapi.DeleteConfigurationRequest{ConfigurationID: k})
				return err
			},
			"DescribeConfigurationRevision": func() error {
				_, err := w.DescribeConfigurationRevision(ctx, c, &mqapi.DescribeConfigurationRevisionRequest{ConfigurationID: k, ConfigurationRevision: "1"})
				return err
			},
			"ListConfigurationRevisions": func() error {
				_, err := w.ListConfigurationRevisions(ctx, c, &mqapi.ListConfigurationRevisionsRequest{ConfigurationID: k})
				return err
			},
		} {
			w.refused(name+": "+operation, call(), mqapi.NotFound, "configuration-id")
		}
		arn := c.BrokerARN("payroll", b)
		w.refused(name+": CreateTags", w.CreateTags(ctx, c, &mqapi.CreateTagsRequest{ResourceARN: arn, Tags: map[string]string{"a": "b"}}), mqapi.NotFound, "resource-arn")
		w.refused(name+": DeleteTags", w.DeleteTags(ctx, c, &mqapi.DeleteTagsRequest{ResourceARN: arn, TagKeys: []string{"a"}}), mqapi.NotFound, "resource-arn")
		_, err := w.ListTags(ctx, c, &mqapi.ListTagsRequest{ResourceARN: arn})
		w.refused(name+": ListTags", err, mqapi.NotFound, "resource-arn")
		if list, err := w.ListBrokers(ctx, c, &mqapi.ListBrokersRequest{}); err != nil || (c != w.me) && len(list.BrokerSummaries) != 0 {
			t.Errorf("%s: lists %+v, %v", name, list, err)
		}
		if list, err := w.ListConfigurations(ctx, c, &mqapi.ListConfigurationsRequest{}); err != nil || (c != w.me) && len(list.Configurations) != 0 {
			t.Errorf("%s: lists %+v, %v", name, list, err)
		}
	}
}

// What a broker cannot be made of is refused by the name of the member.
func TestCreateRefused(t *testing.T) {
	w := newWorld(t)
	w.create("payroll", single)
	for name, tt := range map[string]struct {
		change    func(*mqapi.CreateBrokerRequest)
		kind      mqapi.Kind
		attribute string
	}{
		"name":           {func(r *mqapi.CreateBrokerRequest) { r.BrokerName = "payroll" }, mqapi.Conflict, "brokerName"},
		"type":           {func(r *mqapi.CreateBrokerRequest) { r.HostInstanceType = "mq.x9.huge" }, mqapi.BadRequest, "hostInstanceType"},
		"version":        {func(r *mqapi.CreateBrokerRequest) { r.EngineVersion = new("4.0") }, mqapi.BadRequest, "engineVersion"},
		"subnet":         {func(r *mqapi.CreateBrokerRequest) { r.SubnetIDs = []string{"subnet-z"} }, mqapi.BadRequest, "subnetIds"},
		"security group": {func(r *mqapi.CreateBrokerRequest) { r.SecurityGroups = []string{"sg-none"} }, mqapi.BadRequest, "securityGroups"},
		"configuration":  {func(r *mqapi.CreateBrokerRequest) { r.Configuration = &mqapi.ConfigurationID{ID: "c-none"} }, mqapi.BadRequest, "configuration"},
		"no users":       {func(r *mqapi.CreateBrokerRequest) { r.Users = nil }, mqapi.BadRequest, "users"},
		"a user twice":   {func(r *mqapi.CreateBrokerRequest) { r.Users = append(r.Users, r.Users[0]) }, mqapi.Conflict, "username"},
		"password":       {func(r *mqapi.CreateBrokerRequest) { r.Users[0].Password = "" }, mqapi.BadRequest, "users[0].password"},
		"window": {func(r *mqapi.CreateBrokerRequest) {
			r.MaintenanceWindowStartTime = &mqapi.WeeklyStartTime{DayOfWeek: "MONDAY", TimeOfDay: "25:00"}
		}, mqapi.BadRequest, "maintenanceWindowStartTime"},
	} {
		r := request("another", single)
		tt.change(r)
		_, err := w.CreateBroker(t.Context(), w.me, r)
		w.refused(name, err, tt.kind, tt.attribute)
	}
	if n := len(w.plane.State().Brokers(plane.Scope{})); n != 1 {
		t.Errorf("there are %d brokers", n)
	}
}

// Pages are cut from lists in the order of ids, and go on where they ended.
func TestPages(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for n := range 12 {
		made, err := w.CreateConfiguration(t.Context(), w.me, &mqapi.CreateConfigurationRequest{Name: fmt.Sprint("c", n), EngineType: mqapi.EngineTypeActiveMQ})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, *made.ID)
	}
	slices.Sort(ids)
	var got []string
	ask := &mqapi.ListConfigurationsRequest{MaxResults: new(int32(5))}
	for pages := 1; ; pages++ {
		list, err := w.ListConfigurations(t.Context(), w.me, ask)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list.Configurations {
			got = append(got, c.ID)
		}
		if ask.NextToken = list.NextToken; ask.NextToken == nil {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("got %v, want %v", got, ids)
	}
	id := w.create("payroll", single)
	list, err := w.ListBrokers(t.Context(), w.me, &mqapi.ListBrokersRequest{})
	if err != nil || len(list.BrokerSummaries) != 1 || *list.BrokerSummaries[0].BrokerID != id || *list.BrokerSummaries[0].BrokerState != "RUNNING" || *list.BrokerSummaries[0].BrokerARN != w.me.BrokerARN("payroll", id) {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestCatalog(t *testing.T) {
	w := newWorld(t)
	w.command(plane.PutInstanceType{Type: plane.InstanceType{Name: "mq.own.tiny", MemoryBytes: 128 << 20, Connections: 10, StorageGB: 1}})
	types, err := w.DescribeBrokerEngineTypes(t.Context(), w.me, &mqapi.DescribeBrokerEngineTypesRequest{EngineType: new("activemq")})
	if err != nil || len(types.BrokerEngineTypes) != 1 || len(types.BrokerEngineTypes[0].EngineVersions) != 2 || *types.BrokerEngineTypes[0].EngineVersions[0].Name != "5.19" {
		t.Errorf("%+v, %v", types, err)
	}
	options, err := w.DescribeBrokerInstanceOptions(t.Context(), w.me, &mqapi.DescribeBrokerInstanceOptionsRequest{HostInstanceType: new("mq.m5.large")})
	if err != nil || len(options.BrokerInstanceOptions) != 2 {
		t.Fatalf("%+v, %v", options, err)
	}
	ebs, efs := options.BrokerInstanceOptions[0], options.BrokerInstanceOptions[1]
	if *ebs.StorageType != "ebs" || !slices.Equal(ebs.SupportedDeploymentModes, []mqapi.DeploymentMode{single}) || !slices.Equal(efs.SupportedDeploymentModes, []mqapi.DeploymentMode{single, pair}) ||
		len(efs.AvailabilityZones) != 3 || *efs.AvailabilityZones[0].Name != "eu-central-1a" {
		t.Errorf("%+v and %+v", ebs, efs)
	}
	efsOnly, err := w.DescribeBrokerInstanceOptions(t.Context(), w.me, &mqapi.DescribeBrokerInstanceOptionsRequest{StorageType: new("EFS"), MaxResults: new(int32(100))})
	if err != nil || len(efsOnly.BrokerInstanceOptions) != len(w.plane.State().InstanceTypes()) {
		t.Errorf("%d options, %v", len(efsOnly.BrokerInstanceOptions), err)
	}
	if c := w.Catalog(); !slices.ContainsFunc(c.InstanceTypes, func(t mqapi.InstanceType) bool { return t.Name == "mq.own.tiny" }) || !slices.Equal(c.EngineVersions, []string{"5.19", "5.18"}) {
		t.Errorf("catalog %+v", c)
	}
}

func TestOperator(t *testing.T) {
	w := newWorld(t)
	key, err := w.CreateKey(t.Context(), "root", "127.0.0.1:1", api.NewKey{Note: "terraform"})
	if err != nil || key.Account != "000000000000" || len(key.Secret) < 32 || key.Region != "eu-central-1" {
		t.Fatalf("%+v, %v", key, err)
	}
	if found, err := w.Secret(t.Context(), key.ID); err != nil || found.Secret != key.Secret || found.Account != key.Account || found.Disabled {
		t.Errorf("%+v, %v", found, err)
	}
	if err := w.EnableKey(t.Context(), "root", "", key.ID, false); err != nil {
		t.Fatal(err)
	}
	if found, err := w.Secret(t.Context(), key.ID); err != nil || !found.Disabled {
		t.Errorf("disabled: %+v, %v", found, err)
	}
	if keys, err := w.Keys(); err != nil || len(keys) != 1 || !keys[0].Disabled || keys[0].Note != "terraform" {
		t.Errorf("%+v, %v", keys, err)
	}
	if err := w.DeleteKey(t.Context(), "root", "", key.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Secret(t.Context(), key.ID); !errors.Is(err, mqapi.ErrUnknownKey) {
		t.Errorf("deleted: %v", err)
	}
	wants := func(what string, err error, status int) {
		t.Helper()
		var e *api.Error
		if !errors.As(err, &e) || e.Status != status {
			t.Errorf("%s: got %v, want status %d", what, err, status)
		}
	}
	wants("a key that there is not", w.DeleteKey(t.Context(), "root", "", key.ID), 404)
	_, err = w.CreateKey(t.Context(), "root", "", api.NewKey{Account: "12"})
	wants("a wrong account", err, 400)

	id := w.create("payroll", pair)
	b, err := w.Broker("payroll")
	if err != nil || b.ID != id || b.Active != id+"-1" || len(b.Instances) != 3 || !b.Instances[2].Witness || b.Instances[2].Endpoints != nil || b.Instances[0].State != "up" || len(b.Instances[0].Endpoints) != 2 {
		t.Errorf("%+v, %v", b, err)
	}
	plan, err := w.SwitchOver(t.Context(), "root", "", "payroll", api.BrokerSwitchover{Plan: true})
	if err != nil || plan.Cost != "restart: no, failover: 1 to 2" || len(plan.Steps) != 1 || plan.Clients != nil {
		t.Errorf("%+v, %v", plan, err)
	}
	if _, err := w.SwitchOver(t.Context(), "root", "", "payroll", api.BrokerSwitchover{To: 2}); err != nil {
		t.Fatal(err)
	}
	if b, err := w.Broker(id); err != nil || b.Operation == nil || b.Operation.Kind != "switchover" || b.Operation.Who != "root" {
		t.Errorf("at work %+v, %v", b.Operation, err)
	}
	w.work()
	if b, err := w.Broker(id); err != nil || b.Active != id+"-2" || b.Operation != nil || b.Last.Operation != "switchover" {
		t.Errorf("%+v, %v", b, err)
	}
	_, err = w.Broker("none")
	wants("no broker", err, 404)
	w.me.Region = "us-east-1"
	w.create("payroll", single)
	_, err = w.Broker("payroll")
	wants("two of the name", err, 409)
	if list, err := w.Brokers(); err != nil || len(list) != 2 {
		t.Errorf("%d brokers, %v", len(list), err)
	}
}

// While the control plane cannot be asked, nothing is believed or promised.
func TestWithoutAPlane(t *testing.T) {
	w := newWorld(t)
	id := w.create("payroll", single)
	p := w.plane
	w.plane = nil
	defer func() { w.plane = p }()
	_, err := w.DescribeBroker(t.Context(), w.me, &mqapi.DescribeBrokerRequest{BrokerID: id})
	w.refused("describe", err, mqapi.InternalServerError, "")
	w.refused("reboot", w.RebootBroker(t.Context(), w.me, &mqapi.RebootBrokerRequest{BrokerID: id}), mqapi.InternalServerError, "")
	_, err = w.Secret(t.Context(), "GWIAEXAMPLE")
	w.refused("a key", err, mqapi.InternalServerError, "")
	var e *api.Error
	if _, err := w.Brokers(); !errors.As(err, &e) || e.Status != 503 {
		t.Errorf("brokers: %v", err)
	}
}
