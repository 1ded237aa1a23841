package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/godwitmq/godwit/config/activemq"
	"github.com/godwitmq/godwit/vfs"
)

// file is one that a command makes.
type file = activemq.File

// writeFiles writes all or, if one is there already with other content, none, and says what to do instead. "": it writes over it.
func writeFiles(folder string, files []file, instead string) error {
	for _, f := range files {
		path := filepath.Join(folder, f.Name)
		there, err := os.ReadFile(path)
		if err == nil && instead != "" && !bytes.Equal(there, f.Data) {
			return fmt.Errorf("%s is there already; %s", path, instead)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, f := range files {
		if err := writeFile(filepath.Join(folder, f.Name), f.Data); err != nil {
			return err
		}
	}
	return nil
}

// writeFile makes or replaces a file, in one step, for its owner alone: it may hold a private key or hashes of passwords. It is durable when it returns nil; after an
// error the file may be the old or the new one.
func writeFile(path string, content []byte) error {
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) { // it would keep its mode
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return rename(path+".new", path)
}

// rename is durable when it returns nil.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return vfs.OS{}.SyncDir(filepath.Dir(to))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
