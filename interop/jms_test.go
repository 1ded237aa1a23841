package interop

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the differences into docs/compatibility.md")

// jmsCase is what the conformance program says of a case (interop/java/src/interop/jms).
type jmsCase struct {
	name    string
	want    string // of Godwit
	classic string // of ActiveMQ Classic; anything for "*"
	reason  string // why they differ
	got     string
}

// TestJMS runs the table of cases that is written from the specification, with both generations of the client, and, if ACTIVEMQ_HOME is set or
// the peers of bench/install.sh are there, against ActiveMQ Classic too. docs/compatibility.md must list the differences.
func TestJMS(t *testing.T) {
	need(t, "JMS", "go", "java", "mvn")
	var jakarta []jmsCase
	for _, module := range []string{"jakarta", "javax"} {
		t.Run(module, func(t *testing.T) {
			b := startBroker(t, brokerOptions{optional: true, shipped: true})
			cases := runJMS(t, b, module)
			for _, c := range cases {
				if c.got != c.want {
					t.Errorf("%s\n\tgot  %s\n\twant %s", c.name, c.got, c.want)
				}
			}
			if module == "jakarta" {
				jakarta = cases
			}
			t.Logf("%d cases", len(cases))
		})
	}
	if jakarta != nil && os.Getenv("INTEROP_ONLY") == "" {
		t.Run("docs", func(t *testing.T) { compareWithDocs(t, jakarta) })
	}
	t.Run("classic", func(t *testing.T) {
		cache, _ := os.UserCacheDir()
		if _, err := os.Stat(filepath.Join(cache, "peers", "activemq-6.3.1")); err != nil && os.Getenv("ACTIVEMQ_HOME") == "" {
			t.Skip("neither ACTIVEMQ_HOME nor the peers of bench/install.sh are here")
		}
		b := &broker{}
		b.useActiveMQ(t, brokerOptions{optional: true, shipped: true})
		b.launch(t)
		table := &strings.Builder{}
		for _, c := range runJMS(t, b, "jakarta") {
			switch {
			case c.classic != "*" && c.got != c.classic:
				t.Errorf("%s\n\tActiveMQ shows   %s\n\tthe table has it %s", c.name, c.got, c.classic)
			case c.got != c.want:
				fmt.Fprintf(table, "%s\n\tActiveMQ %s\n\tGodwit   %s\n\t%s\n", c.name, c.got, c.want, c.reason)
			}
		}
		t.Logf("where ActiveMQ differs:\n%s", table)
	})
}

// runJMS runs the program, restarts the broker when it asks for that, and gives its cases.
func runJMS(t *testing.T, b *broker, module string) []jmsCase {
	t.Helper()
	p := java(module)(t)
	p.argv[len(p.argv)-1] = "interop.jms.Conformance"
	ctx, cancel := context.WithTimeout(t.Context(), programWithin)
	defer cancel()
	cmd := p.command(ctx, b, run{suite: "full", user: user, password: password})
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	finish := startProgram(t, cmd)
	cases := readJMS(t, stdout, func() {
		b.stop(t)
		b.start(t)
		if _, err := io.WriteString(stdin, "\n"); err != nil {
			t.Error(err)
		}
	})
	finish()
	return cases
}

func readJMS(t *testing.T, stdout io.Reader, restart func()) (cases []jmsCase) {
	t.Helper()
	done := false
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		switch {
		case fields[0] == "case" && len(fields) == 6:
			cases = append(cases, jmsCase{name: fields[1], want: fields[2], classic: fields[3], reason: fields[4], got: fields[5]})
		case lines.Text() == "restart":
			restart()
		case lines.Text() == "done":
			done = true
		default:
			t.Logf("the program said: %s", lines.Text())
		}
	}
	if !done || len(cases) == 0 && os.Getenv("INTEROP_ONLY") == "" {
		t.Errorf("the program ended after %d cases; done: %t; %v", len(cases), done, lines.Err())
	}
	return cases
}

const compatibilityPage = "../docs/compatibility.md"

// compareWithDocs holds the page's lists against the program's cases.
func compareWithDocs(t *testing.T, cases []jmsCase) {
	t.Helper()
	page, err := os.ReadFile(compatibilityPage)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for name, want := range map[string]string{"differences": differencesTable(cases), "same": sameList(cases)} {
		_, rest, found := strings.Cut(text, "<!-- "+name+": go test ./interop -run TestJMS -update -->\n")
		got, _, ended := strings.Cut(rest, "<!-- end of "+name+" -->\n")
		switch {
		case !found || !ended:
			t.Fatalf("%s has lost the comments around its list %q", compatibilityPage, name)
		case *update:
			text = strings.TrimSuffix(text, rest) + want + strings.TrimPrefix(rest, got)
		case got != want:
			t.Errorf("%s does not list %s as the cases do; go test ./interop -run TestJMS -update writes it\ngot:\n%s\nwant:\n%s", compatibilityPage, name, got, want)
		}
	}
	if *update {
		if err := os.WriteFile(compatibilityPage, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// escaped is a text as Markdown shows it unchanged.
var escaped = strings.NewReplacer("|", "\\|", "<", "&lt;", "*", "\\*", "_", "\\_", "$", "\\$")

func differencesTable(cases []jmsCase) string {
	value := func(v string) string {
		switch {
		case v == "*":
			return "varies"
		case v == "":
			return "empty"
		case strings.Contains(v, "no message within"):
			return "no message comes"
		}
		return "`" + strings.ReplaceAll(v, "|", "\\|") + "`"
	}
	table := &strings.Builder{}
	table.WriteString("| case | ActiveMQ | Godwit | why |\n| --- | --- | --- | --- |\n")
	for _, c := range cases {
		if c.reason != "" {
			fmt.Fprintf(table, "| %s | %s | %s | %s |\n", escaped.Replace(c.name), value(c.classic), value(c.want), escaped.Replace(c.reason))
		}
	}
	return table.String()
}

// sameList names the other cases, a line a section.
func sameList(cases []jmsCase) string {
	list := &strings.Builder{}
	last := ""
	for _, c := range cases {
		section, title, _ := strings.Cut(c.name, ": ")
		if c.reason != "" {
			continue
		}
		if section != last {
			fmt.Fprintf(list, "\n- **%s**: %s", section, escaped.Replace(title))
			last = section
			continue
		}
		fmt.Fprintf(list, "; %s", escaped.Replace(title))
	}
	return strings.TrimPrefix(list.String(), "\n") + "\n"
}
