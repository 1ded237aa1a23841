package mqapi_test

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/godwitmq/godwit/control/mqapi"
)

// drawText is text that may be right, for some attribute, or wrong.
func drawText(t *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"ActiveMQ", "activemq", "SINGLE_INSTANCE", "ACTIVE_STANDBY_MULTI_AZ", "mq.m5.large", "mq.t3.micro", "5.19", "payroll", "ops", "correct horse 7", "simple", "EFS", "ebs", "c-1",
			"b-1", "sg-1", "subnet-a", "NONE", "MONDAY", "03:00", "Europe/Berlin", "+02:00", "YWI=", "arn:aws:mq:eu-central-1:123456789012:configuration:c-1", "(uid={0})", "1", "5", "", "aws:x", "RabbitMQ", "{}", "\x00", "..", "%"}),
		rapid.String(), rapid.StringN(0, 300, -1),
	).Draw(t, "text")
}

// drawJSON is a value of the type that a member has, or now and then of another.
func drawJSON(t *rapid.T, of reflect.Type, wrong int) any {
	if rapid.IntRange(0, 99).Draw(t, "wrong") < wrong {
		return rapid.OneOf(rapid.Just[any](nil), rapid.Just[any](true), rapid.Map(rapid.Float64Range(-1e12, 1e12), func(f float64) any { return f }), rapid.Just[any]([]any{[]any{map[string]any{}}}),
			rapid.Map(rapid.String(), func(s string) any { return s })).Draw(t, "other")
	}
	switch of.Kind() {
	case reflect.Pointer:
		return drawJSON(t, of.Elem(), wrong)
	case reflect.Slice:
		list := []any{}
		for range rapid.IntRange(0, 7).Draw(t, "length") {
			list = append(list, drawJSON(t, of.Elem(), wrong))
		}
		return list
	case reflect.Map:
		m := map[string]any{}
		for range rapid.IntRange(0, 4).Draw(t, "length") {
			m[drawText(t)] = drawJSON(t, of.Elem(), wrong)
		}
		return m
	case reflect.Struct:
		m := map[string]any{}
		for _, member := range mqapi.Members(of) {
			if member.In == "body" && (member.Required && rapid.IntRange(0, 19).Draw(t, "there") > 0 || rapid.Bool().Draw(t, "given")) {
				m[member.Wire] = drawJSON(t, member.Type, wrong)
			}
		}
		return m
	case reflect.Bool:
		return rapid.Bool().Draw(t, "bool")
	case reflect.Int32:
		return rapid.OneOf(rapid.Int32Range(0, 101), rapid.Int32()).Draw(t, "number")
	}
	if values := spellings(of); values != nil && rapid.IntRange(0, 9).Draw(t, "enumerated") > 0 {
		return rapid.SampledFrom(values).Draw(t, "value")
	}
	return drawText(t)
}

// spellings are some values of an enumeration, or nil.
func spellings(of reflect.Type) []string {
	switch of {
	case reflect.TypeFor[mqapi.EngineType]():
		return []string{"ActiveMQ", "ACTIVEMQ", "RabbitMQ"}
	case reflect.TypeFor[mqapi.DeploymentMode]():
		return []string{"SINGLE_INSTANCE", "active_standby_multi_az", "CLUSTER_MULTI_AZ"}
	case reflect.TypeFor[mqapi.AuthenticationStrategy]():
		return []string{"simple", "LDAP"}
	case reflect.TypeFor[mqapi.BrokerStorageType]():
		return []string{"efs", "EBS"}
	case reflect.TypeFor[mqapi.DayOfWeek]():
		return []string{"MONDAY", "sunday"}
	case reflect.TypeFor[mqapi.DataReplicationMode]():
		return []string{"NONE", "CRDR"}
	}
	return nil
}

