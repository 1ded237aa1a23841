package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is that of an instance, whoever has started it.
type process struct {
	pid        int
	start      uint64 // as the kernel has it: with the pid it names a process for ever
	generation uint64
	began      time.Time     // or was found
	from       int64         // where its output begins in the log; 0 of one that was found
	done       chan struct{} // closed when it has ended
	err        error         // how, once done is closed; nil is not known, or in good order
}

// pidNote is what the file pid says.
type pidNote struct {
	PID        int    `json:"pid"`
	Start      uint64 `json:"start"`
	Generation uint64 `json:"generation"`
}

const (
	pidFile = "pid"
	logDir  = "log"
	logFile = "log/instance.log"
	// auditFile is where it notes what is done to it, if its owner wants that.
	auditFile = "log/audit.log"
	// markVariable is in the environment of each process that an agent starts: FOLDER@GENERATION.
	markVariable = "GODWIT_INSTANCE"
	// watchEvery is how often an adopted process is looked at, which is nobody's child here.
	watchEvery = 200 * time.Millisecond
)

// startProcess starts an instance's process, which outlives this one.
func startProcess(program, folder, config string, generation uint64) (*process, error) {
	if err := os.MkdirAll(filepath.Join(folder, logDir), 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(folder, logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &process{generation: generation, began: time.Now(), done: make(chan struct{})}
	if info, err := log.Stat(); err == nil {
		p.from = info.Size()
	}
	cmd := exec.Command(program, "serve", "--config", config)
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, log, log
	for _, pair := range os.Environ() { // the node's own settings are not the instance's, nor is what its service manager waits for
		if !slices.ContainsFunc([]string{"GODWIT_", "NOTIFY_SOCKET=", "WATCHDOG_"}, func(own string) bool { return strings.HasPrefix(pair, own) }) {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	cmd.Env = append(cmd.Env, mark(folder, generation))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	p.start, _ = startOf(p.pid) // it is not reaped yet, so it is there
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	// Without the file the next agent finds the process all the same, by its environment, only not as fast.
	return p, writeJSON(filepath.Join(folder, pidFile), pidNote{p.pid, p.start, generation})
}

func mark(folder string, generation uint64) string {
	return fmt.Sprintf("%s=%s@%d", markVariable, folder, generation)
}

// findProcess finds the process of a folder that an agent before this one has started; nil: there is none.
func findProcess(folder string) *process {
	var note pidNote
	if readJSON(filepath.Join(folder, pidFile), &note) == nil && note.PID > 0 {
		if p := adopt(folder, note.PID); p != nil && p.start == note.Start {
			return p
		}
	}
	// It was started, and the agent has ended before it could note that.
	all, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, entry := range all {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			if p := adopt(folder, pid); p != nil {
				return p
			}
		}
	}
	return nil
}

// adopt takes over a process if it is that of a folder.
func adopt(folder string, pid int) *process {
	start, running := startOf(pid)
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil || !running {
		return nil
	}
	for pair := range bytes.SplitSeq(environment, []byte{0}) {
		text, ok := strings.CutPrefix(string(pair), markVariable+"="+folder+"@")
		generation, err := strconv.ParseUint(text, 10, 64)
		if !ok || err != nil {
			continue
		}
		p := &process{pid: pid, start: start, generation: generation, began: time.Now(), done: make(chan struct{})}
		go func() {
			for p.running() {
				time.Sleep(watchEvery)
			}
			// It is a child of this process if the service has restarted itself since it was started; then nobody else would see it off.
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
			close(p.done)
		}()
		return p
	}
	return nil
}

// startOf says when a process has started, in ticks since the machine has, and whether it still runs.
func startOf(pid int) (start uint64, running bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	// The name, in brackets, may hold anything.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return 0, false
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, err == nil && fields[0] != "Z" && fields[0] != "X"
}

func (p *process) running() bool {
	start, running := startOf(p.pid)
	return running && start == p.start
}

// signal sends one, if the process is still the same.
func (p *process) signal(s syscall.Signal) error {
	if !p.running() {
		return nil
	}
	if err := syscall.Kill(p.pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end process %d: %w", p.pid, err)
	}
	return nil
}

// stop ends the process in good order, or after patience at once, and returns when it has ended.
func (p *process) stop(ctx context.Context, patience time.Duration) error {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.signal(s); err != nil {
			return err
		}
		select {
		case <-p.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(patience):
		}
	}
	return fmt.Errorf("process %d does not end", p.pid)
}
