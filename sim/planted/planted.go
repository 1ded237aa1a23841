// Package planted shows that a simulation finds what it is there to find. The product has no switches for that: a second test binary is built of it, with mistakes in its
// source, one of which is chosen by an environment variable.
package planted

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

// Edit replaces a text that stands once in a file of the module. In the new text BUG is true if the bug is the one that is planted.
type Edit struct{ Bug, File, Old, New string }

// Find runs a test of the binary with a bug planted. It must fail, and say so with its seed ("seed 7: ..."); otherwise t fails.
func Find(t *testing.T, binary, bug string, args ...string) {
	t.Helper()
	cmd := exec.Command(binary, append(args, "-test.timeout=5m")...)
	cmd.Env = append(os.Environ(), "GODWIT_PLANTED="+bug)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	found := regexp.MustCompile(`seed \d+: [^{].*`).FindAllString(string(out), -1)
	if err == nil || len(found) == 0 {
		t.Fatalf("it was not found: %v\n%.2000s", err, out)
	}
	t.Logf("%.200s", found[0])
}

// Build makes the test binary of the package that is being tested, with all bugs in, and says where it is. root is the module's folder.
func Build(t *testing.T, root string, edits []Edit) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	texts, overlay := map[string]string{}, map[string]string{}
	for _, e := range edits {
		text, known := texts[e.File]
		if !known {
			data, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				t.Fatal(err)
			}
			text = string(data)
		}
		if n := strings.Count(text, e.Old); n != 1 {
			t.Fatalf("%s: the text to be replaced stands %d times in %s, not once:\n%s\nThe code has changed: plant the bug where it belongs now", e.Bug, n, e.File, e.Old)
		}
		texts[e.File] = strings.Replace(text, e.Old, strings.ReplaceAll(e.New, "BUG", fmt.Sprintf("(plantedBug == %q)", e.Bug)), 1)
		pkg := filepath.Base(filepath.Dir(e.File))
		overlay[filepath.Join(root, filepath.Dir(e.File), "planted.go")] = write(pkg+"_planted.go", "package "+pkg+"\n\nimport \"os\"\n\nvar plantedBug = os.Getenv(\"GODWIT_PLANTED\")\n")
	}
	for file, text := range texts {
		overlay[filepath.Join(root, file)] = write(file, text)
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "planted.test")
	args := []string{"test", "-c", "-vet=off", "-o", binary, "-overlay", write("overlay.json", string(list))}
	if info, ok := debug.ReadBuildInfo(); ok { // of the same kind, so that what it has in common with this binary need not be built again
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append(args, "-race")
			}
		}
	}
	if out, err := exec.Command("go", append(args, "./")...).CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
	return binary
}
