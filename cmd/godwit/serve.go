package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/config"
)

// serveFlags are those that have a key in the configuration.
type serveFlags struct {
	file   string
	listen []string
	values map[string]*string // by flag
	join   string
}

// serveKeys are the keys of serve's flags.
var serveKeys = []struct{ flag, key, help string }{
	{"data", "data", "folder of the journal, the users and the development certificates (default godwit-data)"},
	{"http", "http.address", "HOST:PORT of the HTTP API, or off (default 127.0.0.1:8161)"},
	{"credentials", "credentials.mode", "ignore, observe, optional or mandatory (default ignore)"},
	{"users", "credentials.usersFile", "file of users (default: the file users in the data folder)"},
	{"name", "broker.name", "the broker's name (default godwit)"},
	{"log-level", "log.level", "debug, info, warn or error (default info)"},
	{"log-format", "log.format", "text or json (default text)"},
}

// bind adds the flags to a command.
func (f *serveFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "config", "c", "", "configuration file (default "+config.FileName+" in the working directory, if it is there)")
	flags.StringArrayVar(&f.listen, "listen", nil, "PROTOCOL=URL, for example openwire=tcp://127.0.0.1:61616, stomp=tls://0.0.0.0:61615 or auto=tcp+tls://:5000;\nmay be repeated; replaces the default listeners")
	f.values = map[string]*string{}
	for _, k := range serveKeys {
		f.values[k.flag] = flags.String(k.flag, "", k.help)
	}
}

// load reads file, environment and flags.
func (f *serveFlags) load() (*config.Config, error) {
	var overrides []config.Override
	for _, k := range serveKeys {
		if v := *f.values[k.flag]; v != "" {
			overrides = append(overrides, config.Override{Key: k.key, Value: v, Origin: "flag --" + k.flag})
		}
	}
	for _, l := range f.listen {
		overrides = append(overrides, config.Override{Key: "listeners", Value: l, Origin: "flag --listen"})
	}
	return config.Load(cmp.Or(f.file, os.Getenv("GODWIT_CONFIG")), os.Environ(), overrides...)
}

func (c *cli) serve(release func()) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the broker",
		Long: "Run the broker. Without flags and files it listens on loopback, keeps its data in ./godwit-data, and makes a development certificate.\n" +
			"Ctrl-C drains and stops it; a second one stops it at once, and loses nothing either. SIGHUP reads the configuration again.",
		Example: "  godwit serve\n  godwit serve --data /var/lib/godwit --listen openwire=tcp://127.0.0.1:61616 --listen stomp=tls://127.0.0.1:61615 --credentials mandatory",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, args []string) error {
			easeTimers()
			release() // the signals are ours from here on
			return c.runServe(&f)
		},
	}
	f.bind(cmd)
	cmd.Flags().StringVar(&f.join, "join", "", "token of `godwit nodes invite`: be a node of that service, which runs its brokers' instances and no broker of its own.\nA data folder that has joined is one from then on, with the token and without")
	return cmd
}

func (c *cli) runServe(f *serveFlags) error {
	begun := time.Now()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	cfg, err := f.load()
	if err != nil {
		return err
	}
	level := &slog.LevelVar{}
	setLevel(level, cfg.Log.Level)
	log := newLog(c.err, cfg.Log.Format, level)
	if is, err := c.asMachine(cfg, f.join, signals, log); is {
		return err
	}
	n, err := start(cfg, f.load, log, level, begun)
	if err != nil {
		return err
	}
	if cfg.Log.Format == "json" {
		n.logEndpoints(time.Since(begun))
	} else {
		n.printEndpoints(c.out, time.Since(begun))
	}
	tell := func(state string) {
		if err := notify(state); err != nil {
			log.Warn("the service manager does not know how this process is", "error", err)
		}
	}
	tell(notifyReady)
	var alive <-chan time.Time
	if every := watchdogEvery(); every > 0 {
		t := time.NewTicker(every)
		defer t.Stop()
		alive = t.C
	}
	for {
		select {
		case <-alive:
			tell(notifyAlive)
		case s := <-signals:
			if s == syscall.SIGHUP {
				n.reloadAndLog()
				continue
			}
			tell(notifyStopping)
			go stopAtOnce(signals, log)
			log.Info("stopping: no new clients; those that are here have time to finish (once more to stop at once)", "grace", n.config().Shutdown.Grace)
			if err := n.stop(); err != nil {
				return err
			}
			log.Info("stopped")
			return nil
		case <-n.restarts:
			log.Info("restarting: clients have time to finish", "grace", n.config().Shutdown.Grace)
			if err := n.stop(); err != nil {
				log.Error("the stop before the restart was not in good order", "error", err) // the start deals with it as after a crash
			}
			return becomeAnew()
		case err := <-n.failed:
			_ = n.stop() // the failure is what counts
			return err
		}
	}
}

// stopAtOnce ends the process at the next signal. Whatever was acknowledged is on the disk: a hard end loses no more than a crash.
func stopAtOnce(signals <-chan os.Signal, log *slog.Logger) {
	for s := range signals {
		if s != syscall.SIGHUP {
			log.Warn("stopped at once")
			os.Exit(130)
		}
	}
}

func setLevel(level *slog.LevelVar, name string) {
	_ = level.UnmarshalText([]byte(name)) // checked by the configuration
}

func newLog(w any, format string, level *slog.LevelVar) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	out := w.(interface{ Write([]byte) (int, error) })
	if format == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}

// context for what must not take for ever while stopping.
func within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// errPort says what to do about an address that cannot be listened on.
func errPort(what, address string, err error) error {
	return fmt.Errorf("%s cannot listen on %s: %w\nStop what listens there (ss -ltnp shows it), or choose another port with --listen or --http", what, address, err)
}
