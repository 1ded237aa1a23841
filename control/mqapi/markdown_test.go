package mqapi

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "write docs/amazon-mq.md")

func TestDocumentation(t *testing.T) {
	const path = "../../docs/amazon-mq.md"
	want := Markdown()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s is not what the tables are (%v): run go test ./control/mqapi -update", path, err)
	}
}
