package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/backup"
	"github.com/godwitmq/godwit/journal/segment"
)

func (c *cli) restore() *cobra.Command {
	from, to, verify, output := "", "", false, ""
	cmd := &cobra.Command{
		Use: "restore --from FILE --to DATA", Short: "Make a data folder of a backup, or see what is in one", Args: exactly(0, "no arguments"),
		Long: "Make a data folder of a backup, which `godwit serve` starts from, or with --verify alone only read the backup and say what is in it. The folder must be empty. All of the file is\n" +
			"verified, and what was written is read back and compared, before the journal gets its name. The broker then is as it was when the backup was made: what was consumed since is\n" +
			"there again, what was sent since is not. So never let it serve beside the one that it was made of. docs/operations.md says more.",
		Example: "  godwit restore --verify --from orders.backup\n  godwit restore --from orders.backup --to /var/lib/godwit",
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case from == "":
				return &usageError{errors.New("say of which backup: --from FILE")}
			case to == "" && !verify:
				return &usageError{errors.New("say what to make: --to DATA, or --verify to see what is in the backup")}
			}
			var found *contents
			var err error
			if verify {
				if found, err = c.readBackup(cmd.Context(), from); err != nil {
					return fmt.Errorf("%s: %w", from, err)
				}
			}
			if to != "" {
				if found, err = c.restoreTo(cmd.Context(), from, to); err != nil {
					return fmt.Errorf("restore %s: %w", from, err)
				}
			}
			if output == "json" {
				return printJSON(c.out, found)
			}
			found.print(c.out)
			if to != "" {
				found.advise(c.out, to)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "backup that is read")
	cmd.Flags().StringVar(&to, "to", "", "data folder that is made; it must be empty")
	cmd.Flags().BoolVar(&verify, "verify", false, "read all of the backup first; without --to, do nothing else")
	outputFlag(cmd, &output)
	return cmd
}

// contents are what is in a backup.
type contents struct {
	Manifest      backup.Manifest `json:"manifest"`
	Records       uint64          `json:"records"`
	Bytes         uint64          `json:"bytes"` // of the records
	SHA256        string          `json:"sha256,omitempty"`
	Files         []string        `json:"files,omitempty"`
	Destinations  []counted       `json:"destinations,omitempty"`
	Subscriptions []counted       `json:"subscriptions,omitempty"`
	Scheduled     int             `json:"scheduled"`
	Prepared      int             `json:"prepared"`
	Brokers       []string        `json:"brokers,omitempty"` // of a service
	Restored      *time.Time      `json:"restored,omitempty"`
	replayed      func(uint64, []byte) error
	finish        func() error
}

// counted is something with messages.
type counted struct {
	Kind     string `json:"kind"`
	Name     string `json:"name"`
	Messages int64  `json:"messages"`
	Bytes    int64  `json:"bytes"`
}

// newContents prepares to learn from the records what is in a backup.
func newContents(m backup.Manifest) *contents {
	c := &contents{Manifest: m}
	if m.Kind == backup.Service {
		replay := plane.NewReplay(plane.Options{Zone: time.LoadLocation})
		c.replayed = func(_ uint64, data []byte) error { return replay.Record(data) }
		c.finish = func() error {
			for _, b := range replay.State().Brokers(plane.Scope{}) {
				c.Brokers = append(c.Brokers, fmt.Sprintf("%s (%s, account %s)", b.Name, b.ID, b.Account))
			}
			return nil
		}
		return c
	}
	core := broker.New(broker.Options{})
	c.replayed = core.Replay
	c.finish = func() error { return c.look(core) }
	return c
}

// look asks a core that has all records what it has.
func (c *contents) look(core *broker.Broker) error {
	const conn, list = 1, 2
	var out broker.Effects
	now := time.Now().UnixMilli()
	core.Recovered(now, &out)
	core.Step(now, &broker.Connect{Conn: conn, Ref: 1, Name: "restore", Protocol: "restore"}, &out)
	core.Step(now, &broker.List{Conn: conn, Ref: list}, &out)
	var view *broker.View
	for _, e := range out.List {
		if v, ok := e.Value.(*broker.View); ok {
			view = v
		}
	}
	if view == nil {
		return errors.New("what is in it cannot be listed")
	}
	for _, d := range view.Destinations {
		c.Destinations = append(c.Destinations, counted{d.Kind, d.Name, d.Size, d.Bytes})
	}
	for _, s := range view.Subscriptions {
		c.Subscriptions = append(c.Subscriptions, counted{"subscription", strings.TrimPrefix(s.ClientID+"/"+s.Name, "/") + " to " + s.Topic, s.Size, s.Bytes})
	}
	c.Scheduled, c.Prepared = view.Scheduled, view.Prepared
	return nil
}

func (c *contents) print(w io.Writer) {
	m := &c.Manifest
	fmt.Fprintf(w, "%s, by version %s: %d records, %s of log, positions %d to %d, epoch %d\n", aboutBackup(*m), m.Version, c.Records, rounded(c.Bytes), m.Head, m.Position, m.Epoch)
	if len(c.Files) > 0 {
		fmt.Fprintf(w, "with it: %s\n", strings.Join(c.Files, ", "))
	}
	if m.Kind == backup.Service {
		for _, b := range c.Brokers {
			fmt.Fprintf(w, "broker %s\n", b)
		}
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "KIND\tNAME\tMESSAGES\tBYTES")
	for _, d := range slices.Concat(c.Destinations, c.Subscriptions) {
		fmt.Fprintf(t, "%s\t%s\t%d\t%d\n", d.Kind, printable(d.Name), d.Messages, d.Bytes)
	}
	_ = t.Flush() // to a terminal or a pipe, whose end nobody can be told of
	fmt.Fprintf(w, "scheduled messages: %d; prepared transactions: %d\n", c.Scheduled, c.Prepared)
}

