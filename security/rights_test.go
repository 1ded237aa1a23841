package security

import (
	"encoding/asn1"
	"fmt"
	"testing"
)

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// identity logs in one user of the groups given under the mode.
func identity(t *testing.T, mode Mode, entries []Entry, groups ...string) *Identity {
	t.Helper()
	a := newAuthority(t, Policy{Mode: mode, Users: []User{{Name: "u", PasswordHash: cheapHash("p"), Groups: groups}}, Rights: entries}, Options{})
	i, err := a.Login(t.Context(), Credentials{User: "u", Password: "p", Address: here})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestCovers(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{">", "a", true}, {">", "a.b", true}, {">", ">", true}, {">", "*", true},
		{"a", "a", true}, {"a", "b", false}, {"a", "A", false}, {"a", "a.b", false}, {"a", "", false},
		{"a.>", "a", true}, {"a.>", "a.b", true}, {"a.>", "a.b.c", true}, {"a.>", "ab", false}, {"a.>", ">", false},
		{"a.>", "a.>", true}, {"a.>", "a.*", true}, {"a.>", "a.*.c", true}, {"a.>", "*.b", false},
		{"a.*", "a.b", true}, {"a.*", "a", false}, {"a.*", "a.b.c", false}, {"a.*", "a.*", true}, {"a.*", "a.>", false},
		{"*.b", "a.b", true}, {"*.b", "*.b", true}, {"*.b", "*.c", false}, {"*.b", ">", false}, {"*", "*", true}, {"*", ">", false},
		{"a.*.c", "a.b.c", true}, {"a.*.c", "a.*.c", true}, {"a.*.c", "a.>", false}, {"a.*.>", "a.b", true}, {"a.*.>", "a", false},
		{"a.*.>", "a.>.b", false}, {"a.b", "a.*", false}, {"a.b", "a.>", false}, {"a.", "a.", true}, {"a.*", "a.", true},
	}
	for _, tt := range tests {
		e, err := compileEntry(Entry{Destination: "queue://" + tt.pattern})
		if err != nil {
			t.Fatal(err)
		}
		if got := covers(e.path, tt.name); got != tt.want {
			t.Errorf("covers(%q, %q) = %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
}

func TestRights(t *testing.T) {
	entries := []Entry{
		{Destination: "queue://>", Read: []string{"admins"}, Write: []string{"admins"}, Admin: []string{"admins"}},
		{Destination: "queue://USERS.>", Read: []string{"users"}, Write: []string{"users"}, Admin: []string{"users"}},
		{Destination: "queue://NOADM.>", Read: []string{"users"}, Write: []string{"users"}},
		{Destination: "topic://news.*", Read: []string{"*"}, Write: []string{"editors"}},
		{Destination: "both", Read: []string{"users"}},
		{Destination: "queue://both", Write: []string{"users"}},
	}
	tests := map[string]struct {
		groups []string
		action Action
		kind   Kind
		name   string
		want   string // after "User u is not authorized to "; empty: allowed
	}{
		"read own":                        {[]string{"users"}, Read, Queue, "USERS.a", ""},
		"write foreign":                   {[]string{"users"}, Write, Queue, "SECRET", "write to: queue://SECRET"},
		"read foreign":                    {[]string{"users"}, Read, Queue, "SECRET", "read from: queue://SECRET"},
		"create without admin":            {[]string{"users"}, Create, Queue, "NOADM.x", "create: queue://NOADM.x"},
		"remove without admin":            {[]string{"users"}, Remove, Queue, "NOADM.x", "remove: queue://NOADM.x"},
		"read where not admin":            {[]string{"users"}, Read, Queue, "NOADM.x", ""},
		"wide gives, narrow takes not":    {[]string{"admins"}, Write, Queue, "USERS.a", ""},
		"two entries joined, read":        {[]string{"users"}, Read, Queue, "both", ""},
		"two entries joined, write":       {[]string{"users"}, Write, Queue, "both", ""},
		"no scheme: topic too":            {[]string{"users"}, Read, Topic, "both", ""},
		"queue entry is not for topics":   {[]string{"users"}, Write, Topic, "both", "write to: topic://both"},
		"wildcard all":                    {[]string{"users"}, Read, Queue, ">", "read from: queue://>"},
		"wildcard all by admin":           {[]string{"admins"}, Read, Queue, ">", ""},
		"wildcard own":                    {[]string{"users"}, Read, Queue, "USERS.>", ""},
		"wildcard wider than the entry":   {[]string{"users"}, Read, Topic, "news.>", "read from: topic://news.>"},
		"wildcard as the entry":           {nil, Read, Topic, "news.*", ""},
		"everybody":                       {nil, Read, Topic, "news.uk", ""},
		"everybody may not all":           {nil, Write, Topic, "news.uk", "write to: topic://news.uk"},
		"no entry":                        {[]string{"admins"}, Read, Topic, "other", "read from: topic://other"},
		"composite, all own":              {[]string{"users"}, Write, Queue, "USERS.a,USERS.b", ""},
		"composite, one foreign":          {[]string{"users"}, Write, Queue, "USERS.a,queue://SECRET", "write to: USERS.a,queue://SECRET"},
		"composite, foreign kind":         {[]string{"users"}, Write, Queue, "USERS.a,topic://USERS.a", "write to: USERS.a,topic://USERS.a"},
		"composite, blanks":               {[]string{"users"}, Write, Queue, "USERS.a, queue://SECRET", "write to: USERS.a, queue://SECRET"},
		"composite, empty part":           {[]string{"admins"}, Write, Queue, "a,", "write to: a,"},
		"options":                         {[]string{"users"}, Read, Queue, "USERS.a?consumer.priority=3", ""},
		"options hide nothing":            {[]string{"users"}, Read, Queue, "SECRET?USERS.a", "read from: queue://SECRET?USERS.a"},
		"temp without entry":              {nil, Create, TempQueue, "ID:x:1", ""},
		"temp advisories":                 {nil, Read, Topic, "ActiveMQ.Advisory.TempQueue,ActiveMQ.Advisory.TempTopic", ""},
		"temp advisories, made":           {nil, Create, Topic, "ActiveMQ.Advisory.TempQueue", ""},
		"temp advisories, written":        {nil, Write, Topic, "ActiveMQ.Advisory.TempQueue", "write to: topic://ActiveMQ.Advisory.TempQueue"},
		"temp advisories, with another":   {nil, Read, Topic, "ActiveMQ.Advisory.TempQueue,X", "read from: ActiveMQ.Advisory.TempQueue,X"},
		"temp advisory's name as a queue": {nil, Read, Queue, "ActiveMQ.Advisory.TempQueue", "read from: queue://ActiveMQ.Advisory.TempQueue"},
		"other advisories":                {[]string{"users"}, Read, Topic, "ActiveMQ.Advisory.Connection", "read from: topic://ActiveMQ.Advisory.Connection"},
		"no kind":                         {[]string{"admins"}, Read, 0, "x", "read from: x"},
		"unknown kind":                    {[]string{"admins"}, Read, 77, "x", "read from: x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i := identity(t, Mandatory, entries, tt.groups...)
			if tt.want != "" {
				tt.want = "User u is not authorized to " + tt.want
			}
			for _, time := range []string{"first", "remembered"} {
				got := ""
				if err := i.May(tt.action, tt.kind, tt.name); err != nil {
					got = err.Error()
				}
				if got != tt.want {
					t.Errorf("%s answer = %q, want %q", time, got, tt.want)
				}
			}
		})
	}
}

func TestTempRights(t *testing.T) {
	tests := map[string]struct {
		pattern      string
		queue, topic bool // allowed
	}{
		"both":   {"temp://>", false, false},
		"queues": {"temp-queue://>", false, true},
		"topics": {"temp-topic://>", true, false},
		"none":   {"queue://>", true, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i := identity(t, Mandatory, []Entry{{Destination: tt.pattern, Read: []string{"admins"}, Admin: []string{"admins"}}}, "users")
			for kind, allowed := range map[Kind]bool{TempQueue: tt.queue, TempTopic: tt.topic} {
				err := i.MayCreate(kind, "ID:1")
				if (err == nil) != allowed {
					t.Errorf("MayCreate(%v) = %v, want allowed %v", kind, err, allowed)
				}
			}
			if tt.queue {
				return
			}
			want := "User u is not authorized to read from: temp-queue://ID:1"
			if err := i.MayRead(TempQueue, "ID:1"); err == nil || err.Error() != want {
				t.Errorf("MayRead = %v, want %q", err, want)
			}
		})
	}
}

func TestNoRightsConfigured(t *testing.T) {
	i := identity(t, Mandatory, nil)
	for action := Read; action <= Remove; action++ {
		if err := i.May(action, Queue, "any"); err != nil {
			t.Errorf("without rights: %v", err)
		}
	}
}

func TestAnonymousRights(t *testing.T) {
	a := newAuthority(t, Policy{Mode: Optional, Rights: []Entry{
		{Destination: "all", Read: []string{"*"}}, {Destination: "open", Read: []string{"anonymous"}}}}, Options{})
	i, err := a.Login(t.Context(), Credentials{Address: here})
	if err != nil {
		t.Fatal(err)
	}
	if err := i.MayRead(Queue, "open"); err != nil {
		t.Error(err)
	}
	want := "User anonymous is not authorized to read from: queue://all"
	if err := i.MayRead(Queue, "all"); err == nil || err.Error() != want {
		t.Errorf("MayRead of what is for those who are logged in = %v, want %q", err, want)
	}
}

func TestObserveReportsRights(t *testing.T) {
	i := identity(t, Observe, []Entry{{Destination: "A", Read: []string{"users"}}}, "users")
	for range 3 {
		for _, name := range []string{"A", "B"} {
			if err := i.MayRead(Queue, name); err != nil {
				t.Errorf("observe refused %s: %v", name, err)
			}
		}
	}
	observed := i.authority.Observed()
	if len(observed) != 1 || observed[0].Reason != "not authorized to read from: queue://B" || observed[0].User != "u" {
		t.Errorf("Observed = %+v, want one refusal of queue://B", observed)
	}
}

// TestUpdateIsLive follows identities through changes of the policy.
func TestUpdateIsLive(t *testing.T) {
	user := User{Name: "u", PasswordHash: cheapHash("p"), Groups: []string{"g"}}
	base := Policy{Mode: Mandatory, Users: []User{user}, Rights: []Entry{{Destination: "A", Read: []string{"g"}}}}
	tests := map[string]struct {
		first       Policy
		credentials Credentials
		change      func(*Policy)
		valid       bool
		may         bool // read A
	}{
		"same":              {base, Credentials{User: "u", Password: "p"}, func(*Policy) {}, true, true},
		"right taken":       {base, Credentials{User: "u", Password: "p"}, func(p *Policy) { p.Rights = []Entry{{Destination: "B"}} }, true, false},
		"group taken":       {base, Credentials{User: "u", Password: "p"}, func(p *Policy) { p.Users = []User{{Name: "u", PasswordHash: user.PasswordHash}} }, true, false},
		"password changed":  {base, Credentials{User: "u", Password: "p"}, func(p *Policy) { p.Users[0].PasswordHash = cheapHash("q") }, true, true},
		"user removed":      {base, Credentials{User: "u", Password: "p"}, func(p *Policy) { p.Users = nil }, false, false},
		"removed, no right": {base, Credentials{User: "u", Password: "p"}, func(p *Policy) { p.Users, p.Rights = nil, nil }, false, false},
		"ignore now":        {base, Credentials{User: "u", Password: "p"}, func(p *Policy) { p.Mode, p.Users = Ignore, nil }, true, true},
		"was ignored":       {Policy{}, Credentials{User: "u", Password: "p"}, func(*Policy) {}, false, false},
		"was anonymous":     {Policy{Mode: Optional}, Credentials{}, func(*Policy) {}, false, false},
		"gave none, optional": {Policy{}, Credentials{}, func(p *Policy) {
			p.Mode, p.Rights = Optional, []Entry{{Destination: "A", Read: []string{"anonymous"}}}
		}, true, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, tt.first, Options{})
			i, err := a.Login(t.Context(), tt.credentials)
			if err != nil {
				t.Fatal(err)
			}
			if err := i.MayRead(Queue, "A"); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			p := base
			p.Users = []User{user}
			tt.change(&p)
			if err := a.Update(p); err != nil {
				t.Fatal(err)
			}
			if err := i.Valid(); (err == nil) != tt.valid {
				t.Errorf("Valid = %v, want valid %v", err, tt.valid)
			}
			if err := i.MayRead(Queue, "A"); (err == nil) != tt.may {
				t.Errorf("MayRead = %v, want allowed %v", err, tt.may)
			}
		})
	}
}

