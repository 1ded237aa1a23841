package segment

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"text/tabwriter"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/checkpoint"
	"github.com/godwitmq/godwit/journal/layout"
	"github.com/godwitmq/godwit/vfs"
)

// Report is what Verify and Repair found.
type Report struct {
	Dir      string
	Segments []SegmentReport
	Batches  uint64 // of records, the engine's own not counted
	Records  uint64
	Bytes    int64 // of all files
	Head     journal.Position
	Tail     journal.Position // where the next batch goes
	Epoch    uint64           // of the last writer
	Clean    bool             // the last writer closed the log
	Damages  []Damage
	Gaps     []Damage // given up by an earlier repair: only positions are known
}

// SegmentReport describes one file.
type SegmentReport struct {
	File        string
	Size        int64
	Live        bool // holds a part of the log; the fields below are set
	Base, End   journal.Position
	First, Last uint64 // numbers of batches
	Epoch       uint64 // of the last batch
	Records     uint64
}

// Damage is a range that cannot be read.
type Damage struct {
	File     string // where it begins; empty if the file is missing
	Offset   int64  // bytes from the start of File
	From, To journal.Position
	// FirstBatch and LastBatch are the numbers of the batches in the range, the engine's own included. LastBatch is 0 if nobody knows.
	FirstBatch, LastBatch uint64
	Reason                string
	// Saved names the copy of the bytes that Repair has overwritten.
	Saved string

	seg    *segment // nil: no file has it
	length int64    // of the range in the file
	atEnd  bool     // nothing follows
	gap    layout.Header
}

// Lost is a record in a damaged range. It belongs to a batch that cannot be proved whole, so it is given up even if it is readable.
type Lost struct {
	Position journal.Position
	Data     []byte // nil if its checksum is wrong; valid until the callback returns
}

// run is a sequence of batches in one file, each linked to the one before.
type run struct {
	seg           *segment
	base, end     journal.Position
	first, last   uint64
	prev, hash    layout.Digest
	begun, epoch  uint64 // of the first and the last batch
	gap           bool   // begins with a gap
	durable       journal.Position
	records, data uint64
	head          journal.Position
	hasHead       bool
	closed        bool
	broken        string // why it ends
	gaps          []Damage
}

func (r *run) offset() int64 { return int64(r.base - r.seg.base) }

// Verify reads all of a log that no process has open, and reports damage. It changes nothing. Only Options.FS is used. An error means that
// it could not be read, not that it is damaged.
func Verify(dir string, opt Options) (Report, error) {
	return examineAll(dir, opt, false, nil)
}

// Repair makes a damaged log openable again: it gives up the batches in damaged ranges, after it has copied their bytes to files beside the segments. What it gives up is
// in the report; lost, if not nil, is called for each record that can still be made out in a damaged range. Without apply
// nothing is changed.
func Repair(dir string, opt Options, apply bool, lost func(Lost)) (Report, error) {
	return examineAll(dir, opt, apply, lost)
}

func examineAll(dir string, opt Options, apply bool, lost func(Lost)) (Report, error) {
	rep := Report{Dir: dir}
	fail := func(err error) (Report, error) {
		return rep, fmt.Errorf("verify journal %s: %w", dir, err)
	}
	if err := opt.complete(); err != nil {
		return fail(err)
	}
	names, err := opt.FS.ReadDir(dir)
	if err != nil {
		return fail(err)
	}
	if !slices.ContainsFunc(names, func(n string) bool { _, ok := fileID(n); return ok }) {
		return fail(errors.New("there is no journal"))
	}
	lock, err := opt.FS.Lock(path.Join(dir, lockName))
	if err != nil {
		return fail(err)
	}
	defer lock.Close()
	files, err := list(opt.FS, dir, true)
	if err != nil {
		return fail(err)
	}
	defer closeAll(files)
	var runs []*run
	for _, s := range files {
		rs, err := runsOf(s)
		if err != nil {
			return fail(err)
		}
		runs = append(runs, rs...)
	}
	chosen, err := rep.choose(runs)
	if err != nil {
		return fail(err)
	}
	rep.describe(files, chosen)
	floor, err := readFloor(opt.FS, dir)
	if err != nil {
		return fail(err)
	}
	if rep.Tail < floor {
		d := Damage{From: rep.Tail, To: floor, Reason: fmt.Sprintf("the log was closed at position %d, and ends at %d", floor, rep.Tail), atEnd: true}
		if len(chosen) > 0 {
			last := chosen[len(chosen)-1]
			d.seg, d.File, d.Offset = last.seg, last.seg.name, last.seg.offset(last.end)
			d.FirstBatch = last.last + 1
			d.length = min(int64(floor-rep.Tail), last.seg.size-d.Offset)
		}
		rep.Damages = append(rep.Damages, d)
	}
	for i := range rep.Damages {
		d := &rep.Damages[i]
		if lost != nil {
			if err := d.salvage(lost); err != nil {
				return fail(err)
			}
		}
		if apply {
			// What is given up must not come back from a summary.
			if err := (&checkpoint.Store{FS: opt.FS, Dir: dir}).Remove(); err != nil {
				return fail(err)
			}
			if err := d.repair(opt.FS, dir); err != nil {
				return fail(err)
			}
		}
	}
	return rep, nil
}

