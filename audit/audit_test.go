package audit

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTrail(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	clock := func() time.Time { return now }
	path := filepath.Join(t.TempDir(), "audit.log")
	file, err := OpenFile(path, 1<<20, 2)
	if err != nil {
		t.Fatal(err)
	}
	trail := New(Options{Kept: 4, File: file, Now: clock, Log: slog.New(slog.DiscardHandler)})
	for i := range 6 {
		now = now.Add(time.Second)
		trail.Note(Entry{Who: fmt.Sprint("u", i%2), Operation: fmt.Sprint("op", i), Outcome: Done})
	}
	ops := func(f Filter, of *Trail) string {
		var words []string
		for _, e := range of.List(f) {
			words = append(words, e.Operation)
		}
		return strings.Join(words, " ")
	}
	for want, f := range map[string]Filter{
		"op5 op4 op3 op2": {},
		"op5 op4":         {Limit: 2},
		"op5 op3":         {Who: "u1"},
		"op4":             {Operation: "p4"},
		"op5":             {Since: now},
	} {
		if got := ops(f, trail); got != want {
			t.Errorf("List(%+v) = %q, want %q", f, got, want)
		}
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	trail.Note(Entry{Operation: "after the end"}) // is in memory only, and no panic

	// The next process has what this one had noted, and goes on, behind a line that a crash has cut off.
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, `{"time":"2026-`) // a crash
	f.Close()
	if file, err = OpenFile(path, 1<<20, 2); err != nil {
		t.Fatal(err)
	}
	again := New(Options{File: file, Now: clock, Log: slog.New(slog.DiscardHandler)})
	if got := ops(Filter{}, again); got != "op5 op4 op3 op2 op1 op0" {
		t.Errorf("after a restart: %q", got)
	}
	again.Note(Entry{Operation: "behind the crash", Outcome: Done})
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if file, err = OpenFile(path, 1<<20, 2); err != nil {
		t.Fatal(err)
	}
	third := New(Options{File: file, Now: clock, Log: slog.New(slog.DiscardHandler)})
	if got := ops(Filter{Limit: 2}, third); got != "behind the crash op5" {
		t.Errorf("after a crash and a restart: %q", got)
	}
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
}

// A disk that hangs holds up neither who notes something nor the end.
func TestHangingDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip("there are no pipes with names:", err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0) // which reads nothing
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	file, err := OpenFile(path, 1<<30, 1)
	if err != nil {
		t.Fatal(err)
	}
	trail := New(Options{File: file, CloseWithin: time.Millisecond, Log: slog.New(slog.DiscardHandler)})
	const more = 3 * waiting // than the pipe and the queue take
	noted := make(chan struct{})
	go func() {
		defer close(noted)
		for i := range more {
			trail.Note(Entry{Operation: fmt.Sprint(i), Detail: strings.Repeat("x", 200), Outcome: Done})
		}
	}()
	select {
	case <-noted:
	case <-time.After(time.Minute):
		t.Fatal("noting waits for the disk")
	}
	if n := len(trail.List(Filter{Limit: 2 * more})); n != more {
		t.Errorf("%d entries in memory, want %d", n, more)
	}
	if err := trail.Close(); err == nil {
		t.Error("the end says that all is in the file")
	}
}

// What somebody sends cannot fill the memory.
func TestBounds(t *testing.T) {
	trail := New(Options{Log: slog.New(slog.DiscardHandler)})
	long := strings.Repeat("é", 1<<20)
	trail.Note(Entry{Who: long, From: long, Operation: long, On: long, Detail: long, Asked: Mask([]byte(`{"name":"` + long + `"}`)), Outcome: Done})
	e := trail.List(Filter{})[0]
	if n := len(e.Who) + len(e.From) + len(e.Operation) + len(e.On) + len(e.Detail) + len(e.Asked); n > 6*mostText || !json.Valid(e.Asked) || !utf8.ValidString(e.Who) {
		t.Errorf("the entry has %d bytes: %.100q, %s", n, e.Who, e.Asked)
	}
}

// Many refusals of one address become a few entries, and none of another address is lost.
func TestFlood(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	trail := New(Options{Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler)})
	for i := range 1000 {
		trail.Note(Entry{From: fmt.Sprintf("10.0.0.1:%d", i), Operation: "login", Outcome: Refused})
	}
	trail.Note(Entry{From: "10.0.0.2:1", Operation: "login", Outcome: Refused})
	trail.Note(Entry{From: "10.0.0.1:1", Operation: "purge", Outcome: Done})
	if n := len(trail.List(Filter{Limit: 2000})); n != floodAfter+2 {
		t.Errorf("%d entries in the flood, want %d", n, floodAfter+2)
	}
	now = now.Add(floodFor)
	all := trail.List(Filter{Limit: 2000})
	told := 0
	for _, e := range all {
		told += 1 + e.More
	}
	if len(all) != floodAfter+3 || told != 1002 {
		t.Errorf("after the flood %d entries tell of %d, want %d of 1002", len(all), told, floodAfter+3)
	}
}

func TestRotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	file, err := OpenFile(path, 400, 2)
	if err != nil {
		t.Fatal(err)
	}
	trail := New(Options{File: file, Log: slog.New(slog.DiscardHandler)})
	for i := range 40 {
		trail.Note(Entry{Operation: fmt.Sprint("op", i), Outcome: Done})
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	whole := ""
	for _, name := range []string{path + ".2", path + ".1", path} {
		data, err := os.ReadFile(name)
		if err != nil || len(data) == 0 || len(data) > 400 {
			t.Errorf("%s has %d bytes, %v", name, len(data), err)
		}
		whole += string(data)
	}
	if !strings.Contains(whole, `"op39"`) || strings.Contains(whole, `"op0"`) {
		t.Errorf("the files have:\n%s", whole)
	}
	if left, _ := filepath.Glob(path + "*"); len(left) != 3 {
		t.Errorf("there are %v", left)
	}
}

// A disk that takes nothing holds nobody up, and what it did not take is in memory.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full")
	}
	var said strings.Builder
	file, err := OpenFile("/dev/full", 1<<20, 1)
	if err != nil {
		t.Fatal(err)
	}
	trail := New(Options{File: file, Log: slog.New(slog.NewTextHandler(&said, nil))})
	for i := range 3000 {
		trail.Note(Entry{Operation: fmt.Sprint("op", i), Outcome: Done})
	}
	if n := len(trail.List(Filter{Limit: 5000})); n != 3000 {
		t.Errorf("%d entries in memory, want 3000", n)
	}
	if err := trail.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(said.String(), "cannot be written"); n != 1 {
		t.Errorf("it said %d times that the file cannot be written, want 1:\n%s", n, said.String())
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		`{"users":[{"username":"a","Password":"x"}],"data":"eA==","n":1}`: `{"data":"***","n":1,"users":[{"Password":"***","username":"a"}]}`,
		`{}`:      "",
		`no json`: "",
		``:        "",
	} {
		if got := string(Mask([]byte(in))); got != want {
			t.Errorf("Mask(%s) = %s, want %s", in, got, want)
		}
	}
}
