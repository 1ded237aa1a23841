package config

import (
	"flag"
	"os"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

func TestDocumentation(t *testing.T) {
	const path = "../docs/configuration.md"
	want := Markdown()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the settings are (%v): run go test ./config -update", path, err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindStringSubmatch(want)
	if _, err := Parse("g.yaml", []byte(example[1])); err != nil {
		t.Errorf("the example in %s is wrong: %v", path, err)
	}
}

func TestEveryFieldIsExplained(t *testing.T) {
	for _, f := range Fields() {
		if f.Doc == "" || f.Key == "" {
			t.Errorf("field %+v has no doc or no key", f)
		}
	}
}