// Whatever is asked, and however wrong it is, nobody gets a 500; an error has a type that the operation declares, or that every one may have; a
// success is JSON.
func TestNoInputIsAnInternalError(t *testing.T) {
	var successes, errors int
	rapid.Check(t, func(t *rapid.T) {
		a := newAPI(t, nil)
		id, arn := a.createBroker()
		for range 8 {
			op := mqapi.Operations[rapid.SampledFrom(operationNames).Draw(t, "operation")]
			path, query := op.Path, url.Values{}
			for _, m := range mqapi.Members(op.Request) {
				switch m.In {
				case "path":
					value := drawText(t)
					switch known := rapid.IntRange(0, 9).Draw(t, "known") > 2; {
					case known && m.Wire == "broker-id":
						value = id
					case known && m.Wire == "resource-arn":
						value = arn
					case known && m.Wire == "username":
						value = "ops"
					}
					path = strings.Replace(path, "{"+m.Wire+"}", url.PathEscape(value), 1)
				case "query":
					for range rapid.IntRange(0, 2).Draw(t, "times") {
						query.Add(m.Wire, drawText(t))
					}
				}
			}
			body := ""
			if rapid.IntRange(0, 9).Draw(t, "with a body") > 0 {
				wrong := rapid.SampledFrom([]int{0, 0, 5}).Draw(t, "how wrong")
				raw, err := json.Marshal(drawJSON(t, op.Request, wrong))
				if err != nil {
					t.Fatal(err)
				}
				body = string(raw)
			}
			target := path
			if len(query) > 0 {
				target += "?" + query.Encode()
			}
			r := httptest.NewRequest(op.Method, "/", strings.NewReader(body))
			u, err := url.ParseRequestURI(target)
			if err != nil {
				continue // no server gets that
			}
			r.URL = u
			mqapi.SignForTest(r, body, keyID, secret, region, a.now)
			got := a.send(r)
			switch {
			case got.StatusCode >= 500:
				t.Fatalf("%s %s %s: %d %s\n%s", op.Method, target, body, got.StatusCode, got.body, a.log)
			case got.kind != "":
				errors++
			case got.StatusCode == op.Success && (got.StatusCode == 204 || json.Valid([]byte(got.body))):
				successes++
			default:
				t.Fatalf("%s %s %s: %d %q", op.Method, target, body, got.StatusCode, got.body)
			}
		}
	})
	t.Logf("%d successes, %d errors", successes, errors)
	if successes == 0 || errors == 0 {
		t.Error("what is generated is all right or all wrong")
	}
}

var operationNames = slices.Sorted(maps.Keys(mqapi.Operations)) // sorted, so that a seed replays

// A request with any path, query and body, signed or not, is no internal error.
func FuzzRequest(f *testing.F) {
	f.Add("POST", "/v1/brokers", "", goodBroker)
	f.Add("PUT", "/v1/configurations/c-1", "", `{"data":"YWI="}`)
	f.Add("DELETE", "/v1/tags/arn%3Aaws%3Amq%3Aeu-central-1%3A123456789012%3Aconfiguration%3Ac-1", "tagKeys=a&tagKeys=b", "")
	f.Add("GET", "/v1/brokers", "maxResults=5&nextToken=abc", "")
	f.Add("PUT", "/v1/brokers/b-1/users/ops", "", `{"groups":[[]]}`)
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		u, err := url.ParseRequestURI("/" + strings.TrimPrefix(path, "/"))
		if err != nil || method == "OPTIONS" || strings.ContainsAny(method, " \r\n") {
			t.Skip()
		}
		u.RawQuery = query
		a := newAPI(t, nil)
		r := httptest.NewRequest("GET", "/", strings.NewReader(body))
		r.Method, r.URL = method, u
		mqapi.SignForTest(r, body, keyID, secret, region, a.now)
		if got := a.send(r); got.StatusCode >= 500 {
			t.Fatalf("%s %s: %d %s\n%s", method, u, got.StatusCode, got.body, a.log)
		}
	})
}
