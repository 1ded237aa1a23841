package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/control/console"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/readiness"
)

// rig is a console over a real API over a real engine.
type rig struct {
	*client.Client
	url    string
	server *control.Server
}

func newRig(t *testing.T, open bool, options console.Options) *rig {
	t.Helper()
	dir := t.TempDir()
	e, err := engine.Open(func(n journal.Notify) (journal.Log, error) {
		return segment.Open(dir, segment.Options{SegmentSize: 1 << 20, Logger: slog.New(slog.DiscardHandler)}, n)
	}, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := control.New(control.Options{
		Connect: func() (control.Conn, error) { return e.Connect(), nil }, Cut: e.Cut,
		Login: func(_ context.Context, user, password string, _ netip.AddrPort) (control.Caller, error) {
			if password != "right" {
				return control.Caller{}, errors.New("User name or password is invalid.")
			}
			return control.Caller{User: user, Admin: user == "root", Operator: user == "hand", Reader: user == "eye",
				May: func(control.Action, message.Destination) error { return errors.New("not authorized") }}, nil
		},
		Health: func() api.Health { return api.Health{Status: "ok", Ready: true} },
		Clients: control.Clients{Roster: readiness.NewRoster(), Rules: func() []readiness.Rule { return nil },
			Situation: func() readiness.Situation { return readiness.Situation{} }},
		Listeners: func() []api.Listener { return nil }, Version: api.Version{Version: "v9", Broker: "godwit"},
	}, true)
	s.Configure(open, nil)
	options.API = s.Handler()
	s.Console(console.New(options))
	l := httptest.NewUnstartedServer(nil).Listener
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	r := &rig{url: "http://" + l.Addr().String(), server: s}
	if r.Client, err = client.New(r.url, client.Options{User: "root", Password: "right"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Close(ctx)
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// visitor is a browser without a screen.
type visitor struct {
	t    *testing.T
	at   string
	http http.Client
}

func (r *rig) visit(t *testing.T) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{t: t, at: r.url, http: http.Client{Jar: jar}}
}

// get gives where a page was in the end, and what it said.
func (v *visitor) get(path string) (*http.Response, string) {
	v.t.Helper()
	return v.do(http.MethodGet, path, nil, nil)
}

func (v *visitor) do(method, path string, form url.Values, header http.Header) (*http.Response, string) {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), method, v.at+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := v.http.Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return response, string(body)
}

func (v *visitor) login(user, password string) (*http.Response, string) {
	v.t.Helper()
	return v.do(http.MethodPost, "/console/login", url.Values{"user": {user}, "password": {password}, "next": {"/console/queues"}}, nil)
}

var tokenField = regexp.MustCompile(`name="token" value="([^"]+)"`)

// token is the one of this session's forms.
func (v *visitor) token() string {
	v.t.Helper()
	_, page := v.get("/console/queues")
	found := tokenField.FindStringSubmatch(page)
	if found == nil {
		v.t.Fatalf("no form on\n%s", page)
	}
	return html.UnescapeString(found[1])
}

func TestHeaders(t *testing.T) {
	v := newRig(t, true, console.Options{}).visit(t)
	for _, path := range []string{"/", "/console/", "/console/login", "/console/queues", "/console/assets/app.js", "/console/nothing"} {
		response, body := v.get(path)
		policy := response.Header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
			if !strings.Contains(policy, want) || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: Content-Security-Policy %q; want %q, and nothing unsafe", path, policy, want)
			}
		}
		if response.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: no nosniff", path)
		}
		if strings.Contains(path, "assets") {
			continue
		}
		for _, inline := range []string{"<style", " style=", " onclick=", "javascript:"} {
			if strings.Contains(body, inline) {
				t.Errorf("%s: the page has %q, which the policy refuses", path, inline)
			}
		}
	}
}

