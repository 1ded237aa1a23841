package console

import (
	"crypto/rand"
	"crypto/subtle"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// session is one browser that has been let in. Its credentials go with each call of the API, which decides; they are in memory only.
type session struct {
	id, token string
	// authorize puts what the browser's user has shown at the login onto a call. nil: nothing, where the API asks for nothing.
	authorize func(*http.Request)
	user      string
	begun     time.Time

	mu     sync.Mutex
	used   time.Time
	flash  *flash
	page   string         // with a picture of connections, that was looked at last
	looked map[string]int // connections that each service had at most on it
}

// look keeps what was seen on a page, for the stream that goes on with it, also when that breaks off and begins again.
func (s *session) look(page string, most map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.page, s.looked = page, maps.Clone(most)
}

// lookedAt is what was seen on a page so far.
func (s *session) lookedAt(page string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.page != page {
		return map[string]int{}
	}
	return maps.Clone(s.looked)
}

// flash is what an act has to say, on the next page.
type flash struct {
	Text string
	Bad  bool
}

// leave keeps a word for the next page.
func (s *session) leave(f flash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flash = &f
}

// take gives that word, once.
func (s *session) take() *flash {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flash
	s.flash = nil
	return f
}

// sessions are all of them, in bounded number.
type sessions struct {
	idle, most    time.Duration
	limit, ofUser int
	now           func() time.Time

	mu   sync.Mutex
	byID map[string]*session
}

// begin makes a session. Where a bound is reached, the one that was not used for the longest ends.
func (s *sessions) begin(user string, authorize func(*http.Request)) *session {
	now := s.now()
	fresh := &session{id: rand.Text(), token: rand.Text(), authorize: authorize, user: user, begun: now, used: now}
	s.mu.Lock()
	defer s.mu.Unlock()
	all, of := (*session)(nil), (*session)(nil)
	count := 0
	for _, x := range s.byID {
		if s.over(x, now) {
			delete(s.byID, x.id)
			continue
		}
		if all == nil || x.lastUse().Before(all.lastUse()) {
			all = x
		}
		if x.user == user {
			count++
			if of == nil || x.lastUse().Before(of.lastUse()) {
				of = x
			}
		}
	}
	switch {
	case count >= s.ofUser:
		delete(s.byID, of.id)
	case len(s.byID) >= s.limit:
		delete(s.byID, all.id)
	}
	s.byID[fresh.id] = fresh
	return fresh
}

func (s *session) lastUse() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// over says whether a session's time is out.
func (s *sessions) over(x *session, now time.Time) bool {
	return now.Sub(x.begun) >= s.most || now.Sub(x.lastUse()) >= s.idle
}

// find gives the session of an id, nil if there is none any more.
func (s *sessions) find(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.byID[id]
	if x != nil && s.over(x, s.now()) {
		delete(s.byID, id)
		return nil
	}
	return x
}

// touch says that somebody uses it. Pages that go on by themselves do not.
func (s *sessions) touch(x *session) {
	now := s.now()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.used = now
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}

// mayPost says whether a form comes from one of this session's pages.
func (s *session) mayPost(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.PostFormValue("token")), []byte(s.token)) == 1
}

// cookieName differs by port: cookies do not, and several brokers may run on one machine.
func cookieName(r *http.Request) string {
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		port = "0"
	}
	return "godwit-console-" + port
}

func setCookie(w http.ResponseWriter, r *http.Request, id string) {
	c := &http.Cookie{Name: cookieName(r), Value: id, Path: root, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil}
	if id == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
