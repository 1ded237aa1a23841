package activemq

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/godwitmq/godwit/config"
)

var update = flag.Bool("update", false, "write the items and godwit.yaml of testdata, and docs/import.md, as they are now")

// header stands before what is inside <broker> in a test.
const header = `<beans xmlns="http://www.springframework.org/schema/beans">
<broker xmlns="http://activemq.apache.org/schema/core">
`

// imported imports the files of a txtar archive. If activemq.xml does not have a root, it is what is inside <broker>.
func imported(t *testing.T, a *txtar.Archive, o Options) (*Result, string) {
	t.Helper()
	folder := t.TempDir()
	for _, f := range a.Files {
		data := string(f.Data)
		if f.Name == "activemq.xml" && !strings.Contains(data, "<beans") && !strings.Contains(data, "broker ") {
			data = header + data + "</broker>\n</beans>\n"
		}
		path := filepath.Join(folder, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Import(filepath.Join(folder, "activemq.xml"), o)
	if err != nil {
		t.Fatal(err)
	}
	return r, folder
}

var hash = regexp.MustCompile(`"?\$argon2id\$[^"\s]*"?`)

// listed are the items, one a line: a letter for the verdict (X is not supported and matters, x is not supported), where, what, key and words.
func listed(r *Result, folder string) string {
	letters := map[Verdict]string{Mapped: "M", Same: "S", NotNeeded: "N", NotSupported: "x"}
	var b strings.Builder
	for _, item := range r.Items {
		letter := letters[item.Verdict]
		if item.Matters {
			letter = "X"
		}
		if item.Within != "" || item.Words == "XML's own" {
			continue
		}
		what := item.Path[strings.LastIndexByte(item.Path, '/')+1:]
		if item.Value != "" {
			what += "=" + item.Value
		}
		fmt.Fprintf(&b, "%s %s:%d %s | %s | %s\n", letter, item.File, item.Line, what, item.Key, item.Words)
	}
	return strings.NewReplacer(folder, "FOLDER", filepath.Dir(folder), "BASE", " |  | \n", "\n", " | \n", "\n").Replace(b.String())
}

// TestImport: each archive in testdata holds files, the items that they give, and godwit.yaml but for its defaults.
func TestImport(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are no archives", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r, folder := imported(t, a, Options{Properties: map[string]string{"given": "by-hand"}, Environ: []string{"FROM_ENV=environment"}})
			for name, got := range map[string]string{"items": listed(r, folder), "godwit.yaml": hash.ReplaceAllString(string(r.Config.Brief()), "HASH")} {
				i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == name })
				if *update {
					if i < 0 {
						a.Files = append(a.Files, txtar.File{Name: name})
						i = len(a.Files) - 1
					}
					a.Files[i].Data = []byte(got)
				} else if i < 0 || string(a.Files[i].Data) != got {
					t.Errorf("%s: got\n%s\nwant what is in %s (go test -update writes it)", name, got, path)
				}
			}
			if *update {
				slices.SortStableFunc(a.Files, func(x, y txtar.File) int {
					order := []string{"items", "godwit.yaml"}
					return slices.Index(order, x.Name) - slices.Index(order, y.Name)
				})
				if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			complete(t, a, r, folder)
			readable(t, r)
			secretless(t, a, r)
		})
	}
}

// complete checks that there is one item for each element and each attribute of the files that were read, and a verdict for all.
func complete(t *testing.T, a *txtar.Archive, r *Result, folder string) {
	t.Helper()
	met := map[string]int{}
	for _, item := range r.Items {
		if !slices.Contains(Verdicts, item.Verdict) || item.File == "" {
			t.Errorf("item without a verdict or place: %+v", item)
		}
		if item.Verdict == NotSupported && item.Words == "" {
			t.Errorf("not said why: %+v", item)
		}
		met[string(item.Kind)+" "+item.File]++
	}
	for _, f := range a.Files {
		name := filepath.Base(f.Name)
		if filepath.Ext(name) != ".xml" || met["element "+name] == 0 && name != "activemq.xml" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(folder, f.Name))
		if err != nil {
			t.Fatal(err)
		}
		root, err := parseXML(name, data)
		if err != nil {
			t.Fatal(err)
		}
		elements, attributes := 0, 0
		root.all(func(n *node) { elements, attributes = elements+1, attributes+len(n.attrs) })
		if met["element "+name] != elements || met["attribute "+name] != attributes {
			t.Errorf("%s has %d elements and %d attributes, items were given for %d and %d", name, elements, attributes, met["element "+name], met["attribute "+name])
		}
	}
}

