package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func schemas(t *testing.T) (amazon, extras []byte) {
	t.Helper()
	var raw [2][]byte
	for i, name := range []string{"amazon-mq-api.json", "extras.json"} {
		var err error
		if raw[i], err = os.ReadFile("../schema/" + name); err != nil {
			t.Fatal(err)
		}
	}
	return raw[0], raw[1]
}

// What is checked in is what the schemas give: go generate was not forgotten, and nobody edited the output.
func TestUpToDate(t *testing.T) {
	want, err := generate(schemas(t))
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../types_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("types_gen.go is not what the generator writes: run go generate ./control/mqapi")
	}
}

// Our schema may add to Amazon's, and not change it.
func TestContradictions(t *testing.T) {
	amazon, extras := schemas(t)
	tests := map[string]struct{ was, is, want string }{
		"an operation of Amazon's":  {`"SwitchoverBroker": {`, `"RebootBroker": {`, "RebootBroker is Amazon's"},
		"a member of Amazon's":      {`"wire": "active"`, `"wire": "endpoints"`, "BrokerInstance.endpoints is Amazon's"},
		"a member of its requests":  {`"wire": "plan", "in": "body", "type": "boolean", "doc": "is true to change nothing, and be told what it would cost"`, `"wire": "logs", "in": "body", "type": "boolean"`, "UpdateBroker.logs is Amazon's"},
		"members of no operation":   {`"UpdateBroker": {`, `"ChangeBroker": {`, "no such operation"},
		"refuses what is not there": {`"Promote":`, `"Demote":`, "Demote is refused"},
		"an unknown type":           {`{"list": "SwitchoverClient"}`, `{"list": "Client"}`, `no type "Client"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(string(extras), tt.was, tt.is, 1)
			if changed == string(extras) {
				t.Fatal("nothing to edit")
			}
			if _, err := generate(amazon, []byte(changed)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v; want one with %q", err, tt.want)
			}
		})
	}
}
