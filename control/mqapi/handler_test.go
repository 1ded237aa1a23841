package mqapi_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/godwitmq/godwit/control/mqapi"
)

// Every operation once, in the life of a pair.
func TestOperations(t *testing.T) {
	a := newAPI(t, nil)
	called := map[string]bool{}
	must := func(op, method, target, body string, into any) {
		t.Helper()
		called[op] = true
		a.must(method, target, body, into)
	}
	var conf struct {
		ID             string
		LatestRevision struct{ Revision int }
	}
	must("CreateConfiguration", "POST", "/v1/configurations", `{"name":"base","engineType":"ActiveMQ","engineVersion":"5.19"}`, &conf)
	data := base64.StdEncoding.EncodeToString([]byte("<broker/>"))
	must("UpdateConfiguration", "PUT", "/v1/configurations/"+conf.ID, `{"data":"`+data+`","description":"Größe"}`, &conf)
	if conf.LatestRevision.Revision != 2 {
		t.Errorf("revision %d; want 2", conf.LatestRevision.Revision)
	}
	var revision struct{ Data, Description, Created string }
	must("DescribeConfigurationRevision", "GET", "/v1/configurations/"+conf.ID+"/revisions/2", "", &revision)
	if revision.Data != data || revision.Description != "Größe" {
		t.Errorf("revision 2 is %+v", revision)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", revision.Created); err != nil {
		t.Errorf("created: %v", err)
	}
	must("DescribeConfiguration", "GET", "/v1/configurations/"+conf.ID, "", nil)
	must("ListConfigurations", "GET", "/v1/configurations", "", nil)
	must("ListConfigurationRevisions", "GET", "/v1/configurations/"+conf.ID+"/revisions", "", nil)

	called["CreateBroker"] = true
	id, arn := a.createBroker()
	if again, _ := a.createBroker(); again != id {
		t.Errorf("the same creatorRequestId made %s and %s", id, again)
	}
	broker := "/v1/brokers/" + id
	must("UpdateBroker", "PUT", broker, `{"engineVersion":"5.18","securityGroups":[],"configuration":{"id":"`+conf.ID+`","revision":2}}`, nil)
	var cost struct{ Cost string }
	must("UpdateBroker", "PUT", broker, `{"subnetIds":["subnet-c","subnet-d"],"plan":true}`, &cost)
	if cost.Cost != "restart: no, failover: no" {
		t.Errorf("cost %q", cost.Cost)
	}
	var d struct {
		SubnetIDs                                                                      []string
		EngineType, EngineVersion, DeploymentMode, StorageType, AuthenticationStrategy string
		SecurityGroups                                                                 []string
		Tags                                                                           map[string]string
		MaintenanceWindowStartTime                                                     struct{ DayOfWeek string }
		BrokerInstances                                                                []struct {
			Active      *bool
			ActiveSince string
		}
	}
	must("DescribeBroker", "GET", broker, "", &d)
	if d.EngineType != "ActiveMQ" || d.DeploymentMode != "ACTIVE_STANDBY_MULTI_AZ" || d.MaintenanceWindowStartTime.DayOfWeek != "TUESDAY" || d.StorageType != "efs" || d.AuthenticationStrategy != "simple" {
		t.Errorf("values are not spelled as Amazon does: %+v", d)
	}
	if d.EngineVersion != "5.18" || d.SecurityGroups == nil || len(d.SecurityGroups) != 0 || d.Tags["team"] != "pay" {
		t.Errorf("after the update: %+v; want version 5.18, no security group, and the tags left as they were", d)
	}
	if !slices.Equal(d.SubnetIDs, []string{"subnet-a", "subnet-b"}) {
		t.Errorf("subnets %v after a plan", d.SubnetIDs)
	}
	if len(d.BrokerInstances) != 2 || d.BrokerInstances[0].Active == nil || !*d.BrokerInstances[0].Active || d.BrokerInstances[0].ActiveSince == "" || *d.BrokerInstances[1].Active {
		t.Errorf("instances %+v; want the first active", d.BrokerInstances)
	}
	var plan struct {
		Instance string
		Clients  []struct{ Reasons []string }
	}
	must("SwitchoverBroker", "POST", broker+"/switchover", `{"plan":true}`, &plan)
	if len(plan.Clients) != 1 || plan.Instance != id+"-2" {
		t.Errorf("plan %+v", plan)
	}
	must("SwitchoverBroker", "POST", broker+"/switchover", "", nil)
	must("DescribeBroker", "GET", broker, "", &d)
	if *d.BrokerInstances[0].Active || !*d.BrokerInstances[1].Active {
		t.Errorf("instances after the switchover: %+v", d.BrokerInstances)
	}
	must("RebootBroker", "POST", broker+"/reboot", "", nil)
	must("ListBrokers", "GET", "/v1/brokers?maxResults=5", "", nil)
	must("DescribeBrokerEngineTypes", "GET", "/v1/broker-engine-types?engineType=activemq", "", nil)
	must("DescribeBrokerInstanceOptions", "GET", "/v1/broker-instance-options?storageType=EBS&hostInstanceType=mq.m5.large", "", nil)

	must("CreateUser", "POST", broker+"/users/new.user", `{"password":"correct horse 8","groups":["a.b"]}`, nil)
	must("UpdateUser", "PUT", broker+"/users/new.user", `{"consoleAccess":true}`, nil)
	var user struct {
		Groups        []string
		ConsoleAccess bool
	}
	must("DescribeUser", "GET", broker+"/users/new.user", "", &user)
	if !user.ConsoleAccess || !slices.Equal(user.Groups, []string{"a.b"}) {
		t.Errorf("user %+v", user)
	}
	var users struct{ Users []struct{ Username string } }
	must("ListUsers", "GET", broker+"/users", "", &users)
	if len(users.Users) != 2 {
		t.Errorf("users %+v", users)
	}
	must("DeleteUser", "DELETE", broker+"/users/new.user", "", nil)

	tags := "/v1/tags/" + url.PathEscape(arn)
	must("CreateTags", "POST", tags, `{"tags":{"a":"1","b c":"2"}}`, nil)
	must("DeleteTags", "DELETE", tags+"?tagKeys=team&tagKeys=b%20c", "", nil)
	var listed struct{ Tags map[string]string }
	must("ListTags", "GET", tags, "", &listed)
	if len(listed.Tags) != 1 || listed.Tags["a"] != "1" {
		t.Errorf("tags %v; want a=1 only", listed.Tags)
	}
	if got := a.call("POST", tags, `{"tags":{}}`); got.StatusCode != 204 || got.body != "" {
		t.Errorf("CreateTags: %d %q; want 204 without a body", got.StatusCode, got.body)
	}
	if got := a.call("POST", broker+"/reboot", ""); got.StatusCode != 200 || got.body != "{}" {
		t.Errorf("RebootBroker: %d %q; want 200 {}", got.StatusCode, got.body)
	}
	must("DeleteBroker", "DELETE", broker, "", nil)
	must("DeleteConfiguration", "DELETE", "/v1/configurations/"+conf.ID, "", nil)
	if got := a.call("GET", broker, ""); got.kind != mqapi.NotFound || got.attribute != "broker-id" {
		t.Errorf("after its deletion: %s %s", got.kind, got.attribute)
	}
	for name, op := range mqapi.Operations {
		if !called[name] && op.Refused == "" {
			t.Errorf("%s was not called", name)
		}
	}
	if strings.Contains(a.log.String(), "correct horse") || strings.Contains(a.log.String(), secret) {
		t.Error("a secret is in the log")
	}
}

