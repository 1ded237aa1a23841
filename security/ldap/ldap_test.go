package ldap_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/security/ldap"
	"github.com/godwitmq/godwit/security/ldap/ldaptest"
)

// options are those for a server, by TLS.
func options(s *ldaptest.Server) ldap.Options {
	return ldap.Options{
		Hosts: []string{s.TLS}, Roots: s.CA, ServiceAccountUsername: ldaptest.Account, ServiceAccountPassword: ldaptest.AccountPassword,
		UserBase: ldaptest.Users, UserSearchMatching: "(uid={0})", UserSearchSubtree: true, UserRoleName: "employeeType",
		RoleBase: ldaptest.Groups, RoleSearchMatching: "(member={0})", RoleSearchSubtree: true,
		Timeout: 3 * time.Second, CacheFor: time.Minute, HoldFor: time.Hour, Log: slog.New(slog.DiscardHandler),
	}
}

func open(t *testing.T, o ldap.Options) *ldap.Directory {
	t.Helper()
	d, err := ldap.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// TestLogin asks a real server, in each way to speak to it.
func TestLogin(t *testing.T) {
	s := ldaptest.Start(t)
	var gone *security.Unavailable
	tests := map[string]struct {
		change         func(*ldap.Options)
		user, password string
		groups         []string
		err            error
		unavailable    bool
	}{
		"right":                            {user: "anna", password: "anna's password", groups: []string{"clerk", "readers", "writers"}},
		"right, deep":                      {user: "ben", password: "ben's password", groups: []string{"readers"}},
		"special characters":               {user: "dora, *(x)", password: "dora's password", groups: []string{"writers"}},
		"starttls":                         {change: func(o *ldap.Options) { o.Hosts, o.Transport = []string{"localhost:" + port(s.Plain)}, ldap.StartTLS }, user: "carl", password: "carl's password", groups: []string{"admins"}},
		"plain":                            {change: func(o *ldap.Options) { o.Hosts, o.Transport = []string{s.Plain}, ldap.Plain }, user: "carl", password: "carl's password", groups: []string{"admins"}},
		"wrong password":                   {user: "anna", password: "ben's password", err: security.ErrWrongPassword},
		"empty password":                   {user: "anna", err: security.ErrWrongPassword},
		"no user":                          {user: "eve", password: "x", err: security.ErrElsewhere},
		"empty user":                       {password: "x", err: security.ErrElsewhere},
		"star":                             {user: "*", password: "anna's password", err: security.ErrElsewhere},
		"filter closed":                    {user: "anna)(uid=*", password: "anna's password", err: security.ErrElsewhere},
		"filter widened":                   {user: "eve)(|(uid=anna", password: "anna's password", err: security.ErrElsewhere},
		"NUL":                              {user: "anna\x00", password: "anna's password", err: security.ErrElsewhere},
		"blank after":                      {user: "anna ", password: "anna's password", err: security.ErrElsewhere},
		"blank before":                     {user: " anna", password: "anna's password", err: security.ErrElsewhere},
		"long name":                        {user: strings.Repeat("a", 2000), password: "x", err: security.ErrElsewhere},
		"long password":                    {user: "anna", password: strings.Repeat("a", 2000), err: security.ErrWrongPassword},
		"a name instead of a user":         {user: "uid=anna," + ldaptest.Users, password: "anna's password", err: security.ErrElsewhere},
		"one level":                        {change: func(o *ldap.Options) { o.UserSearchSubtree = false }, user: "ben", password: "ben's password", err: security.ErrElsewhere},
		"several users":                    {change: func(o *ldap.Options) { o.UserSearchMatching = "(|(uid={0})(uid=ben))" }, user: "anna", password: "anna's password", err: security.ErrElsewhere},
		"groups by name":                   {change: func(o *ldap.Options) { o.RoleSearchMatching = "(member=uid={1}," + ldaptest.Users + ")" }, user: "anna", password: "anna's password", groups: []string{"clerk", "readers", "writers"}},
		"no groups":                        {change: func(o *ldap.Options) { o.RoleBase, o.UserRoleName = "", "" }, user: "anna", password: "anna's password"},
		"first server down":                {change: func(o *ldap.Options) { o.Hosts = []string{"localhost:1", s.TLS} }, user: "ben", password: "ben's password", groups: []string{"readers"}},
		"all servers down":                 {change: func(o *ldap.Options) { o.Hosts = []string{"localhost:1"} }, user: "ben", password: "ben's password", unavailable: true},
		"certificate for another name":     {change: func(o *ldap.Options) { o.Hosts = []string{"127.0.0.1:" + port(s.TLS)} }, user: "ben", password: "ben's password", unavailable: true},
		"certificate of another authority": {change: func(o *ldap.Options) { o.Roots = nil }, user: "ben", password: "ben's password", unavailable: true},
		"starttls, another authority": {change: func(o *ldap.Options) {
			o.Hosts, o.Transport, o.Roots = []string{"localhost:" + port(s.Plain)}, ldap.StartTLS, nil
		}, user: "ben", password: "ben's password", unavailable: true},
		"service account's password wrong": {change: func(o *ldap.Options) { o.ServiceAccountPassword = "x" }, user: "ben", password: "ben's password", unavailable: true},
		"no base":                          {change: func(o *ldap.Options) { o.UserBase = "ou=nowhere," + ldaptest.Suffix }, user: "ben", password: "ben's password", unavailable: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := options(s)
			if tt.change != nil {
				tt.change(&o)
			}
			d := open(t, o)
			for range 2 { // the second time from memory, or not
				account, err := d.Verify(t.Context(), tt.user, tt.password)
				slices.Sort(account.Groups)
				switch {
				case tt.unavailable:
					if !errors.As(err, &gone) || !strings.Contains(gone.Text, "does not answer") {
						t.Errorf("Verify(%q) = %v, %v; want that no server answers", tt.user, account, err)
					}
				case !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil):
					t.Errorf("Verify(%q) = %v, %v; want error %v", tt.user, account, err, tt.err)
				case err == nil && (account.Name != tt.user || !slices.Equal(account.Groups, tt.groups)):
					t.Errorf("Verify(%q) = %+v, want groups %v", tt.user, account, tt.groups)
				}
			}
		})
	}
}