// readable checks that the file that is written says what was meant.
func readable(t *testing.T, r *Result) {
	t.Helper()
	yaml := r.YAML("activemq.xml")
	again, err := config.Parse("godwit.yaml", yaml)
	if err != nil {
		t.Fatalf("godwit.yaml cannot be read: %v\n%s", err, yaml)
	}
	if live, restart := config.Diff(r.Config, again); len(live)+len(restart) > 0 && !onlyNames(live, restart) {
		t.Errorf("godwit.yaml reads as something else: %v %v", live, restart)
	}
	for _, item := range r.Matters() {
		if words := comment(item.Words); !strings.Contains(string(yaml), words) {
			t.Errorf("the head of godwit.yaml does not say %q", words)
		}
	}
	for _, f := range r.Files {
		if !strings.Contains(string(yaml), f.Name) {
			t.Errorf("godwit.yaml does not name %s", f.Name)
		}
	}
}

// onlyNames says whether only listeners differ, to which reading gives names.
func onlyNames(live, restart []config.Change) bool {
	return len(live) == 0 && len(restart) == 1 && restart[0].Key == "listeners"
}

// secretless checks that no password, each of which is called "secret" and something in the tests, is in what is written.
func secretless(t *testing.T, a *txtar.Archive, r *Result) {
	t.Helper()
	var report strings.Builder
	if err := r.Report(&report); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"the report": report.String(), "godwit.yaml": string(r.YAML("activemq.xml")), "the items": listed(r, "-")} {
		if i := strings.Index(text, "secret-"); i >= 0 {
			t.Errorf("%s shows a password: ...%s", name, text[max(0, i-40):min(len(text), i+20)])
		}
	}
	_ = a
}

// TestRules checks each rule: the key that it names is there, and what is not supported says what to do.
func TestRules(t *testing.T) {
	keys := map[string]bool{}
	for _, f := range config.Fields() {
		keys[f.Key] = true
	}
	seen := map[string]bool{}
	for _, table := range tables() {
		for _, r := range table.rules {
			if seen[r.on] {
				t.Errorf("%s has two rules", r.on)
			}
			seen[r.on] = true
			for key := range strings.SplitSeq(r.key, ", ") {
				if key = strings.TrimSuffix(key, "[]"); key != "" && !keys[key] && !keys[strings.TrimSuffix(key, "[]")] {
					t.Errorf("%s names the key %s, which is not there", r.on, key)
				}
			}
			if r.words == "" && (r.verdict == NotSupported || r.verdict == NotNeeded) {
				t.Errorf("%s does not say why", r.on)
			}
			if r.as != nil && r.key == "" {
				t.Errorf("%s has no key for its value", r.on)
			}
		}
	}
}

// TestDocumentation: docs/import.md is what the rules are.
func TestDocumentation(t *testing.T) {
	const path = "../../docs/import.md"
	want := Markdown()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the rules are (%v): run go test ./config/activemq -update", path, err)
	}
}

// What is said of an encrypted value names the placeholder by which it can be given.
func TestEncrypted(t *testing.T) {
	for value, want := range map[string]string{
		"${activemq.password}":     "give it with -D activemq.password=VALUE",
		"${activemq.password:ENC}": "give it with -D activemq.password=VALUE",
		"ENC(mYRkg+4Q4hua)":        "write it in a copy of the file",
	} {
		if got := encrypted(value).Error(); !strings.HasSuffix(got, want) {
			t.Errorf("encrypted(%q) = %q, want ... %q", value, got, want)
		}
	}
}

// TestImportAlone reads a document that anybody may have written: it gets nothing of the files of this machine.
func TestImportAlone(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"secret.properties": "queue=STOLEN\n", "users.properties": "thief=password\n", "groups.properties": "admins=thief\n", "other.xml": header + `<destinations><queue physicalName="STOLEN"/></destinations></broker></beans>`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(folder)
	document := `<beans xmlns="http://www.springframework.org/schema/beans">
<bean class="org.springframework.beans.factory.config.PropertyPlaceholderConfigurer"><property name="locations"><value>file:` + folder + `/secret.properties</value></property></bean>
<import resource="` + folder + `/other.xml"/>
<broker xmlns="http://activemq.apache.org/schema/core">
<destinations><queue physicalName="${queue}"/><queue physicalName="MINE"/></destinations>
<plugins><jaasAuthenticationPlugin configuration="activemq"/></plugins>
<sslContext><sslContext keyStore="file:` + folder + `/secret.properties" keyStorePassword="x"/></sslContext>
</broker></beans>`
	r, err := ImportAlone("a revision", []byte(document), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if text := string(r.Config.Brief()); strings.Contains(text, "STOLEN") || strings.Contains(text, "thief") || !strings.Contains(text, "queue://MINE") {
		t.Errorf("the configuration is\n%s", text)
	}
	told := false
	for _, item := range r.Items {
		told = told || strings.Contains(item.Words, errAlone.Error())
	}
	if len(r.Files) > 0 || !told {
		t.Errorf("%d files are made, and what is not read is told: %v", len(r.Files), told)
	}
	if _, err := ImportAlone("a revision", []byte("<beans/>"), Options{}); err == nil || !strings.Contains(err.Error(), "a revision") {
		t.Errorf("a document without a broker: %v", err)
	}
	if _, err := ImportAlone("a revision", make([]byte, maxFile+1), Options{}); err == nil {
		t.Error("a document of any size is read")
	}
}