func TestRefusedOperations(t *testing.T) {
	a := newAPI(t, nil)
	id, _ := a.createBroker()
	for _, target := range []string{"POST /promote", "GET /shared-resources"} {
		method, path, _ := strings.Cut(target, " ")
		if got := a.call(method, "/v1/brokers/"+id+path, `{"mode":"FAILOVER"}`); got.kind != mqapi.BadRequest || !strings.Contains(got.message, "is refused") {
			t.Errorf("%s: %s %s; want a refusal", target, got.kind, got.message)
		}
	}
}

// What is wrong with a signature, by its AWS name, and what to do about it.
func TestSignatures(t *testing.T) {
	tests := map[string]struct {
		change    func(a *api, r *http.Request)
		target    string
		kind      mqapi.Kind
		attribute string
		message   string
	}{
		"good":     {change: func(*api, *http.Request) {}},
		"not gone": {change: func(a *api, r *http.Request) { mqapi.SignForTest(r, "", "AKIDFUTURE", secret, region, a.now) }},
		"unsigned": {change: func(_ *api, r *http.Request) { r.Header.Del("Authorization") }, kind: mqapi.MissingAuthenticationToken, attribute: "Authorization", message: "not signed"},
		"Basic":    {change: func(_ *api, r *http.Request) { r.SetBasicAuth("a", "b") }, kind: mqapi.IncompleteSignature, attribute: "Authorization", message: "must begin with AWS4"},
		"another algorithm": {change: func(_ *api, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "HMAC", "ECDSA", 1))
		},
			kind: mqapi.IncompleteSignature, attribute: "Authorization", message: "must begin with AWS4"},
		"two": {change: func(_ *api, r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, kind: mqapi.IncompleteSignature, attribute: "Authorization", message: "2 Authorization headers"},
		"no Signature": {change: func(_ *api, r *http.Request) {
			r.Header.Set("Authorization", r.Header.Get("Authorization")[:strings.Index(r.Header.Get("Authorization"), ", Signature")])
		},
			kind: mqapi.IncompleteSignature, attribute: "Authorization", message: "lacks Signature="},
		"short Signature": {change: func(_ *api, r *http.Request) {
			h := r.Header.Get("Authorization")
			r.Header.Set("Authorization", h[:len(h)-2])
		}, kind: mqapi.IncompleteSignature, attribute: "Authorization", message: "64 hexadecimal digits"},
		"presigned": {change: func(_ *api, r *http.Request) { r.Header.Del("Authorization") }, target: "/v1/brokers?X-Amz-Algorithm=AWS4-HMAC-SHA256",
			kind: mqapi.IncompleteSignature, attribute: "X-Amz-Algorithm", message: "presigned"},
		"unknown key": {change: func(a *api, r *http.Request) { mqapi.SignForTest(r, "", "AKIDNOBODY", secret, region, a.now) },
			kind: mqapi.UnrecognizedClient, attribute: "Authorization", message: "no access key AKIDNOBODY"},
		"wrong secret": {change: func(a *api, r *http.Request) { mqapi.SignForTest(r, "", keyID, "wrong", region, a.now) },
			kind: mqapi.InvalidSignature, attribute: "Authorization", message: "does not match"},
		"disabled key": {change: func(a *api, r *http.Request) { mqapi.SignForTest(r, "", "AKIDOFF", secret, region, a.now) },
			kind: mqapi.UnrecognizedClient, attribute: "Authorization", message: "is disabled"},
		"disabled key, wrong secret": {change: func(a *api, r *http.Request) { mqapi.SignForTest(r, "", "AKIDOFF", "wrong", region, a.now) },
			kind: mqapi.InvalidSignature, attribute: "Authorization", message: "does not match"},
		"expired key": {change: func(a *api, r *http.Request) { mqapi.SignForTest(r, "", "AKIDPAST", secret, region, a.now) },
			kind: mqapi.ExpiredToken, attribute: "Authorization", message: "expired at 2026-11-30T12:00:00Z"},
		"4:59 old": {change: func(a *api, r *http.Request) {
			mqapi.SignForTest(r, "", keyID, secret, region, a.now.Add(-5*time.Minute+time.Second))
		}},
		"4:59 ahead": {change: func(a *api, r *http.Request) {
			mqapi.SignForTest(r, "", keyID, secret, region, a.now.Add(5*time.Minute-time.Second))
		}},
		"5:01 old": {change: func(a *api, r *http.Request) {
			mqapi.SignForTest(r, "", keyID, secret, region, a.now.Add(-5*time.Minute-time.Second))
		},
			kind: mqapi.InvalidSignature, attribute: "X-Amz-Date", message: "Signature expired: it was made at 2026-11-30T11:54:59Z and it is 2026-11-30T12:00:00Z here"},
		"5:01 ahead": {change: func(a *api, r *http.Request) {
			mqapi.SignForTest(r, "", keyID, secret, region, a.now.Add(5*time.Minute+time.Second))
		},
			kind: mqapi.InvalidSignature, attribute: "X-Amz-Date", message: "not yet current"},
		"no date":     {change: func(_ *api, r *http.Request) { r.Header.Del("X-Amz-Date") }, kind: mqapi.IncompleteSignature, attribute: "X-Amz-Date", message: "one X-Amz-Date"},
		"two dates":   {change: func(a *api, r *http.Request) { r.Header.Add("X-Amz-Date", "20261130T120001Z") }, kind: mqapi.IncompleteSignature, attribute: "X-Amz-Date", message: "one X-Amz-Date"},
		"date's form": {change: func(_ *api, r *http.Request) { r.Header.Set("X-Amz-Date", "2026-11-30") }, kind: mqapi.IncompleteSignature, attribute: "X-Amz-Date", message: "must be like"},
		"scope's date": {change: func(_ *api, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "20261130", "20261129", 1))
		},
			kind: mqapi.InvalidSignature, attribute: "Authorization", message: "is not that of X-Amz-Date"},
		"scope's service": {change: func(_ *api, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/mq/", "/s3/", 1))
		},
			kind: mqapi.InvalidSignature, attribute: "Authorization", message: "scoped to the service mq"},
		"scope's region": {change: func(_ *api, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), region, "EU!", 1))
		},
			kind: mqapi.IncompleteSignature, attribute: "Authorization", message: "is no region"},
		"signed for another region": {change: func(_ *api, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), region, "us-east-1", 1))
		},
			kind: mqapi.InvalidSignature, attribute: "Authorization", message: "does not match"},
		"host not signed": {change: func(_ *api, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "", 1))
		},
			kind: mqapi.InvalidSignature, attribute: "Authorization", message: `"host" must be in SignedHeaders`},
		"x-amz-* not signed": {change: func(_ *api, r *http.Request) { r.Header.Set("X-Amz-Target", "else") }, kind: mqapi.InvalidSignature, attribute: "Authorization", message: "x-amz-target is not signed"},
		"signed header missing": {change: func(_ *api, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "accept;host;", 1))
		},
			kind: mqapi.InvalidSignature, attribute: "Authorization", message: "accept is in SignedHeaders, but did not come"},
		"unsorted": {change: func(_ *api, r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "host;", "z;host;", 1))
		},
			kind: mqapi.IncompleteSignature, attribute: "Authorization", message: "sorted"},
		"session token": {change: func(a *api, r *http.Request) {
			r.Header.Set("X-Amz-Security-Token", "token")
			mqapi.SignForTest(r, "", keyID, secret, region, a.now)
		}, kind: mqapi.UnrecognizedClient, attribute: "X-Amz-Security-Token", message: "unset AWS_SESSION_TOKEN"},
		"unsigned payload": {change: func(a *api, r *http.Request) {
			r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
			mqapi.SignForTest(r, "", keyID, secret, region, a.now)
		}, kind: mqapi.InvalidSignature, attribute: "X-Amz-Content-Sha256", message: "not the hash of the body"},
		"another host":  {change: func(_ *api, r *http.Request) { r.Host = "elsewhere" }, kind: mqapi.InvalidSignature, attribute: "Authorization", message: "does not match"},
		"another path":  {change: func(_ *api, r *http.Request) { r.URL.Path = "/v1/configurations" }, kind: mqapi.InvalidSignature, attribute: "Authorization", message: "does not match"},
		"another query": {change: func(_ *api, r *http.Request) { r.URL.RawQuery = "maxResults=5" }, kind: mqapi.InvalidSignature, attribute: "Authorization", message: "does not match"},
		"compressed": {change: func(a *api, r *http.Request) {
			r.Header.Set("Content-Encoding", "gzip")
			mqapi.SignForTest(r, "", keyID, secret, region, a.now)
		}, kind: mqapi.BadRequest, attribute: "Content-Encoding", message: "not understood"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t, nil)
			target := tt.target
			if target == "" {
				target = "/v1/brokers"
			}
			r := a.signed("GET", target, "")
			tt.change(a, r)
			got := a.send(r)
			if got.kind != tt.kind || got.attribute != tt.attribute || !strings.Contains(got.message, tt.message) {
				t.Errorf("%d %s, attribute %q: %s; want %q, attribute %q: %s", got.StatusCode, got.kind, got.attribute, got.message, tt.kind, tt.attribute, tt.message)
			}
		})
	}
}

