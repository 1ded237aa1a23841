package security

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// cheapHash is an argon2id hash that takes microseconds.
func cheapHash(password string) string {
	salt := []byte("salt of a test")
	key := argon2.IDKey([]byte(password), salt, 1, 8, 1, 32)
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(key))
}

func cheapBcrypt(t *testing.T, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func newAuthority(t *testing.T, p Policy, o Options) *Authority {
	t.Helper()
	a, err := New(p, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func at(address string) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(address), 40000)
}

var here = at("192.0.2.1")

func TestLoginByMode(t *testing.T) {
	users := []User{{Name: "anna", PasswordHash: cheapHash("right"), Groups: []string{"users"}}, {Name: "ben", PasswordHash: cheapBcrypt(t, "right")}}
	tests := map[string]struct {
		mode           Mode
		user, password string
		name           string // of the identity
		authenticated  bool
		refused        string // text
		observed       string // reason
	}{
		"ignore, nothing":           {mode: Ignore},
		"ignore, wrong":             {mode: Ignore, user: "anna", password: "wrong", name: "anna"},
		"observe, nothing":          {mode: Observe, observed: "no credentials given"},
		"observe, wrong":            {mode: Observe, user: "anna", password: "wrong", name: "anna", observed: "wrong password"},
		"observe, unknown":          {mode: Observe, user: "eve", password: "x", name: "eve", observed: "unknown user"},
		"observe, right":            {mode: Observe, user: "anna", password: "right", name: "anna", authenticated: true},
		"optional, nothing":         {mode: Optional, name: "anonymous"},
		"optional, right":           {mode: Optional, user: "anna", password: "right", name: "anna", authenticated: true},
		"optional, wrong":           {mode: Optional, user: "anna", password: "wrong", refused: "User name [anna] or password is invalid."},
		"optional, only a password": {mode: Optional, password: "right", refused: "User name [null] or password is invalid."},
		"mandatory, nothing":        {mode: Mandatory, refused: "User name [null] or password is invalid."},
		"mandatory, right":          {mode: Mandatory, user: "anna", password: "right", name: "anna", authenticated: true},
		"mandatory, bcrypt":         {mode: Mandatory, user: "ben", password: "right", name: "ben", authenticated: true},
		"mandatory, bcrypt wrong":   {mode: Mandatory, user: "ben", password: "Right", refused: "User name [ben] or password is invalid."},
		"mandatory, wrong":          {mode: Mandatory, user: "anna", password: "wrong", refused: "User name [anna] or password is invalid."},
		"mandatory, empty":          {mode: Mandatory, user: "anna", refused: "User name [anna] or password is invalid."},
		"mandatory, unknown":        {mode: Mandatory, user: "eve", password: "right", refused: "User name [eve] or password is invalid."},
		"mandatory, long password":  {mode: Mandatory, user: "anna", password: strings.Repeat("x", 5000), refused: "User name [anna] or password is invalid."},
		"mandatory, long name": {mode: Mandatory, user: strings.Repeat("u", 5000), password: "x",
			refused: "User name [" + strings.Repeat("u", maxNameBytes) + "] or password is invalid."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			a := newAuthority(t, Policy{Mode: tt.mode, Users: users}, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
			i, err := a.Login(t.Context(), Credentials{User: tt.user, Password: tt.password, Address: here})
			if tt.refused != "" {
				var refused *LoginError
				if i != nil || !errors.As(err, &refused) || err.Error() != tt.refused {
					t.Fatalf("Login = %v, %v; want %q", i, err, tt.refused)
				}
			} else if err != nil || i.Name() != tt.name || i.Authenticated() != tt.authenticated {
				t.Fatalf("Login = %+v, %v; want name %q, authenticated %v", i, err, tt.name, tt.authenticated)
			} else {
				doubt := Reason(tt.observed)
				if tt.name == anonymous {
					doubt = NoCredentials
				}
				if i.Doubt() != doubt {
					t.Errorf("Doubt = %q, want %q", i.Doubt(), doubt)
				}
			}
			observed := ""
			for _, r := range a.Observed() {
				observed += r.Reason
				if r.User != tt.user || r.Address != here.Addr() || r.Count != 1 || r.Last.IsZero() {
					t.Errorf("Observed = %+v; want user %q, address %v, once", r, tt.user, here)
				}
			}
			if observed != tt.observed {
				t.Errorf("Observed reasons = %q, want %q", observed, tt.observed)
			}
			if !strings.Contains(log.String(), "address=192.0.2.1:40000") {
				t.Errorf("log %q does not name the address", log.String())
			}
			if tt.password != "" && strings.Contains(log.String(), "="+tt.password) {
				t.Errorf("log %q contains the password", log.String())
			}
		})
	}
}

func TestPolicyMistakes(t *testing.T) {
	good := cheapHash("x")
	tests := map[string]struct {
		policy Policy
		want   []string
	}{
		"plain text":      {Policy{Users: []User{{Name: "a", PasswordHash: "secret"}}}, []string{`user "a"`, "plain text is not accepted"}},
		"md5":             {Policy{Users: []User{{Name: "a", PasswordHash: "$apr1$x$y"}}}, []string{"kind of password hash is not accepted"}},
		"no hash":         {Policy{Users: []User{{Name: "a"}}}, []string{"neither"}},
		"no name":         {Policy{Users: []User{{PasswordHash: good}}}, []string{"needs a name"}},
		"twice":           {Policy{Users: []User{{Name: "a", PasswordHash: good}, {Name: "a", PasswordHash: good}}}, []string{"twice"}},
		"group *":         {Policy{Users: []User{{Name: "a", PasswordHash: good, Groups: []string{"*"}}}}, []string{"group *"}},
		"argon2 memory":   {Policy{Users: []User{{Name: "a", PasswordHash: strings.Replace(good, "m=8,", "m=4294967295,", 1)}}}, []string{"parameter m"}},
		"argon2 version":  {Policy{Users: []User{{Name: "a", PasswordHash: strings.Replace(good, "v=19", "v=16", 1)}}}, []string{"version 19"}},
		"argon2 salt":     {Policy{Users: []User{{Name: "a", PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$c2hvcnQ$" + strings.Repeat("A", 43)}}}, []string{"salt"}},
		"argon2 key":      {Policy{Users: []User{{Name: "a", PasswordHash: "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$!"}}}, []string{"key must"}},
		"bcrypt cost":     {Policy{Users: []User{{Name: "a", PasswordHash: "$2a$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}}}, []string{"cost 31"}},
		"bcrypt cut":      {Policy{Users: []User{{Name: "a", PasswordHash: "$2a$05$CCCC"}}}, []string{"damaged"}},
		"mode":            {Policy{Mode: 9}, []string{"mode 9"}},
		"scheme":          {Policy{Rights: []Entry{{Destination: "quue://a"}}}, []string{`"quue"`}},
		"> in the middle": {Policy{Rights: []Entry{{Destination: "a.>.b"}}}, []string{"at the end"}},
		"composite":       {Policy{Rights: []Entry{{Destination: "a,b"}}}, []string{"one pattern"}},
		"temp name":       {Policy{Rights: []Entry{{Destination: "temp-queue://x"}}}, []string{"must be >"}},
		"empty group":     {Policy{Rights: []Entry{{Destination: "a", Read: []string{""}}}}, []string{"group needs a name"}},
		"all at once":     {Policy{Users: []User{{Name: "a"}}, Rights: []Entry{{Destination: ""}}}, []string{`user "a"`, `rights of ""`}},
		"subject":         {Policy{Users: []User{{Name: "a", CertificateSubjects: []string{"client1"}}}}, []string{"distinguished name"}},
		"subject of two": {Policy{Users: []User{{Name: "a", CertificateSubjects: []string{"CN=x, O=T"}}, {Name: "b", CertificateSubjects: []string{"cn=x,o=T"}}}},
			[]string{`belongs to user "a"`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, Policy{Mode: Mandatory}, Options{})
			err := a.Update(tt.policy)
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("Update = %v, want %q in it", err, want)
				}
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("Update = %v: repeats a password", err)
			}
			if a.Mode() != Mandatory {
				t.Errorf("mode after a refused update = %v, want the old one", a.Mode())
			}
		})
	}
}

func TestHashVectors(t *testing.T) {
	tests := map[string]struct {
		hash, password string
		want           bool
	}{
		"argon2id of the reference": {"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password", true},
		"argon2id, wrong":           {"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "Password", false},
		"bcrypt of crypt_blowfish":  {"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
		"bcrypt, 2y":                {"$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true},
		"bcrypt, wrong":             {"$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*V", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			h, err := parseHash(tt.hash)
			if err != nil {
				t.Fatal(err)
			}
			if got := h.verify(tt.password); got != tt.want {
				t.Errorf("verify(%q) = %v, want %v", tt.password, got, tt.want)
			}
		})
	}
}

func TestHashPassword(t *testing.T) {
	one, err := HashPassword("pass")
	if err != nil {
		t.Fatal(err)
	}
	two, err := HashPassword("pass")
	if err != nil {
		t.Fatal(err)
	}
	if one == two {
		t.Error("two hashes of one password are equal: no salt")
	}
	h, err := parseHash(one)
	if err != nil || !h.verify("pass") || h.verify("Pass") {
		t.Errorf("hash %q does not verify its password only (%v)", one, err)
	}
	for _, bad := range []string{"", strings.Repeat("x", maxPasswordBytes+1)} {
		if _, err := HashPassword(bad); err == nil {
			t.Errorf("HashPassword of %d bytes succeeded", len(bad))
		}
	}
}

func TestModeText(t *testing.T) {
	for m := Ignore; m <= Mandatory; m++ {
		text, err := m.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Mode
		if err := back.UnmarshalText(text); err != nil || back != m {
			t.Errorf("mode %v -> %q -> %v, %v", m, text, back, err)
		}
	}
	var m Mode
	if err := m.UnmarshalText([]byte("Mandatory")); err == nil || !strings.Contains(err.Error(), "ignore, observe, optional, mandatory") {
		t.Errorf("UnmarshalText(Mandatory) = %v, want the list of modes", err)
	}
}

// slowHash counts how often and how many at once it is computed; it takes a second of a bubble's time.
type slowHash struct {
	password          string
	computed, now, at atomic.Int32
}

func (h *slowHash) verify(password string) bool {
	h.computed.Add(1)
	for n := h.now.Add(1); ; {
		if most := h.at.Load(); n <= most || h.at.CompareAndSwap(most, n) {
			break
		}
	}
	<-time.After(time.Second)
	h.now.Add(-1)
	return password == h.password
}

func (h *slowHash) text() string { return "slow:" + h.password }

// withSlow gives the authority one user "anna" with a slowHash.
func withSlow(t *testing.T, mode Mode, o Options) (*Authority, *slowHash) {
	t.Helper()
	a := newAuthority(t, Policy{Mode: mode, Users: []User{{Name: "anna", PasswordHash: cheapHash("x")}}}, o)
	h := &slowHash{password: "right"}
	a.current.Load().users["anna"].hash = h
	return a, h
}

func TestStormOfReconnectionsCostsOneHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, h := withSlow(t, Mandatory, Options{Workers: 2})
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if _, err := a.Login(t.Context(), Credentials{User: "anna", Password: "right", Address: here}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if _, err := a.Login(t.Context(), Credentials{User: "anna", Password: "right", Address: here}); err != nil {
			t.Error(err)
		}
		if n := h.computed.Load(); n != 1 {
			t.Errorf("1,001 equal logins computed %d hashes, want 1", n)
		}
		time.Sleep(6 * time.Minute) // of the bubble: what is remembered expires
		if _, err := a.Login(t.Context(), Credentials{User: "anna", Password: "right", Address: here}); err != nil {
			t.Error(err)
		}
		if n := h.computed.Load(); n != 2 {
			t.Errorf("hashes after the memory expired = %d, want 2", n)
		}
	})
}

func TestWorkersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, h := withSlow(t, Observe, Options{Workers: 3, MaxWaiting: 10})
		var all sync.WaitGroup
		for n := range 40 {
			all.Go(func() {
				a.Login(t.Context(), Credentials{User: "anna", Password: fmt.Sprint(n), Address: here})
			})
		}
		all.Wait()
		if most := h.at.Load(); most != 3 {
			t.Errorf("hashes at once = %d, want 3", most)
		}
		if n := h.computed.Load(); n != 13 {
			t.Errorf("hashes of 40 logins = %d, want 13: 3 at work and 10 waiting", n)
		}
		busy := int64(0)
		for _, r := range a.Observed() {
			if r.Reason == string(Busy) {
				busy += r.Count
			}
		}
		if busy != 27 {
			t.Errorf("logins refused as busy = %d, want 27", busy)
		}
	})
}

func TestLoginEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, h := withSlow(t, Mandatory, Options{Workers: 1})
		busy := make(chan struct{})
		go func() {
			defer close(busy)
			a.Login(t.Context(), Credentials{User: "anna", Password: "first", Address: here})
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, err := a.Login(ctx, Credentials{User: "anna", Password: "right", Address: here}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Login = %v, want the context's error", err)
		}
		if took := time.Since(begin); took != 100*time.Millisecond {
			t.Errorf("Login took %v, want 100ms", took)
		}
		// The same again, before the abandoned computation has noticed.
		if _, err := a.Login(t.Context(), Credentials{User: "anna", Password: "right", Address: here}); err != nil {
			t.Errorf("Login after an abandoned one = %v", err)
		}
		<-busy
		synctest.Wait()
		if n := h.computed.Load(); n != 2 {
			t.Errorf("hashes = %d, want 2: nobody waited for the abandoned one", n)
		}
	})
}

func TestUnknownUserCostsAHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, h := withSlow(t, Mandatory, Options{})
		if _, err := a.Login(t.Context(), Credentials{User: "eve", Password: "right", Address: here}); err == nil {
			t.Fatal("an unknown user with another's password was admitted")
		}
		if n := h.computed.Load(); n != 1 {
			t.Errorf("hashes for an unknown user = %d, want 1", n)
		}
	})
}

func TestFailedLoginsAreSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, Policy{Mode: Mandatory, Users: []User{
			{Name: "anna", PasswordHash: cheapHash("right")}, {Name: "ben", PasswordHash: cheapHash("right")}}}, Options{})
		login := func(user, password string, from netip.AddrPort) (time.Duration, error) {
			begin := time.Now()
			_, err := a.Login(t.Context(), Credentials{User: user, Password: password, Address: from})
			return time.Since(begin), err
		}
		if took, err := login("ben", "right", here); took != 0 || err != nil {
			t.Fatalf("first login = %v, %v", took, err)
		}
		slowest := time.Duration(0)
		for n := range 20 {
			took, err := login("anna", fmt.Sprint("guess", n), here)
			if err == nil {
				t.Fatal("a guess was right")
			}
			if n < 5 && took != 0 {
				t.Errorf("failure %d took %v, want no delay", n, took)
			}
			slowest = max(slowest, took)
		}
		if slowest != slowUser.worst {
			t.Errorf("slowest guess took %v, want %v", slowest, slowUser.worst)
		}
		tests := []struct {
			what, user, password string
			from                 netip.AddrPort
			slow                 bool
		}{
			{"the same user from the same address", "anna", "right", here, true},
			{"now proven", "anna", "right", here, false},
			{"another user from the same address", "ben", "right", here, false},
			{"the same user from elsewhere", "anna", "right", at("192.0.2.2"), false},
		}
		for _, tt := range tests {
			if took, err := login(tt.user, tt.password, tt.from); err != nil || (took > 0) != tt.slow {
				t.Errorf("%s: took %v, %v; want slowed %v", tt.what, took, err, tt.slow)
			}
		}

		// Guesses in parallel stand in one line, and what would wait too long is refused.
		var throttled atomic.Int32
		var all sync.WaitGroup
		begin := time.Now()
		for n := range 100 {
			all.Go(func() {
				_, err := login("anna", fmt.Sprint("parallel", n), here)
				var refused *LoginError
				if errors.As(err, &refused) && refused.Reason == Throttled {
					throttled.Add(1)
				}
			})
		}
		all.Wait()
		if n, took := throttled.Load(), time.Since(begin); n < 95 || took > maxPause {
			t.Errorf("of 100 parallel guesses %d were refused unseen within %v, want 95 or more, 10s", n, took)
		}
		time.Sleep(30 * time.Minute) // of the bubble
		if took, err := login("anna", "right", at("192.0.2.1")); took != 0 || err != nil {
			t.Errorf("login half an hour later = %v, %v; want at once", took, err)
		}
	})
}

func TestClientsWithoutCredentialsAreSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		a := newAuthority(t, Policy{Mode: Mandatory, Users: []User{{Name: "anna", PasswordHash: cheapHash("right")}}},
			Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
		begin := time.Now()
		for range 12 {
			if _, err := a.Login(t.Context(), Credentials{Address: here}); err == nil {
				t.Fatal("admitted")
			}
		}
		if took := time.Since(begin); took < 10*time.Second {
			t.Errorf("12 logins without credentials took %v, want 10s or more", took)
		}
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { a.Login(t.Context(), Credentials{Address: here}) })
		}
		all.Wait()
		if lines := strings.Count(log.String(), "\n"); lines > 30 {
			t.Errorf("1,012 refusals made %d lines of log", lines)
		}
		if _, err := a.Login(t.Context(), Credentials{User: "anna", Password: "right", Address: here}); err != nil {
			t.Errorf("another client at the address: %v", err)
		}
	})
}

func TestManyUsersFromOneAddressAreSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, Policy{Mode: Mandatory, Users: []User{{Name: "anna", PasswordHash: cheapHash("x")}}}, Options{Addresses: 64})
		begin := time.Now()
		for n := range 100 {
			// One IPv6 host has a whole /64 of addresses.
			from := netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", n+1)), 1)
			a.Login(t.Context(), Credentials{User: fmt.Sprint("user", n), Password: "guess", Address: from})
		}
		if took := time.Since(begin); took < 30*time.Second {
			t.Errorf("100 guesses at 100 users took %v, want 30s or more", took)
		}
		if n := len(a.throttle.of); n > 64 {
			t.Errorf("records = %d, want at most 64", n)
		}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(10, time.Minute)
	now := time.Now()
	for n := range 100 {
		m.put(verdictKey{byte(n)}, now)
	}
	if len(m.until) != 10 {
		t.Errorf("members = %d, want 10", len(m.until))
	}
	if !m.has(verdictKey{99}, now) {
		t.Error("the last one put is not there")
	}
	if m.has(verdictKey{99}, now.Add(time.Minute)) {
		t.Error("a member outlived its time")
	}
}

func TestObservationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newObservations(3)
		for _, user := range []string{"a", "b", "a", "c", "d"} {
			o.record(user, here, "wrong password")
			time.Sleep(time.Second)
		}
		got := ""
		for _, r := range o.list() {
			got += fmt.Sprint(r.User, r.Count, " ")
		}
		if want := "d1 c1 a2 "; got != want {
			t.Errorf("list = %q, want %q", got, want)
		}
		o.forget()
		if n := len(o.list()); n != 0 {
			t.Errorf("%d left after forget", n)
		}
	})
}

func TestLoginByCertificate(t *testing.T) {
	// A certificate made by keytool -dname "CN=client1, O=T" has the elements in the opposite order.
	certificate := func(names ...pkix.AttributeTypeAndValue) *x509.Certificate {
		var sequence pkix.RDNSequence
		for _, n := range names {
			sequence = append(sequence, []pkix.AttributeTypeAndValue{n})
		}
		return &x509.Certificate{RawSubject: marshal(t, sequence)}
	}
	o := pkix.AttributeTypeAndValue{Type: []int{2, 5, 4, 10}, Value: "T"}
	cn := pkix.AttributeTypeAndValue{Type: []int{2, 5, 4, 3}, Value: "client1"}
	odd := pkix.AttributeTypeAndValue{Type: []int{2, 5, 4, 10}, Value: `Smith, "J"`}
	tests := map[string]struct {
		subject string
		cert    *x509.Certificate
		shown   string // "" if refused
	}{
		"Java":          {"CN=client1, O=T", certificate(o, cn), "CN=client1, O=T"},
		"RFC 4514":      {"cn=client1,o=T", certificate(o, cn), "CN=client1, O=T"},
		"by number":     {"2.5.4.3=client1,OID.2.5.4.10=T", certificate(o, cn), "CN=client1, O=T"},
		"quoted":        {`CN=client1, O="Smith, \"J\""`, certificate(odd, cn), `CN=client1, O="Smith, \"J\""`},
		"escaped":       {`CN=client1,O=Smith\2c \"J\"`, certificate(odd, cn), `CN=client1, O="Smith, \"J\""`},
		"order differs": {"O=T, CN=client1", certificate(o, cn), ""},
		"more specific": {"O=T", certificate(o, cn), ""},
		"injected":      {"CN=client1, O=T", certificate(pkix.AttributeTypeAndValue{Type: cn.Type, Value: "client1, O=T"}), ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, Policy{Mode: Mandatory, Users: []User{{Name: "svc", CertificateSubjects: []string{tt.subject}}},
				Rights: []Entry{{Destination: "A"}}}, Options{})
			i, err := a.Login(t.Context(), Credentials{Certificate: tt.cert, Address: here})
			if tt.shown == "" {
				if err == nil {
					t.Fatalf("admitted as %q", i.Name())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := "User " + tt.shown + " is not authorized to read from: queue://A"
			if err := i.MayRead(Queue, "A"); i.Name() != "svc" || err == nil || err.Error() != want {
				t.Errorf("name %q, MayRead = %v; want svc, %q", i.Name(), err, want)
			}
		})
	}
}

func TestDigest(t *testing.T) {
	salt, other := []byte("sixteen bytes of"), []byte("SIXTEEN BYTES OF")
	one := Digest([]byte("asked"), salt)
	if again := Digest([]byte("asked"), salt); again != one {
		t.Errorf("the same gives %s and %s", one, again)
	}
	if Digest([]byte("asked"), other) == one || Digest([]byte("Asked"), salt) == one {
		t.Error("another salt or another secret gives the same")
	}
}