// runsOf finds all batches of a file that fit its base.
func runsOf(s *segment) (runs []*run, err error) {
	w := &walker{}
	var r *run
	for off := int64(0); ; {
		known := len(runs) > 0
		h, at, found, err := evidence(s, off, func(h *layout.Header, at int64) bool {
			if uint64(h.Base) < uint64(at) {
				return false
			}
			return !known && at == 0 || h.Base-journal.Position(at) == s.base || !known
		})
		if err != nil || !found {
			return runs, err
		}
		s.base = h.Base - journal.Position(at)
		r = &run{seg: s, base: h.Base, first: h.Number, prev: h.Prev, begun: h.Epoch, gap: h.Flags&layout.FlagGap != 0}
		runs = append(runs, r)
		w.link = layout.Link{}
		w.begin(s, h.Base, s.base+journal.Position(s.size))
		for {
			batch, err := w.next()
			if err != nil {
				var damage *journal.CorruptError
				if !errors.As(err, &damage) {
					return nil, err
				}
				r.broken = damage.Reason
				break
			}
			if batch == nil {
				break
			}
			r.add(&w.head, batch)
			if r.closed = false; w.head.Flags&layout.FlagControl != 0 {
				if c, ok := decodeControl(batch); ok {
					r.head, r.hasHead = c.head, true
					r.closed = c.kind == controlClose
				}
			}
		}
		r.end, r.hash = w.at, w.link.Hash
		off = s.offset(w.at)
		if off >= s.size {
			return runs, nil
		}
	}
}

func (r *run) add(h *layout.Header, batch []byte) {
	r.last, r.epoch = h.Number, h.Epoch
	r.durable = max(r.durable, h.Durable())
	if h.Count > 0 {
		r.data++
		r.records += uint64(h.Count)
	}
	if h.Flags&layout.FlagGap != 0 {
		r.gaps = append(r.gaps, Damage{File: r.seg.name, Offset: r.seg.offset(h.Base), From: h.Base, To: h.End(), LastBatch: h.Number, Reason: "given up by an earlier repair"})
	}
}

// choose takes the runs that are the log, and describes what is missing between them. Trimmed and torn runs are left out.
func (rep *Report) choose(runs []*run) (chosen []*run, err error) {
	slices.SortFunc(runs, func(a, b *run) int { return cmp.Or(cmp.Compare(a.base, b.base), -cmp.Compare(a.epoch, b.epoch)) })
	// The head is what the newest control says.
	var newest uint64
	for _, r := range runs {
		if r.hasHead && r.last >= newest {
			newest, rep.Head = r.last, r.head
		}
	}
	durable := make([]journal.Position, len(runs)+1) // by index: the most that this run and those after it prove
	for i := len(runs) - 1; i >= 0; i-- {
		durable[i] = max(durable[i+1], runs[i].durable)
	}
	for i, r := range runs {
		if len(chosen) == 0 {
			if r.seg.base+journal.Position(r.seg.size) <= rep.Head && r.end <= rep.Head || rep.trimmed(r, runs[i+1:]) {
				continue
			}
			if r.seg.base > rep.Head {
				rep.Damages = append(rep.Damages, missing(nil, rep.Head, r.seg.base, 0, r, "the segment with the head is missing"))
			}
			if r.offset() > 0 {
				rep.Damages = append(rep.Damages, missing(r.seg, r.seg.base, r.base, 0, r, "the first batch of the segment is not readable"))
			}
			chosen = append(chosen, r)
			continue
		}
		last := chosen[len(chosen)-1]
		switch {
		case r.base < last.end || r.begun < last.epoch:
			continue
		case r.base == last.end && (r.gap && r.first >= last.last || r.first == last.last+1 && r.prev == last.hash):
		case durable[i] <= last.end:
			continue // never acknowledged
		case r.base == last.end:
			return nil, fmt.Errorf("%s at offset %d: batch %d does not follow batch %d before it although both are whole: two histories were mixed, which no repair can undo",
				r.seg.name, r.offset(), r.first, last.last)
		default:
			rep.hole(last, r)
		}
		chosen = append(chosen, r)
	}
	return chosen, nil
}