// The very same signature is taken again while its time is within the limit, as by AWS; afterwards it is not.
func TestReplay(t *testing.T) {
	a := newAPI(t, nil)
	r := a.signed("GET", "/v1/brokers", "")
	for range 2 {
		if got := a.send(r.Clone(t.Context())); got.StatusCode != 200 {
			t.Errorf("%d %s", got.StatusCode, got.body)
		}
	}
	a.now = a.now.Add(5*time.Minute + time.Second)
	if got := a.send(r.Clone(t.Context())); got.kind != mqapi.InvalidSignature {
		t.Errorf("after five minutes: %d %s", got.StatusCode, got.kind)
	}
}

// One endpoint serves all regions and accounts, and nobody sees what is another's.
func TestRegionsAndAccounts(t *testing.T) {
	a := newAPI(t, nil)
	id, arn := a.createBroker()
	ask := func(method, target, key, secret, region string) answer {
		r := httptest.NewRequest(method, target, http.NoBody)
		mqapi.SignForTest(r, "", key, secret, region, a.now)
		return a.send(r)
	}
	tests := map[string]struct {
		key, secret, region string
		describe, tags      mqapi.Kind
	}{
		"his own":         {keyID, secret, region, "", ""},
		"another region":  {keyID, secret, "us-east-1", mqapi.NotFound, mqapi.BadRequest},
		"another account": {"AKIDOTHER", "another secret", region, mqapi.NotFound, mqapi.Forbidden},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := ask("GET", "/v1/brokers/"+id, tt.key, tt.secret, tt.region); got.kind != tt.describe {
				t.Errorf("DescribeBroker: %s; want %q", got.kind, tt.describe)
			}
			if got := ask("GET", "/v1/tags/"+url.PathEscape(arn), tt.key, tt.secret, tt.region); got.kind != tt.tags {
				t.Errorf("ListTags: %s %s; want %q", got.kind, got.message, tt.tags)
			}
			if got := ask("GET", "/v1/brokers", tt.key, tt.secret, tt.region); strings.Contains(got.body, id) != (tt.describe == "") {
				t.Errorf("ListBrokers: %s", got.body)
			}
		})
	}
}

