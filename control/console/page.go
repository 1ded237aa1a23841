package console

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

// page is a page of a broker.
type page struct {
	title string
	// role is who is shown the way to it; the API decides who may see it.
	role api.Role
	// every is how often somebody who looks at it is shown what has changed; 0: it stays as it is.
	every time.Duration
	// model asks the API for what it shows.
	model func(*view) (any, error)
}

// view is what a template shows.
type view struct {
	c       *Console
	r       *http.Request
	ctx     context.Context
	session *session
	api     *client.Client // of the broker
	service *client.Client // of this process

	Title  string
	Page   string // its template
	Broker string // of the service; "": the one of this process
	Caller api.Caller
	Named  string // the broker's name for people
	Flash  *flash
	Every  time.Duration
	Model  any
	Err    error
	most   map[string]int // connections that a service had at most while this page was looked at
}

// place tells the pages of all brokers apart.
func (v *view) place() string { return v.Broker + "/" + v.Page }

// Base is below which the broker's pages are.
func (v *view) Base() string {
	if v.Broker == "" {
		return root
	}
	return root + "b/" + url.PathEscape(v.Broker) + "/"
}

// Root is below which all pages are.
func (v *view) Root() string { return root }

// Asset is where an asset is.
func (v *view) Asset(name string) string { return root + "assets/" + name + "?v=" + assetVersion }

// Token is what forms must bring along.
func (v *view) Token() string {
	if v.session == nil {
		return ""
	}
	return v.session.token
}

// Service says that there are several brokers.
func (v *view) Service() bool { return v.c.options.Service }

// roles in their order.
var rank = map[api.Role]int{api.User: 1, api.Reader: 2, api.Operator: 3, api.Admin: 4}

// May says whether the caller is that much. It decides what is shown, not what is allowed.
func (v *view) May(role api.Role) bool { return rank[v.Caller.Role] >= rank[role] }

// Query is a value of the request's query.
func (v *view) Query(name string) string { return v.r.URL.Query().Get(name) }

// Self is this page's address with some of the query's values replaced: name, value, name, value.
func (v *view) Self(pairs ...any) string {
	q := v.r.URL.Query()
	for i := 0; i+1 < len(pairs); i += 2 {
		if value := fmt.Sprint(pairs[i+1]); value == "" {
			q.Del(fmt.Sprint(pairs[i]))
		} else {
			q.Set(fmt.Sprint(pairs[i]), value)
		}
	}
	if len(q) == 0 {
		return v.r.URL.Path
	}
	return v.r.URL.Path + "?" + q.Encode()
}

// at shows a page, of this process' broker and of those of the service.
func (c *Console) at(name string, p page) {
	h := func(w http.ResponseWriter, r *http.Request) {
		v, ok := c.view(w, r)
		if !ok {
			return
		}
		v.Page, v.Title, v.Every = name, p.title, p.every
		if p.every > 0 && r.Header.Get("Accept") == "text/event-stream" {
			c.stream(w, v, p)
			return
		}
		v.Flash = v.session.take()
		v.Model, v.Err = p.model(v)
		c.pages.show(w, v.status(), name, v)
	}
	path := name
	if name == "overview" {
		path = "{$}"
	}
	c.mux.HandleFunc("GET "+root+path, h)
	c.mux.HandleFunc("GET "+root+"b/{broker}/"+path, h)
}

// status is the HTTP status of a page.
func (v *view) status() int {
	var refused *api.Error
	switch {
	case v.Err == nil:
		return http.StatusOK
	case errors.As(v.Err, &refused) && refused.Status != 0:
		return refused.Status
	}
	return http.StatusServiceUnavailable
}

