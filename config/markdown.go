package config

import (
	"fmt"
	"strings"
)

const intro = `# Configuration

<!-- Made from the tags of the struct Config in the package config: go test ./config -update writes it. -->

` + "`godwit serve`" + ` needs no configuration. What it is told comes from, later ones first:

1. flags: ` + "`--data`, `--listen PROTOCOL=URL`, `--http`, `--credentials`, `--log-level`" + `;
2. environment variables: the names below, and ` + "`GODWIT_LISTEN`" + ` (entries as for the flag, divided by commas), ` + "`GODWIT_HTTP`, `GODWIT_CREDENTIALS`" + `; other
   variables that begin with GODWIT_ are let be;
3. the file named by ` + "`--config`" + ` or, without that, ` + "`godwit.yaml`" + ` in the working directory;
4. the defaults.

` + "`godwit config check`" + ` says all that is wrong, with file, line and column; ` + "`godwit config print --comments`" + ` writes what holds, as a file to start
from. Paths in the file are relative to its folder. Sizes are whole numbers with a unit (KiB, MiB, GiB, TiB, or kB, MB, GB, TB), durations
are written 500ms, 30s or 5m. Anchors, aliases and tags of YAML are not supported.

SIGHUP or ` + "`godwit reload`" + ` reads it all again. What is **live** below holds at once; a certificate or the users' file is read again even if only its
content has changed. For the rest the answer says that a restart is needed, and the broker goes on with the old value. If
anything is wrong, nothing changes.

A first file:

` + "```yaml" + `
data: /var/lib/godwit
listeners:
  - {protocol: openwire, url: "tls://0.0.0.0:61617"}
  - {protocol: stomp, url: "tls://0.0.0.0:61615"}
tls: {certificate: /etc/godwit/cert.pem, key: /etc/godwit/key.pem}
credentials:
  mode: mandatory
  rights:
    - {destination: "queue://ORDERS.>", read: [billing], write: [shop], admin: [shop]}
` + "```" + `
`

// Markdown is docs/configuration.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(intro)
	for _, f := range Fields() {
		if f.Type == "section" || f.Type == "list" {
			fmt.Fprintf(&b, "\n## %s\n\n%s%s\n", f.Key, f.Doc, liveWord(f))
			if !sectionHasFields(f) {
				continue
			}
			b.WriteString("\n")
			continue
		}
		if !strings.Contains(f.Key, ".") {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "- `%s`: %s.%s %s%s%s\n", f.Key, f.Type, defaultWord(f), f.Doc, allowedWord(f), liveWord(f))
		if f.Env != "" {
			fmt.Fprintf(&b, "  `%s`\n", f.Env)
		}
	}
	return b.String()
}

// sectionHasFields says whether settings follow the section's headline at once.
func sectionHasFields(section Field) bool {
	fields := Fields()
	for i, f := range fields[:len(fields)-1] {
		if f.Key == section.Key {
			return fields[i+1].Type != "section" && fields[i+1].Type != "list"
		}
	}
	return false
}

func liveWord(f Field) string {
	if f.Live {
		return " **Live.**"
	}
	return ""
}

func defaultWord(f Field) string {
	switch {
	case f.Default == "" || f.Default == "[]" || strings.Contains(f.Key, "[]"):
		return ""
	case f.Type == "text":
		return " Default `" + f.Default + "`."
	}
	return " Default " + f.Default + "."
}

func allowedWord(f Field) string {
	if f.Allowed == nil {
		return ""
	}
	return " One of: " + strings.Join(f.Allowed, ", ") + "."
}
