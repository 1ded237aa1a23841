package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/vfs"
)

// The floor is a position below which the log was certainly durable, in a file of its own. It is written when a log is closed, and stays true
// for ever. So damage at the very end of a closed log, behind which no batch stands as a witness, is found all the same.
const (
	floorName  = "floor"
	floorSize  = 16 // magic, position, CRC32C of both
	floorMagic = 0x464a5747
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func writeFloor(fsys vfs.FS, dir string, at journal.Position) error {
	b := binary.LittleEndian.AppendUint32(nil, floorMagic)
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	name := path.Join(dir, floorName)
	f, err := fsys.Create(name + unfinished)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil {
		err = f.Datasync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(name+unfinished, name)
	}
	if err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}

// readFloor returns 0 if there is none, or none that can be read: then it proves nothing.
func readFloor(fsys vfs.FS, dir string) (journal.Position, error) {
	f, err := fsys.Open(path.Join(dir, floorName))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open the floor of the journal: %w", err)
	}
	defer f.Close()
	b := make([]byte, floorSize)
	if n, _ := f.ReadAt(b, 0); n < floorSize || binary.LittleEndian.Uint32(b) != floorMagic ||
		binary.LittleEndian.Uint32(b[12:]) != crc32.Checksum(b[:12], castagnoli) {
		return 0, nil
	}
	return journal.Position(binary.LittleEndian.Uint64(b[4:])), nil
}
