// Package godwit holds only the test of the module's own shape.
package godwit

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/godwitmq/godwit/"

// allowed says, for each folder below the module's root, or for a package by itself, which others may be imported. Imports point one way:
// cmd -> control, cluster, listen -> session -> codec, engine -> broker -> selector, message; journal is an interface that engine is given.
var allowed = map[string][]string{
	"message":  {"codec/mutf8"},
	"selector": {},
	"broker":   {"selector", "message"},
	"journal":  {"vfs"},
	"vfs":      {},
	"engine":   {"broker", "journal", "message"},
	"codec":    {},
	"cluster":  {"listen", "journal", "engine", "broker"},
	"client":   {"codec"},
	"bench":    {"client", "codec"},
	"security": {},
	"listen":   {},
	"config":   {"message", "security", "selector"},
	"metrics":  {"broker", "engine", "journal"},
	// It judges by plain facts, whoever found them.
	"readiness": {},
	"session":   {"codec", "engine", "broker", "message", "readiness", "security", "listen"},
	"control":   {"engine", "broker", "message", "journal", "readiness", "security", "listen", "config", "metrics", "selector"},
	// Who carries need not know why.
	"cluster/relay": {"listen"},
	"sim":           {"broker", "engine", "journal", "message", "vfs", "selector"},
	"sim/pair":      {"broker", "cluster", "engine", "journal", "message", "vfs"},
}

// impure may not be imported by the core, which knows no I/O, clock, lock or goroutine.
var impure = []string{"os", "net", "io/fs", "sync", "sync/atomic", "log", "log/slog", "context", "math/rand", "math/rand/v2", "bufio"}

func TestImportArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		pkg, ok := strings.CutPrefix(fields[0], module)
		if !ok {
			continue
		}
		top, _, _ := strings.Cut(pkg, "/")
		may, ruled := allowed[pkg]
		if !ruled {
			may, ruled = allowed[top]
		}
		for _, imported := range fields[1:] {
			if pkg == "broker" && slices.Contains(impure, imported) {
				t.Errorf("the core imports %q; it must stay free of I/O, clocks, locks and goroutines", imported)
			}
			imported, ours := strings.CutPrefix(imported, module)
			if !ruled || !ours || imported == top || strings.HasPrefix(imported, top+"/") {
				continue
			}
			seen++
			if !slices.ContainsFunc(may, func(m string) bool { return imported == m || strings.HasPrefix(imported, m+"/") }) {
				t.Errorf("%s imports %s; %s may import only %v", pkg, imported, top, may)
			}
		}
	}
	if seen == 0 {
		t.Error("no import of ours was seen: the test looks at the wrong thing")
	}
}