// trimmed says that a run lies before the head, as a later one begins at or before it. A run in the segment of the head does not.
func (rep *Report) trimmed(r *run, later []*run) bool {
	for _, n := range later {
		if n.seg != r.seg && n.seg.base <= rep.Head && n.first > r.last {
			return true
		}
	}
	return false
}

// hole describes what is missing between two runs: the end of the one's segment, segments that are gone, the beginning of the other's.
func (rep *Report) hole(last, r *run) {
	reason := last.broken
	if reason == "" {
		reason = "the segment that follows is missing"
	}
	if last.seg == r.seg {
		rep.Damages = append(rep.Damages, missing(last.seg, last.end, r.base, last.last+1, r, reason))
		return
	}
	if r.seg.base > last.end {
		seg := last.seg
		if seg.offset(last.end)+headerSize > seg.size {
			seg = nil
		}
		rep.Damages = append(rep.Damages, missing(seg, last.end, r.seg.base, last.last+1, r, reason))
	}
	if r.offset() > 0 {
		rep.Damages = append(rep.Damages, missing(r.seg, max(r.seg.base, last.end), r.base, last.last+1, r, "the first batch of the segment is not readable"))
	}
}

func missing(seg *segment, from, to journal.Position, firstBatch uint64, next *run, reason string) Damage {
	d := Damage{From: from, To: to, FirstBatch: firstBatch, LastBatch: next.first - 1, Reason: reason, seg: seg}
	if seg != nil {
		d.File, d.Offset = seg.name, seg.offset(from)
		d.length = min(int64(to-from), seg.size-d.Offset)
	}
	d.gap = layout.Header{Flags: layout.FlagGap, Epoch: next.begun, Number: next.first - 1, Base: from, Prev: next.prev}
	return d
}