func TestVerdictsAreBounded(t *testing.T) {
	i := identity(t, Mandatory, []Entry{{Destination: "A.>", Read: []string{"*"}}})
	for n := range 3 * maxVerdicts {
		if err := i.MayRead(Queue, fmt.Sprint("A.", n)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(i.standing.Load().verdicts); n > maxVerdicts {
		t.Errorf("verdicts remembered = %d, want at most %d", n, maxVerdicts)
	}
}

func BenchmarkMayWrite(b *testing.B) {
	entries := []Entry{{Destination: "queue://ORDERS.>", Write: []string{"users"}}}
	for _, bb := range []struct {
		name    string
		entries []Entry
	}{{"no rights", nil}, {"rights", entries}} {
		b.Run(bb.name, func(b *testing.B) {
			a, err := New(Policy{Mode: Mandatory, Users: []User{{Name: "u", PasswordHash: cheapHash("p"), Groups: []string{"users"}}}, Rights: bb.entries}, Options{})
			if err != nil {
				b.Fatal(err)
			}
			i, err := a.Login(b.Context(), Credentials{User: "u", Password: "p"})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := i.MayWrite(Queue, "ORDERS.new.eu"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkLoginRemembered is a reconnection whose password was verified a moment ago.
func BenchmarkLoginRemembered(b *testing.B) {
	a, err := New(Policy{Mode: Mandatory, Users: []User{{Name: "u", PasswordHash: cheapHash("p")}}}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.Login(b.Context(), Credentials{User: "u", Password: "p", Address: here}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHashPassword(b *testing.B) {
	for b.Loop() {
		if _, err := HashPassword("password"); err != nil {
			b.Fatal(err)
		}
	}
}
