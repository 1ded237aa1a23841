package security

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestUserFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	f, err := OpenUserFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, add := range []struct {
		name   string
		groups []string
	}{{"anna", []string{"admins", "users"}}, {"ben", nil}} {
		if err := f.Add(add.name, "pass", add.groups...); err != nil {
			t.Fatal(err)
		}
	}
	steps := map[string]struct {
		err  error
		want error
	}{
		"add again":           {f.Add("anna", "x"), ErrUserExists},
		"password of nobody":  {f.SetPassword("eve", "x"), ErrNoUser},
		"remove nobody":       {f.Remove("eve"), ErrNoUser},
		"groups of nobody":    {f.SetGroups("eve", "g"), ErrNoUser},
		"password":            {f.SetPassword("ben", "other"), nil},
		"groups":              {f.SetGroups("ben", "users"), nil},
		"save":                {f.Save(), nil},
		"save what we saved":  {f.Save(), nil},
		"remove":              {f.Remove("anna"), nil},
		"save without a user": {f.Save(), nil},
	}
	for name, s := range steps {
		if !errors.Is(s.err, s.want) {
			t.Errorf("%s = %v, want %v", name, s.err, s.want)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v; want 0600", info.Mode(), err)
	}
	users, err := LoadUsers(path)
	if err != nil || len(users) != 1 || users[0].Name != "ben" || !slices.Equal(users[0].Groups, []string{"users"}) {
		t.Fatalf("LoadUsers = %+v, %v; want ben of users", users, err)
	}
	if h, err := parseHash(users[0].PasswordHash); err != nil || !h.verify("other") {
		t.Errorf("ben's hash %q does not verify (%v)", users[0].PasswordHash, err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestUserFileKeepsComments(t *testing.T) {
	hash := cheapBcrypt(t, "p")
	path := filepath.Join(t.TempDir(), "users")
	before := "# who may\r\n\nanna:" + hash + "\n  # indented\nben: " + hash + " : a , b\n"
	if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := OpenUserFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Save(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	want := "# who may\n\nanna:" + hash + ":\n  # indented\nben:" + hash + ":a,b\n"
	if err != nil || string(got) != want {
		t.Errorf("saved %q, %v; want %q", got, err, want)
	}
}

func TestUserFileNoticesAnotherWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	f, err := OpenUserFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("# other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Save(); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("Save over another's change = %v, want an error", err)
	}
}

func TestUserFileMistakes(t *testing.T) {
	hash := cheapHash("p")
	tests := map[string]struct{ content, want string }{
		"plain text":  {"# x\nanna:secret:users", `users:2: user "anna": the password is not a hash, and plain text is not accepted`},
		"no colon":    {"secret", "users:1: expected name:hash:group1,group2"},
		"many colons": {"a:" + hash + ":g:secret", "users:1: expected name:hash:group1,group2"},
		"twice":       {"a:" + hash + "\na:" + hash, `users:2: user "a" is in line 1 already`},
		"no name":     {":" + hash, "users:1: a user needs a name"},
		"empty group": {"a:" + hash + ":g,,h", "users:1: user \"a\": a group needs a name"},
		"star":        {"a:" + hash + ":*", "users:1: user \"a\": a user cannot be in the group *"},
		"sha1":        {"a:{SHA}secret", "kind of password hash is not accepted"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "users")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadUsers(path)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("LoadUsers(%q) = %v; want %q and no password", tt.content, err, tt.want)
			}
		})
	}
	if _, err := LoadUsers(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("LoadUsers of no file = %v", err)
	}
	f := &UserFile{path: "unused"}
	for _, name := range []string{"", "a:b", "#a", " a", "a\nb"} {
		if err := f.Add(name, "p"); err == nil {
			t.Errorf("Add(%q) succeeded", name)
		}
	}
}

func FuzzParseHash(f *testing.F) {
	for _, seed := range []string{cheapHash("p"), "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "$argon2id$v=19$m=1,t=1$$"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if (h == nil) == (err == nil) {
			t.Fatalf("parseHash(%q) = %v, %v", text, h, err)
		}
		if h != nil && h.text() != text {
			t.Fatalf("parseHash(%q) keeps %q", text, h.text())
		}
	})
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{"CN=client1, O=T", `CN="a, b"+OU=x,O=T\2c`, "=", `CN=\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if name, err := parseName(text); err == nil && name == "" {
			t.Fatalf("parseName(%q) is empty", text)
		}
	})
}