func TestNoSuchThing(t *testing.T) {
	a := newAPI(t, nil)
	for target, want := range map[string]string{
		"GET /":                                     "there is no path",
		"GET /v1/brokers/":                          "there is no path",
		"GET /v1/brokers//users":                    "there is no path",
		"GET /v2/brokers":                           "there is no path",
		"PATCH /v1/brokers/b-1":                     "there is DELETE, GET, PUT",
		"HEAD /v1/brokers":                          "there is POST, GET",
		"GET /v1/tags/arn:aws:mq:a/b":               "there is no path",
		"GET /v1/tags/%2e%2e%2f%2e%2e":              "is not an ARN",
		"GET /v1/brokers/%ff":                       "broker-id is not UTF-8",
		"GET /v1/brokers?maxResults=5&%zz":          "",
		"GET /v1/brokers?a;b":                       "",
		"GET /v1/brokers?maxResults=ten":            "maxResults must be a whole number",
		"GET /v1/brokers?maxResults=5&maxResults=6": "maxResults was given 2 times",
	} {
		method, path, _ := strings.Cut(target, " ")
		got := a.call(method, path, "")
		if got.StatusCode < 400 || got.StatusCode >= 500 || method != "HEAD" && !strings.Contains(got.message, want) {
			t.Errorf("%s: %d %s; want %q", target, got.StatusCode, got.message, want)
		}
	}
}

