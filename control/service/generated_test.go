package service

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
)

// Whatever is asked that the rules let through, in whatever state brokers are, the answer is a success or an error that says what is wrong with the request; never an internal
// one, nor a panic.
func TestGeneratedRequests(t *testing.T) {
	successes, refusals := map[string]int{}, map[string]int{}
	seeds := uint64(30)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		w := newWorld(t)
		g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), w: w}
		w.create("payroll", single)
		w.create("orders", pair)
		for range 60 {
			g.agents()
			name := g.of(operations...)
			method := reflect.ValueOf(w.Service).MethodByName(name)
			request := reflect.New(method.Type().In(2).Elem())
			g.fill(request.Elem(), "")
			if (mqapi.Rules{Catalog: w.Catalog}).Check(w.me, request.Interface()) != nil {
				continue // the handler refuses it
			}
			results := method.Call([]reflect.Value{reflect.ValueOf(t.Context()), reflect.ValueOf(w.me), request})
			err, _ := results[len(results)-1].Interface().(error)
			var e *mqapi.Error
			switch {
			case err == nil:
				successes[name]++
			case errors.As(err, &e) && e.Kind != mqapi.InternalServerError && e.Message != "":
				refusals[name]++
			default:
				t.Fatalf("seed %d: %s %+v: %v", seed, name, request.Interface(), err)
			}
		}
		w.close()
	}
	for _, name := range operations {
		if seeds > 5 && (successes[name] == 0 || refusals[name] == 0 && !strings.HasPrefix(name, "List") && !strings.HasPrefix(name, "DescribeBrokerE") && !strings.HasPrefix(name, "DescribeBrokerI")) {
			t.Errorf("%s: %d successes, %d refusals: what is generated is all right or all wrong", name, successes[name], refusals[name])
		}
	}
}

var operations = func() (names []string) {
	for name, op := range mqapi.Operations {
		if op.Refused == "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}()

// generator makes requests of what there is, mostly.
type generator struct {
	*rand.Rand
	w *world
}

func (g *generator) of(list ...string) string { return list[g.IntN(len(list))] }

// agents does what agents would, or does not, or fails.
func (g *generator) agents() {
	if g.IntN(3) > 0 {
		return
	}
	for _, e := range g.w.plane.State().Work() {
		switch {
		case e.Step == 0:
		case g.IntN(3) > 0:
			g.w.epoch++
			_, _ = g.w.plane.Do(g.w.Context(), plane.Origin{}, plane.StepDone{Broker: e.Spec.Broker, Step: e.Step, Epoch: g.w.epoch}) // stale, if it was the second of a broker
		default:
			_, _ = g.w.plane.Do(g.w.Context(), plane.Origin{}, plane.StepFailed{Broker: e.Spec.Broker, Step: e.Step, Attempt: e.Attempt, Error: "no"})
		}
	}
}

func (g *generator) brokerID() string {
	ids := []string{"b-00000000-0000-0000-0000-000000000000"}
	for _, b := range g.w.plane.State().Brokers(plane.Scope{}) {
		ids = append(ids, b.ID, b.ID, b.ID)
	}
	return g.of(ids...)
}

func (g *generator) configurationID() string {
	ids := []string{"c-00000000-0000-0000-0000-000000000000"}
	for _, c := range g.w.plane.State().Configurations(plane.Scope{}) {
		ids = append(ids, c.ID, c.ID, c.ID)
	}
	return g.of(ids...)
}

// fill gives a value to a member of a request, or leaves it out if it may be.
func (g *generator) fill(v reflect.Value, member string) {
	if slices.Contains(ruledOut, member) || (member == "subnetIds" || member == "securityGroups") && g.IntN(3) > 0 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if g.IntN(2) == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			g.fill(v.Elem(), member)
		}
	case reflect.Struct:
		for _, m := range mqapi.Members(v.Type()) {
			g.fill(v.FieldByName(m.Field), m.Wire)
		}
	case reflect.Slice:
		n := g.IntN(4)
		if member == "users" {
			n = 2
		}
		if n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n-1, n-1))
			for i := range n - 1 {
				g.fill(v.Index(i), member)
			}
		}
	case reflect.Map:
		if g.IntN(2) == 0 {
			v.Set(reflect.ValueOf(map[string]string{g.of("team", "cost", "a b"): g.of("", "pay", "1")}))
		}
	case reflect.Bool:
		v.SetBool(g.IntN(2) == 0)
	case reflect.Int32:
		v.SetInt(int64(g.IntN(12)))
	case reflect.String:
		v.SetString(g.text(v.Type(), member))
	default:
		panic(fmt.Sprintf("a member %s of kind %v", member, v.Kind()))
	}
}

// ruledOut are members that the rules refuse, whatever they say.
var ruledOut = []string{"ldapServerMetadata", "encryptionOptions", "dataReplicationPrimaryBrokerArn", "resourceShareArns", "replicationUser"}

var texts = map[string][]string{
	"username": {"ann", "bob", "carl"}, "password": {"correct horse", "another horse"}, "groups": {"staff", "admins"}, "brokerName": {"payroll", "orders", "third", "fourth"}, "name": {"one", "two", "three"},
	"hostInstanceType": {"mq.m5.large", "mq.t3.micro", "mq.t3.nano", "mq.m5.4xlarge"}, "engineVersion": {"5.19", "5.18"}, "subnetIds": {"subnet-a", "subnet-b", "subnet-c", "subnet-z"}, "securityGroups": {"sg-none"},
	"timeOfDay": {"00:00", "23:59"}, "timeZone": {"UTC", "GMT", "Europe/Berlin", "UTC+05:30", "-08:00"}, "creatorRequestId": {"one", "two"}, "description": {"", "why"}, "tagKeys": {"team", "cost"},
	"configuration-revision": {"1", "2", "3", "300"}, "engineType": {"activemq"}, "storageType": {"efs", "ebs"},
}

func (g *generator) text(of reflect.Type, member string) string {
	switch member {
	case "broker-id":
		return g.brokerID()
	case "configuration-id", "id":
		return g.configurationID()
	case "resource-arn":
		if g.IntN(2) == 0 {
			return g.w.me.BrokerARN("x", g.brokerID())
		}
		return g.w.me.ConfigurationARN(g.configurationID())
	case "instance":
		return g.brokerID() + g.of("-1", "-2")
	case "data":
		return base64.StdEncoding.EncodeToString([]byte(g.of(defaultData, "<broker/>", "<beans/>", "no XML", `<broker persistent="false" brokerName="x"><destinations><queue physicalName="a"/></destinations></broker>`)))
	case "nextToken":
		return g.of(g.brokerID(), g.configurationID(), "000002", "zzz", "")
	}
	switch of {
	case reflect.TypeFor[mqapi.EngineType]():
		return string(mqapi.EngineTypeActiveMQ)
	case reflect.TypeFor[mqapi.DeploymentMode]():
		return g.of(string(single), string(pair))
	case reflect.TypeFor[mqapi.DayOfWeek]():
		return g.of("MONDAY", "SUNDAY")
	case reflect.TypeFor[mqapi.AuthenticationStrategy]():
		return string(mqapi.AuthenticationStrategySimple)
	case reflect.TypeFor[mqapi.BrokerStorageType]():
		return g.of("efs", "ebs")
	case reflect.TypeFor[mqapi.DataReplicationMode]():
		return "NONE"
	}
	if list := texts[member]; list != nil {
		return g.of(list...)
	}
	return g.of(slices.Sorted(maps.Keys(texts))...)
}
