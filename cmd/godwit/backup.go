package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/engine"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/backup"
	"github.com/godwitmq/godwit/journal/layout"
)

// A backup is a copy of the log from its head to where it is durable when the backup begins, as the log's engine has it, and of the few files without which it is of less use
// (docs/adr/0011). It is written to whoever asks, who verifies it on its way and keeps it.

const (
	usersFile  = "users"       // in a backup: the file of users
	configFile = "config.json" // the configuration in force, without secrets
	// defaultBackupRate is how many bytes a second of the log are read at most for a backup if nothing else is asked for.
	defaultBackupRate = 32 << 20
	backupBuffer      = 256 << 10
)

// backup writes a backup of the broker, or of the service for several brokers, as it is now. An error that comes before the first byte is the answer to the caller; later ones are said in what is written, too.
func (n *node) backup(ctx context.Context, ask api.Backup, to io.Writer) error {
	switch {
	case ask.Service && ask.Broker != "":
		return backupRefused(http.StatusBadRequest, broker.Malformed.String(), "either the service or one of its brokers can be asked for, not both")
	case (ask.Service || ask.Broker != "") && n.managed == nil:
		return backupRefused(http.StatusConflict, broker.NotFound.String(), "this is no service for several brokers; service.enabled in its configuration makes it one")
	case ask.Broker != "":
		return n.managed.backupBroker(ctx, ask, to)
	case ask.Service:
		return n.managed.backup(to)
	}
	e, health := n.core.now()
	if e == nil {
		return backupRefused(http.StatusServiceUnavailable, api.Unavailable, "the broker is %s: %s", health.Status, health.Detail)
	}
	hold, err := e.Hold(ctx)
	switch {
	case errors.Is(err, engine.ErrHeld):
		return backupRefused(http.StatusConflict, broker.InUse.String(), "another backup is being made")
	case err != nil:
		return backupRefused(http.StatusServiceUnavailable, api.Unavailable, "%v", err)
	}
	defer hold.Release()
	begun := time.Now()
	cfg := n.config()
	m := backup.Manifest{Kind: backup.Broker, Name: cfg.Broker.Name, Instance: cfg.Cluster.Name, Made: begun.UTC(), Version: build().Version,
		Head: hold.From, Position: hold.To, Epoch: e.Log().Epoch(), Config: cfg.Digest()}
	files, err := n.backedUp()
	if err != nil {
		return err
	}
	rate := ask.Rate
	if rate == 0 {
		rate = defaultBackupRate
	}
	pace := pace{rate: rate, begun: begun}
	end, err := writeBackup(to, m, files, func(add func([]byte) error) error {
		return e.Log().ReadBatches(hold.From, func(b []byte) error {
			if err := add(b); err != nil {
				return err
			}
			return pace.wait(ctx, len(b))
		})
	}, func(err error) string {
		switch {
		case errors.Is(err, journal.ErrTrimmed) || hold.Lost():
			return "clients have written so much meanwhile that there was no room left to keep what the backup still needed. Take it again with a higher --rate, to a faster place, or when there is less to do"
		case errors.Is(err, journal.ErrDeposed) || errors.Is(err, journal.ErrClosed):
			return "the broker has stopped, or another instance has become the active one. Take it again"
		}
		return err.Error()
	})
	if err != nil {
		n.log.Warn("a backup was not completed", "error", err)
		return err
	}
	n.log.Info("a backup was made", "records", end.Records, "bytes", end.Bytes, "position", uint64(m.Position), "took", time.Since(begun))
	return nil
}

func backupRefused(status int, code, format string, args ...any) error {
	return &api.Error{Status: status, Code: code, Op: "backup", Detail: fmt.Sprintf(format, args...)}
}

// backedUp are the files that go with a broker's log.
func (n *node) backedUp() ([]file, error) {
	cfg := n.config()
	config, err := json.MarshalIndent(cfg.Redacted(), "", "  ")
	if err != nil {
		return nil, err
	}
	files := []file{{Name: configFile, Data: config}}
	users, err := os.ReadFile(cfg.UsersPath())
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil
	}
	return append(files, file{Name: usersFile, Data: users}), err
}

// errReached ends the reading of a log where the backup ends.
var errReached = errors.New("all is read")