// Errors of the service reach the caller as the operation declares them; others are internal, and their cause is in the log alone.
func TestErrorsOfTheService(t *testing.T) {
	tests := map[string]struct {
		err, panic any
		operation  string
		status     int
		kind       mqapi.Kind
		message    string
		logged     string
	}{
		"declared":                     {err: mqapi.Errorf(mqapi.Conflict, "brokerName", "taken"), operation: "POST /v1/brokers", status: 409, kind: mqapi.Conflict, message: "taken"},
		"wrapped":                      {err: fmt.Errorf("create: %w", mqapi.Errorf(mqapi.Conflict, "brokerName", "taken")), operation: "POST /v1/brokers", status: 409, kind: mqapi.Conflict, message: "taken"},
		"not declared":                 {err: mqapi.Errorf(mqapi.Conflict, "", "still being created"), operation: "DELETE /v1/brokers/b-1", status: 400, kind: mqapi.BadRequest, message: "still being created"},
		"not found at creation":        {err: mqapi.Errorf(mqapi.NotFound, "configuration.id", "no such"), operation: "POST /v1/brokers", status: 400, kind: mqapi.BadRequest, message: "no such"},
		"unauthorized to create":       {err: mqapi.Errorf(mqapi.Unauthorized, "", "no"), operation: "POST /v1/brokers", status: 401, kind: mqapi.Unauthorized, message: "no"},
		"unauthorized to do otherwise": {err: mqapi.Errorf(mqapi.Unauthorized, "", "no"), operation: "GET /v1/brokers/b-1", status: 403, kind: mqapi.Forbidden, message: "no"},
		"any error":                    {err: errors.New("disk full at /secret/path"), operation: "POST /v1/brokers", status: 500, kind: mqapi.InternalServerError, message: "request id", logged: "/secret/path"},
		"a panic":                      {panic: "lost /secret/path", operation: "GET /v1/brokers/b-1", status: 500, kind: mqapi.InternalServerError, message: "request id", logged: "/secret/path"},
		"neither answer nor error":     {operation: "GET /v1/brokers/b-1", status: 500, kind: mqapi.InternalServerError, message: "request id", logged: "neither an answer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			service := &failing{panic: tt.panic}
			service.err, _ = tt.err.(error)
			a := newAPI(t, func(o *mqapi.Options) { o.Service = service })
			method, target, _ := strings.Cut(tt.operation, " ")
			body := ""
			if method == "POST" {
				body = goodBroker
			}
			got := a.call(method, target, body)
			if got.StatusCode != tt.status || got.kind != tt.kind || !strings.Contains(got.message, tt.message) {
				t.Errorf("%d %s %s; want %d %s %s", got.StatusCode, got.kind, got.message, tt.status, tt.kind, tt.message)
			}
			if strings.Contains(got.message, "/secret/path") {
				t.Errorf("the cause is shown: %s", got.message)
			}
			log := a.log.String()
			if !strings.Contains(log, tt.logged) || tt.logged != "" && !strings.Contains(log, got.Header.Get("x-amzn-RequestId")) {
				t.Errorf("%q and the request's id are not in the log:\n%s", tt.logged, log)
			}
		})
	}
}

