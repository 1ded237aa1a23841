package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/backup"
	"github.com/godwitmq/godwit/vfs"
)

// backupSuffix is that of the names that are given to backups; behind it stands unfinished while one is being made.
const (
	backupSuffix = ".backup"
	unfinished   = ".partial"
)

func (c *cli) backup() *cobra.Command {
	var ask api.Backup
	to, rate := "", "32MiB"
	cmd := &cobra.Command{
		Use: "backup --to FILE|DIR", Short: "Make a backup of a broker that serves", Args: exactly(0, "no arguments"),
		Long: "Make a backup of a broker, alone or a pair, while it serves. What the broker had acknowledged when the command began is in it, all at one point in time: messages, durable\n" +
			"subscriptions, prepared transactions, scheduled messages; with them the users, and the configuration without its secrets. Certificates and keys are not. The file\n" +
			"is verified on its way, and has its name only when it is whole; in a folder it is named after the broker and the time. Who can read it can read the messages.\n" +
			"`godwit restore` says what is in it, and makes a data folder of it.",
		Example: "  godwit backup --to /backup/\n  godwit backup --to orders.backup --rate 100MiB\n  godwit backup --to /backup/ --service            # the service for several brokers: its state, keys and secrets\n" +
			"  godwit backup --to /backup/ --broker payroll     # one of its brokers",
		RunE: func(cmd *cobra.Command, args []string) error {
			if to == "" {
				return &usageError{errors.New("say where to: --to FILE, or --to DIR")}
			}
			size, err := config.ParseSize(rate)
			if err != nil {
				return &usageError{fmt.Errorf("--rate: %w", err)}
			}
			if ask.Rate = int64(size); ask.Rate == 0 {
				ask.Rate = -1
			}
			return c.takeBackup(cmd.Context(), ask, to)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "file that is made, or folder in which one is made")
	cmd.Flags().StringVar(&rate, "rate", rate, "how much is read a second at most, so that clients have the disk as well; 0 is no limit")
	cmd.Flags().BoolVar(&ask.Service, "service", false, "of the service for several brokers: its state, with all keys and secrets")
	cmd.Flags().StringVar(&ask.Broker, "broker", "", "of a broker of the service, by its name or id")
	cmd.MarkFlagsMutuallyExclusive("service", "broker")
	return cmd
}

// takeBackup asks for a backup, verifies it as it comes, and gives it its name when it is whole.
func (c *cli) takeBackup(ctx context.Context, ask api.Backup, to string) (err error) {
	folder, name := filepath.Split(filepath.Clean(to))
	if is, err := os.Stat(to); err == nil && is.IsDir() {
		folder, name = to, ""
	} else if err == nil {
		return fmt.Errorf("%s is there already; nothing is written over a backup", to)
	} else if strings.HasSuffix(to, string(filepath.Separator)) {
		return fmt.Errorf("the folder %s is not there", to)
	}
	folder = filepath.Clean(folder)
	remote, err := c.remote()
	if err != nil {
		return err
	}
	body, err := remote.Backup(ctx, ask)
	if err != nil {
		return err
	}
	defer body.Close()
	f, err := os.CreateTemp(folder, name+".*"+unfinished) // for its owner alone
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			_ = os.Remove(f.Name()) // err is what counts
		}
	}()
	written := &counting{to: f}
	m, end, err := c.verifyStream(io.TeeReader(body, written), written)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("no backup was made: %w", err)
	}
	if name == "" {
		name = backupName(m)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if exists(filepath.Join(folder, name)) {
		return fmt.Errorf("%s is there already; nothing is written over a backup", filepath.Join(folder, name))
	}
	if err := rename(f.Name(), filepath.Join(folder, name)); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	fmt.Fprintf(c.out, "%s: %s, %d records, %s, SHA-256 %s\n", filepath.Join(folder, name), aboutBackup(m), end.Records, rounded(written.bytes), end.SHA256)
	if m.Kind == backup.Service {
		fmt.Fprintln(c.err, "It holds every key and secret of the service: keep it as you would keep those. The brokers' messages are not in it: godwit backup --broker NAME")
	}
	return nil
}

// backupName is unique for a broker, as long as backups are a second apart.
func backupName(m backup.Manifest) string {
	name := strings.Map(func(r rune) rune {
		if r == filepath.Separator || r < ' ' {
			return '_'
		}
		return r
	}, m.Name)
	if m.Kind == backup.Service {
		name = "service-" + name
	}
	return strings.TrimLeft(name, ".") + "-" + m.Made.UTC().Format("20060102T150405Z") + backupSuffix
}

// aboutBackup says what a backup is.
func aboutBackup(m backup.Manifest) string {
	what := "broker " + m.Name
	if m.Kind == backup.Service {
		what = "the service of node " + m.Name
	}
	return fmt.Sprintf("%s as it was at %s", what, m.Made.Format(time.RFC3339))
}

// counting counts what is written.
type counting struct {
	to    io.Writer
	bytes uint64
}

func (w *counting) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	w.bytes += uint64(n)
	return n, err
}

// verifyStream reads a backup to its end, and shows how far it is.
func (c *cli) verifyStream(from io.Reader, read *counting) (m backup.Manifest, end backup.End, err error) {
	r, err := backup.NewReader(from)
	if err != nil {
		return m, end, err
	}
	show := newShowing(c.err, r.Manifest)
	end, err = r.Read(func(string, []byte) error { return nil }, func(x journal.Record) error { show.at(x.Position, read.bytes); return nil })
	show.done(read.bytes)
	return r.Manifest, end, err
}

// showing says how far a backup or a restore is, in a line that replaces the one before on a terminal, else now and then.
type showing struct {
	to           io.Writer
	live, said   bool
	m            backup.Manifest
	begun, shown time.Time
}

func newShowing(to io.Writer, m backup.Manifest) *showing {
	return &showing{to: to, live: terminal(to), m: m, begun: time.Now(), shown: time.Now()}
}

// at is told of each record.
func (s *showing) at(position journal.Position, bytes uint64) {
	every := 5 * time.Second
	if s.live {
		every = 200 * time.Millisecond
	}
	if time.Since(s.shown) < every {
		return
	}
	s.shown, s.said = time.Now(), true
	s.line(uint64(s.m.Position-position), bytes)
}

func (s *showing) line(rest, bytes uint64) {
	end := "\n"
	if s.live {
		end = "\033[K\r"
	}
	rate := float64(bytes) / max(time.Since(s.begun).Seconds(), 0.001)
	fmt.Fprintf(s.to, "%s at %s a second; %s to go%s", rounded(bytes), rounded(uint64(rate)), rounded(rest), end)
}

func (s *showing) done(bytes uint64) {
	if s.live && s.said {
		s.line(0, bytes)
		fmt.Fprintln(s.to)
	}
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error { return vfs.OS{}.SyncDir(dir) }