func TestHostileNamesAndBodies(t *testing.T) {
	r := newRig(t, true, console.Options{})
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>{{.}}` + "`'"
	for _, kind := range []message.Kind{message.Queue, message.Topic} {
		if err := r.Create(t.Context(), message.Destination{Kind: kind, Name: evil}); err != nil {
			t.Fatal(err)
		}
	}
	body := evil
	if _, err := r.Send(t.Context(), message.Destination{Kind: message.Queue, Name: evil}, api.Send{Text: &body, Properties: map[string]any{"p": evil}, CorrelationID: evil, JMSType: evil}); err != nil {
		t.Fatal(err)
	}
	v := r.visit(t)
	d := url.QueryEscape("queue://" + evil)
	for _, path := range []string{"queues", "topics", "destination?d=" + d, "messages?d=" + d, "send?d=" + d, "sweep?do=remove&d=" + d, "sweep?do=move&to=" + d + "&d=" + d,
		"queues?filter=" + url.QueryEscape(evil), "login?next=" + url.QueryEscape(evil), "destination?d=queue%3A%2F%2F" + url.QueryEscape(evil+"not there"), "service?name=" + url.QueryEscape(evil)} {
		_, page := v.get("/console/" + path)
		for _, raw := range []string{"<script>alert", "<img src=x"} {
			if strings.Contains(page, raw) {
				t.Errorf("%s shows %q as it is", path, raw)
			}
		}
		if !strings.Contains(path, "login") && !strings.Contains(page, "alert(1)") && !strings.Contains(path, "service") {
			t.Errorf("%s does not show the name at all", path)
		}
	}
}

func TestLogin(t *testing.T) {
	r := newRig(t, false, console.Options{})
	v := r.visit(t)
	if response, page := v.get("/console/queues"); response.Request.URL.Path != "/console/login" || strings.Contains(page, "Queues") {
		t.Errorf("without a login, /console/queues leads to %s", response.Request.URL)
	}
	if response, _ := v.login("root", "wrong"); response.StatusCode != http.StatusUnauthorized || response.Header.Get("Set-Cookie") != "" {
		t.Errorf("a wrong password: %s, cookie %q", response.Status, response.Header.Get("Set-Cookie"))
	}
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, _ := v.login("eye", "right")
	cookie := response.Header.Get("Set-Cookie")
	for _, want := range []string{"HttpOnly", "SameSite=Strict", "Path=/console/"} {
		if !strings.Contains(cookie, want) {
			t.Errorf("cookie %q; want %s", cookie, want)
		}
	}
	if response.Header.Get("Location") != "/console/queues" {
		t.Errorf("after the login: %q", response.Header.Get("Location"))
	}
	for next, want := range map[string]string{"//evil.example/": "/console/", "https://evil.example/console/": "/console/", "/console/../v1": "/console/", `/\evil.example`: "/console/", "/console/topics?page=2": "/console/topics?page=2", "javascript:x": "/console/"} {
		response, _ := v.do(http.MethodPost, "/console/login", url.Values{"user": {"eye"}, "password": {"right"}, "next": {next}}, nil)
		if got := response.Header.Get("Location"); got != want {
			t.Errorf("next %q leads to %q; want %q", next, got, want)
		}
	}
	// A session ends with its logout, also for whoever has kept the cookie.
	kept := v.http.Jar.Cookies(response.Request.URL)
	v.do(http.MethodPost, "/console/logout", url.Values{"token": {tokenOf(t, v, "/console/queues")}}, nil)
	at, _ := url.Parse(r.url + "/console/")
	v.http.Jar.SetCookies(at, kept)
	if response, _ := v.get("/console/queues"); response.StatusCode != http.StatusSeeOther {
		t.Errorf("after the logout /console/queues is answered %s", response.Status)
	}
}

func tokenOf(t *testing.T, v *visitor, path string) string {
	t.Helper()
	_, page := v.get(path)
	found := tokenField.FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no form on %s:\n%s", path, page)
	}
	return html.UnescapeString(found[1])
}

