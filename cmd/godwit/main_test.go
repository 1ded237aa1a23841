package main

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"godwit": func() { os.Exit(run()) }})
}

// TestScripts runs the command line as a person would: one script in testdata each.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			// Nothing of the machine's own settings may count, and no script may meet a real broker.
			e.Vars = append(e.Vars, "GODWIT_API=http://127.0.0.1:1", "GORACE=atexit_sleep_ms=0") // under the race detector each command would end a second later
			e.Values[stompKey{}] = map[string]*stompClient{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"ready": ready, "port": port, "stomp": stompCommand, "hup": hup, "refused": refused, "spoil": spoil},
	})
}

// port sets an environment variable to a port that is free: port NAME.
func port(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		l, err := listenAnywhere()
		ts.Check(err)
		address := l.Addr().String()
		l.Close()
		ts.Setenv(name, address[strings.LastIndexByte(address, ':')+1:])
	}
}

// ready waits until the API of GODWIT_API says that clients are served.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(awaitReady(ts.Getenv("GODWIT_API")))
}
