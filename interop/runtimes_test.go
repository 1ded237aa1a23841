package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// leftOut collects why suites did not run, for the line that TestMain prints.
var leftOut struct {
	sync.Mutex
	reasons map[string]bool
}

func TestMain(m *testing.M) {
	leftOut.reasons = map[string]bool{}
	dir, err := os.MkdirTemp("", "godwit-interop-")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	binaryDir = dir
	code := m.Run()
	for _, reason := range slices.Sorted(maps.Keys(leftOut.reasons)) {
		fmt.Println("interop: left out:", reason)
	}
	os.RemoveAll(binaryDir)
	os.Exit(code)
}

// leaveOut skips the test, or, where everything must be there, fails it.
func leaveOut(t *testing.T, format string, args ...any) {
	t.Helper()
	reason := fmt.Sprintf(format, args...)
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	skip(t, reason)
}

func skip(t *testing.T, reason string) {
	t.Helper()
	leftOut.Lock()
	leftOut.reasons[reason] = true
	leftOut.Unlock()
	t.Skip(reason)
}

// need leaves the test out unless it is asked for, and all commands are in the path.
func need(t *testing.T, suite string, commands ...string) {
	t.Helper()
	if os.Getenv("GODWIT_INTEROP") != "1" {
		skip(t, "all suites: GODWIT_INTEROP=1 (make interop) runs them")
	}
	for _, command := range commands {
		if _, err := exec.LookPath(command); err != nil {
			leaveOut(t, "%s: no %s here", suite, command)
		}
	}
}

// prepared returns a folder of the user's cache that fill has filled from sources. Other sources, of another working tree perhaps, have another
// folder, so that nobody empties what somebody else is running from. The lock keeps test processes from each other.
func prepared(t *testing.T, name string, sources []string, fill func(dir string) error) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum, err := digest(sources)
	if err != nil {
		t.Fatal(err)
	}
	all := filepath.Join(cache, "godwit-interop")
	dir := filepath.Join(all, name+"-"+sum[:16])
	if err := os.MkdirAll(all, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Create(filepath.Join(all, name+".lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	forgetOld(all, name)
	stamp := filepath.Join(dir, "prepared-from")
	if before, err := os.ReadFile(stamp); err == nil && string(before) == sum {
		now := time.Now()
		_ = os.Chtimes(dir, now, now) // it is in use
		return dir
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := fill(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stamp, []byte(sum), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// forgetOld removes what other sources have left, when nobody has asked for it in a day.
func forgetOld(all, name string) {
	old, _ := filepath.Glob(filepath.Join(all, name+"-*"))
	for _, dir := range old {
		if info, err := os.Stat(dir); err == nil && info.IsDir() && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(dir)
		}
	}
}

// digest is of the names and contents of files and folders.
func digest(sources []string) (string, error) {
	hash := sha256.New()
	for _, source := range sources {
		err := filepath.WalkDir(source, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && entry.Name() == "target":
				return filepath.SkipDir
			case entry.IsDir():
				return nil
			}
			content, err := os.ReadFile(path)
			fmt.Fprintf(hash, "%s %d\n%s", path, len(content), content)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// command runs a preparing step.
func command(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// buildJava builds the Maven project outside the source tree; profile is empty or a -P flag.
func buildJava(t *testing.T, profile string) string {
	t.Helper()
	need(t, "Java", "java", "mvn")
	return prepared(t, "java"+profile, []string{"java"}, func(dir string) error {
		if err := copyTree(dir, "java"); err != nil {
			return err
		}
		args := []string{"-q", "-B", "package"}
		if profile != "" {
			args = append(args, profile)
		}
		if command(dir, "mvn", append([]string{"-o"}, args...)...) == nil { // all in the local repository already
			return nil
		}
		return command(dir, "mvn", args...)
	})
}

func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == "target" {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), content, 0o644)
	})
}

func classPath(dir, module string) string {
	target := filepath.Join(dir, module, "target")
	return filepath.Join(target, module+"-1.jar") + string(os.PathListSeparator) + filepath.Join(target, "lib", "*")
}

// program is how to run a language's suites: its argument is the suite's name.
type program struct {
	name     string
	argv     []string
	env      []string
	openwire bool // speaks OpenWire, otherwise STOMP
	plain    bool // has no TLS
}

func java(module string) func(t *testing.T) program {
	return func(t *testing.T) program {
		t.Helper()
		dir := buildJava(t, "")
		return program{
			name: "java-" + module,
			argv: []string{
				"java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
				"-cp", classPath(dir, module), "interop.Main",
			},
			openwire: true,
		}
	}
}

func python(t *testing.T) program {
	t.Helper()
	need(t, "Python", "python3")
	dir := venv(t, "python", "python/requirements.txt")
	return program{
		name: "python",
		argv: []string{filepath.Join(dir, "bin", "python"), "python/main.py"},
		env:  []string{"PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1"},
	}
}

// venv is a Python environment with what a file of requirements lists.
func venv(t *testing.T, name, requirements string) string {
	t.Helper()
	return prepared(t, name, []string{requirements}, func(dir string) error {
		if err := command(".", "python3", "-m", "venv", dir); err != nil {
			return err
		}
		return command(".", filepath.Join(dir, "bin", "pip"), "install", "-q", "-r", requirements)
	})
}

func node(t *testing.T) program {
	t.Helper()
	need(t, "Node", "node", "npm")
	sources := []string{"node/package.json", "node/package-lock.json"}
	dir := prepared(t, "node", sources, func(dir string) error {
		for _, source := range sources {
			content, err := os.ReadFile(source)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(source)), content, 0o644); err != nil {
				return err
			}
		}
		return command(dir, "npm", "ci", "--silent", "--no-audit", "--no-fund")
	})
	return program{
		name: "node",
		argv: []string{"node", "node/main.js"},
		env:  []string{"NODE_PATH=" + filepath.Join(dir, "node_modules")},
	}
}

func perl(t *testing.T) program {
	t.Helper()
	need(t, "Perl", "perl")
	if err := command(".", "perl", "-MNet::Stomp", "-MIO::Socket::SSL", "-e", "1"); err != nil {
		leaveOut(t, "Perl: no Net::Stomp or IO::Socket::SSL here (Debian: libnet-stomp-perl, libio-socket-ssl-perl)")
	}
	return program{name: "perl", argv: []string{"perl", "perl/main.pl"}}
}

func ruby(t *testing.T) program {
	t.Helper()
	need(t, "Ruby", "ruby")
	if err := command(".", "ruby", "-e", `require "stomp"`); err != nil {
		leaveOut(t, "Ruby: no stomp here (Debian: ruby-stomp)")
	}
	return program{name: "ruby", argv: []string{"ruby", "ruby/main.rb"}}
}

// php has no TLS: Debian builds the extension without.
func php(t *testing.T) program {
	t.Helper()
	need(t, "PHP", "php")
	if err := command(".", "php", "-r", `exit(extension_loaded("stomp") ? 0 : 1);`); err != nil {
		leaveOut(t, "PHP: no extension stomp here (Debian: php-stomp)")
	}
	return program{name: "php", argv: []string{"php", "php/main.php"}, plain: true}
}
