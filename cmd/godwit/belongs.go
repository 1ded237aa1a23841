package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/journal/jetstream"
	"github.com/godwitmq/godwit/vfs"
)

// A data folder belongs to a broker alone, or to an instance of several. A note in it says to which, so that a start with the configuration of before is refused and a journal
// that is stale is never served.

const (
	belongsFile = "belongs.json"
	leavingFile = "leaving.json"
	leavingDir  = ".leaving" // behind the journal's name: what a broker that leaves its cluster makes of the log
)

// belongs says that a data folder is that of an instance of several. Writing it is what decides that a broker alone has become a pair.
type belongs struct {
	Instance string          `json:"instance"`
	Config   string          `json:"config"` // what to start it with
	Since    time.Time       `json:"since"`
	Copy     *cluster.Copied `json:"copy,omitempty"`  // what the nodes' log was filled with, if it was
	Aside    string          `json:"aside,omitempty"` // name in the data folder of the journal of before, which is stale
}

// leaving says that a copy of the nodes' log is whole and is what a broker alone goes on with, if the nodes' log was left for it. That decides, not this note.
type leaving struct {
	Config string         `json:"config"` // what to start it with then
	Copy   cluster.Copied `json:"copy"`
}

// readNote reads a note of a data folder; nil: there is none.
func readNote[T any](dir, name string) (*T, error) {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	note := new(T)
	if err == nil {
		err = json.Unmarshal(data, note)
	}
	if err != nil {
		return nil, fmt.Errorf("read whose the data folder is: %s: %w", filepath.Join(dir, name), err)
	}
	return note, nil
}

// writeNote makes a note durable. After an error it may be there or not.
func writeNote(dir, name string, note any) error {
	data, err := json.MarshalIndent(note, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, name), append(data, '\n'))
}

// removeNote is durable when it returns nil.
func removeNote(dir, name string) error {
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return vfs.OS{}.SyncDir(dir)
}

// claim sees to it that the data folder is that of this configuration, and ends what a conversion that was cut off has decided.
func (n *node) claim() error {
	cfg := n.config()
	if cfg.Cluster.Witness() {
		return nil
	}
	own, err := readNote[belongs](cfg.Data, belongsFile)
	if err != nil {
		return err
	}
	note, err := readNote[leaving](cfg.Data, leavingFile)
	if err != nil {
		return err
	}
	if !cfg.Cluster.On() {
		switch {
		case own != nil && note != nil:
			return n.returned(own, note)
		case own != nil:
			return refuseBelongs(cfg, own)
		case note != nil: // the last step of leaving
			return removeNote(cfg.Data, leavingFile)
		}
		return nil
	}
	file := absolute(cfg.File())
	switch {
	case own != nil && own.Instance != cfg.Cluster.Name:
		return fmt.Errorf("the data folder %s belongs to the instance %s (start it with --config %s), not to %s", cfg.Data, own.Instance, own.Config, cfg.Cluster.Name)
	case own != nil && own.Config != file:
		own.Config = file
		err = writeNote(cfg.Data, belongsFile, own)
	case own == nil && exists(cfg.JournalPath()):
		return fmt.Errorf("the data folder %s has the journal of a broker alone, which this instance would not serve\n"+
			"Start that broker with its own configuration and let it bring what it has: godwit convert --to active-standby --config %s", cfg.Data, file)
	case own == nil:
		own = &belongs{Instance: cfg.Cluster.Name, Config: file, Since: time.Now().UTC()}
		err = writeNote(cfg.Data, belongsFile, own)
	}
	if err == nil && note == nil {
		err = putAside(cfg, own)
	}
	if err != nil {
		return fmt.Errorf("note whose the data folder is: %w", err)
	}
	n.adopt = own.Copy
	return nil
}

// putAside renames the journal of before, if that was not done yet.
func putAside(cfg *config.Config, own *belongs) error {
	if own.Aside == "" || !exists(cfg.JournalPath()) {
		return nil
	}
	return rename(cfg.JournalPath(), filepath.Join(cfg.Data, own.Aside))
}

// refuseBelongs is what a broker alone is told that was a pair's instance last.
func refuseBelongs(cfg *config.Config, own *belongs) error {
	aside := ""
	if own.Aside != "" {
		aside = fmt.Sprintf("\nIts journal of before is kept as %s; it is stale and is never served", filepath.Join(cfg.Data, own.Aside))
	}
	return fmt.Errorf("the data folder %s belongs to the instance %s of a cluster since %s: start it with --config %s%s",
		cfg.Data, own.Instance, own.Since.Format(time.RFC3339), own.Config, aside)
}

// askPatience is how long a broker alone waits to learn from the other nodes whether it has left them.
const askPatience = 20 * time.Second

// returned finds out whether the instance had left its cluster when it was cut off, and if so ends that.
func (n *node) returned(own *belongs, note *leaving) error {
	cfg := n.config()
	pair, err := config.Load(own.Config, os.Environ())
	if err != nil {
		return fmt.Errorf("%w\nIt was about to become a broker alone; whether it had can be told only with that configuration: %w", refuseBelongs(cfg, own), err)
	}
	in := newInstance(n)
	if err := in.open(pair); err != nil {
		return err
	}
	defer in.log.Load().Close()
	ctx, cancel := within(askPatience)
	defer cancel()
	state, id, err := cluster.Whose(ctx, in.log.Load(), in.logOptions(pair))
	switch {
	case err != nil:
		return fmt.Errorf("%w\nIt was about to become a broker alone; whether it had cannot be told while the other nodes do not answer: %w", refuseBelongs(cfg, own), err)
	case state != jetstream.Left || id != note.Copy.ID:
		return fmt.Errorf("%w\nIt was about to become a broker alone, but was cut off before it had left the cluster", refuseBelongs(cfg, own))
	}
	n.log.Info("the broker had left its cluster when it was cut off; it goes on alone", "records", note.Copy.Records)
	return finishLeaving(cfg)
}

// finishLeaving makes the data folder that of a broker alone, after the nodes' log was left. It can be done again.
func finishLeaving(cfg *config.Config) error {
	made := cfg.JournalPath() + leavingDir
	if exists(made) {
		if err := rename(made, cfg.JournalPath()); err != nil {
			return fmt.Errorf("put the journal in its place: %w", err)
		}
	}
	for _, name := range []string{belongsFile, leavingFile} {
		if err := removeNote(cfg.Data, name); err != nil {
			return fmt.Errorf("note whose the data folder is: %w", err)
		}
	}
	return nil
}
