package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
)

// SectorSize is what a Mem writes as a whole or not at all when the power fails, in bytes.
const SectorSize = 512

// ErrPowerCut is the error of every operation after the power was cut.
var ErrPowerCut = errors.New("power is cut")

// Op is an operation that changes a file system, or makes a change durable.
type Op string

// The operations that Mem counts and lets fail.
const (
	OpCreate   Op = "create"
	OpWrite    Op = "write"
	OpSync     Op = "sync"
	OpAllocate Op = "allocate"
	OpTruncate Op = "truncate"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpSyncDir  Op = "syncdir"
)

// Mem is a file system in memory that can lose power. It uses no goroutine, no clock, and chance only from seeds, so what it does
// can be repeated. It may be used by several goroutines.
//
// A write is durable once Datasync has returned, a name once SyncDir has. Crash gives what a machine finds when it starts again: of all that was
// not synced, each sector and each change of a name is there or not, by chance.
type Mem struct {
	mu       sync.Mutex
	names    map[string]*node // as programs see it
	durable  map[string]*node // as the disk has it
	changes  []change         // of names, not synced
	dirs     map[string]bool
	locks    map[string]bool
	capacity int64 // 0: no limit
	ops      int
	counts   map[Op]int
	cutAt    int
	cut      bool
	fault    func(op Op, name string, n int) error
}

type node struct {
	content []byte
	synced  []byte
	dirty   []bool // by sector: differs, as far as the system knows
	lo, hi  int64  // no sector outside lo..hi-1 is dirty
}

func (n *node) touch(off, length int64) {
	if length == 0 {
		return
	}
	from, to := off/SectorSize, (off+length+SectorSize-1)/SectorSize
	if more := to - int64(len(n.dirty)); more > 0 {
		n.dirty = append(n.dirty, make([]bool, more)...)
	}
	for i := from; i < to; i++ {
		n.dirty[i] = true
	}
	if n.lo == n.hi {
		n.lo, n.hi = from, to
	}
	n.lo, n.hi = min(n.lo, from), max(n.hi, to)
}

// eachDirty calls f for each dirty sector, in order.
func (n *node) eachDirty(f func(from, to int64)) {
	for s := n.lo; s < n.hi; s++ {
		if n.dirty[s] {
			f(s*SectorSize, min((s+1)*SectorSize, int64(len(n.content))))
		}
	}
}

func (n *node) clean() {
	clear(n.dirty[n.lo:n.hi])
	n.lo, n.hi = 0, 0
}

// change is one of names: to is empty for a removal, from for a creation.
type change struct {
	from, to string
	node     *node
}

// NewMem makes an empty file system without limit.
func NewMem() *Mem {
	return &Mem{
		names:   map[string]*node{},
		durable: map[string]*node{},
		dirs:    map[string]bool{".": true, "/": true},
		locks:   map[string]bool{},
		counts:  map[Op]int{},
	}
}

// SetCapacity limits the bytes that all files together may take; 0 lifts the limit. A write beyond it fails with ENOSPC.
func (m *Mem) SetCapacity(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = n
}

// SetFault has f asked before each operation with the count of operations of this kind, from 1; an error lets the operation fail with it.
// A write that fails leaves its first half, a sync that fails leaves its data undurable but clean, as Linux does. nil ends it.
func (m *Mem) SetFault(f func(op Op, name string, n int) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// CutPower cuts the power during the n-th operation from the start of the file system: it and all after it fail with ErrPowerCut. 0 means never.
func (m *Mem) CutPower(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cutAt = n
}

// Ops is the number of operations so far, Count that of one kind.
func (m *Mem) Ops() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ops
}

// Count is the number of operations of a kind so far.
func (m *Mem) Count(op Op) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[op]
}

// Crash returns what is on the disk after a power cut now. The seed decides what of the unsynced remains. The old file system is not changed.
func (m *Mem) Crash(seed uint64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	rnd := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	after := NewMem()
	after.capacity = m.capacity
	maps.Copy(after.dirs, m.dirs)
	names := maps.Clone(m.durable)
	for _, c := range m.changes {
		if rnd.IntN(2) == 0 {
			apply(names, c)
		}
	}
	copies := map[*node]*node{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		n := names[name]
		if copies[n] == nil {
			copies[n] = n.crash(rnd)
		}
		after.names[name] = copies[n]
	}
	maps.Copy(after.durable, after.names)
	return after
}

func (n *node) crash(rnd *rand.Rand) *node {
	content := slices.Clone(n.synced)
	if len(n.content) != len(content) && rnd.IntN(2) == 0 {
		content = resize(content, int64(len(n.content)))
	}
	n.eachDirty(func(from, to int64) {
		keep := rnd.IntN(2) == 0
		if to = min(to, int64(len(content))); keep && from < to {
			copy(content[from:to], n.content[from:to])
		}
	})
	return &node{content: content, synced: slices.Clone(content)}
}

// Flip turns one bit of a file over, on the disk as in the cache.
func (m *Mem) Flip(name string, off int64, bit uint) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.names[path.Clean(name)]
	if n == nil || off < 0 || off >= int64(len(n.content)) || bit > 7 {
		return fmt.Errorf("flip bit %d at offset %d of %s: %w", bit, off, name, fs.ErrNotExist)
	}
	n.content[off] ^= 1 << bit
	if off < int64(len(n.synced)) {
		n.synced[off] ^= 1 << bit
	}
	return nil
}

func apply(names map[string]*node, c change) {
	switch {
	case c.from == "":
		names[c.to] = c.node
	case names[c.from] != c.node: // an earlier change was lost, so this one has nothing to act on
	case c.to == "":
		delete(names, c.from)
	default:
		delete(names, c.from)
		names[c.to] = c.node
	}
}

