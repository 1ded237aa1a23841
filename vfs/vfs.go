// Package vfs is what the journal's file engine needs of a file system, and no more. OS is the real one. Mem is one in
// memory that loses power, fills up, fails and rots on demand, so that tests and the simulator can prove what recovery does.
package vfs

import (
	"fmt"
	"io"
)

// FS is a file system. Names are slash-separated paths.
type FS interface {
	// Open opens an existing file for reading and writing. A missing file is fs.ErrNotExist.
	Open(name string) (File, error)
	// Create opens a file for reading and writing, and makes it, or empties it if it exists. The new name is durable only
	// after SyncDir.
	Create(name string) (File, error)
	// Rename gives a file another name, replacing what has it. Durable after SyncDir.
	Rename(from, to string) error
	// Remove deletes a file. Durable after SyncDir.
	Remove(name string) error
	// ReadDir returns the names of the files in a directory, without the path, in order.
	ReadDir(dir string) ([]string, error)
	// MkdirAll makes a directory and those above it, durably.
	MkdirAll(dir string) error
	// SyncDir makes creations, renames and removals in a directory durable.
	SyncDir(dir string) error
	// Lock takes an exclusive lock on a file, which it makes, and writes the process id into it. A held lock is a *LockedError.
	Lock(name string) (io.Closer, error)
	// DiskFree is the number of bytes that may still be written on the file system that holds dir.
	DiskFree(dir string) (int64, error)
}

// File is an open file. Its methods may be called concurrently.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Datasync makes the content durable, and the size where it is needed to read the content. After an error, what is durable
	// is unknown, and calling it again proves nothing.
	Datasync() error
	// Allocate makes sure that the first size bytes have room on the disk, and makes the file as long as that.
	Allocate(size int64) error
	// Truncate sets the size.
	Truncate(size int64) error
	// Size is the length in bytes.
	Size() (int64, error)
}

// LockedError says that another process holds the lock.
type LockedError struct {
	Name string // of the lock file
	PID  int    // of the holder; 0 if unknown
}

// Error names the file and the holder.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is locked by another process", e.Name)
	}
	return fmt.Sprintf("%s is locked by process %d", e.Name, e.PID)
}
