package mqapi_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/mqapi/mqapitest"
)

const (
	keyID   = "AKIDEXAMPLE"
	secret  = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	account = "123456789012"
	region  = "eu-central-1"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// tester is a test, be it of rapid's.
type tester interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

// api is a handler with a service in memory, as a signed caller sees it.
type api struct {
	t       tester
	handler *mqapi.Handler
	now     time.Time
	log     *strings.Builder
}

func newAPI(t tester, change func(*mqapi.Options)) *api {
	t.Helper()
	a := &api{t: t, now: noon, log: &strings.Builder{}}
	options := mqapi.Options{
		Service: &mqapitest.Service{},
		Keys: mqapitest.Keys{
			keyID:        {Account: account, Secret: secret},
			"AKIDOTHER":  {Account: "210987654321", Secret: "another secret"},
			"AKIDOFF":    {Account: account, Secret: secret, Disabled: true},
			"AKIDPAST":   {Account: account, Secret: secret, Expires: noon},
			"AKIDFUTURE": {Account: account, Secret: secret, Expires: noon.Add(time.Hour)},
		},
		Burst: 1 << 30,
		Now:   func() time.Time { return a.now },
		Log:   slog.New(slog.NewTextHandler(a.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&options)
	}
	var err error
	if a.handler, err = mqapi.New(options); err != nil {
		t.Fatal(err)
	}
	return a
}

// answer is what came back.
type answer struct {
	*http.Response
	body      string
	kind      mqapi.Kind
	attribute string
	message   string
}

func (a *api) send(r *http.Request) answer {
	a.t.Helper()
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	got := answer{Response: w.Result(), body: w.Body.String()}
	got.kind = mqapi.Kind(got.Header.Get("x-amzn-ErrorType"))
	if len(got.Header.Get("x-amzn-RequestId")) != 36 {
		a.t.Errorf("%s %s: request id %q", r.Method, r.URL, got.Header.Get("x-amzn-RequestId"))
	}
	if (got.StatusCode >= 300) != (got.kind != "") {
		a.t.Errorf("%s %s: status %d with error type %q", r.Method, r.URL, got.StatusCode, got.kind)
	}
	if got.kind != "" {
		var e struct{ ErrorAttribute, Message string }
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Message == "" {
			a.t.Errorf("%s %s: the error's body is %q: %v", r.Method, r.URL, got.body, err)
		}
		got.attribute, got.message = e.ErrorAttribute, e.Message
		if got.StatusCode != got.kind.Status() {
			a.t.Errorf("%s %s: status %d of %s; want %d", r.Method, r.URL, got.StatusCode, got.kind, got.kind.Status())
		}
	}
	return got
}

// call asks with a good signature.
func (a *api) call(method, target, body string) answer {
	a.t.Helper()
	return a.send(a.signed(method, target, body))
}

func (a *api) signed(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	mqapi.SignForTest(r, body, keyID, secret, region, a.now)
	return r
}

// must asks, wants a success, and reads the answer into into.
func (a *api) must(method, target, body string, into any) {
	a.t.Helper()
	got := a.call(method, target, body)
	if got.StatusCode >= 300 {
		a.t.Fatalf("%s %s %s: %d %s", method, target, body, got.StatusCode, got.body)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(got.body), into); err != nil {
			a.t.Fatalf("%s %s: %q: %v", method, target, got.body, err)
		}
	}
}

const goodBroker = `{"brokerName":"payroll","deploymentMode":"active_standby_multi_az","engineType":"ACTIVEMQ","engineVersion":"5.19","hostInstanceType":"mq.m5.large",` +
	`"publiclyAccessible":false,"autoMinorVersionUpgrade":true,"creatorRequestId":"one","users":[{"username":"ops","password":"correct horse 7","groups":["admins"]}],"subnetIds":["subnet-a","subnet-b"],` +
	`"securityGroups":["sg-1"],"tags":{"team":"pay"},"logs":{"general":true},"maintenanceWindowStartTime":{"dayOfWeek":"tuesday","timeOfDay":"03:00","timeZone":"Europe/Berlin"}}`

// createBroker makes one and gives its id and ARN.
func (a *api) createBroker() (id, arn string) {
	a.t.Helper()
	var made struct{ BrokerID, BrokerARN string }
	a.must("POST", "/v1/brokers", goodBroker, &made)
	return made.BrokerID, made.BrokerARN
}

// failing is a service of which one operation panics or gives an error.
type failing struct {
	mqapi.Service
	err   error
	panic any
}

func (f *failing) answer() error {
	if f.panic != nil {
		panic(f.panic)
	}
	return f.err
}

func (f *failing) CreateBroker(context.Context, mqapi.Caller, *mqapi.CreateBrokerRequest) (*mqapi.CreateBrokerResponse, error) {
	return nil, f.answer()
}

func (f *failing) DescribeBroker(context.Context, mqapi.Caller, *mqapi.DescribeBrokerRequest) (*mqapi.DescribeBrokerResponse, error) {
	return nil, f.answer()
}

func (f *failing) DeleteBroker(context.Context, mqapi.Caller, *mqapi.DeleteBrokerRequest) (*mqapi.DeleteBrokerResponse, error) {
	return nil, f.answer()
}