// A request that the server must drop is dropped, and not answered.
func TestAbort(t *testing.T) {
	a := newAPI(t, func(o *mqapi.Options) { o.Service = &failing{panic: http.ErrAbortHandler} })
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("recovered %v", p)
		}
	}()
	a.call("GET", "/v1/brokers/b-1", "")
}

func TestBodies(t *testing.T) {
	a := newAPI(t, func(o *mqapi.Options) { o.MaxBody, o.MaxDepth = 2000, 4 })
	tests := map[string]struct{ body, attribute, message string }{
		"largest":                 {body: goodBroker + strings.Repeat(" ", 2000-len(goodBroker))},
		"too large":               {goodBroker + strings.Repeat(" ", 2001-len(goodBroker)), "", "2000 bytes"},
		"unknown keys":            {body: strings.Replace(goodBroker, "{", `{"futureThing":{"a":[1,{}]},`, 1)},
		"unknown and too deep":    {strings.Replace(goodBroker, "{", `{"futureThing":[[[[[[]]]]]],`, 1), "", "nested too deeply"},
		"no JSON":                 {"<xml/>", "", "not JSON"},
		"cut":                     {goodBroker[:100], "", "not JSON"},
		"a list":                  {"[]", "", "must be a JSON object, not a list"},
		"null":                    {"null", "", "must be a JSON object, not null"},
		"two":                     {goodBroker + goodBroker, "", "goes on"},
		"a brace too many":        {goodBroker + "}", "", "goes on"},
		"not UTF-8":               {`{"brokerName":"` + "\xff" + `"}`, "", "not UTF-8"},
		"empty":                   {"", "brokerName", "brokerName is required"},
		"a member is missing":     {strings.Replace(goodBroker, `"publiclyAccessible":false,`, "", 1), "publiclyAccessible", "is required"},
		"null for a required one": {strings.Replace(goodBroker, `"payroll"`, "null", 1), "brokerName", "is required"},
		"null for an optional":    {body: strings.Replace(goodBroker, `"5.19"`, "null", 1)},
		"key in another case":     {strings.Replace(goodBroker, `"brokerName"`, `"BrokerName"`, 1), "brokerName", "is required"},
		"unknown in this case":    {body: strings.Replace(goodBroker, "{", `{"EngineVersion":7,`, 1)},
		"twice":                   {strings.Replace(goodBroker, "{", `{"brokerName":"a",`, 1), "brokerName", "twice"},
		"number for text":         {strings.Replace(goodBroker, `"payroll"`, "7", 1), "brokerName", "must be text, not a number"},
		"text for a bool":         {strings.Replace(goodBroker, "false", `"false"`, 1), "publiclyAccessible", "must be true or false, not text"},
		"text for a list":         {strings.Replace(goodBroker, `["sg-1"]`, `"sg-1"`, 1), "securityGroups", "must be a list, not text"},
		"number in a list":        {strings.Replace(goodBroker, `["sg-1"]`, `["sg-1",2]`, 1), "securityGroups[1]", "must be text, not a number"},
		"null in a list":          {strings.Replace(goodBroker, `["sg-1"]`, `[null]`, 1), "securityGroups[0]", "must be text, not null"},
		"list for an object":      {strings.Replace(goodBroker, `{"general":true}`, `[]`, 1), "logs", "must be an object, not a list"},
		"object for text":         {strings.Replace(goodBroker, `"payroll"`, "{}", 1), "brokerName", "must be text, not an object"},
		"list for a map":          {strings.Replace(goodBroker, `{"team":"pay"}`, `[]`, 1), "tags", "must be an object, not a list"},
		"number in a map":         {strings.Replace(goodBroker, `"pay"`, "1", 1), "tags.team", "must be text, not a number"},
		"text for a number":       {strings.Replace(goodBroker, "{", `{"storageSize":"5",`, 1), "storageSize", "must be a whole number, not text"},
		"fraction":                {strings.Replace(goodBroker, "{", `{"storageSize":5.5,`, 1), "storageSize", "must be a whole number"},
		"number too large":        {strings.Replace(goodBroker, "{", `{"storageSize":2147483648,`, 1), "storageSize", "must be a whole number"},
		"no such value":           {strings.Replace(goodBroker, `"tuesday"`, `"FUNDAY"`, 1), "maintenanceWindowStartTime.dayOfWeek", "one of MONDAY"},
		"missing within a list":   {strings.Replace(goodBroker, `"username":"ops",`, "", 1), "users[0].username", "is required"},
		"wrong within a list":     {strings.Replace(goodBroker, `["admins"]`, `"admins"`, 1), "users[0].groups", "must be a list"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := a.call("POST", "/v1/brokers", tt.body)
			if tt.message == "" {
				if got.StatusCode != 200 && got.kind != mqapi.Conflict { // another request with the same token has been taken, too
					t.Errorf("%d %s", got.StatusCode, got.body)
				}
				return
			}
			if got.kind != mqapi.BadRequest || got.attribute != tt.attribute || !strings.Contains(got.message, tt.message) {
				t.Errorf("%d %s, attribute %q: %s; want attribute %q: %s", got.StatusCode, got.kind, got.attribute, got.message, tt.attribute, tt.message)
			}
		})
	}
	t.Run("does not come whole", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/v1/brokers", iotest.ErrReader(errors.New("cut")))
		mqapi.SignForTest(r, "", keyID, secret, region, a.now)
		if got := a.send(r); got.kind != mqapi.BadRequest || !strings.Contains(got.message, "did not come whole") {
			t.Errorf("%d %s", got.StatusCode, got.message)
		}
	})
	t.Run("is not read before the key is known", func(t *testing.T) {
		r := httptest.NewRequest("POST", "/v1/brokers", iotest.ErrReader(errors.New("it was read")))
		mqapi.SignForTest(r, "", "AKIDNOBODY", secret, region, a.now)
		if got := a.send(r); got.kind != mqapi.UnrecognizedClient {
			t.Errorf("%d %s", got.StatusCode, got.message)
		}
	})
}

