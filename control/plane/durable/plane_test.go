package durable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/segment"
	"github.com/godwitmq/godwit/vfs"
)

var (
	quiet    = slog.New(slog.DiscardHandler)
	operator = plane.Origin{Who: "operator"}
	alice    = plane.Origin{Scope: plane.Scope{Account: "111111111111", Region: "eu-west-1"}, Who: "alice"}
)

var bob = plane.Origin{Scope: plane.Scope{Account: "222222222222", Region: "eu-west-1"}, Who: "bob"}

const hash = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U"

func openDir(t *testing.T, dir string, opt Options) *Plane {
	t.Helper()
	opt.Logger, opt.TickEvery = quiet, -1
	p, err := OpenDir(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func must(t *testing.T, p *Plane, by plane.Origin, c plane.Command) *plane.Change {
	t.Helper()
	change, err := p.Do(t.Context(), by, c)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	return change
}

func node() plane.RegisterNode {
	return plane.RegisterNode{Name: "laptop", Zone: "home", Range: netip.MustParsePrefix("127.0.64.0/18")}
}

func create(id string) plane.CreateBroker {
	return plane.CreateBroker{ID: id, Name: "payroll", Mode: plane.Pair, Engine: plane.ActiveMQ, Type: "mq.m5.medium", Users: []plane.NewUser{{Name: "admin", Hash: hash}},
		Default: &plane.CreateConfiguration{ID: NewID("c"), Name: "payroll", Engine: plane.ActiveMQ, Data: []byte("<broker/>")}}
}

// TestReopens closes the plane in the middle of an operation, and goes on with it.
func TestReopens(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "control")
	p := openDir(t, dir, Options{})
	must(t, p, operator, node())
	id := must(t, p, alice, create(NewID("b"))).ID
	first := p.State().Work()
	if len(first) != 1 || first[0].Kind != plane.Start || !first[0].Spec.Witness {
		t.Fatalf("work is %+v, want the start of the witness", first)
	}
	must(t, p, operator, plane.StepDone{Broker: id, Step: first[0].Step})
	want := p.State().Digest()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Do(t.Context(), operator, plane.DeleteBroker{ID: id}); err == nil {
		t.Error("a closed plane takes a command")
	}
	p = openDir(t, dir, Options{})
	if got := p.State().Digest(); got != want {
		t.Error("the state is another after a restart")
	}
	for range 2 {
		for _, e := range p.State().Work() {
			if e.Step != 0 {
				must(t, p, operator, plane.StepDone{Broker: id, Step: e.Step})
			}
		}
	}
	if state, why := p.State().Broker(alice.Scope, id).State(); state != plane.Running {
		t.Errorf("broker is %s %s, want RUNNING", state, why)
	}
}

// TestSecrets sees that what is on the disk is for its owner alone.
func TestSecrets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "control")
	p := openDir(t, dir, Options{})
	key, secret := NewKey()
	must(t, p, operator, plane.CreateKey{ID: key, Secret: secret, Account: alice.Account})
	found := false
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) { // a segment that was being prepared has its name
			return nil
		}
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		if !d.IsDir() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			found = found || bytes.Contains(data, []byte(secret))
		}
		return nil
	})
	if err != nil || !found {
		t.Errorf("the secret was found: %v, %v", found, err)
	}
}

// TestSeen sees that what is remembered of keys and nodes does not outgrow them.
func TestSeen(t *testing.T) {
	p := openDir(t, t.TempDir(), Options{})
	must(t, p, operator, node())
	for range 20 {
		key, secret := NewKey()
		must(t, p, operator, plane.CreateKey{ID: key, Secret: secret, Account: alice.Account})
		if !p.KeyLastUsed(key).IsZero() {
			t.Error("a new key was used")
		}
		p.KeyUsed(key)
		p.KeyUsed("unknown")
		p.NodeSeen("laptop")
		if p.KeyLastUsed(key).IsZero() || p.NodeLastSeen("laptop").IsZero() || !p.KeyLastUsed("unknown").IsZero() {
			t.Error("not what was noted")
		}
		must(t, p, operator, plane.DeleteKey{ID: key})
	}
	if n := len(p.seen.last); n > 4 {
		t.Errorf("%d are remembered", n)
	}
}

