// Package audit keeps what was done to a broker and by whom: who, proven by what, from where, what, on what, before and after, and what came of it. Never a message's body or a secret.
//
// A Trail has the newest entries in memory, for the API, and writes each one as a line of JSON to a file that rotates, or to the program's log. Noting one never waits for a disk.
package audit

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// Entry is one thing that was done, or refused.
type Entry struct {
	Time      time.Time       `json:"time"`
	Who       string          `json:"who"`             // user name, or id of an access key; "" if it is not known
	Proof     string          `json:"proof,omitempty"` // password, token, key, or local: this machine, which needs none
	From      string          `json:"from,omitempty"`  // HOST:PORT of the caller
	Via       string          `json:"via"`             // api, amazon, or process: the process itself
	Operation string          `json:"operation"`       // POST queues/{name}/purge, CreateBroker, reload
	On        string          `json:"on,omitempty"`    // what it was done to: a path, an id
	Asked     json.RawMessage `json:"asked,omitempty"` // the request of a change of Amazon's API, with *** for secrets
	Changes   []Change        `json:"changes,omitempty"`
	Outcome   Outcome         `json:"outcome"`
	Detail    string          `json:"detail,omitempty"` // why it was refused or has failed
	More      int             `json:"more,omitempty"`   // others like this one that were not noted by themselves, since there were many
}

// Change is of a setting. Secrets are ***.
type Change struct {
	Key string `json:"key"`
	Old string `json:"old"`
	New string `json:"new"`
}

// Outcome is what came of it.
type Outcome string

// The outcomes.
const (
	Done    Outcome = "done"
	Refused Outcome = "refused" // the caller may not, or asked for what cannot be
	Failed  Outcome = "failed"
)

// Options of a Trail.
type Options struct {
	// Kept is how many entries are kept in memory. 0: 10,000.
	Kept int
	// File receives each entry as a line; nil, or one without a path: Log does.
	File *File
	// CloseWithin is how long Close waits for a disk that hangs. 0: 5 seconds.
	CloseWithin time.Duration
	// Log receives entries where there is no file, and says what is wrong with it. nil: slog.Default.
	Log *slog.Logger
	// Now is the clock. nil: time.Now.
	Now func() time.Time
}

// Trail keeps entries. It may be used by many goroutines.
type Trail struct {
	opt     Options
	lines   chan []byte
	written sync.WaitGroup

	mu      sync.Mutex
	ring    []Entry
	next    int // where the next one goes, when the ring is full
	floods  map[string]*flood
	dropped int // lines that did not get to the file
	closed  bool
}

// flood is of refusals to one address.
type flood struct {
	since time.Time
	seen  int
	last  Entry
}

const (
	defaultKept = 10_000
	// floodAfter is how many refusals of an address are noted one by one in floodFor; the rest becomes one entry.
	floodAfter = 5
	floodFor   = 10 * time.Second
	maxFloods  = 1024
	waiting    = 1024 // lines that wait for the file
	// mostText bounds each text of an entry, in bytes, and mostAsked a request: who is not even logged in could else fill the memory.
	mostText     = 1 << 10
	mostAsked    = 4 << 10
	closesWithin = 5 * time.Second
)