// view begins a page or an act. Not ok: it was answered already, for example because somebody has to log in first.
func (c *Console) view(w http.ResponseWriter, r *http.Request) (*view, bool) {
	s := c.sessionOf(w, r)
	if s == nil {
		c.mustLogIn(w, r)
		return nil, false
	}
	v := &view{c: c, r: r, session: s, ctx: ask(r, s), Broker: r.PathValue("broker")}
	var err error
	if v.service, err = c.remote(""); err == nil {
		v.api, err = c.remote(v.Broker)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return nil, false
	}
	caller, err := v.service.Caller(v.ctx)
	var refused *api.Error
	if errors.As(err, &refused) && refused.Code == api.Unauthorized { // the user is gone, or has another password
		c.sessions.end(s.id)
		c.mustLogIn(w, r)
		return nil, false
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return nil, false
	}
	v.Caller = *caller
	if r.Header.Get("Accept") != "text/event-stream" {
		c.sessions.touch(s)
	}
	v.Named = v.Broker
	if v.Named == "" {
		if version, err := v.service.Version(v.ctx); err == nil {
			v.Named = version.Broker
		}
	}
	v.Named = cmp.Or(v.Named, "broker")
	return v, true
}

func (c *Console) mustLogIn(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Accept") == "text/event-stream":
		w.WriteHeader(http.StatusNoContent) // which ends an EventSource
	case r.Method == http.MethodGet:
		http.Redirect(w, r, root+"login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	default:
		http.Error(w, "This session is over. Sign in again, and try once more.", http.StatusForbidden)
	}
}

// act does what a form asks for. do says what came of it, and which page is next; "" is the one that the form was on.
func (c *Console) act(name string, do func(*view) (said, next string, err error)) {
	h := func(w http.ResponseWriter, r *http.Request) {
		v, ok := c.view(w, r)
		if !ok {
			return
		}
		if !v.session.mayPost(r) {
			c.stale(w)
			return
		}
		said, next, err := do(v)
		status, f := http.StatusOK, flash{Text: said}
		if err != nil {
			v.Err = err
			status, f = v.status(), flash{Text: sentence(err), Bad: true}
		}
		if r.Header.Get("Accept") == "application/json" { // the page goes on, and shows it itself
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			if next != "" && err == nil {
				v.session.leave(f)
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"text": f.Text, "bad": f.Bad, "next": next})
			return
		}
		if status == http.StatusForbidden { // nobody comes here by a button
			http.Error(w, f.Text, status)
			return
		}
		v.session.leave(f)
		http.Redirect(w, r, cmp.Or(next, here(r.PostFormValue("back"))), http.StatusSeeOther)
	}
	c.mux.HandleFunc("POST "+root+name, h)
	c.mux.HandleFunc("POST "+root+"b/{broker}/"+name, h)
}

