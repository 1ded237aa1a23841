package interop

import (
	"context"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// cpp builds the program for CMS against activemq-cpp, if pkg-config knows it. No distribution packages that library, so that it is missed
// nowhere, not even where everything else must be there; README.md says how to build it.
func cpp(t *testing.T) program {
	t.Helper()
	need(t, "C++", "go")
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "activemq-cpp").Output()
	if err != nil {
		skip(t, "C++: no activemq-cpp here (README.md says how to build it)")
	}
	dir := prepared(t, "cpp", []string{"cpp"}, func(dir string) error {
		args := []string{"-std=c++17", "-o", filepath.Join(dir, "main"), filepath.Join("cpp", "main.cpp")}
		return command(".", "g++", append(args, strings.Fields(string(flags))...)...)
	})
	return program{name: "cpp", argv: []string{filepath.Join(dir, "main")}, openwire: true}
}

// TestCPPWireFormats has the C++ client ask for each version that it knows and for what can be agreed on besides.
func TestCPPWireFormats(t *testing.T) {
	needSomething(t)
	program := cpp(t)
	b := startBroker(t, brokerOptions{})
	for _, options := range []string{
		"wireFormat.version=1", "wireFormat.version=2", "wireFormat.version=3", "wireFormat.version=4", "wireFormat.version=5", "wireFormat.version=6",
		"wireFormat.version=7", "wireFormat.version=8", "wireFormat.version=9", "wireFormat.version=10", "wireFormat.version=11",
		"wireFormat.tightEncodingEnabled=false", "wireFormat.cacheEnabled=true", "wireFormat.sizePrefixDisabled=true", "wireFormat.stackTraceEnabled=false",
		"connection.useCompression=true", "connection.useAsyncSend=true", "connection.alwaysSyncSend=true", "connection.dispatchAsync=false",
	} {
		t.Run(options, func(t *testing.T) {
			program.run(t, b, run{suite: "short", env: []string{"INTEROP_OPTIONS=" + options}})
		})
	}
}

// TestCPPFailover kills the broker under the C++ client's failover transport: see failover in cpp/main.cpp.
func TestCPPFailover(t *testing.T) {
	needSomething(t)
	program := cpp(t)
	b := startBroker(t, brokerOptions{crash: true})
	ctx, cancel := context.WithTimeout(t.Context(), crashWithin)
	defer cancel()
	cmd := program.command(ctx, b, run{suite: "failover"})
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	finish := startProgram(t, cmd)
	report(t, stdout, func(text string) {
		if text != "loaded" {
			return
		}
		for range 5 {
			<-time.After(minUptime)
			b.kill(t)
			b.start(t)
		}
		if _, err := io.WriteString(stdin, "stop\n"); err != nil {
			t.Error(err)
		}
	})
	finish()
}
