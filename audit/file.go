package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
)

// File is a file of lines that rotates: when it would become larger than it may, it becomes PATH.1, that one PATH.2, and so on, and the oldest goes. A file that somebody else has moved
// away, as logrotate does, is made anew at Reopen. Without a path it takes nothing.
type File struct {
	name atomic.Pointer[string] // path, for who must not wait while mu is held by a disk that hangs

	mu   sync.Mutex
	path string
	most int64
	kept int
	file *os.File
	size int64
	torn bool // the file ends within a line, by a crash or a write that did not come to its end
}

// OpenFile opens a file to append to it, or makes it, readable by its owner only. kept is how many older ones there are beside it. An empty path is no file.
func OpenFile(path string, most int64, kept int) (*File, error) {
	f := &File{}
	return f, f.Reopen(path, most, kept)
}

// Path is where it is; "" for nowhere.
func (f *File) Path() string { return *f.name.Load() }

func (f *File) open() error {
	if f.path == "" {
		return nil
	}
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open the audit log: %w", err), file.Close())
	}
	f.file, f.size, f.torn = file, info.Size(), false
	if last := make([]byte, 1); f.size > 0 {
		if old, err := os.Open(f.path); err == nil {
			_, err = old.ReadAt(last, f.size-1)
			f.torn = err == nil && last[0] != '\n'
			old.Close()
		}
	}
	return nil
}

// Reopen closes the file and opens the one that has that name now.
func (f *File) Reopen(path string, most int64, kept int) error {
	f.name.Store(&path)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.path, f.most, f.kept = path, most, kept
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
	return f.open()
}

func (f *File) write(line []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file != nil && f.size > 0 && f.size+int64(len(line)) > f.most {
		if err := f.rotate(); err != nil {
			return err
		}
	}
	if f.file == nil { // it could not be opened before
		if err := f.open(); err != nil {
			return err
		}
	}
	if f.file == nil {
		return nil
	}
	if f.torn { // what is there stays apart from what follows
		line = append([]byte{'\n'}, line...)
	}
	n, err := f.file.Write(line)
	f.size += int64(n)
	if n > 0 {
		f.torn = err != nil
	}
	return err
}

func (f *File) rotate() error {
	f.file.Close()
	f.file = nil
	name := func(n int) string {
		if n == 0 {
			return f.path
		}
		return fmt.Sprintf("%s.%d", f.path, n)
	}
	if err := os.Remove(name(f.kept)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("rotate the audit log: %w", err)
	}
	for n := f.kept - 1; n >= 0; n-- {
		if err := os.Rename(name(n), name(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotate the audit log: %w", err)
		}
	}
	return f.open()
}

func (f *File) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// tailSize is what is read of a file at a start, from its end.
const tailSize = 4 << 20

// last reads the newest entries of the file. What is no entry, as a line that a crash has cut off, is passed over.
func (f *File) last(n int) (list []Entry) {
	f.mu.Lock()
	path, from := f.path, max(f.size-tailSize, 0)
	f.mu.Unlock()
	if path == "" {
		return nil
	}
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	data, err := io.ReadAll(io.NewSectionReader(file, from, tailSize))
	if err != nil {
		return nil
	}
	for line := range bytes.Lines(data) {
		var e Entry
		if json.Unmarshal(line, &e) == nil && !e.Time.IsZero() {
			list = append(list, e)
		}
	}
	return list[max(len(list)-n, 0):]
}
