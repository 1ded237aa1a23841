package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/godwitmq/godwit/vfs"
)

// writeFile makes or replaces a file, in one step, for its owner alone. It is durable when it returns nil; after an error the file may be the old or the new one.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return vfs.OS{}.SyncDir(filepath.Dir(path))
}

// keepFile is writeFile for what may be so already.
func keepFile(path string, content []byte) error {
	if is, err := os.ReadFile(path); err == nil && bytes.Equal(is, content) {
		return nil
	}
	return writeFile(path, content)
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(data, '\n'))
}

// readJSON leaves v as it is if there is no such file.
func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// ended keeps, durably, the highest generation that was ended of each instance.
type ended struct {
	path string
	mu   sync.Mutex
	of   map[string]uint64
}

// maxEnded bounds how many instances are remembered. Generations are given in their order, so that the lowest are those that nobody will ask for again.
const maxEnded = 10_000

func openEnded(path string) (*ended, error) {
	e := &ended{path: path, of: map[string]uint64{}}
	return e, readJSON(path, &e.of)
}

func (e *ended) up(key string) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.of[key]
}

// note is durable when it returns nil.
func (e *ended) note(key string, generation uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.of[key]
	if was >= generation {
		return nil
	}
	e.of[key] = generation
	if len(e.of) > maxEnded {
		delete(e.of, e.lowest())
	}
	if err := writeJSON(e.path, e.of); err != nil {
		e.of[key] = was
		return fmt.Errorf("note that generation %d has ended: %w", generation, err)
	}
	return nil
}

func (e *ended) lowest() (key string) {
	least := ^uint64(0)
	for k, generation := range e.of { // no two have the same
		if generation < least {
			key, least = k, generation
		}
	}
	return key
}

const (
	maxLog  = 8 << 20 // of an instance's output in one file
	keepLog = 3       // older files of it
)

// cutLog keeps an instance's output small. The process goes on writing to the same file, at its new end.
func cutLog(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() < maxLog {
		return nil
	}
	if err != nil {
		return err
	}
	for n := keepLog; n > 1; n-- {
		if err := os.Rename(fmt.Sprintf("%s.%d", path, n-1), fmt.Sprintf("%s.%d", path, n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	if size := info.Size(); size > 2*maxLog { // nobody has cut it for long
		if _, err := from.Seek(size-2*maxLog, io.SeekStart); err != nil {
			return err
		}
	}
	to, err := os.OpenFile(path+".1", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if cerr := to.Close(); err == nil {
		err = cerr
	}
	if terr := os.Truncate(path, 0); err == nil { // even if the copy failed: the disk may be full
		err = terr
	}
	return err
}

// lastWords are what a process has said outside its log, at its end: why it could not go on. from is where its output begins.
func lastWords(path string, from int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		if info.Size() < from { // it was cut
			from = 0
		}
		from = max(from, info.Size()-8<<10)
	}
	data, err := io.ReadAll(io.NewSectionReader(f, from, 8<<10))
	if err != nil {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	begin := slices.IndexFunc(lines, func(l []byte) bool {
		return bytes.HasPrefix(l, []byte("godwit: ")) || bytes.HasPrefix(l, []byte("panic: ")) || bytes.HasPrefix(l, []byte("fatal error: "))
	})
	if begin < 0 {
		return ""
	}
	words := bytes.TrimPrefix(bytes.Join(lines[begin:min(begin+4, len(lines))], []byte("; ")), []byte("godwit: "))
	return string(words[:min(len(words), 600)])
}
