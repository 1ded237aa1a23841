package cluster

import (
	"context"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/backup"
)

// Restore writes the records of a backup to another log, new and empty, reads them back, and proves that they are the same. replay is given those that were read back, file each
// file that the backup has. The copy counts only if there is no error. Errors are those of the backup's Read, of the log, of file and of replay.
func Restore(ctx context.Context, from *backup.Reader, file func(name string, content []byte) error, target journal.Log, replay func(position uint64, data []byte) error) (Copied, error) {
	source := &backupReader{from: from, file: file}
	c := &Copy{source: source, target: target, back: &logReader{log: target}, replay: replay}
	if err := c.finish(ctx, source, func() bool { return true }); err != nil {
		if source.failed != nil {
			return Copied{}, source.failed
		}
		return Copied{}, err
	}
	return c.summary(0), nil
}

// backupReader reads a backup, which gives all that it has at once.
type backupReader struct {
	from   *backup.Reader
	file   func(name string, content []byte) error
	failed error
}

func (r *backupReader) read(ctx context.Context, fn func(journal.Record) error) error {
	_, r.failed = r.from.Read(r.file, func(x journal.Record) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fn(x)
	})
	return r.failed
}
