//go:build unix && !linux

package vfs

import (
	"os"
	"syscall"
)

// DiskFree asks the file system what an unprivileged writer may still use.
func (OS) DiskFree(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

func flock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

func (f *osFile) Datasync() error { return f.Sync() }

func (f *osFile) Allocate(size int64) error { return fill(f, size) }