// advise says what comes next.
func (c *contents) advise(w io.Writer, to string) {
	if c.Manifest.Kind == backup.Service {
		fmt.Fprintf(w, "restored: start the service with `data: %s`. Its brokers' own data folders are not in the backup\n", to)
		return
	}
	fmt.Fprintf(w, "restored: `godwit serve --data %s` with the configuration of before (its digest was %s) starts it, as a broker alone.\n"+
		"Not in it: certificates and keys. What was consumed since the backup is there again; do not start it beside the broker that it was made of\n", to, c.Manifest.Config)
}

// readBackup reads all of a backup.
func (c *cli) readBackup(ctx context.Context, path string) (*contents, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, read, err := c.openBackup(f)
	if err != nil {
		return nil, err
	}
	found := newContents(r.Manifest)
	show := newShowing(c.err, r.Manifest)
	end, err := r.Read(found.file, func(x journal.Record) error {
		show.at(x.Position, read.bytes)
		if err := ctx.Err(); err != nil {
			return err
		}
		found.Bytes += uint64(len(x.Data))
		return found.replayed(uint64(x.Position), x.Data)
	})
	show.done(read.bytes)
	if err != nil {
		return nil, err
	}
	found.Records, found.SHA256 = end.Records, end.SHA256
	return found, found.finish()
}

func (c *contents) file(name string, content []byte) error {
	c.Files = append(c.Files, name)
	return nil
}

// openBackup gives a backup's reader, and how much it has read.
func (c *cli) openBackup(f *os.File) (*backup.Reader, *counting, error) {
	read := &counting{to: io.Discard}
	r, err := backup.NewReader(io.TeeReader(f, read))
	return r, read, err
}

const (
	restoringSuffix = ".restoring" // behind the journal's name, until it is whole
	restoredFile    = "restored.json"
	restoredConfig  = "restored-config.json"
)

// restoreTo makes a data folder of a backup. The journal's name is given last: before, there is nothing that would be served.
func (c *cli) restoreTo(ctx context.Context, path, data string) (*contents, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, _, err := c.openBackup(f)
	if err != nil {
		return nil, err
	}
	target := filepath.Join(data, "journal")
	if r.Manifest.Kind == backup.Service {
		target = filepath.Join(data, "control", controlJournal)
	}
	if err := mayRestore(data, r.Manifest.Kind); err != nil {
		return nil, err
	}
	made := target + restoringSuffix
	if err := os.RemoveAll(made); err != nil { // of a restore that was interrupted
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return nil, err
	}
	found := newContents(r.Manifest)
	var files []file
	log, err := segment.Open(made, quiet, journal.Notify{})
	if err != nil {
		return nil, err
	}
	copied, err := cluster.Restore(ctx, r, func(name string, content []byte) error {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("%w: it has a file %q", backup.ErrDamaged, name)
		}
		files = append(files, file{Name: name, Data: slices.Clone(content)})
		return found.file(name, content)
	}, log, found.replayed)
	if cerr := log.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = found.finish()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(made))
	}
	found.Records, found.Bytes = copied.Records, copied.Bytes
	now := time.Now().UTC()
	found.Restored = &now
	if err := found.keep(data, files); err != nil {
		return nil, err
	}
	if err := rename(made, target); err != nil {
		return nil, err
	}
	return found, syncDir(filepath.Dir(filepath.Dir(target)))
}

// mayRestore says why a folder is not one to restore to. What an interrupted restore has left, and what the other kind of backup was restored to, may be there.
func mayRestore(data, kind string) error {
	there, err := os.ReadDir(data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range there {
		switch name := e.Name(); {
		case name == "lost+found" || name == "journal"+restoringSuffix:
		case kind == backup.Broker && (name == "control" || name == "instances"):
		case kind == backup.Broker && slices.Contains([]string{usersFile, restoredFile, restoredConfig}, name) && exists(filepath.Join(data, "journal"+restoringSuffix)):
		case kind == backup.Service && name != "control":
		case kind == backup.Service && !exists(filepath.Join(data, name, controlJournal)) && exists(filepath.Join(data, name, controlJournal+restoringSuffix)):
		default:
			return fmt.Errorf("the folder %s is not empty, it has %s: restore to another, or move that away", data, name)
		}
	}
	return nil
}

// keep writes the files of a backup to where they belong.
func (c *contents) keep(data string, files []file) error {
	if c.Manifest.Kind == backup.Service {
		for _, f := range files {
			to := filepath.Join(data, "control", filepath.FromSlash(f.Name))
			if err := os.MkdirAll(path.Dir(to), 0o700); err != nil {
				return err
			}
			if err := writeFile(to, f.Data); err != nil {
				return err
			}
		}
		return nil
	}
	for _, f := range files {
		to, ok := map[string]string{usersFile: usersFile, configFile: restoredConfig}[f.Name]
		if !ok {
			continue
		}
		if err := writeFile(filepath.Join(data, to), f.Data); err != nil {
			return err
		}
	}
	return writeNote(data, restoredFile, c)
}
