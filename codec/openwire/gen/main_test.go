package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// What is checked in is what the schema gives: go generate was not forgotten, and nobody edited the output.
func TestUpToDate(t *testing.T) {
	raw, err := os.ReadFile("../schema/commands.json")
	if err != nil {
		t.Fatal(err)
	}
	files, err := generate(raw)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 {
		t.Errorf("%d files; want 2", len(files))
	}
	for name, want := range files {
		got, err := os.ReadFile("../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator writes: run go generate ./codec/openwire", name)
		}
	}
}

// A schema that contradicts itself is refused.
func TestLayoutMismatch(t *testing.T) {
	raw, err := os.ReadFile("../schema/commands.json")
	if err != nil {
		t.Fatal(err)
	}
	const was, is = `"lastDeliveredSequenceId", "type": "long", "cached": false, "since": 5`, `"lastDeliveredSequenceId", "type": "long", "cached": false, "since": 6`
	bad := strings.Replace(string(raw), was, is, 1)
	if bad == string(raw) {
		t.Fatal("nothing to edit")
	}
	if _, err := generate([]byte(bad)); err == nil || !strings.Contains(err.Error(), "RemoveInfo version 5") {
		t.Errorf("a field that begins later than the layout says: error %v; want one about RemoveInfo version 5", err)
	}
}
