package segment

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/vfs"
)

const (
	suffix     = ".seg"
	unfinished = ".tmp" // after the name of a file that is being made
	lockName   = "lock"
)

func fileName(id uint64) string { return fmt.Sprintf("%016x%s", id, suffix) }

// fileID is the number in a segment's name.
func fileID(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 16 {
		return 0, false
	}
	id, err := strconv.ParseUint(digits, 16, 64)
	return id, err == nil
}

// segment is one file. The numbers in the names tell files apart, no more: the order of the log is that of the bases.
type segment struct {
	id   uint64
	name string // with the directory
	file vfs.File
	size int64
	base journal.Position // of the file's first byte

	gate sync.RWMutex // held for reading while a reader uses the file; for writing when it is taken out of the log
	gone bool         // trimmed: the file is not of this log's range any more
}

func (s *segment) offset(at journal.Position) int64 { return int64(at - s.base) }

// enter keeps the file in place until leave; false means that it was trimmed.
func (s *segment) enter() bool {
	s.gate.RLock()
	if s.gone {
		s.gate.RUnlock()
		return false
	}
	return true
}

func (s *segment) leave() { s.gate.RUnlock() }

// corrupt describes damage at a position of the segment.
func (s *segment) corrupt(at journal.Position, reason string) error {
	return &journal.CorruptError{File: s.name, Offset: s.offset(at), At: at, Reason: reason}
}

// find returns the index of the segment that holds a position: the last whose base is not after it. -1 means none.
func find(segs []*segment, at journal.Position) int {
	i, found := slices.BinarySearchFunc(segs, at, func(s *segment, at journal.Position) int {
		switch {
		case s.base < at:
			return -1
		case s.base > at:
			return 1
		}
		return 0
	})
	if found {
		return i
	}
	return i - 1
}

// list opens the segment files of a directory, in the order of their numbers, and removes what an interrupted preparation left.
func list(fs vfs.FS, dir string, readOnly bool) (segs []*segment, err error) {
	names, err := fs.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list journal %s: %w", dir, err)
	}
	defer func() {
		if err != nil {
			closeAll(segs)
			segs = nil
		}
	}()
	for _, n := range names {
		if strings.HasSuffix(n, unfinished) && !readOnly {
			if err := fs.Remove(path.Join(dir, n)); err != nil {
				return segs, fmt.Errorf("remove unfinished segment: %w", err)
			}
		}
		id, ok := fileID(n)
		if !ok {
			continue
		}
		s := &segment{id: id, name: path.Join(dir, n)}
		if s.file, err = fs.Open(s.name); err != nil {
			return segs, fmt.Errorf("open segment: %w", err)
		}
		segs = append(segs, s)
		if s.size, err = s.file.Size(); err != nil {
			return segs, fmt.Errorf("open segment: %w", err)
		}
	}
	return segs, nil
}

func closeAll(segs []*segment) {
	for _, s := range segs {
		if s != nil && s.file != nil {
			s.file.Close()
		}
	}
}