func (rep *Report) describe(files []*segment, chosen []*run) {
	for _, s := range files {
		sr := SegmentReport{File: s.name, Size: s.size}
		rep.Bytes += s.size
		for _, r := range chosen {
			if r.seg != s {
				continue
			}
			if !sr.Live {
				sr.Live, sr.Base, sr.First = true, s.base, r.first
			}
			sr.End, sr.Last, sr.Epoch = r.end, r.last, r.epoch
			sr.Records += r.records
		}
		rep.Segments = append(rep.Segments, sr)
	}
	slices.SortStableFunc(rep.Segments, func(a, b SegmentReport) int {
		if a.Live != b.Live {
			return cmp.Compare(b2i(b.Live), b2i(a.Live))
		}
		return cmp.Compare(a.Base, b.Base)
	})
	for _, r := range chosen {
		rep.Batches += r.data
		rep.Records += r.records
		rep.Tail, rep.Epoch, rep.Clean = r.end, r.epoch, r.closed
		rep.Gaps = append(rep.Gaps, r.gaps...)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// salvage looks for records in the damaged range: those of batches whose header still makes sense, as far as their frames can be followed.
func (d *Damage) salvage(lost func(Lost)) error {
	if d.seg == nil {
		return nil
	}
	buf := make([]byte, d.length)
	if _, err := d.seg.file.ReadAt(buf, d.Offset); err != nil {
		return fmt.Errorf("read %s at offset %d: %w", d.File, d.Offset, err)
	}
	for at := 0; at+headerSize < len(buf); {
		var h layout.Header
		end := len(buf)
		plain := h.Parse(buf[at:]) == "" && h.Base == d.From+journal.Position(at)
		if plain {
			if h.Length >= minBatch && uint64(h.Length) <= uint64(len(buf)-at) {
				end = at + int(h.Length)
			}
			if h.Flags&(layout.FlagControl|layout.FlagGap) != 0 {
				at = end
				continue
			}
		}
		for p := at + headerSize; p+journal.FrameSize <= end; {
			length := layout.FrameLength(buf[p:])
			if length > uint64(end-p-journal.FrameSize) {
				break
			}
			data, wrong := layout.Frame(buf[:end], p)
			if wrong != "" {
				if !plain || length == 0 {
					break
				}
				data = nil
			}
			lost(Lost{Position: d.From + journal.Position(p), Data: data})
			p += journal.FrameSize + int(length)
		}
		at = end
	}
	return nil
}

// repair saves the bytes of the range and writes a gap over its beginning.
func (d *Damage) repair(fs vfs.FS, dir string) error {
	if d.To-d.From > 1<<32-1 {
		return fmt.Errorf("%d bytes from position %d on are missing, more than a gap can stand for", d.To-d.From, d.From)
	}
	if d.atEnd { // the next writer goes on here
		if d.length > 0 {
			if err := d.save(fs, dir); err != nil {
				return fmt.Errorf("save damaged bytes: %w", err)
			}
		}
		return writeFloor(fs, dir, d.From)
	}
	d.gap.Length = uint32(d.To - d.From)
	gap := make([]byte, headerSize)
	d.gap.Seal(gap)
	if d.seg == nil {
		names, err := fs.ReadDir(dir)
		if err != nil {
			return err
		}
		var last uint64
		for _, n := range names {
			if id, ok := fileID(n); ok {
				last = max(last, id)
			}
		}
		name := path.Join(dir, fileName(last+1))
		f, err := fs.Create(name + unfinished)
		if err != nil {
			return err
		}
		defer f.Close()
		if _, err := f.WriteAt(append(gap, make([]byte, minSegment-headerSize)...), 0); err != nil {
			return err
		}
		if err := f.Datasync(); err != nil {
			return err
		}
		if err := fs.Rename(name+unfinished, name); err != nil {
			return err
		}
		return fs.SyncDir(dir)
	}
	if d.length < headerSize {
		return fmt.Errorf("the damaged range at offset %d of %s has %d bytes, too few to mark it", d.Offset, d.File, d.length)
	}
	if err := d.save(fs, dir); err != nil {
		return fmt.Errorf("save damaged bytes: %w", err)
	}
	if _, err := d.seg.file.WriteAt(gap, d.Offset); err != nil {
		return err
	}
	return d.seg.file.Datasync()
}

func (d *Damage) save(fs vfs.FS, dir string) error {
	d.Saved = fmt.Sprintf("%s.%d.damaged", d.File, d.Offset)
	f, err := fs.Create(d.Saved)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, min(d.length, chunkSize))
	for at := int64(0); at < d.length; {
		b := buf[:min(int64(len(buf)), d.length-at)]
		if _, err := d.seg.file.ReadAt(b, d.Offset+at); err != nil && err != io.EOF {
			return err
		}
		if _, err := f.WriteAt(b, at); err != nil {
			return err
		}
		at += int64(len(b))
	}
	if err := f.Datasync(); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}

// Inspect writes what a log consists of, for people. It changes nothing.
func Inspect(dir string, opt Options, w io.Writer) error {
	rep, err := Verify(dir, opt)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "FILE\tBYTES\tPOSITIONS\tBATCHES\tRECORDS\tEPOCH")
	for _, s := range rep.Segments {
		if !s.Live {
			fmt.Fprintf(t, "%s\t%d\tempty\t\t\t\n", path.Base(s.File), s.Size)
			continue
		}
		fmt.Fprintf(t, "%s\t%d\t%d..%d\t%d..%d\t%d\t%d\n", path.Base(s.File), s.Size, s.Base, s.End, s.First, s.Last, s.Records, s.Epoch)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	state := "not closed: a running broker was stopped hard"
	if rep.Clean {
		state = "closed"
	}
	_, err = fmt.Fprintf(w, "head %d, tail %d, epoch %d, %d batches, %d records, %d bytes on disk; %s\n",
		rep.Head, rep.Tail, rep.Epoch, rep.Batches, rep.Records, rep.Bytes, state)
	for _, d := range rep.Damages {
		if err == nil {
			_, err = fmt.Fprintln(w, d)
		}
	}
	return err
}

// String describes the damage in a line.
func (d Damage) String() string {
	where := "a missing file"
	if d.File != "" {
		where = fmt.Sprintf("%s at offset %d", d.File, d.Offset)
	}
	return fmt.Sprintf("damage: %s: positions %d..%d, batches %d..%d: %s", where, d.From, d.To, d.FirstBatch, d.LastBatch, d.Reason)
}