// sentence is an error for people.
func sentence(err error) string {
	text := err.Error()
	if text == "" {
		return "It failed."
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// stream shows what has changed on a page for as long as somebody looks at it, and is let in.
func (c *Console) stream(w http.ResponseWriter, v *view, p page) {
	select {
	case c.streams <- struct{}{}:
		defer func() { <-c.streams }()
	default:
		http.Error(w, "too many live pages", http.StatusServiceUnavailable)
		return
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the server's is for requests, which this one has been
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	v.most = v.session.lookedAt(v.place())
	last := ""
	quiet := time.Now()
	for {
		begun := time.Now()
		if c.sessions.find(v.session.id) == nil {
			fmt.Fprint(w, "event: over\ndata:\n\n")
			_ = control.Flush()
			return
		}
		v.Model, v.Err = p.model(v)
		var out bytes.Buffer
		if err := c.pages.of[v.Page].ExecuteTemplate(&out, "content", v); err != nil {
			c.options.Log.Error("a page cannot be shown", "page", v.Page, "error", err)
			return
		}
		_ = control.SetWriteDeadline(time.Now().Add(20 * time.Second))
		switch now := out.String(); {
		case now != last:
			last, quiet = now, time.Now()
			if _, err := fmt.Fprintf(w, "data: %s\n\n", strings.ReplaceAll(now, "\n", "\ndata: ")); err != nil {
				return
			}
		case time.Since(quiet) > 15*time.Second: // says whether anybody is there
			quiet = time.Now()
			if _, err := fmt.Fprint(w, ": \n\n"); err != nil {
				return
			}
		}
		if err := control.Flush(); err != nil {
			return
		}
		pause := max(p.every, 2*time.Since(begun)) // a look that takes long is not taken so often
		select {
		case <-time.After(pause):
		case <-v.ctx.Done():
			return
		}
	}
}

//go:embed templates
var templateFiles embed.FS

// templates are the pages, each with the frame around it.
type templates struct{ of map[string]*template.Template }

func parse() templates {
	frame := template.Must(template.New("frame").Funcs(functions).ParseFS(templateFiles, "templates/frame.html", "templates/parts.html"))
	all := templates{of: map[string]*template.Template{}}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err)
	}
	for _, file := range names {
		name := strings.TrimSuffix(path.Base(file), ".html")
		if name == "frame" || name == "parts" {
			continue
		}
		all.of[name] = template.Must(template.Must(frame.Clone()).ParseFS(templateFiles, file))
	}
	return all
}

// show writes a page.
func (t templates) show(w http.ResponseWriter, status int, name string, v *view) {
	var out bytes.Buffer
	if err := t.of[name].ExecuteTemplate(&out, "frame", v); err != nil {
		v.c.options.Log.Error("a page cannot be shown", "page", name, "error", err)
		http.Error(w, "The page cannot be shown; the broker's log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(out.Bytes())
}

// functions are what templates can do beside showing.
var functions = template.FuncMap{
	"both":    func() []string { return []string{"commit", "rollback"} },
	"lastID":  lastID,
	"more":    more,
	"nav":     nav,
	"sorted":  sorted,
	"short":   short,
	"ticks":   ticks,
	"whole":   func(x float64) string { return countText(int64(x)) },
	"at":      func(ms int64) time.Time { return time.UnixMilli(ms) },
	"bytes":   sizeText,
	"count":   countText,
	"inc":     func(n int) int { return n + 1 },
	"join":    strings.Join,
	"lower":   strings.ToLower,
	"millis":  func(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() },
	"pluralS": func(n int) string { return map[bool]string{true: "", false: "s"}[n == 1] },
	"rate":    rateText,
	"role":    func(s string) api.Role { return api.Role(s) },
	"say":     sentence,
}

// Age is how long something was ago. In the browser it counts on by itself; so what a live page sends does not change with it.
func (v *view) Age(t time.Time) template.HTML {
	if t.IsZero() {
		return "–"
	}
	text := ""
	if v.most == nil {
		text = ago(t)
	}
	return template.HTML(fmt.Sprintf(`<time data-age datetime="%s" title="%s">%s</time>`, t.UTC().Format(time.RFC3339), t.UTC().Format("2006-01-02 15:04:05 UTC"), text))
}

func ago(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

func sizeText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}

// countText is a number with its thousands apart.
func countText(n any) string {
	digits := fmt.Sprint(n)
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteRune('\u202f') // a narrow space that does not break
		}
		b.WriteRune(d)
	}
	return b.String()
}

func rateText(x float64) string {
	switch {
	case x < 0:
		return "–"
	case x > 0 && x < 9.95:
		return fmt.Sprintf("%.1f/s", x)
	}
	return countText(int64(x+0.5)) + "/s"
}

// ticks sets what stands between backticks in the type of code.
func ticks(text string) template.HTML {
	var b strings.Builder
	parts := strings.Split(text, "`")
	for i, part := range parts {
		if i%2 == 1 && i < len(parts)-1 {
			b.WriteString("<code>" + template.HTMLEscapeString(part) + "</code>")
		} else {
			b.WriteString(template.HTMLEscapeString(part))
		}
	}
	return template.HTML(b.String())
}
