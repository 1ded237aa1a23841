package security

import (
	"slices"
	"testing"
)

// TestWatch: each who is not admitted any more is told once, by the Update that says so or by a Watch that comes too late.
func TestWatch(t *testing.T) {
	hash := cheapHash("p")
	users := []User{{Name: "a", PasswordHash: hash}, {Name: "b", PasswordHash: hash}, {Name: "c", PasswordHash: hash}, {Name: "d", PasswordHash: hash}}
	a := newAuthority(t, Policy{Mode: Mandatory, Users: users}, Options{})
	var told []string
	login := func(name string) (*Identity, func(error)) {
		i, err := a.Login(t.Context(), Credentials{User: name, Password: "p", Address: here})
		if err != nil {
			t.Fatal(err)
		}
		return i, func(why error) { told = append(told, name+": "+why.Error()) }
	}
	update := func(users []User) {
		if err := a.Update(Policy{Mode: Mandatory, Users: users}); err != nil {
			t.Fatal(err)
		}
	}
	i, gone := login("a")
	i.Watch(gone)
	i, gone = login("b")
	stopB := i.Watch(gone)
	i, gone = login("c")
	i.Watch(gone)
	late, goneLate := login("d")
	update(users[1:3])
	want := []string{"a: User name [a] or password is invalid."}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	late.Watch(goneLate)
	stopB()
	update(nil)
	update(nil)
	want = append(want, "d: User name [d] or password is invalid.", "c: User name [c] or password is invalid.")
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if n := len(a.watchers.of); n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

// TestCanCreate: the quiet question has the same answer, and leaves no trace.
func TestCanCreate(t *testing.T) {
	entries := []Entry{{Destination: "queue://A", Read: []string{"g"}}, {Destination: "queue://B", Admin: []string{"g"}}}
	tests := map[string]struct {
		mode Mode
		name string
		can  bool
	}{
		"allowed":            {Mandatory, "B", true},
		"refused":            {Mandatory, "A", false},
		"one part refused":   {Mandatory, "B,A", false},
		"observe: all pass":  {Observe, "A", true},
		"ignore: no matter":  {Ignore, "A", true},
		"optional as always": {Optional, "A", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			i := identity(t, tt.mode, entries, "g")
			for range 2 {
				if got := i.CanCreate(Queue, tt.name); got != tt.can {
					t.Errorf("CanCreate(%s) = %v, want %v", tt.name, got, tt.can)
				}
			}
			if got := i.authority.Observed(); len(got) != 0 {
				t.Errorf("it was observed: %+v", got)
			}
			if err := i.MayCreate(Queue, tt.name); (err == nil) != tt.can {
				t.Errorf("MayCreate = %v, want allowed %v", err, tt.can)
			}
			if got := i.authority.Observed(); (len(got) == 1) != (tt.mode == Observe) {
				t.Errorf("MayCreate observed %+v", got)
			}
		})
	}
}