func port(address string) string {
	_, p, _ := net.SplitHostPort(address)
	return p
}

// TestCache: right credentials hold while no server answers, for those who had them; others are told that none does. A changed password counts when the
// memory of the old one has ended.
func TestCache(t *testing.T) {
	s := ldaptest.Start(t)
	o := options(s)
	o.CacheFor, o.Timeout = 50*time.Millisecond, 1500*time.Millisecond
	d := open(t, o)
	a, err := security.New(security.Policy{Mode: security.Mandatory, Directories: []security.Directory{d}}, security.Options{})
	if err != nil {
		t.Fatal(err)
	}
	here := netip.MustParseAddrPort("127.0.0.1:1")
	login := func(user, password string) error {
		i, err := a.Login(t.Context(), security.Credentials{User: user, Password: password, Address: here})
		if err == nil && !slices.Contains(i.Groups(), "readers") {
			t.Errorf("%s is in %v, want readers", user, i.Groups())
		}
		return err
	}
	if err := login("anna", "anna's password"); err != nil {
		t.Fatal(err)
	}
	pause := func() { time.Sleep(2 * o.CacheFor) } // until what is remembered is asked anew
	for _, fault := range []struct {
		name     string
		do, undo func()
	}{{"killed", s.Kill, func() { s.Restart(t) }}, {"frozen", s.Freeze, s.Thaw}} {
		pause()
		fault.do()
		if err := login("anna", "anna's password"); err != nil {
			t.Errorf("%s: who logged in before is refused: %v", fault.name, err)
		}
		want := "LDAP server " + s.TLS + " does not answer. Try again later."
		if err := login("anna", "wrong"); err == nil || err.Error() != want {
			t.Errorf("%s: a wrong password: %v; want %q", fault.name, err, want)
		}
		if err := login("ben", "ben's password"); err == nil || err.Error() != want {
			t.Errorf("%s: who did not log in before: %v; want %q", fault.name, err, want)
		}
		fault.undo()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if err = login("ben", "ben's password"); err == nil || time.Now().After(end) {
				break
			}
		}
		if err != nil {
			t.Errorf("%s: when it answers again: %v", fault.name, err)
		}
		pause()
		s.Modify(t, "dn: uid=ben,ou=deep,"+ldaptest.Users+"\nchangetype: modify\nreplace: userPassword\nuserPassword: when "+fault.name+"\n")
		if err := login("ben", "ben's password"); err == nil || err.Error() != "User name [ben] or password is invalid." {
			t.Errorf("the old password: %v", err)
		}
		if err := login("ben", "when "+fault.name); err != nil {
			t.Errorf("the new password: %v", err)
		}
		s.Modify(t, "dn: uid=ben,ou=deep,"+ldaptest.Users+"\nchangetype: modify\nreplace: userPassword\nuserPassword: ben's password\n")
		d = open(t, o) // one that knows nobody but anna
		if _, err := d.Verify(t.Context(), "anna", "anna's password"); err != nil {
			t.Error(err)
		}
		if err := a.Update(security.Policy{Mode: security.Mandatory, Directories: []security.Directory{d}}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHoldEnds: what was right does not hold for ever.
func TestHoldEnds(t *testing.T) {
	s := ldaptest.Start(t)
	o := options(s)
	o.CacheFor, o.HoldFor = 0, 100*time.Millisecond
	d := open(t, o)
	if _, err := d.Verify(t.Context(), "anna", "anna's password"); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	time.Sleep(150 * time.Millisecond)
	var gone *security.Unavailable
	if account, err := d.Verify(t.Context(), "anna", "anna's password"); !errors.As(err, &gone) {
		t.Errorf("Verify = %v, %v; want that no server answers", account, err)
	}
}

// TestMany: many that come at once are answered, over few connections, and a caller who goes away does not wait.
func TestMany(t *testing.T) {
	s := ldaptest.Start(t)
	o := options(s)
	o.CacheFor, o.HoldFor, o.Connections, o.MaxWaiting = 0, 0, 2, 300
	d := open(t, o)
	var wait sync.WaitGroup
	errs := make(chan error, 200)
	for i := range 200 {
		wait.Go(func() {
			user := []string{"anna", "ben", "carl"}[i%3]
			password := user + "'s password"
			if i%10 == 9 {
				password = fmt.Sprint("wrong ", i)
			}
			account, err := d.Verify(t.Context(), user, password)
			if (i%10 == 9) != errors.Is(err, security.ErrWrongPassword) || err == nil && (account.Name != user || len(account.Groups) == 0) {
				errs <- fmt.Errorf("%s with %q: %v, %v", user, password, account, err)
			}
		})
	}
	wait.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	s.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if _, err := d.Verify(ctx, "anna", "anna's password"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Verify = %v, want the caller's deadline", err)
	}
	if took := time.Since(begun); took > o.Timeout {
		t.Errorf("it took %v", took)
	}
	o.MaxWaiting, o.Connections = 1, 1
	d = open(t, o)
	first := make(chan error, 1)
	go func() {
		_, err := d.Verify(t.Context(), "anna", "one")
		first <- err
	}()
	busy := false
	for n, end := 0, time.Now().Add(30*time.Second); !busy && time.Now().Before(end); n++ {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, err := d.Verify(ctx, "anna", fmt.Sprint("other ", n))
		cancel()
		busy = errors.Is(err, security.ErrBusy)
	}
	if !busy {
		t.Error("as many as like may wait")
	}
	s.Thaw()
	<-first
}

// TestRights reads what cachedLDAPAuthorizationMap reads.
func TestRights(t *testing.T) {
	s := ldaptest.Start(t)
	d := open(t, options(s))
	rights, notes, err := d.Rights(ldap.RightsOptions{QueueBase: ldaptest.Queues, TopicBase: ldaptest.Topics, TempBase: ldaptest.Temps})
	want := []security.Entry{{Destination: "queue://ORDERS.>", Read: []string{"readers"}, Write: []string{"writers"}, Admin: []string{"writers"}}, {Destination: "temp://>", Read: []string{"readers"}}}
	if err != nil || fmt.Sprint(rights) != fmt.Sprint(want) {
		t.Errorf("Rights = %v, %v; want %v", rights, err, want)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "uid=carl") {
		t.Errorf("notes = %q, want that a user has no rights of his own", notes)
	}
	if _, _, err := d.Rights(ldap.RightsOptions{QueueBase: "ou=nowhere," + ldaptest.Suffix}); err == nil {
		t.Error("a base that is not there has rights")
	}
}

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		change func(*ldap.Options)
		want   string
	}{
		"good":             {func(*ldap.Options) {}, ""},
		"IPv6":             {func(o *ldap.Options) { o.Hosts = []string{"[::1]:636", "::1"} }, ""},
		"no host":          {func(o *ldap.Options) { o.Hosts = nil }, "hosts: are missing"},
		"URL":              {func(o *ldap.Options) { o.Hosts = []string{"ldap://x"} }, `hosts: "ldap://x" is no server`},
		"bad port":         {func(o *ldap.Options) { o.Hosts = []string{"x:99999"} }, `hosts: "x:99999" is no server`},
		"transport":        {func(o *ldap.Options) { o.Transport = "ssl" }, `transport: "ssl" is unknown`},
		"account":          {func(o *ldap.Options) { o.ServiceAccountPassword = "" }, "serviceAccountPassword:"},
		"no user base":     {func(o *ldap.Options) { o.UserBase = "" }, "userBase: is missing"},
		"user base":        {func(o *ldap.Options) { o.UserBase = "users" }, `userBase: "users" is not a distinguished name`},
		"role base":        {func(o *ldap.Options) { o.RoleBase = "x" }, `roleBase: "x" is not`},
		"no place":         {func(o *ldap.Options) { o.UserSearchMatching = "(uid=anna)" }, "userSearchMatching:"},
		"no filter":        {func(o *ldap.Options) { o.UserSearchMatching = "(uid={0}" }, "userSearchMatching:"},
		"no place of role": {func(o *ldap.Options) { o.RoleSearchMatching = "(member=*)" }, "roleSearchMatching:"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := options(&ldaptest.Server{TLS: "localhost:636"})
			tt.change(&o)
			err := o.Check()
			if (err == nil) != (tt.want == "") || err != nil && !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("Check = %v, want %q", err, tt.want)
			}
		})
	}
}