func TestThrottle(t *testing.T) {
	a := newAPI(t, func(o *mqapi.Options) { o.Burst, o.Rate = 0, 0 })
	asked := func(n int) (refused int) {
		for range n {
			if got := a.call("GET", "/v1/brokers", ""); got.StatusCode == http.StatusTooManyRequests {
				refused++
				if got.kind != mqapi.TooManyRequests || got.Header.Get("Retry-After") != "1" {
					t.Fatalf("%s %v", got.kind, got.Header)
				}
			}
		}
		return refused
	}
	if got := asked(120); got != 20 {
		t.Errorf("of 120 requests at once %d were refused; want 20", got)
	}
	other := httptest.NewRequest("GET", "/v1/brokers", http.NoBody)
	mqapi.SignForTest(other, "", "AKIDOTHER", "another secret", region, a.now)
	if got := a.send(other); got.StatusCode != 200 {
		t.Errorf("another account pays for it: %d", got.StatusCode)
	}
	a.now = a.now.Add(time.Second)
	if got := asked(20); got != 5 {
		t.Errorf("a second later %d of 20 were refused; want 5", got)
	}
	a.now = a.now.Add(-time.Minute) // a clock that is set back
	if got := asked(1); got != 1 {
		t.Error("a clock that was set back gave more")
	}
	a.now = a.now.Add(time.Hour)
	if got := asked(120); got != 20 {
		t.Errorf("an hour later %d of 120 were refused; want 20: no more than the burst is saved up", got)
	}
}

func TestPages(t *testing.T) {
	a := newAPI(t, nil)
	for i := range 12 {
		a.must("POST", "/v1/brokers", strings.NewReplacer(`"payroll"`, fmt.Sprintf(`"broker%d"`, i), `"one"`, fmt.Sprintf(`"t%d"`, i)).Replace(goodBroker), nil)
	}
	type page struct {
		BrokerSummaries []struct{ BrokerName, BrokerID string }
		NextToken       *string
	}
	var names []string
	var first page
	target := "/v1/brokers?maxResults=5"
	for n := 0; ; n++ {
		var p page
		a.must("GET", target, "", &p)
		if n == 0 {
			first = p
		}
		for _, b := range p.BrokerSummaries {
			names = append(names, b.BrokerName)
		}
		if p.NextToken == nil {
			break
		}
		target = "/v1/brokers?maxResults=5&nextToken=" + url.QueryEscape(*p.NextToken)
	}
	slices.Sort(names)
	if len(names) != 12 || len(slices.Compact(names)) != 12 {
		t.Errorf("pages of 5 gave %v", names)
	}
	token := url.QueryEscape(*first.NextToken)
	open, err := base64.RawURLEncoding.DecodeString(*first.NextToken)
	for _, b := range first.BrokerSummaries {
		if err != nil || b.BrokerID == "" || bytes.Contains(open, []byte(b.BrokerID)) {
			t.Errorf("the token %s is not opaque: %v", *first.NextToken, err)
		}
	}
	bad := map[string]func() answer{
		"made up":            func() answer { return a.call("GET", "/v1/brokers?nextToken=abc", "") },
		"empty":              func() answer { return a.call("GET", "/v1/brokers?nextToken=", "") },
		"of another list":    func() answer { return a.call("GET", "/v1/configurations?nextToken="+token, "") },
		"of another handler": func() answer { return newAPI(t, nil).call("GET", "/v1/brokers?nextToken="+token, "") },
		"of another region": func() answer {
			r := httptest.NewRequest("GET", "/v1/brokers?nextToken="+token, http.NoBody)
			mqapi.SignForTest(r, "", keyID, secret, "us-east-1", a.now)
			return a.send(r)
		},
		"of another account": func() answer {
			r := httptest.NewRequest("GET", "/v1/brokers?nextToken="+token, http.NoBody)
			mqapi.SignForTest(r, "", "AKIDOTHER", "another secret", region, a.now)
			return a.send(r)
		},
	}
	for name, ask := range bad {
		t.Run(name, func(t *testing.T) {
			if got := ask(); got.kind != mqapi.BadRequest || got.attribute != "nextToken" {
				t.Errorf("%d %s %s", got.StatusCode, got.kind, got.message)
			}
		})
	}
	t.Run("of another filter", func(t *testing.T) {
		var options struct{ NextToken string }
		a.must("GET", "/v1/broker-instance-options?maxResults=5", "", &options)
		if got := a.call("GET", "/v1/broker-instance-options?storageType=EFS&nextToken="+url.QueryEscape(options.NextToken), ""); got.kind != mqapi.BadRequest || got.attribute != "nextToken" {
			t.Errorf("%d %s %s", got.StatusCode, got.kind, got.message)
		}
	})
	if _, err := mqapi.New(mqapi.Options{PageKey: []byte("short")}); err == nil {
		t.Error("a key of 5 bytes was taken")
	}
}

