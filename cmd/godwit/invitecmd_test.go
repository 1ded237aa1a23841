package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/cluster"
)

// inviteFolder is what cluster init --invite writes, and its users.
func inviteFolder(t *testing.T) string {
	t.Helper()
	all, err := parseNodes([]string{"a=10.0.1.5", "b=10.0.2.5", "w=10.0.3.5"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := writeCluster(dir, all, all[:1], nil); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "users"), "alice:hash:admins\n")
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What stands in the way of an invite is told before anybody is invited.
func TestReadInvited(t *testing.T) {
	replace := func(file, old, new string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			text, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil || !strings.Contains(string(text), old) {
				t.Fatalf("%s has no %q: %v", file, old, err)
			}
			write(t, filepath.Join(dir, file), strings.Replace(string(text), old, new, 1))
		}
	}
	tests := map[string]struct {
		node   string
		change func(*testing.T, string)
		want   string // in the error; "" is none
		hosts  string
	}{
		"as it was written":  {"b", func(*testing.T, string) {}, "", "10.0.2.5"},
		"the witness":        {"w", func(*testing.T, string) {}, "", "10.0.3.5"},
		"with a key already": {"a", func(*testing.T, string) {}, "", "10.0.1.5"},
		"another relay":      {"b", replace("b.yaml", `relay: "10.0.2.5:7420"`, `relay: "relay.example:7420"`), "", "10.0.2.5 relay.example"},
		"not a node":         {"c", func(*testing.T, string) {}, "what node c is to have", ""},
		"a path":             {"../b", func(*testing.T, string) {}, "cannot be the name of a node", ""},
		"no users":           {"b", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "users")) }, "godwit users add --file", ""},
		"another node's":     {"b", replace("b.yaml", "name: b\n", "name: a\n"), `cluster.name is "a", not b`, ""},
		"another key":        {"b", replace("b.yaml", "key: b-key.pem", "key: /etc/b.key"), "write `key: b-key.pem`", ""},
		"no certificates":    {"b", replace("b.yaml", "ca: ca.pem", "ca: nodes/ca.pem"), "write `ca: ca.pem`", ""},
		"broken":             {"b", replace("b.yaml", "role: broker", "role: boss"), "cluster.role", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := inviteFolder(t)
			tt.change(t, dir)
			n, err := readInvited(dir, tt.node)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("readInvited says %v, want %q", err, tt.want)
			}
			if hosts := strings.Join(n.Hosts, " "); err == nil && (hosts != tt.hosts || string(n.Users) != "alice:hash:admins\n") {
				t.Errorf("%s is at %s with users %q, want %s", tt.node, hosts, n.Users, tt.hosts)
			}
		})
	}
}

// A host on which something is in the way, or on which the command was cut off, joins by the same token when that is out of the way; nothing is overwritten.
func TestJoinAgain(t *testing.T) {
	from := inviteFolder(t)
	authority, err := cluster.ReadAuthority(from)
	if err != nil {
		t.Fatal(err)
	}
	var invited []cluster.Invited
	for _, name := range []string{"b", "w"} { // w does not come, so that the inviter goes on waiting
		n, err := readInvited(from, name)
		if err != nil {
			t.Fatal(err)
		}
		invited = append(invited, n)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inviter, tokens, err := authority.Invite([]string{l.Addr().String()}, time.Now().Add(time.Hour), invited, func(cluster.JoinEvent) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- inviter.Serve(ctx, l) }()
	defer func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("the inviter ends with %v", err)
		}
	}()
	dir := filepath.Join(t.TempDir(), "new", "folder")
	in := func(name string) string { return filepath.Join(dir, name) }
	join := func() (string, error) {
		var out bytes.Buffer
		root := (&cli{in: os.Stdin, out: &out, err: &out}).root(func() {})
		root.SetArgs([]string{"cluster", "join", tokens[0].String(), "--dir", dir})
		err := root.ExecuteContext(ctx)
		return out.String(), err
	}
	refused := func(want string, absent ...string) {
		t.Helper()
		if out, err := join(); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("join says %v, want %q\n%s", err, want, out)
		}
		for _, name := range absent {
			if exists(in(name)) {
				t.Errorf("%s was written", name)
			}
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, in("b-key.pem"), "no key")
	refused("has no key; move it away")
	os.Remove(in("b-key.pem"))
	write(t, in("users"), "mine")
	refused("users is there already; nothing was written", "b.pem", "b.yaml", "ca.pem")
	if text, _ := os.ReadFile(in("users")); string(text) != "mine" {
		t.Errorf("users was overwritten: %s", text)
	}
	key, err := os.ReadFile(in("b-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	os.Remove(in("users"))
	for cut := range 2 { // the second time as if the command had been cut off before it was done
		out, err := join()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"godwit serve --config " + in("b.yaml"), "is this the right host?"} { // nobody has 10.0.2.5 here
			if !strings.Contains(out, want) {
				t.Errorf("time %d: join does not say %q:\n%s", cut+1, want, out)
			}
		}
		for _, name := range []string{"b.yaml", "b.pem", "b-key.pem", "ca.pem", "users"} {
			if info, err := os.Stat(in(name)); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v; want it for its owner alone", name, info, err)
			}
		}
		if again, _ := os.ReadFile(in("b-key.pem")); !bytes.Equal(key, again) {
			t.Error("the key is another one now")
		}
		refused("b.pem is there already")
		os.Remove(in("b.pem"))
	}
	if missing := inviter.Missing(); len(missing) != 1 || missing[0] != "w" {
		t.Errorf("missing: %v, want w", missing)
	}

	// A configuration with files elsewhere says where they are to be.
	cfg, err := firstNode(from)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Credentials.UsersFile, cfg.TLS.Key = "/nowhere/users", "/nowhere/key.pem"
	var out bytes.Buffer
	(&cli{out: &out}).showJoined(cfg, dir, true)
	for _, want := range []string{"/nowhere/users, which is not here: move " + in("users") + " there", "/nowhere/key.pem, which is not here: put it there"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %q:\n%s", want, &out)
		}
	}
}
