package interop

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godwitmq/godwit/codec/stomp"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/control/mqapi"
	mqclient "github.com/godwitmq/godwit/control/mqapi/client"
)

// TestWishes applies each change that Amazon MQ makes its users rebuild or reboot for to a pair under load: no client is disconnected but where the plan said so, and no message is lost.
// It prints what each change cost.
func TestWishes(t *testing.T) {
	needSomething(t)
	b := startOwn(t, fmt.Sprintf("service: {enabled: true, addresses: 127.%d.%d.0/24, subnets: [subnet-a, subnet-b, subnet-c]}\n", 32+rand.IntN(200), rand.IntN(256)), brokerOptions{})
	s := &managedService{broker: b, binary: b.cmd.Path, api: strings.TrimSuffix(b.readyURL, "/readyz")}
	t.Cleanup(func() { s.endInstances(t) })
	remote, err := client.New(s.api, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	mq := mqclient.New(remote, "", "")
	made, err := mq.CreateBroker(t.Context(), &mqapi.CreateBrokerRequest{BrokerName: "wishes", DeploymentMode: mqapi.DeploymentModeActiveStandbyMultiAz, EngineType: mqapi.EngineTypeActiveMQ, EngineVersion: new("5.18"),
		HostInstanceType: "mq.t3.micro", SubnetIDs: []string{"subnet-a", "subnet-b"}, Users: []mqapi.User{{Username: "ann", Password: "correct horse 7", Groups: []string{"staff"}}}})
	if err != nil {
		t.Fatal(err)
	}
	id := *made.BrokerID
	s.runs(t, "wishes")

	load := newWishLoad(t, s)
	load.eventually(t, "messages flow")

	group, err := remote.CreateSecurityGroup(t.Context(), api.NewSecurityGroup{Name: "here", Rules: []api.NetworkRule{{Network: netip.MustParsePrefix("127.0.0.0/8")}}})
	if err != nil {
		t.Fatal(err)
	}
	described, err := mq.DescribeBroker(t.Context(), &mqapi.DescribeBrokerRequest{BrokerID: id})
	if err != nil {
		t.Fatal(err)
	}
	configuration := described.Configurations.Current.ID
	revise := func() *mqapi.ConfigurationID {
		xml := `<broker xmlns="http://activemq.apache.org/schema/core"><destinationPolicy><policyMap><policyEntries><policyEntry queue="big" memoryLimit="4mb"/></policyEntries></policyMap></destinationPolicy></broker>`
		done, err := mq.UpdateConfiguration(t.Context(), &mqapi.UpdateConfigurationRequest{ConfigurationID: configuration, Data: base64.StdEncoding.EncodeToString([]byte(xml))})
		if err != nil {
			t.Fatal(err)
		}
		return &mqapi.ConfigurationID{ID: configuration, Revision: &done.LatestRevision.Revision}
	}
	const live = "restart: no, failover: no"
	update := func(ask mqapi.UpdateBrokerRequest) func(bool) (string, error) {
		return func(plan bool) (string, error) {
			ask.BrokerID, ask.Plan = id, &plan
			done, err := mq.UpdateBroker(t.Context(), &ask)
			if err != nil {
				return "", err
			}
			return *done.Cost, nil
		}
	}
	// What is live by its nature has no plan of its own.
	plain := func(do func() error) func(bool) (string, error) {
		return func(plan bool) (string, error) {
			if plan {
				return live, nil
			}
			return live, do()
		}
	}
	for _, wish := range []struct {
		name string
		do   func(plan bool) (cost string, err error)
	}{
		{"a security group", update(mqapi.UpdateBrokerRequest{SecurityGroups: []string{group.ID}})},
		{"another rule in it", plain(func() error {
			_, err := remote.UpdateSecurityGroup(t.Context(), group.ID, api.ChangeSecurityGroup{Rules: &[]api.NetworkRule{{Network: netip.MustParsePrefix("127.0.0.0/8")}, {Network: netip.MustParsePrefix("10.0.0.0/8"), From: 61617}}})
			return err
		})},
		{"no security group", update(mqapi.UpdateBrokerRequest{SecurityGroups: []string{}})},
		{"another maintenance window", update(mqapi.UpdateBrokerRequest{MaintenanceWindowStartTime: &mqapi.WeeklyStartTime{DayOfWeek: mqapi.DayOfWeekTuesday, TimeOfDay: "03:00", TimeZone: new("Europe/Berlin")}})},
		{"logs", update(mqapi.UpdateBrokerRequest{Logs: &mqapi.Logs{General: new(true), Audit: new(true)}})},
		{"a user", plain(func() error {
			return mq.CreateUser(t.Context(), &mqapi.CreateUserRequest{BrokerID: id, Username: "bob", Password: "another horse 8"})
		})},
		{"a user's password and groups", plain(func() error {
			return mq.UpdateUser(t.Context(), &mqapi.UpdateUserRequest{BrokerID: id, Username: "bob", Password: new("a third horse 9"), Groups: []string{"staff"}})
		})},
		{"a user less", plain(func() error {
			return mq.DeleteUser(t.Context(), &mqapi.DeleteUserRequest{BrokerID: id, Username: "bob"})
		})},
		{"tags", plain(func() error {
			return mq.CreateTags(t.Context(), &mqapi.CreateTagsRequest{ResourceARN: *described.BrokerARN, Tags: map[string]string{"team": "pay"}})
		})},
		{"a configuration's revision", update(mqapi.UpdateBrokerRequest{Configuration: revise()})},
		{"a larger instance type", update(mqapi.UpdateBrokerRequest{HostInstanceType: new("mq.m5.medium")})},
		{"a smaller instance type", update(mqapi.UpdateBrokerRequest{HostInstanceType: new("mq.t3.small")})},
		{"storage", update(mqapi.UpdateBrokerRequest{StorageSize: new(int32(40))})},
		{"switchover", func(plan bool) (string, error) {
			done, err := remote.SwitchOverBroker(t.Context(), "wishes", api.BrokerSwitchover{Plan: plan})
			if err != nil {
				return "", err
			}
			return done.Cost, nil
		}},
		{"another subnet", update(mqapi.UpdateBrokerRequest{SubnetIDs: []string{"subnet-a", "subnet-c"}})},
		{"a single instance", update(mqapi.UpdateBrokerRequest{DeploymentMode: new(mqapi.DeploymentModeSingleInstance), SubnetIDs: []string{"subnet-a"}})},
		{"a pair again", update(mqapi.UpdateBrokerRequest{DeploymentMode: new(mqapi.DeploymentModeActiveStandbyMultiAz), SubnetIDs: []string{"subnet-a", "subnet-b"}})},
		{"a new version, in its window", update(mqapi.UpdateBrokerRequest{EngineVersion: new("5.19")})},
		{"the same by a reboot", func(plan bool) (string, error) {
			done, err := remote.RebootBroker(t.Context(), "wishes", api.BrokerReboot{Plan: plan, IfPending: true})
			if err != nil {
				return "", err
			}
			return done.Cost, nil
		}},
	} {
		if t.Failed() {
			break
		}
		said, err := wish.do(true)
		if err != nil {
			t.Fatalf("%s: plan: %v", wish.name, err)
		}
		before := load.cut.Load()
		cost, err := wish.do(false)
		if err != nil {
			t.Fatalf("%s: %v", wish.name, err)
		}
		s.settled(t, "wishes")
		load.eventually(t, wish.name)
		cut := load.cut.Load() - before
		t.Logf("%-32s %-60s %d of %d clients disconnected", wish.name, said, cut, load.clients)
		if cost != said {
			t.Errorf("%s: it cost %q, and the plan said %q", wish.name, cost, said)
		}
		now, _, _ := strings.Cut(said, ";") // what comes later is not now
		if now == live && cut > 0 {
			t.Errorf("%s: %d clients were disconnected, and the plan said %q", wish.name, cut, said)
		}
	}
	if audited, _ := filepath.Glob(filepath.Join(b.dataDir(), "instances", id+"-*", "log", "audit.log")); len(audited) < 2 {
		t.Errorf("logs.audit was asked for, and there are only %v", audited)
	}
	load.finish(t)
	if _, err := mq.DeleteBroker(t.Context(), &mqapi.DeleteBrokerRequest{BrokerID: id}); err != nil {
		t.Fatal(err)
	}
	eventuallyWithin(t, time.Minute, "the broker is not gone", func() bool {
		all, err := remote.Brokers(t.Context())
		return err == nil && len(all) == 1 && all[0].Own
	})
}

// settled waits until nothing is at work on a broker.
func (s *managedService) settled(t *testing.T, name string) {
	t.Helper()
	var b *api.Broker
	eventuallyWithin(t, 2*time.Minute, "the work on the broker does not end", func() bool {
		b = s.describe(t, name)
		return b.State == "RUNNING" && b.Operation == nil
	})
	if b.Last != nil && b.Last.Error != "" {
		t.Fatalf("%s was rolled back: %s", b.Last.Operation, b.Last.Error)
	}
}

// wishGroup are clients that do the same, until stop.
type wishGroup struct {
	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup
}

func (g *wishGroup) end() {
	g.stop()
	g.done.Wait()
}

// wishLoad are clients that send and receive all the while, and come back when they are disconnected.
type wishLoad struct {
	t                  *testing.T
	s                  *managedService
	clients            int
	cut                atomic.Int64 // disconnections
	sent               atomic.Int64 // confirmed sends
	senders, receivers wishGroup

	mu        sync.Mutex
	confirmed map[string]bool
	received  map[string]int
	doubled   []string // without a flag
	endpoints []string
}

const (
	wishSenders   = 4
	wishReceivers = 2
	wishQueue     = "/queue/wishes"
)

func newWishLoad(t *testing.T, s *managedService) *wishLoad {
	l := &wishLoad{t: t, s: s, clients: wishSenders + wishReceivers, confirmed: map[string]bool{}, received: map[string]int{}}
	l.look()
	for _, g := range []*wishGroup{&l.senders, &l.receivers} {
		g.ctx, g.stop = context.WithCancel(context.Background())
		t.Cleanup(g.end)
	}
	for i := range wishSenders {
		l.senders.done.Go(func() {
			n := 0
			l.always(l.senders.ctx, i, func(c *stompClient) error {
				text := fmt.Sprintf("%d of %d", n, i)
				n++ // another text after a disconnection: whether the one before was taken is not known
				if err := c.ask("SEND", text, "destination", wishQueue, "persistent", "true"); err != nil {
					return err
				}
				l.mu.Lock()
				l.confirmed[text] = true
				l.mu.Unlock()
				l.sent.Add(1)
				time.Sleep(5 * time.Millisecond)
				return nil
			}, nil)
		})
	}
	for i := range wishReceivers {
		l.receivers.done.Go(func() {
			l.always(l.receivers.ctx, i, func(c *stompClient) error {
				frame, err := c.next()
				if err != nil {
					return err
				}
				if frame.Command != stomp.Message {
					return fmt.Errorf("%s %s", frame.Command, frame.Body)
				}
				text := string(frame.Body)
				l.mu.Lock()
				if l.received[text]++; l.received[text] > 1 && frame.Headers.Value("redelivered") != "true" {
					l.doubled = append(l.doubled, text)
				}
				l.mu.Unlock()
				return c.write("ACK", "", "id", frame.Headers.Value("ack"))
			}, func(c *stompClient) error {
				return c.write("SUBSCRIBE", "", "destination", wishQueue, "id", "1", "ack", "client-individual", "activemq.prefetchSize", "10")
			})
		})
	}
	return l
}

// look finds the endpoints that there are.
func (l *wishLoad) look() {
	b := l.s.describe(l.t, "wishes")
	var all []string
	for _, i := range b.Instances {
		if len(i.Endpoints) > 1 {
			all = append(all, strings.TrimPrefix(i.Endpoints[1], "stomp+ssl://"))
		}
	}
	l.mu.Lock()
	l.endpoints = all
	l.mu.Unlock()
}

// always does something over a connection again and again, and makes another one, to the next endpoint, when it fails.
func (l *wishLoad) always(ctx context.Context, at int, do, first func(*stompClient) error) {
	for ; ctx.Err() == nil; at++ {
		l.mu.Lock()
		endpoint := l.endpoints[at%len(l.endpoints)]
		l.mu.Unlock()
		var c *stompClient
		conn, err := net.DialTimeout("tcp", endpoint, patience)
		if err == nil {
			c, err = connectStompOver(tls.Client(conn, &tls.Config{InsecureSkipVerify: true}), "login", "ann", "passcode", "correct horse 7")
		}
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		stop := context.AfterFunc(ctx, func() { c.conn.Close() })
		if first != nil {
			err = first(c)
		}
		for err == nil && ctx.Err() == nil {
			err = do(c)
		}
		stop()
		c.conn.Close()
		if ctx.Err() == nil {
			l.cut.Add(1)
		}
	}
}

// eventually waits until more messages have gone through all clients.
func (l *wishLoad) eventually(t *testing.T, when string) {
	t.Helper()
	l.look()
	before := l.sent.Load()
	eventuallyWithin(t, time.Minute, when+": no messages flow", func() bool { return l.sent.Load() > before+20*wishSenders })
}

// finish ends the load, when all that was confirmed has been received.
func (l *wishLoad) finish(t *testing.T) {
	t.Helper()
	l.senders.end()
	eventuallyWithin(t, time.Minute, "messages that were confirmed are missing", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for text := range l.confirmed {
			if l.received[text] == 0 {
				return false
			}
		}
		return true
	})
	l.receivers.end()
	t.Logf("%d messages were confirmed and received; %d came twice without a flag; %d disconnections in all", len(l.confirmed), len(l.doubled), l.cut.Load())
	if len(l.doubled) > 0 {
		t.Errorf("twice without a flag: %v", l.doubled)
	}
}
