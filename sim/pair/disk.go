package pair

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
	"github.com/godwitmq/godwit/vfs"
)

// disk is what a node with an instance keeps its checkpoints on. It outlives the node's processes, but for what was not synced when one is killed. world.mu guards it.
type disk struct {
	mem    *vfs.Mem
	slow   time.Duration // each operation of a standby may take so long
	killAt int           // the process is killed before so many operations more; 0: it is not
	rnd    *rand.Rand
	old    [][]byte // checkpoints that were there once, oldest first
}

// keptOld is how many of these there are at most; of a full list every other one stays.
const keptOld = 16

// files is a process's way to its node's disk. Once the process is killed, the disk as it was then is what it goes on with, and nobody else.
type files struct {
	vfs.FS
	in *instance
}

type file struct {
	vfs.File
	files *files
}

// before is called before each operation.
func (f *files) before() {
	w, at := f.in.w, f.in.at
	f.in.handle.awake()
	w.mu.Lock()
	d := &w.disks[at]
	var slow time.Duration
	kill, hurry := false, f.in.hurry
	if !f.in.dead {
		if d.slow > 0 {
			slow = time.Duration(d.rnd.Int64N(int64(d.slow)))
		}
		if d.killAt > 0 {
			d.killAt--
			kill = d.killAt == 0
		}
	}
	w.mu.Unlock()
	if slow > 0 {
		f.in.handle.wait(hurry, slow)
		f.in.handle.awake()
	}
	if kill {
		w.mu.Lock()
		w.note("node %s is to be killed in the middle of its checkpoint", names[at])
		w.mu.Unlock()
		w.kill(at)
		time.AfterFunc(time.Second, func() { w.start(at) })
	}
}

// Create implements vfs.FS.
func (f *files) Create(name string) (vfs.File, error) {
	f.before()
	made, err := f.FS.Create(name)
	if err != nil {
		return nil, err
	}
	return &file{made, f}, nil
}

// Rename implements vfs.FS.
func (f *files) Rename(from, to string) error {
	f.before()
	return f.FS.Rename(from, to)
}

// SyncDir implements vfs.FS.
func (f *files) SyncDir(dir string) error {
	f.before()
	err := f.FS.SyncDir(dir)
	w := f.in.w
	w.mu.Lock()
	defer w.mu.Unlock()
	if d := &w.disks[f.in.at]; err == nil && !f.in.dead {
		w.result.Written++
		if len(d.old) == keptOld {
			for i := range keptOld / 2 {
				d.old[i] = d.old[2*i]
			}
			d.old = d.old[:keptOld/2]
		}
		d.old = append(d.old, d.read())
	}
	return err
}

// WriteAt implements vfs.File.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	f.files.before()
	return f.File.WriteAt(p, off)
}

// Datasync implements vfs.File.
func (f *file) Datasync() error {
	f.files.before()
	return f.File.Datasync()
}

// read gives the checkpoint that is there; nil: none is.
func (d *disk) read() []byte {
	f, err := d.mem.Open(checkpoint.Name)
	if err != nil {
		return nil
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil
	}
	data := make([]byte, size)
	if n, _ := f.ReadAt(data, 0); int64(n) < size {
		return nil
	}
	return data
}