// New makes a trail, with what the file already has.
func New(opt Options) *Trail {
	if opt.Kept <= 0 {
		opt.Kept = defaultKept
	}
	if opt.Log == nil {
		opt.Log = slog.Default()
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.CloseWithin <= 0 {
		opt.CloseWithin = closesWithin
	}
	t := &Trail{opt: opt, floods: map[string]*flood{}}
	if opt.File != nil {
		t.ring = opt.File.last(opt.Kept)
		t.lines = make(chan []byte, waiting)
		t.written.Go(t.write)
	}
	return t
}

// Note adds an entry. A nil trail notes nothing.
func (t *Trail) Note(e Entry) {
	if t == nil {
		return
	}
	e.bound()
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.opt.Now()
	t.settle(now)
	if e.Time = now; e.Outcome == Refused && e.From != "" && !t.worth(&e, now) {
		return
	}
	t.add(e)
}

// bound cuts what is too long.
func (e *Entry) bound() {
	for _, text := range []*string{&e.Who, &e.From, &e.Operation, &e.On, &e.Detail} {
		if len(*text) > mostText {
			*text = strings.ToValidUTF8((*text)[:mostText], "") + "…"
		}
	}
	if len(e.Asked) > mostAsked {
		e.Asked = fmt.Appendf(nil, "%q", fmt.Sprintf("%d bytes, which are too many to be kept", len(e.Asked)))
	}
}

// worth says whether a refusal is noted by itself. The caller holds mu.
func (t *Trail) worth(e *Entry, now time.Time) bool {
	host, _, err := net.SplitHostPort(e.From)
	if err != nil {
		host = e.From
	}
	f := t.floods[host]
	if f == nil {
		if len(t.floods) >= maxFloods {
			host = "" // all others together
			f = t.floods[host]
		}
		if f == nil {
			f = &flood{since: now}
			t.floods[host] = f
		}
	}
	f.seen++
	f.last = *e
	return f.seen <= floodAfter
}

// settle notes what was held back of floods that are over. The caller holds mu.
func (t *Trail) settle(now time.Time) {
	for host, f := range t.floods {
		if now.Sub(f.since) < floodFor {
			continue
		}
		delete(t.floods, host)
		if more := f.seen - floodAfter; more > 0 {
			f.last.More = more - 1
			t.add(f.last)
		}
	}
}

func (t *Trail) add(e Entry) {
	if len(t.ring) < t.opt.Kept {
		t.ring = append(t.ring, e)
	} else {
		t.ring[t.next%len(t.ring)] = e
		t.next = (t.next + 1) % len(t.ring)
	}
	if t.lines == nil || t.opt.File.Path() == "" {
		t.opt.Log.Info("audit", e.attributes()...)
		return
	}
	if t.closed {
		return
	}
	line, err := json.Marshal(e)
	if err != nil { // of Asked, which is no JSON
		e.Asked = nil
		line, _ = json.Marshal(e)
	}
	select {
	case t.lines <- append(line, '\n'):
	default:
		t.dropped++
		if t.dropped == 1 {
			t.opt.Log.Error("the audit log does not keep up: entries are in memory only", "file", t.opt.File.Path())
		}
	}
}

// attributes are those of a line of the log, without what is empty.
func (e *Entry) attributes() []any {
	list := []any{"log", "audit"}
	for _, a := range []struct{ name, value string }{{"who", e.Who}, {"proof", e.Proof}, {"from", e.From}, {"via", e.Via}, {"operation", e.Operation}, {"on", e.On}, {"asked", string(e.Asked)}, {"outcome", string(e.Outcome)}, {"detail", e.Detail}} {
		if a.value != "" {
			list = append(list, a.name, a.value)
		}
	}
	if len(e.Changes) > 0 {
		list = append(list, "changes", e.Changes)
	}
	if e.More > 0 {
		list = append(list, "more", e.More)
	}
	return list
}

// write is the goroutine that writes to the file.
func (t *Trail) write() {
	failed := false
	for line := range t.lines {
		err := t.opt.File.write(line)
		switch {
		case err != nil && !failed:
			t.opt.Log.Error("the audit log cannot be written: entries are in memory only", "file", t.opt.File.Path(), "error", err)
		case err == nil && failed:
			t.opt.Log.Info("the audit log is written again", "file", t.opt.File.Path())
		}
		failed = err != nil
	}
}

// Close writes what waits for the file, unless that takes longer than Options.CloseWithin.
func (t *Trail) Close() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	t.settle(t.opt.Now().Add(floodFor))
	closing := !t.closed && t.lines != nil
	t.closed = true
	t.mu.Unlock()
	if !closing {
		return nil
	}
	close(t.lines)
	written := make(chan struct{})
	go func() {
		defer close(written)
		t.written.Wait()
	}()
	select {
	case <-written:
		return t.opt.File.close()
	case <-time.After(t.opt.CloseWithin):
		return fmt.Errorf("%s takes nothing: the newest entries are not in it", t.opt.File.Path())
	}
}

// Filter chooses entries. The zero value chooses all.
type Filter struct {
	Since     time.Time
	Who       string // exactly
	Operation string // a part of it
	Limit     int    // 0: 100
}

// List gives the entries that a filter chooses, the newest first.
func (t *Trail) List(f Filter) []Entry {
	if t == nil {
		return nil
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle(t.opt.Now())
	found := []Entry{}
	for i := range t.ring {
		at := len(t.ring) - 1 - i
		if len(t.ring) == t.opt.Kept {
			at = (t.next - 1 - i + 2*len(t.ring)) % len(t.ring)
		}
		e := t.ring[at]
		if e.Time.Before(f.Since) || f.Who != "" && e.Who != f.Who || !strings.Contains(e.Operation, f.Operation) {
			continue
		}
		if found = append(found, e); len(found) == f.Limit {
			break
		}
	}
	return found
}

// secrets are members of requests whose values nobody may see, in lower case. data is a whole configuration, which may have some.
var secrets = map[string]bool{"password": true, "secret": true, "serviceaccountpassword": true, "token": true, "data": true}

// Mask gives a JSON value with *** in place of secrets; nil if it is none.
func Mask(data []byte) json.RawMessage {
	var value any
	if json.Unmarshal(data, &value) != nil {
		return nil
	}
	masked, err := json.Marshal(mask(value))
	if err != nil || string(masked) == "{}" || string(masked) == "null" {
		return nil
	}
	return masked
}

func mask(value any) any {
	switch x := value.(type) {
	case map[string]any:
		for name := range x {
			if secrets[strings.ToLower(name)] {
				x[name] = "***"
			} else {
				x[name] = mask(x[name])
			}
		}
	case []any:
		for i := range x {
			x[i] = mask(x[i])
		}
	}
	return value
}