// Two handlers with one key understand each other's tokens.
func TestPageKey(t *testing.T) {
	key := func(o *mqapi.Options) { o.PageKey = []byte("0123456789abcdef") }
	var p struct{ NextToken string }
	newAPI(t, key).must("GET", "/v1/broker-instance-options?maxResults=5", "", &p)
	newAPI(t, key).must("GET", "/v1/broker-instance-options?nextToken="+url.QueryEscape(p.NextToken), "", nil)
}

func TestPage(t *testing.T) {
	entries := []string{"a", "b", "c", "d"}
	tests := map[string]struct {
		after string
		max   int32
		want  string
		next  string
	}{
		"first":                        {max: 2, want: "a b", next: "b"},
		"second":                       {after: "b", max: 2, want: "c d"},
		"after what is gone":           {after: "bb", max: 2, want: "c d"},
		"after the end":                {after: "z", max: 2},
		"exactly all":                  {max: 4, want: "a b c d"},
		"more than there is":           {max: 100, want: "a b c d"},
		"before what was put in front": {after: "A", max: 3, want: "a b c", next: "c"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var after *string
			if tt.after != "" {
				after = &tt.after
			}
			page, next := mqapi.Page(entries, func(s string) string { return s }, after, &tt.max)
			if got := strings.Join(page, " "); got != tt.want || page == nil || (next == nil) != (tt.next == "") || next != nil && *next != tt.next {
				t.Errorf("page %v, next %v; want %s, %q", page, next, tt.want, tt.next)
			}
		})
	}
}

func TestFingerprint(t *testing.T) {
	ask := func(name, token string) *mqapi.CreateBrokerRequest {
		return &mqapi.CreateBrokerRequest{BrokerName: name, CreatorRequestID: &token, Tags: map[string]string{"a": "1", "b": "2"}, Users: []mqapi.User{{Username: "u", Password: "p"}}}
	}
	a := ask("x", "1")
	if a.Fingerprint([]byte("k")) != ask("x", "2").Fingerprint([]byte("k")) {
		t.Error("another token makes another request")
	}
	if a.Fingerprint([]byte("k")) == ask("y", "1").Fingerprint([]byte("k")) {
		t.Error("another name does not")
	}
	if a.Fingerprint([]byte("k")) == a.Fingerprint([]byte("l")) {
		t.Error("the secret does not count")
	}
	if *a.CreatorRequestID != "1" {
		t.Error("the request was changed")
	}
}

func TestCORS(t *testing.T) {
	a := newAPI(t, nil)
	r := httptest.NewRequest("OPTIONS", "/v1/brokers/b-1", http.NoBody)
	r.Header.Set("Origin", "https://console.example")
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	if w.Code != 200 || w.Header().Get("Access-Control-Allow-Methods") != "DELETE,GET,PUT,OPTIONS" || !strings.Contains(w.Header().Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
	w = httptest.NewRecorder()
	a.handler.ServeHTTP(w, httptest.NewRequest("OPTIONS", "/v1/nowhere", http.NoBody))
	if w.Code != 404 {
		t.Errorf("preflight of no path: %d", w.Code)
	}
	signed := a.signed("GET", "/v1/brokers", "")
	signed.Header.Set("Origin", "https://console.example")
	if got := a.send(signed); got.Header.Get("Access-Control-Allow-Origin") != "*" || got.StatusCode != 200 {
		t.Errorf("with an origin: %d %v", got.StatusCode, got.Header)
	}
}