func (m *Mem) change(c change) {
	apply(m.names, c)
	m.changes = append(m.changes, c)
}

// begin counts an operation and says whether it fails. halfway means that it may have begun to work.
func (m *Mem) begin(op Op, name string) (err error, halfway bool) {
	if m.cut {
		return &fs.PathError{Op: string(op), Path: name, Err: ErrPowerCut}, false
	}
	m.ops++
	m.counts[op]++
	if m.ops == m.cutAt {
		m.cut = true
		return &fs.PathError{Op: string(op), Path: name, Err: ErrPowerCut}, true
	}
	if m.fault != nil {
		if err := m.fault(op, name, m.counts[op]); err != nil {
			return &fs.PathError{Op: string(op), Path: name, Err: err}, true
		}
	}
	return nil, false
}

func (m *Mem) used() (sum int64) {
	for _, n := range m.names {
		sum += int64(len(n.content))
	}
	return sum
}

func (m *Mem) hasRoom(more int64) bool {
	return more <= 0 || m.capacity == 0 || m.used()+more <= m.capacity
}

// Open implements FS.
func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	n := m.names[name]
	if m.cut {
		return nil, &fs.PathError{Op: "open", Path: name, Err: ErrPowerCut}
	}
	if n == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{m: m, n: n, name: name}, nil
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	if !m.dirs[path.Dir(name)] {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrNotExist}
	}
	if err, _ := m.begin(OpCreate, name); err != nil {
		return nil, err
	}
	n := &node{}
	m.change(change{to: name, node: n})
	return &memFile{m: m, n: n, name: name}, nil
}

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to = path.Clean(from), path.Clean(to)
	err, halfway := m.begin(OpRename, from)
	if err != nil && !(halfway && m.cut) {
		return err
	}
	n := m.names[from]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	m.change(change{from: from, to: to, node: n})
	return err
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	err, halfway := m.begin(OpRemove, name)
	if err != nil && !(halfway && m.cut) {
		return err
	}
	n := m.names[name]
	if n == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	m.change(change{from: name, node: n})
	return err
}

// ReadDir implements FS.
func (m *Mem) ReadDir(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir = path.Clean(dir)
	if !m.dirs[dir] {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: fs.ErrNotExist}
	}
	var names []string
	for name := range m.names {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for dir = path.Clean(dir); !m.dirs[dir]; dir = path.Dir(dir) {
		m.dirs[dir] = true
	}
	return nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err, _ := m.begin(OpSyncDir, dir); err != nil {
		return err
	}
	dir = path.Clean(dir)
	var rest []change
	for _, c := range m.changes {
		if path.Dir(c.from) != dir && path.Dir(c.to) != dir {
			rest = append(rest, c)
			continue
		}
		apply(m.durable, c)
	}
	m.changes = rest
	return nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

// Lock implements FS. The lock is not a file of this file system.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	if m.locks[name] {
		return nil, &LockedError{Name: name, PID: os.Getpid()}
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

// DiskFree implements FS.
func (m *Mem) DiskFree(string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.capacity == 0 {
		return 1 << 40, nil
	}
	return max(0, m.capacity-m.used()), nil
}

type memFile struct {
	m      *Mem
	n      *node
	name   string
	closed bool
}

func (f *memFile) check(op string) error {
	if f.closed {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("read"); err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.content)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.content[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("write"); err != nil {
		return 0, err
	}
	err, halfway := f.m.begin(OpWrite, f.name)
	if err != nil {
		if !halfway {
			return 0, err
		}
		if !f.m.cut {
			p = p[:len(p)/2]
		}
	}
	if end := off + int64(len(p)); end > int64(len(f.n.content)) {
		if !f.m.hasRoom(end - int64(len(f.n.content))) {
			return 0, &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
		}
		f.n.content = resize(f.n.content, end)
	}
	copy(f.n.content[off:], p)
	f.n.touch(off, int64(len(p)))
	return len(p), err
}

func (f *memFile) Datasync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("sync"); err != nil {
		return err
	}
	err, _ := f.m.begin(OpSync, f.name)
	if err != nil {
		if !f.m.cut {
			f.n.clean()
		}
		return err
	}
	n := f.n
	n.synced = resize(n.synced, int64(len(n.content)))
	n.eachDirty(func(from, to int64) {
		if from < to {
			copy(n.synced[from:to], n.content[from:to])
		}
	})
	n.clean()
	return nil
}

func (f *memFile) Allocate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("allocate"); err != nil {
		return err
	}
	if err, _ := f.m.begin(OpAllocate, f.name); err != nil {
		return err
	}
	more := size - int64(len(f.n.content))
	if !f.m.hasRoom(more) {
		return &fs.PathError{Op: "allocate", Path: f.name, Err: syscall.ENOSPC}
	}
	if more > 0 {
		f.n.content = resize(f.n.content, size)
	}
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.check("truncate"); err != nil {
		return err
	}
	if err, _ := f.m.begin(OpTruncate, f.name); err != nil {
		return err
	}
	if !f.m.hasRoom(size - int64(len(f.n.content))) {
		return &fs.PathError{Op: "truncate", Path: f.name, Err: syscall.ENOSPC}
	}
	f.n.content = resize(f.n.content, size)
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.content)), f.check("size")
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.check("close")
	f.closed = true
	return err
}

// resize cuts or fills with zeros.
func resize(b []byte, size int64) []byte {
	if size <= int64(len(b)) {
		clear(b[size:])
		return b[:size]
	}
	if size <= int64(cap(b)) {
		clear(b[len(b):size])
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}
