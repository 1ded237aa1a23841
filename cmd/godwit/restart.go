package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/control"
	"github.com/godwitmq/godwit/control/api"
)

// trialTime is how long a program may take to tell its version before a restart trusts it.
const trialTime = 10 * time.Second

// restart has serve stop in good order and begin again, after a look at whether it would come up: the program that is there by now must run, and the configuration be right.
func (n *node) restart() error {
	const op = "restart"
	conflict := func(code broker.Code, format string, args ...any) error {
		return &api.Error{Status: http.StatusConflict, Code: code.String(), Op: op, Detail: fmt.Sprintf(format, args...)}
	}
	if in := n.instance.Load(); in != nil {
		if member := in.member.Load(); member != nil && member.Status().Role == cluster.Active {
			return control.ErrActive
		}
	}
	if _, err := n.load(); err != nil {
		return conflict(broker.Malformed, "it would not come up again with its configuration:\n%v", err)
	}
	program, err := ownProgram()
	if err != nil {
		return conflict(broker.NotFound, "its program is not there: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), trialTime)
	defer cancel()
	if out, err := exec.CommandContext(ctx, program, "version").CombinedOutput(); err != nil {
		return conflict(broker.IllegalState, "%s does not run: %v %s", program, err, strings.TrimSpace(string(out)))
	}
	select {
	case n.restarts <- struct{}{}:
		return nil
	default:
		return conflict(broker.InUse, "it is restarting already")
	}
}

// ownProgram is the file that was started, by the name by which it was, so that whatever took its place is found.
func ownProgram() (string, error) {
	if path, err := exec.LookPath(os.Args[0]); err == nil {
		return path, nil
	}
	return os.Executable()
}

// becomeAnew replaces this process, which has stopped serving, by a new start of the program. It returns only if that fails.
func becomeAnew() error {
	program, err := ownProgram()
	if err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	return fmt.Errorf("restart %s: %w", program, syscall.Exec(program, os.Args, os.Environ()))
}
