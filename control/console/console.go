// Package console is Godwit's web console: pages made on the server, which call the HTTP API as the command line does, with the credentials of whoever looks. What
// somebody may do is decided there; pages only leave out what would be refused. docs: docs/console.md.
package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

// root is where the pages are.
const root = "/console/"

// Options are what a console works with.
type Options struct {
	// API answers the API's calls.
	API http.Handler
	// Service says that this is a service for several brokers.
	Service bool
	// Idle is how long a session lasts in which nobody does anything, Most how long one lasts at all. 0 means 30 minutes and 12 hours.
	Idle, Most time.Duration
	// Log receives logins. nil: nothing is logged.
	Log *slog.Logger
}

// The bounds.
const (
	maxSessions       = 1000
	maxSessionsOfUser = 20
	maxStreams        = 64
	maxForm           = 8 << 20
)

// Console answers what is below /console/.
type Console struct {
	options  Options
	mux      *http.ServeMux
	sessions sessions
	streams  chan struct{} // one entry a page that goes on by itself
	pages    templates
}

// New makes a console.
func New(options Options) *Console {
	if options.Idle == 0 {
		options.Idle = 30 * time.Minute
	}
	if options.Most == 0 {
		options.Most = 12 * time.Hour
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	c := &Console{options: options, mux: http.NewServeMux(), streams: make(chan struct{}, maxStreams), pages: parse()}
	c.sessions = sessions{idle: options.Idle, most: options.Most, limit: maxSessions, ofUser: maxSessionsOfUser, now: time.Now, byID: map[string]*session{}}
	c.mux.HandleFunc("GET "+root+"assets/{name}", asset)
	c.mux.HandleFunc("GET "+root+"login", c.loginPage)
	c.mux.HandleFunc("POST "+root+"login", c.login)
	c.mux.HandleFunc("POST "+root+"logout", c.logout)
	c.routes()
	return c
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" { // browsers say it even where they leave out Origin
			http.Error(w, "This form comes from another site.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	}
	c.mux.ServeHTTP(w, r)
}

//go:embed assets
var assetFiles embed.FS

// assetVersion is a digest of all assets: their addresses have it, so browsers may keep them for good.
var assetVersion = func() string {
	h := sha256.New()
	_ = fs.WalkDir(assetFiles, ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			data, _ := assetFiles.ReadFile(name)
			fmt.Fprintf(h, "%s %d\n%s", name, len(data), data)
		}
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)[:8])
}()

func asset(w http.ResponseWriter, r *http.Request) {
	data, err := assetFiles.ReadFile("assets/" + r.PathValue("name"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(r.PathValue("name"))))
	if r.URL.Query().Get("v") == assetVersion {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Write(data)
}

// sessionOf gives the browser's session; nil: it has none. Where the API is open to everybody one is made at once: its token tells our forms from others.
func (c *Console) sessionOf(w http.ResponseWriter, r *http.Request) *session {
	if cookie, err := r.Cookie(cookieName(r)); err == nil {
		if s := c.sessions.find(cookie.Value); s != nil {
			return s
		}
	}
	if r.Method == http.MethodPost {
		return nil
	}
	remote, err := c.remote("")
	if err != nil {
		return nil
	}
	caller, err := remote.Caller(ask(r, nil))
	if err != nil || !caller.Open {
		return nil
	}
	s := c.sessions.begin(caller.User, nil)
	setCookie(w, r, s.id)
	return s
}

// remote is a client of the API, or of the API of a broker of the service.
func (c *Console) remote(broker string) (*client.Client, error) {
	address := "http://localhost"
	if broker != "" {
		address += "/api/v1/brokers/" + broker
	}
	return client.New(address, client.Options{Transport: inside{c.options.API}})
}

// loginPage asks who comes.
func (c *Console) loginPage(w http.ResponseWriter, r *http.Request) {
	if c.sessionOf(w, r) != nil {
		http.Redirect(w, r, here(r.URL.Query().Get("next")), http.StatusSeeOther)
		return
	}
	c.pages.show(w, http.StatusOK, "login", &view{Title: "Sign in", Model: map[string]string{"Next": here(r.URL.Query().Get("next"))}, c: c})
}

// here is an address below the console, whatever was given: a link from elsewhere must not lead away after the login.
func here(next string) string {
	if u, err := url.Parse(next); err == nil && u.Scheme == "" && u.Host == "" && u.User == nil && strings.HasPrefix(path.Clean(u.Path)+"/", root) {
		return u.String()
	}
	return root
}

// login begins a session with a user name and a password. The API checks them, and holds up those who guess.
func (c *Console) login(w http.ResponseWriter, r *http.Request) {
	user, password, next := r.PostFormValue("user"), r.PostFormValue("password"), here(r.PostFormValue("next"))
	err := c.enter(w, r, user, func(call *http.Request) { call.SetBasicAuth(user, password) })
	if err == nil {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	var refused *api.Error
	status := http.StatusServiceUnavailable
	why := err.Error()
	if errors.As(err, &refused) && refused.Code == api.Unauthorized {
		status, why = http.StatusUnauthorized, "The user name or the password is not right, or too many attempts were made: then wait a minute."
	}
	c.pages.show(w, status, "login", &view{Title: "Sign in", Model: map[string]string{"Next": next, "User": user, "Why": why}, c: c})
}

// enter begins a session for whoever can show what the API takes: any other way in than a password ends here, too.
func (c *Console) enter(w http.ResponseWriter, r *http.Request, user string, authorize func(*http.Request)) error {
	remote, err := c.remote("")
	if err != nil {
		return err
	}
	caller, err := remote.Caller(ask(r, &session{authorize: authorize}))
	if err != nil {
		return err
	}
	if cookie, err := r.Cookie(cookieName(r)); err == nil {
		c.sessions.end(cookie.Value) // never take over an id from before the login
	}
	s := c.sessions.begin(caller.User, authorize)
	setCookie(w, r, s.id)
	c.options.Log.Info("console login", "user", caller.User, "role", caller.Role, "remote", r.RemoteAddr)
	return nil
}

func (c *Console) logout(w http.ResponseWriter, r *http.Request) {
	if s := c.sessionOf(w, r); s != nil {
		if !s.mayPost(r) {
			c.stale(w)
			return
		}
		c.sessions.end(s.id)
	}
	setCookie(w, r, "")
	http.Redirect(w, r, root+"login", http.StatusSeeOther)
}

// stale answers a form that no page of this session has made.
func (c *Console) stale(w http.ResponseWriter) {
	http.Error(w, "This form is not one of this session's pages. Go back, reload the page, and try again.", http.StatusForbidden)
}
