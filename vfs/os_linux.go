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
	return int64(st.Bavail) * st.Bsize, nil
}

func flock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

func (f *osFile) Datasync() error {
	for {
		err := syscall.Fdatasync(f.fd)
		if err == nil {
			return nil
		}
		if err != syscall.EINTR {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

func (f *osFile) Allocate(size int64) error {
	for {
		err := syscall.Fallocate(f.fd, 0, 0, size)
		switch err {
		case nil:
			return nil
		case syscall.EINTR:
		case syscall.EOPNOTSUPP:
			return fill(f, size)
		default:
			return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
		}
	}
}
