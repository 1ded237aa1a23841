package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/godwitmq/godwit/control/plane"
)

// program is a file that can be run, and the version that it tells. Files are told from each other by themselves, not by their names: an upgrade puts another one in the old one's place.
type program struct {
	file    os.FileInfo
	version string
}

// versionWithin is how long a program may take to tell its version.
const versionWithin = 10 * time.Second

// look asks a program for its version if it is not the one that was asked last.
func (p *program) look(ctx context.Context, path string) error {
	file, err := os.Stat(path)
	if err != nil {
		return err
	}
	if p.file != nil && os.SameFile(p.file, file) && p.file.ModTime().Equal(file.ModTime()) && p.file.Size() == file.Size() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, versionWithin)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "version").Output()
	if err != nil {
		return fmt.Errorf("%s version: %w", path, err)
	}
	*p = program{file, strings.TrimPrefix(strings.TrimSpace(string(out)), "godwit ")}
	return nil
}

// programs says which version the process runs, and which one a restart would run if that is another. What cannot be found out is not said: it is looked for again.
func (i *instance) programs(ctx context.Context, spec *plane.Spec) (runs, newer string) {
	if i.process == nil {
		return "", ""
	}
	if err := i.runs.look(ctx, fmt.Sprintf("/proc/%d/exe", i.process.pid)); err != nil { // also of a file that was replaced
		return "", ""
	}
	runs = i.runs.version
	path, err := i.agent.opt.Program(spec.EngineVersion)
	if err == nil {
		err = i.lies.look(ctx, path)
	}
	if err != nil || i.lies.version == runs {
		return runs, ""
	}
	return runs, i.lies.version
}
