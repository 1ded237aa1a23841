package mqapi

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// amazon is what these tests read of Amazon's facts.
type amazon struct {
	Enums      map[string][]string
	Operations map[string]struct {
		Method, URI       string
		SuccessStatus     int `json:"success_status"`
		Errors            []struct{ Name string }
		Request, Response []struct {
			Wire, In string
			Required bool
		}
	}
	Limits struct {
		SecurityGroups int `json:"security_groups_per_broker"`
		Tags           int `json:"tags_per_resource"`
		Users          int `json:"users_per_broker"`
		Groups         int `json:"groups_per_user"`
		Rate           int `json:"api_rate_per_s"`
		Burst          int `json:"api_burst"`
		PageSize       struct{ Min, Max, Default int32 }
		Names          map[string]string
		Password       struct {
			Min, Max  int
			Unique    int `json:"min_unique_characters"`
			Forbidden string
		}
	}
	InstanceTypes []struct{ Name string } `json:"instance_types_activemq"`
	UpdateEffect  struct {
		Never []string `json:"never_after_creation"`
	} `json:"update_effect"`
}

func readAmazon(t *testing.T) amazon {
	t.Helper()
	raw, err := os.ReadFile("schema/amazon-mq-api.json")
	if err != nil {
		t.Fatal(err)
	}
	var a amazon
	if err := json.Unmarshal(raw, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// The tables that are generated say what Amazon's facts say.
func TestTables(t *testing.T) {
	a := readAmazon(t)
	for name, want := range a.Operations {
		op := Operations[name]
		if op == nil || op.Method != want.Method || op.Path != want.URI || op.Success != want.SuccessStatus || op.Extra {
			t.Errorf("%s: %+v; want %+v", name, op, want)
			continue
		}
		var kinds []string
		for _, e := range want.Errors {
			kinds = append(kinds, e.Name)
		}
		var have []string
		for _, k := range op.Errors {
			have = append(have, string(k))
		}
		if !slices.Equal(kinds, have) {
			t.Errorf("%s declares %v; want %v", name, have, kinds)
		}
		members := slices.DeleteFunc(Members(op.Request), func(m Member) bool { return m.Extra })
		if len(members) != len(want.Request) {
			t.Errorf("%s has %d members; want %d", name, len(members), len(want.Request))
			continue
		}
		for i, m := range members {
			if w := want.Request[i]; m.Wire != w.Wire || m.In != w.In || m.Required != w.Required {
				t.Errorf("%s: member %+v; want %+v", name, m, w)
			}
		}
	}
	for name, op := range Operations {
		if _, isAmazons := a.Operations[name]; isAmazons == op.Extra {
			t.Errorf("%s: extra %t", name, op.Extra)
		}
	}
	for _, m := range Members(Structures["BrokerInstance"]) {
		if want := m.Wire == "active" || m.Wire == "activeSince"; m.Extra != want {
			t.Errorf("BrokerInstance.%s: extra %t", m.Wire, m.Extra)
		}
	}
}

// The limits are Amazon's unless the operator has others.
func TestAmazonsLimits(t *testing.T) {
	a := readAmazon(t)
	k := Rules{}.check(someone, nil)
	if k.SecurityGroups != a.Limits.SecurityGroups || k.Tags != a.Limits.Tags || k.Users != a.Limits.Users || k.Groups != a.Limits.Groups {
		t.Errorf("limits %+v; want %+v", k.Rules, a.Limits)
	}
	h, err := New(Options{})
	if err != nil || h.options.Burst != a.Limits.Burst || int(h.options.Rate) != a.Limits.Rate {
		t.Errorf("burst %d, rate %v, %v; want %d and %d", h.options.Burst, h.options.Rate, err, a.Limits.Burst, a.Limits.Rate)
	}
	for _, want := range a.InstanceTypes {
		if _, ok := DefaultCatalog().instanceType(want.Name); !ok {
			t.Errorf("the catalog lacks %s", want.Name)
		}
	}
	if len(a.InstanceTypes) == 0 || len(a.Limits.Names) != 4 {
		t.Errorf("instance types %v, names %v: the facts have another form", a.InstanceTypes, a.Limits.Names)
	}
	var never []string
	for _, field := range a.UpdateEffect.Never {
		if name := strings.ToLower(field[:1]) + field[1:]; name != "deploymentMode" && name != "subnetIds" { // which Godwit changes
			never = append(never, name)
		}
	}
	if slices.Sort(never); !slices.Equal(never, neverAfterCreation) {
		t.Errorf("never after creation: %v; want %v", neverAfterCreation, never)
	}

	if DefaultPage != a.Limits.PageSize.Default && a.Limits.PageSize.Default != 0 {
		t.Errorf("pages of %d; want %d", DefaultPage, a.Limits.PageSize.Default)
	}
	samples := []string{"", "a", "ab", "a.b", "a~b", "a_b", "a b", "A-9", "ü", "a/b", strings.Repeat("x", 50), strings.Repeat("x", 51), strings.Repeat("x", 100), strings.Repeat("x", 101), strings.Repeat("x", 150), strings.Repeat("x", 151)}
	for kind, pattern := range a.Limits.Names {
		attribute := map[string]string{"broker": "brokerName", "configuration": "name", "username": "username", "group": "groups[]"}[kind]
		i := slices.IndexFunc(rules, func(r rule) bool { return r.Attributes[0] == attribute && r.value != nil })
		if i < 0 {
			t.Fatalf("no rule for %s", kind)
		}
		for _, s := range samples {
			if got, want := rules[i].value(k, s) == "", regexp.MustCompile(pattern).MatchString(s); got != want {
				t.Errorf("%s %q: %t; want %t", kind, s, got, want)
			}
		}
	}
}

// Values are spelled as Amazon's answers spell them, and are the schema's in another case at most.
func TestSpellings(t *testing.T) {
	a := readAmazon(t)
	enums := map[string]interface{ values() []string }{
		"AuthenticationStrategy": AuthenticationStrategy(""), "BrokerState": BrokerState(""), "BrokerStorageType": BrokerStorageType(""), "ChangeType": ChangeType(""),
		"DataReplicationMode": DataReplicationMode(""), "DayOfWeek": DayOfWeek(""), "DeploymentMode": DeploymentMode(""), "EngineType": EngineType(""), "PromoteMode": PromoteMode(""),
		"SanitizationWarningReason": SanitizationWarningReason(""), "SharedResourceErrorCode": SharedResourceErrorCode(""), "SharedResourceStatus": SharedResourceStatus(""), "SharedResourceType": SharedResourceType(""),
	}
	if len(enums) != len(a.Enums) {
		t.Errorf("%d enumerations; want %d", len(enums), len(a.Enums))
	}
	for name, want := range a.Enums {
		got := enums[name].values()
		for i := range got {
			if len(got) != len(want) || !strings.EqualFold(got[i], want[i]) {
				t.Errorf("%s: %v; want %v", name, got, want)
				break
			}
		}
	}
	for got, want := range map[string]string{string(EngineTypeActiveMQ): "ActiveMQ", string(AuthenticationStrategyLDAP): "ldap", string(BrokerStorageTypeEFS): "efs", string(DeploymentModeSingleInstance): "SINGLE_INSTANCE",
		string(BrokerStateRunning): "RUNNING", string(DayOfWeekTuesday): "TUESDAY"} {
		if got != want {
			t.Errorf("%s; want %s", got, want)
		}
	}
}

// Every attribute of a rule is a member of some request that is not refused, so that no rule holds for nothing.
func TestRulesHaveSubjects(t *testing.T) {
	there := map[string]bool{}
	for op := range ordered() {
		if op.Refused == "" {
			patterns(op.Request, "", there)
		}
	}
	for _, r := range rules {
		for _, attribute := range r.Attributes {
			if !there[attribute] {
				t.Errorf("no request has %s", attribute)
			}
		}
	}
}

func patterns(of reflect.Type, prefix string, into map[string]bool) {
	into[prefix] = true
	switch of.Kind() {
	case reflect.Pointer:
		patterns(of.Elem(), prefix, into)
	case reflect.Slice:
		patterns(of.Elem(), prefix+"[]", into)
	case reflect.Struct:
		for _, m := range Members(of) {
			patterns(m.Type, join(prefix, m.Wire), into)
		}
	}
}