// writeBackup writes a backup of what read gives up to the manifest's position. Why it is not completed is written as explain says it.
func writeBackup(to io.Writer, m backup.Manifest, files []file, read func(add func([]byte) error) error, explain func(error) string) (end backup.End, err error) {
	buffer := bufio.NewWriterSize(to, backupBuffer)
	w, err := backup.NewWriter(buffer, m)
	if err != nil {
		return end, err
	}
	for _, f := range files {
		if err := w.File(f.Name, f.Data); err != nil {
			return end, err
		}
	}
	var h layout.Header
	var broken error // of whoever reads what is written: there is nobody to be told why
	err = read(func(b []byte) error {
		if wrong := h.Parse(b); wrong != "" {
			return errors.New(wrong)
		}
		if h.Base >= m.Position {
			return errReached
		}
		broken = w.Batch(b)
		return broken
	})
	if err != nil && err != errReached {
		if broken == nil && w.Fail(explain(err)) == nil {
			_ = buffer.Flush() // err is what counts
		}
		return end, err
	}
	if end, err = w.End(); err != nil {
		return end, err
	}
	return end, buffer.Flush()
}

// pace keeps something to a number of bytes a second; rate < 0: it does not.
type pace struct {
	rate  int64
	begun time.Time
	bytes int64
}

// wait counts bytes and waits while they are ahead of the rate.
func (p *pace) wait(ctx context.Context, n int) error {
	p.bytes += int64(n)
	if p.rate < 0 {
		return context.Cause(ctx)
	}
	ahead := time.Duration(float64(p.bytes)/float64(p.rate)*float64(time.Second)) - time.Since(p.begun)
	if ahead < 10*time.Millisecond {
		return context.Cause(ctx)
	}
	select {
	case <-time.After(ahead):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// backup writes a backup of the control plane: its log and all other files of its folder.
func (m *managed) backup(to io.Writer) error {
	p := m.plane.Load()
	if p == nil {
		return backupRefused(http.StatusServiceUnavailable, api.Unavailable, "the control plane is being read")
	}
	manifest := backup.Manifest{Kind: backup.Service, Name: m.n.config().Service.Node, Made: time.Now().UTC(), Version: build().Version, Config: m.n.config().Digest()}
	// It is small, and goes into memory, so that whoever asks may be slow.
	var batches [][]byte
	err := p.ReadBatches(func(head, position journal.Position, epoch uint64) {
		manifest.Head, manifest.Position, manifest.Epoch = head, position, epoch
		batches = nil
	},
		func(b []byte) error { batches = append(batches, append([]byte(nil), b...)); return nil })
	if err != nil {
		return backupRefused(http.StatusServiceUnavailable, api.Unavailable, "read the control plane: %v", err)
	}
	files, err := controlFiles(m.n.config().ControlPath()) // after the log: what that speaks of is among them
	if err != nil {
		return err
	}
	_, err = writeBackup(to, manifest, files, func(add func([]byte) error) error {
		for _, b := range batches {
			if err := add(b); err != nil {
				return err
			}
		}
		return nil
	}, error.Error)
	return err
}

// controlFiles are the files of the control plane's folder but its log: secrets, keys and certificates.
func controlFiles(dir string) (files []file, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // an authority that was removed with its broker just now
		case err != nil:
			return err
		case d.IsDir() && path == filepath.Join(dir, controlJournal):
			return filepath.SkipDir
		case !d.Type().IsRegular() || filepath.Ext(path) == ".new": // being written
			return nil
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		files = append(files, file{Name: filepath.ToSlash(name), Data: data})
		return err
	})
	return files, err
}

// controlJournal is the name of the control plane's log in its folder.
const controlJournal = "journal"

// backupBroker brings the backup of a broker of the service from its active instance.
func (m *managed) backupBroker(ctx context.Context, ask api.Backup, to io.Writer) error {
	local := m.local.Load()
	if local == nil {
		return backupRefused(http.StatusServiceUnavailable, api.Unavailable, "the control plane is being read")
	}
	spec, err := m.service.Active(ask.Broker)
	if err != nil {
		return err
	}
	remote, err := local.API(ctx, spec)
	if err != nil {
		return err
	}
	body, err := remote.Backup(ctx, api.Backup{Rate: ask.Rate})
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = io.Copy(to, body) // who asked verifies it
	return err
}
