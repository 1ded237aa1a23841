package control

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/audit"
	"github.com/godwitmq/godwit/control/api"
)

// audit answers GET audit?since=&who=&operation=&limit=.
func (s *Server) audit(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f := audit.Filter{Who: q.Get("who"), Operation: q.Get("operation")}
	var err error
	if text := q.Get("since"); text != "" {
		if f.Since, err = time.Parse(time.RFC3339, text); err != nil {
			fail(w, malformed(r, "since %q is no time; expected for example 2026-12-01T06:00:00Z", text))
			return
		}
	}
	if text := q.Get("limit"); text != "" {
		if f.Limit, err = strconv.Atoi(text); err != nil || f.Limit < 1 || f.Limit > 10_000 {
			fail(w, malformed(r, "limit %q is out of range; expected 1 to 10000", text))
			return
		}
	}
	respond(w, api.Audit{Entries: list(s.options.Trail.List(f))})
}

// noted says whether a call leaves a trail: changes do, traffic does not, and what is asked in Amazon's words its handler notes itself, who knows what it means.
func noted(r *http.Request) bool {
	return r.Method != http.MethodGet && r.Method != http.MethodHead && !isTraffic(r.URL.Path) && !strings.HasPrefix(r.URL.Path, "/api/v1/mq/")
}

// entry is what is known of a call before it is answered.
func entry(r *http.Request, caller *Caller) audit.Entry {
	operation := r.Pattern
	if method, path, ok := strings.Cut(operation, " "); ok {
		operation = method + " " + strings.TrimPrefix(path, "/api/v1/")
	} else {
		operation = r.Method
	}
	return audit.Entry{Who: caller.User, Proof: proofOf(r, caller), From: r.RemoteAddr, Via: "api", Operation: operation, On: r.URL.Path}
}

func proofOf(r *http.Request, caller *Caller) string {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case caller.Local:
		return "local"
	case strings.EqualFold(scheme, "Bearer"):
		return "token"
	case strings.EqualFold(scheme, "Basic"):
		return "password"
	}
	return ""
}

// note notes a call, by what was answered. One that is not whole was broken off.
func (s *Server) note(r *http.Request, caller *Caller, answer *answer, whole bool) {
	e := entry(r, caller)
	switch {
	case !whole:
		e.Outcome, e.Detail = audit.Failed, "the answer was broken off"
	case answer.status == 0 || answer.status < http.StatusBadRequest:
		e.Outcome = audit.Done
	case answer.status < http.StatusInternalServerError:
		e.Outcome = audit.Refused
	default:
		e.Outcome = audit.Failed
	}
	if whole && e.Outcome != audit.Done {
		var said api.Error
		if json.Unmarshal(answer.head.Bytes(), &said) == nil {
			e.Detail = said.Detail
		}
	}
	s.options.Trail.Note(e)
}

// answer looks at what is written.
type answer struct {
	http.ResponseWriter
	status int
	head   bytes.Buffer // of a refusal
}

// mostOfRefusal is how much of a refusal is looked at.
const mostOfRefusal = 8 << 10

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.status >= http.StatusBadRequest && a.head.Len() < mostOfRefusal {
		a.head.Write(p[:min(len(p), mostOfRefusal-a.head.Len())])
	}
	return a.ResponseWriter.Write(p)
}
