package segment

import (
	"testing"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/journaltest"
	"github.com/godwitmq/godwit/vfs"
)

func TestContract(t *testing.T) {
	tests := map[string]Options{
		"as it comes":    {},
		"small segments": {SegmentSize: 64 << 10},
		"in memory":      {FS: vfs.NewMem(), SegmentSize: 64 << 10},
	}
	for name, opt := range tests {
		t.Run(name, func(t *testing.T) {
			opt.Logger = quiet()
			journaltest.Run(t, journaltest.Engine{
				New: func(t *testing.T) func(journal.Notify) (journal.Log, error) {
					dir := t.TempDir()
					return func(n journal.Notify) (journal.Log, error) { return Open(dir, opt, n) }
				},
			})
		})
	}
}

func TestFaults(t *testing.T) {
	journaltest.Run(t, journaltest.Engine{
		New: func(t *testing.T) func(journal.Notify) (journal.Log, error) {
			fs := vfs.NewMem()
			return func(n journal.Notify) (journal.Log, error) {
				return Open("journal", Options{FS: fs, Inline: true, Logger: quiet()}, n)
			}
		},
		OnDisk: func(fs vfs.FS, n journal.Notify) (journal.Log, error) {
			return Open(journaltest.Dir, Options{FS: fs, SegmentSize: minSegment, Reserve: 8 << 10, Inline: true, Logger: quiet()}, n)
		},
	})
}