// put makes other bytes the checkpoint, for good. The disk works while it does, and has room.
func (d *disk) put(data []byte) error {
	d.mem.SetFault(nil)
	d.mem.SetCapacity(0)
	f, err := d.mem.Create(checkpoint.Name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	return errors.Join(err, f.Datasync(), f.Close(), d.mem.SyncDir("."))
}

// crash is what a node's end makes of its disk.
func (d *disk) crash() {
	d.mem = d.mem.Crash(d.rnd.Uint64())
	d.killAt = 0
}

// tampering is something that is done to a node's checkpoint while the node is down. It returns what the checkpoint is then, nil if there is nothing to be done.
type tampering struct {
	what string
	do   func(w *world, at int, data []byte) []byte
}

var tamperings = []tampering{
	{"bits of it are turned over", func(w *world, at int, data []byte) []byte {
		rnd := w.disks[at].rnd
		for range 1 + rnd.IntN(3) {
			data[rnd.IntN(len(data))] ^= 1 << rnd.IntN(8)
		}
		return data
	}},
	{"it is cut off", func(w *world, at int, data []byte) []byte { return data[:w.disks[at].rnd.IntN(len(data))] }},
	{"it is cut off at the end of an item", func(w *world, at int, data []byte) []byte {
		items := split(data)
		keep := w.disks[at].rnd.IntN(len(items))
		for _, item := range items[keep:] {
			data = data[:len(data)-len(item)]
		}
		return data
	}},
	{"it is the other node's", func(w *world, at int, _ []byte) []byte { return w.disks[1-at].read() }},
	{"it is an old one", func(w *world, at int, _ []byte) []byte {
		d := &w.disks[w.disks[at].rnd.IntN(len(w.disks))]
		if len(d.old) == 0 {
			return nil
		}
		return slices.Clone(d.old[w.disks[at].rnd.IntN(len(d.old))])
	}},
	{"it is of another log", func(w *world, at int, data []byte) []byte { return w.foreign(data, w.disks[at].rnd) }},
	{"the node is a new one", func(w *world, at int, _ []byte) []byte {
		w.disks[at].mem = vfs.NewMem()
		w.servers.replace(at)
		return nil
	}},
}

// begins is how long a checkpoint's beginning is, which ends with a CRC32C of it, and frame what stands before each item; docs/journal.md has both.
const (
	begins = 4 + 8 + 8 + journal.HeaderSize + 4
	frame  = 4 + 4
)

// split gives the items of a checkpoint as they stand in the file; nil if it is not whole.
func split(data []byte) (items [][]byte) {
	if len(data) < begins {
		return nil
	}
	for rest := data[begins:]; len(rest) > 0; {
		if len(rest) < frame || frame+int(binary.LittleEndian.Uint32(rest)) > len(rest) {
			return nil
		}
		n := frame + int(binary.LittleEndian.Uint32(rest))
		items = append(items, rest[:n])
		rest = rest[n:]
	}
	return items
}

// foreign makes of a checkpoint one of another log, which has some other batch where this one has one.
func (w *world) foreign(data []byte, rnd *rand.Rand) []byte {
	if len(w.audit.batches) == 0 {
		return nil
	}
	b := w.audit.batches[max(0, len(w.audit.batches)-1-rnd.IntN(100))]
	binary.LittleEndian.PutUint64(data[4:], uint64(b.base))
	binary.LittleEndian.PutUint64(data[12:], uint64(b.end))
	data[20+rnd.IntN(journal.HeaderSize)] ^= 1
	binary.LittleEndian.PutUint32(data[begins-4:], crc32.Checksum(data[:begins-4], crc32.MakeTable(crc32.Castagnoli)))
	return data
}

// tamper kills a node, and does something to its checkpoint before it is started again.
func (w *world) tamper(at int, t tampering) {
	w.kill(at)
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &w.disks[at]
	data := d.read()
	if split(data) == nil { // none, or one that was tampered with before
		return
	}
	if data = t.do(w, at, data); data == nil {
		return
	}
	w.result.Tampered++
	w.note("node %s finds another checkpoint: %s", names[at], t.what)
	if err := d.put(data); err != nil {
		w.fail("the disk of node %s is wrong: %v", names[at], err)
	}
}

// breakDisk lets a disk be full, fail or be slow.
func (w *world) breakDisk(at int, kind int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &w.disks[at]
	switch kind {
	case 0:
		w.note("the disk of node %s is full", names[at])
		d.mem.SetCapacity(1 + int64(d.rnd.IntN(2*max(1, len(d.read())))))
	case 1:
		w.note("the disk of node %s fails now and then", names[at])
		seed := d.rnd.Uint64()
		d.mem.SetFault(func(_ vfs.Op, _ string, n int) error {
			if rand.New(rand.NewPCG(seed, uint64(n))).IntN(3) == 0 {
				return syscall.EIO
			}
			return nil
		})
	case 2:
		w.note("the disk of node %s is slow", names[at])
		d.slow = 300 * time.Millisecond
	}
}

// mendDisk makes it whole. mu is held.
func (w *world) mendDisk(at int) {
	d := &w.disks[at]
	d.mem.SetCapacity(0)
	d.mem.SetFault(nil)
	d.slow = 0
}

// killWriting kills a node in the middle of a checkpoint that it writes.
func (w *world) killWriting(at int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := &w.disks[at]
	d.killAt = 1 + d.rnd.IntN(6)
}

// diskTrouble draws what is to happen to the disks.
func (w *world) diskTrouble(begin time.Duration, add func(at time.Duration, do func(), format string, args ...any)) {
	rnd := rand.New(rand.NewPCG(w.cfg.Seed, 0xd15c))
	every := []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second}[rnd.IntN(3)]
	for at := begin + time.Duration(rnd.Int64N(int64(every))); at < begin+w.cfg.For; at += time.Duration(rnd.Int64N(int64(2 * every))) {
		i := rnd.IntN(len(w.instances))
		span := time.Duration(rnd.Int64N(int64(3 * time.Second)))
		switch x := rnd.IntN(10); {
		case x < 6:
			t := tamperings[rnd.IntN(len(tamperings))]
			add(at, func() { w.tamper(i, t) }, "kill %s; its checkpoint: %s", names[i], t.what)
			add(at+span/3, func() { w.start(i) }, "start %s", names[i])
		case x < 8:
			add(at, func() { w.killWriting(i) }, "kill %s in the middle of a checkpoint", names[i])
		default:
			kind := rnd.IntN(3)
			add(at, func() { w.breakDisk(i, kind) }, "the disk of %s is %s", names[i], [...]string{"full", "failing", "slow"}[kind])
			add(at+span, func() {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.mendDisk(i)
			}, "the disk of %s is whole", names[i])
		}
	}
}
