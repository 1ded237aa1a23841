package activemq

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/godwitmq/godwit/config"
)

func FuzzImport(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		f.Fatal("there are no archives", err)
	}
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range a.Files {
			if file.Name == "activemq.xml" {
				f.Add(string(file.Data))
				f.Add(header + string(file.Data) + "</broker></beans>")
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "assword") {
			t.Skip("hashes take their time")
		}
		root, err := parseXML("activemq.xml", []byte(text))
		if err != nil {
			return
		}
		im := newImporter(t.TempDir(), Options{})
		im.document(root)
		if im.broker == nil {
			return
		}
		if err := im.finish(); err != nil {
			t.Fatal(err)
		}
		elements, attributes := 0, 0
		root.all(func(n *node) { elements, attributes = elements+1, attributes+len(n.attrs) })
		for _, item := range im.items {
			switch {
			case item.File != root.file:
			case item.Kind == Element:
				elements--
			case item.Kind == Attribute:
				attributes--
			}
		}
		if elements != 0 || attributes != 0 {
			t.Errorf("%d elements and %d attributes have no item", elements, attributes)
		}
		r := &Result{Config: im.config, Items: im.items}
		if _, err := config.Parse("godwit.yaml", r.YAML("activemq.xml")); err != nil {
			t.Errorf("godwit.yaml cannot be read: %v\n%s", err, r.YAML("activemq.xml"))
		}
	})
}

func FuzzLogin(f *testing.F) {
	f.Add("/* x */ a { b.C required d=\"e\"; // f\n F sufficient; };\nb{c d;};")
	f.Fuzz(func(t *testing.T, text string) {
		modules, err := parseLogin([]byte(text))
		if err == nil && len(modules) > len(text) {
			t.Errorf("%d modules of %d bytes", len(modules), len(text))
		}
	})
}

// TestHostile: files that are made to hurt are refused, quickly, with a word that says where.
func TestHostile(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"nothing":          {"", "no XML element"},
		"no broker":        {"<beans/>", "no <broker>"},
		"cut off":          {"<beans>\n<broker>", "activemq.xml:2: unexpected EOF"},
		"deep":             {strings.Repeat("<a>", 100_000), "nested more than 64 levels"},
		"wide":             {"<broker>" + strings.Repeat("<a/>", maxParts) + "</broker>", "more than 100000 elements"},
		"long text":        {"<broker>" + strings.Repeat("a", maxText+1) + "</broker>", "text of more than 16 KiB"},
		"large":            {"<broker>" + strings.Repeat(" ", maxFile) + "</broker>", "larger than 4 MiB"},
		"own entity":       {"<!DOCTYPE x [<!ENTITY a \"b\">]><broker brokerName=\"&a;\"/>", "activemq.xml:1: invalid character entity &a;"},
		"external entity":  {"<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/passwd\">]><broker>&a;</broker>", "invalid character entity &a;"},
		"other encoding":   {"<?xml version=\"1.0\" encoding=\"UTF-16\"?><broker/>", "encoding UTF-16 is not read"},
		"no encoding":      {"<broker brokerName=\"\xFF\"/>", "is not UTF-8"},
		"attribute twice":  {"<broker brokerName=\"a\" brokerName=\"b\"/>", ""},
		"latin":            {"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><broker brokerName=\"\xE9\"/>", ""},
		"endless property": {"<beans><bean class=\"Placeholder\"><property><props><prop key=\"a\">${a}${a}</prop></props></property></bean><broker brokerName=\"${a}\"/></beans>", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "activemq.xml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Import(path, Options{})
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := Import(filepath.Join(t.TempDir(), "activemq.xml"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	if _, err := Import(t.TempDir(), Options{}); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a folder gives %v", err)
	}
}