func TestSessionsEnd(t *testing.T) {
	for name, options := range map[string]console.Options{"idle": {Idle: 50 * time.Millisecond}, "at most": {Most: 50 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			v := newRig(t, false, options).visit(t)
			v.login("root", "right")
			time.Sleep(100 * time.Millisecond)
			if response, _ := v.get("/console/queues"); response.Request.URL.Path != "/console/login" {
				t.Errorf("a session whose time is out still shows %s", response.Request.URL)
			}
		})
	}
}

func TestForgedForms(t *testing.T) {
	for _, open := range []bool{true, false} {
		r := newRig(t, open, console.Options{})
		v := r.visit(t)
		if !open {
			v.login("root", "right")
		}
		good := v.token()
		tests := map[string]struct {
			token  string
			header http.Header
			want   int
		}{
			"no token":        {want: http.StatusForbidden},
			"another's token": {token: "A" + good[1:], want: http.StatusForbidden},
			"foreign origin":  {token: good, header: http.Header{"Origin": {"https://evil.example"}}, want: http.StatusForbidden},
			"null origin":     {token: good, header: http.Header{"Origin": {"null"}}, want: http.StatusForbidden},
			"another site":    {token: good, header: http.Header{"Sec-Fetch-Site": {"cross-site"}}, want: http.StatusForbidden},
			"a sibling site":  {token: good, header: http.Header{"Sec-Fetch-Site": {"same-site"}}, want: http.StatusForbidden},
			"own":             {token: good, header: http.Header{"Origin": {r.url}, "Sec-Fetch-Site": {"same-origin"}}, want: http.StatusOK},
		}
		for name, tt := range tests {
			if name == "another's token" && strings.HasPrefix(good, "A") {
				tt.token = "B" + good[1:]
			}
			d := fmt.Sprintf("%s %t", name, open)
			response, said := v.do(http.MethodPost, "/console/create", url.Values{"token": {tt.token}, "kind": {"queue"}, "name": {d}}, tt.header)
			if response.StatusCode != tt.want {
				t.Errorf("open %t, %s: %s %s; want %d", open, name, response.Status, said, tt.want)
			}
			_, err := r.Destination(t.Context(), message.Destination{Kind: message.Queue, Name: d})
			if made := err == nil; made != (tt.want == http.StatusOK) {
				t.Errorf("open %t, %s: the queue was made: %t", open, name, made)
			}
		}
	}
}

// Rights are those of the API, whatever a page shows or a form says.
func TestRights(t *testing.T) {
	r := newRig(t, false, console.Options{})
	d := message.Destination{Kind: message.Queue, Name: "orders"}
	if err := r.Create(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]int{"eye": http.StatusForbidden, "nobody": http.StatusForbidden, "hand": http.StatusOK, "root": http.StatusOK} {
		v := r.visit(t)
		v.login(user, "right")
		_, page := v.get("/console/")
		found := tokenField.FindStringSubmatch(page)
		if found == nil {
			t.Fatalf("%s sees no form for the logout on\n%s", user, page)
		}
		response, said := v.do(http.MethodPost, "/console/pause", url.Values{"token": {html.UnescapeString(found[1])}, "d": {"queue://orders"}, "on": {"true"}}, http.Header{"Accept": {"application/json"}})
		if response.StatusCode != want {
			t.Errorf("%s pauses a queue: %s %s; want %d", user, response.Status, said, want)
		}
		_, page = v.get("/console/destination?d=queue://orders")
		if has := strings.Contains(page, `action="/console/pause"`); has != (want == http.StatusOK) {
			t.Errorf("%s sees the button: %t", user, has)
		}
		var caller api.Caller
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url+"/api/v1/caller", nil)
		request.SetBasicAuth(user, "right")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(answer.Body).Decode(&caller)
		answer.Body.Close()
		role := map[string]api.Role{"eye": api.Reader, "nobody": api.User, "hand": api.Operator, "root": api.Admin}[user]
		if err != nil || caller.Role != role || caller.User != user {
			t.Errorf("caller of %s: %+v, %v; want %s", user, caller, err, role)
		}
	}
	var view broker.DestinationView
	if view, _ = r.Destination(t.Context(), d); !view.Paused {
		t.Error("the queue is not paused")
	}
}