func TestIDs(t *testing.T) {
	if id := NewID("b"); !regexp.MustCompile(`^b-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) {
		t.Errorf("id is %s", id)
	}
	if id, secret := NewKey(); len(id) != 20 || len(secret) != 40 {
		t.Errorf("key is %s, %s", id, secret)
	}
}

// TestStaysSmall gives many commands, and large ones: the log stays about as large as the state.
func TestStaysSmall(t *testing.T) {
	mem := vfs.NewMem()
	open := func() *Plane {
		p, err := Open(func(n journal.Notify) (journal.Log, error) {
			return segment.Open("control", segment.Options{FS: mem, SegmentSize: 64 << 10, Logger: quiet}, n)
		}, Options{SnapshotBytes: 32 << 10, TickEvery: -1, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open()
	must(t, p, operator, node())
	id := must(t, p, alice, create(NewID("b"))).ID
	for n := range 1200 {
		must(t, p, alice, plane.Tag{ID: id, Tags: map[string]string{"n": fmt.Sprint(n)}})
		if n%500 == 250 {
			want := p.State().Digest()
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			if p = open(); p.State().Digest() != want {
				t.Fatalf("the state is another after %d commands", n)
			}
		}
	}
	state := 0
	for _, r := range p.State().Snapshot() {
		state += len(r)
	}
	if size := int64(p.log.Tail() - p.log.Head()); size > int64(6*state+64<<10) {
		t.Errorf("the log has %d bytes, and the state takes %d", size, state)
	}
	for range 25 { // a state of many segments
		must(t, p, alice, plane.UpdateConfiguration{ID: p.State().Configurations(alice.Scope)[0].ID, Data: bytes.Repeat([]byte("<policy/>"), 20_000)})
	}
	want := p.State().Digest()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p = open()
	defer p.Close()
	if p.State().Digest() != want {
		t.Error("a large state is another after a restart")
	}
}

// TestFullDisk sees that a command for which there is no room is refused and changes nothing, and that what frees room goes on.
func TestFullDisk(t *testing.T) {
	mem := vfs.NewMem()
	p, err := Open(func(n journal.Notify) (journal.Log, error) {
		return segment.Open("control", segment.Options{FS: mem, SegmentSize: 64 << 10, MaxBytes: 256 << 10, Reserve: 48 << 10, Logger: quiet}, n)
	}, Options{TickEvery: -1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	must(t, p, alice, plane.CreateConfiguration{ID: "c-00000000", Name: "first", Engine: plane.ActiveMQ})
	for n := 0; ; n++ {
		was := p.State().Digest()
		_, err := p.Do(t.Context(), alice, plane.UpdateConfiguration{ID: "c-00000000", Data: make([]byte, 8<<10)})
		if err == nil && n < 100 {
			continue
		}
		if !errors.Is(err, journal.ErrFull) {
			t.Fatalf("command %d: got %v, want ErrFull", n, err)
		}
		if p.State().Digest() != was {
			t.Error("the state has changed")
		}
		break
	}
	must(t, p, alice, plane.DeleteConfiguration{ID: "c-00000000"})
}

// TestBroken lets a sync fail: whoever waits hears that nothing is known, and what is shown stays what is durable.
func TestBroken(t *testing.T) {
	mem := vfs.NewMem()
	var told error
	var log *segment.Log
	p, err := Open(func(n journal.Notify) (journal.Log, error) {
		var err error
		log, err = segment.Open("control", segment.Options{FS: mem, Inline: true, Logger: quiet}, n)
		return log, err
	}, Options{TickEvery: -1, Logger: quiet, OnBroken: func(err error) { told = err }})
	if err != nil {
		t.Fatal(err)
	}
	var answers []error
	answer := func(_ *plane.Change, err error) { answers = append(answers, err) }
	p.Submit(operator, node(), answer)
	if err := log.Flush(); err != nil || len(answers) != 1 || answers[0] != nil {
		t.Fatalf("%v, answers %v", err, answers)
	}
	was := p.State().Digest()
	p.Submit(alice, create(NewID("b")), answer)
	p.Submit(bob, plane.DeleteBroker{ID: NewID("b")}, answer) // a refusal waits as well: it may rest on what is before it
	if len(answers) != 1 || p.State().Digest() != was {
		t.Error("what is not durable is shown")
	}
	mem.SetFault(func(op vfs.Op, _ string, _ int) error {
		if op == vfs.OpSync {
			return errors.New("the disk is on fire")
		}
		return nil
	})
	if err := log.Flush(); err == nil {
		t.Fatal("the fault has no effect")
	}
	p.Submit(alice, create(NewID("b")), answer)
	for n, err := range answers[1:] {
		if !errors.Is(err, ErrUnknown) || !errors.Is(err, journal.ErrBroken) {
			t.Errorf("answer %d is %v, want ErrUnknown because of ErrBroken", n+1, err)
		}
	}
	if len(answers) != 4 || !errors.Is(told, journal.ErrBroken) || p.State().Digest() != was {
		t.Errorf("%d answers, told %v; want 4, ErrBroken, and the state of before", len(answers), told)
	}
	p.Close()
}

// TestUnknownRecord sees that a log of a newer version is not opened, and not changed.
func TestUnknownRecord(t *testing.T) {
	dir := t.TempDir()
	log, err := segment.Open(dir, segment.Options{Logger: quiet}, journal.Notify{})
	if err != nil {
		t.Fatal(err)
	}
	var b journal.Batch
	b.Add([]byte("\x63{}"))
	if err := errors.Join(log.Append(&b, false), log.Close()); err != nil {
		t.Fatal(err)
	}
	if p, err := OpenDir(dir, Options{TickEvery: -1, Logger: quiet}); !errors.Is(err, plane.ErrRecord) {
		t.Errorf("got %v, %v, want ErrRecord", p, err)
	}
}

// TestManyAtOnce gives commands from many goroutines. Effects come in the order of the states, and each reader sees whole states.
func TestManyAtOnce(t *testing.T) {
	var last uint64
	var effects int
	p := openDir(t, t.TempDir(), Options{SnapshotBytes: 16 << 10, OnEffects: func(list []plane.Effect) {
		for _, e := range list {
			if e.Spec.Version < last {
				t.Errorf("version %d comes behind %d", e.Spec.Version, last)
			}
			last = e.Spec.Version
			effects++
		}
	}})
	must(t, p, operator, node())
	id := must(t, p, alice, create(NewID("b"))).ID
	ctx, cancel := context.WithCancel(t.Context())
	var reader, writers sync.WaitGroup
	reader.Go(func() {
		serial := uint64(0)
		for ctx.Err() == nil {
			changed := p.Changed()
			s := p.State()
			if s.Serial() < serial {
				t.Errorf("the state goes back from %d to %d", serial, s.Serial())
			}
			serial = s.Serial()
			_, _ = p.Plan(alice, plane.DeleteBroker{ID: id})
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	})
	for n := range 8 {
		writers.Go(func() {
			for i := range 20 {
				name := fmt.Sprintf("user-%d-%d", n, i)
				if _, err := p.Do(ctx, alice, plane.CreateUser{Broker: id, User: plane.NewUser{Name: name, Hash: hash}}); err != nil {
					t.Error(err)
				}
				if u := p.State().Broker(alice.Scope, id).Users; u[name].Hash == "" {
					t.Errorf("%s was answered, and is not in the state", name)
				}
			}
		})
	}
	writers.Wait()
	cancel()
	reader.Wait()
	if users := p.State().Broker(alice.Scope, id).Users; len(users) != 161 || effects < 161 {
		t.Errorf("there are %d users and %d effects", len(users), effects)
	}
}

// TestTicks sees that time passes by itself.
func TestTicks(t *testing.T) {
	now := time.Date(2026, 11, 29, 1, 0, 0, 0, time.UTC) // a Sunday
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	p, err := OpenDir(t.TempDir(), Options{TickEvery: 5 * time.Millisecond, Now: clock, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	must(t, p, operator, node())
	id := must(t, p, alice, create(NewID("b"))).ID
	for range 3 {
		for _, e := range p.State().Work() {
			if e.Step != 0 {
				must(t, p, operator, plane.StepDone{Broker: id, Step: e.Step})
			}
		}
	}
	version := "5.18"
	must(t, p, alice, plane.UpdateBroker{ID: id, Version: &version})
	mu.Lock()
	now = now.Add(90 * time.Minute) // the window is open
	mu.Unlock()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if state, _ := p.State().Broker(alice.Scope, id).State(); state == plane.RebootInProgress {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("broker is %s, want the upgrade to have begun", state)
		}
	}
}
