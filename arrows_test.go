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
	// It notes what it is told, and knows nobody.
	"audit":    {},
	"broker":   {"selector", "message"},
	"journal":  {"vfs"},
	"vfs":      {},
	"engine":   {"broker", "journal", "message"},
	"codec":    {},
	"cluster":  {"listen", "journal", "engine", "broker"},
	"client":   {"codec"},
	"bench":    {"client", "codec"},
	"security": {},
	// It knows names and addresses, and no cluster.
	"dns":     {},
	"listen":  {},
	"config":  {"message", "security", "selector"},
	"metrics": {"broker", "engine", "journal", "message"},
	// It judges by plain facts, whoever found them.
	"readiness": {},
	"session":   {"codec", "engine", "broker", "message", "readiness", "security", "listen"},
	"control":   {"engine", "broker", "message", "journal", "readiness", "security", "listen", "config", "metrics", "selector", "audit"},
	// What a node does for the control plane: it makes certificates, too, and starts processes.
	"control/agent": {"broker", "cluster", "config", "control/api", "control/client", "control/plane", "security", "vfs"},
	// The web console is one more client of the API.
	"control/console": {"audit", "broker", "control/api", "control/client", "control/mqapi", "message", "readiness"},
	// Who carries need not know why.
	"cluster/relay": {"listen"},
	// The wire layer of an API that is not ours: what is behind it is given.
	"control/mqapi":        {},
	"control/mqapi/client": {"control/mqapi", "control/client"},
	"sim":                  {"broker", "engine", "journal", "message", "vfs", "selector"},
	"sim/pair":             {"vfs", "broker", "cluster", "engine", "journal", "message", "sim/planted"},
	// The control plane's state machine needs nothing; on a log it needs that.
	"control/plane":         {},
	"control/plane/durable": {"control/plane", "journal"},
	"sim/managed":           {"control/plane", "journal", "vfs", "sim/planted"},
}

// pure are the state machines: they are all that they know.
var pure = []string{"broker", "control/plane"}

// impure may not be imported by them: they know no I/O, clock, lock or goroutine.
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
		own := pkg
		may, ruled := allowed[pkg]
		if !ruled {
			own, _, _ = strings.Cut(pkg, "/")
			may, ruled = allowed[own]
		}
		for _, imported := range fields[1:] {
			if slices.Contains(pure, pkg) && slices.Contains(impure, imported) {
				t.Errorf("%s imports %q; it must stay free of I/O, clocks, locks and goroutines", pkg, imported)
			}
			imported, ours := strings.CutPrefix(imported, module)
			if !ruled || !ours || imported == own || strings.HasPrefix(imported, own+"/") {
				continue
			}
			seen++
			if !slices.ContainsFunc(may, func(m string) bool { return imported == m || strings.HasPrefix(imported, m+"/") }) {
				t.Errorf("%s imports %s; %s may import only %v", pkg, imported, own, may)
			}
		}
	}
	if seen == 0 {
		t.Error("no import of ours was seen: the test looks at the wrong thing")
	}
}
