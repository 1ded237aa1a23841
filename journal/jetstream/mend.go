package jetstream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// The server (2.15.2) believes the number in a record's header before it looks at the record's checksum: it notes each number that is missing before that one as deleted. A damaged bit in the
// upper half of a number thereby makes it run for hours and take all memory, in its start or whenever it reads that block. So blocks are looked through before the server starts. A number that
// cannot be becomes the one that is due, and the checksum, which covers it, says whether the record is whole; where it is not, the server and this package's own proof find that out as ever.

// The layout of a block of the server's file store: records of a header, subject and content, and a checksum, one after the other.
const (
	blockSuffix  = ".blk"
	recordHeader = 22 // length u32 (bit 31: it has headers), number u64, time i64, length of the subject u16; little-endian
	recordMost   = 32 << 20
	hasHeaders   = 1 << 31 // of a length
	isErased     = 1 << 63 // of a number
	isTombstone  = 1 << 62 // of a number, which is then another record's
	mostMissing  = 1 << 24 // numbers that may be missing between two records of a block
	mendWindow   = 64 << 10
	mendMost     = 1 << 30 // bytes of blocks that a start looks through, the newest; reading them all would hold up the start of a large log
)

// mend looks through the blocks below a folder, the newest first.
func mend(dir string, log *slog.Logger) error {
	type block struct {
		path string
		info fs.FileInfo
	}
	var all []block
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a new node has nothing yet
			return nil
		}
		if err != nil || !d.Type().IsRegular() || filepath.Ext(path) != blockSuffix {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all = append(all, block{path, info})
		return nil
	})
	if err != nil {
		return fmt.Errorf("look through the log's blocks: %w", err)
	}
	slices.SortFunc(all, func(a, b block) int { return b.info.ModTime().Compare(a.info.ModTime()) })
	seen := int64(0)
	for _, b := range all {
		if seen += b.info.Size(); seen > mendMost {
			return nil
		}
		if err := mendBlock(b.path, b.info.Size(), log); err != nil {
			return fmt.Errorf("look through %s: %w", b.path, err)
		}
	}
	return nil
}

// mendBlock goes from record to record, as far as lengths lead.
func mendBlock(path string, size int64, log *slog.Logger) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	var window []byte
	from, last, mended := int64(0), uint64(0), false
	for at := int64(0); at+recordHeader <= size; {
		if at < from || at+recordHeader > from+int64(len(window)) {
			window = slices.Grow(window[:0], mendWindow)[:mendWindow]
			n, err := file.ReadAt(window, at)
			if err != nil && err != io.EOF {
				return err
			}
			if from, window = at, window[:n]; n < recordHeader {
				break
			}
		}
		header := window[at-from:][:recordHeader]
		length := int64(binary.LittleEndian.Uint32(header) &^ hasHeaders)
		if length < recordHeader || length > recordMost {
			break // the server stops here, too
		}
		number := binary.LittleEndian.Uint64(header[4:])
		if number&isTombstone != 0 {
			at += length
			continue
		}
		plain := number &^ isErased
		if last > 0 && plain > last && plain-last > mostMissing {
			log.Warn("a record of the log has a number that cannot be: it is damaged, and gets the number that is due; whether the rest is whole its checksum says", "file", path, "offset", at, "number", plain, "due", last+1)
			plain = last + 1
			binary.LittleEndian.PutUint64(header[4:], plain|number&isErased)
			if _, err := file.WriteAt(header[4:12], at+4); err != nil {
				return err
			}
			mended = true
		}
		last = max(last, plain)
		at += length
	}
	if mended {
		return file.Sync()
	}
	return nil
}
