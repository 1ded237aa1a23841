package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/bench/load"
	"github.com/godwitmq/godwit/message"
)

// benchFlags are what the options of a load do not take as they are.
type benchFlags struct {
	load.Options
	destination   string
	nonPersistent bool
	ca            string
}

func (c *cli) bench() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use: "bench", Short: "Put a broker under load over OpenWire, and check what comes out",
		Long: "Put a broker under load over OpenWire, as its clients do: each producer and each consumer has a connection of its own. What comes out is\n" +
			"checked: nothing lost, nothing twice, each producer's messages in order. Without --destination it uses a queue or topic of its own, and removes\n" +
			"it at the end. Senders of persistent messages wait for the broker's answer, which comes when the message is safe; others do not.",
		Example: "  godwit bench --producers 16 --consumers 16\n  godwit bench --transacted 100 --duration 30s -o json\n  godwit bench --topic --consumers 10 --non-persistent --url ssl://broker:61617 --ca ca.pem",
		Args:    exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("async") {
				f.Async = f.nonPersistent
			}
			return c.runBench(cmd.Context(), &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.URL, "url", "tcp://127.0.0.1:61616", "the broker, with tcp:// or ssl://; any that speaks OpenWire")
	flags.StringVar(&f.ca, "ca", "", "PEM file of the authority that the broker's certificate comes from, for ssl://")
	flags.StringVar(&f.destination, "destination", "", "name of the queue or topic (default one of this run's own)")
	flags.BoolVar(&f.Topic, "topic", false, "send to a topic: each consumer gets every message")
	flags.IntVar(&f.Producers, "producers", 1, "how many send")
	flags.IntVar(&f.Consumers, "consumers", 1, "how many receive; with 0, what was sent stays in the destination that was named")
	flags.IntVar(&f.Size, "size", 1024, fmt.Sprintf("bytes of a message's body, at least %d", load.MinSize))
	flags.BoolVar(&f.Persistent, "persistent", true, "send persistent messages")
	flags.BoolVar(&f.nonPersistent, "non-persistent", false, "send non-persistent messages")
	cmd.MarkFlagsMutuallyExclusive("persistent", "non-persistent")
	flags.IntVar(&f.Transacted, "transacted", 0, "messages in one transaction, of producers and of consumers (default: no transactions)")
	flags.BoolVar(&f.Async, "async", false, "do not wait for the broker's answer to each message (default: only with --non-persistent)")
	flags.IntVar(&f.Prefetch, "prefetch", 0, "messages that a consumer may hold un-acknowledged (default 1000, and 32766 for topics)")
	flags.Int64Var(&f.Count, "count", 0, "messages to send, by all producers together (default: as many as --duration allows)")
	flags.DurationVar(&f.Duration, "duration", 0, "time to send in (default 10s, and without bound with --count)")
	outputFlag(cmd, &c.output)
	return cmd
}

func (c *cli) runBench(ctx context.Context, f *benchFlags) error {
	o, err := f.options(c)
	if err != nil {
		return err
	}
	run, err := load.New(ctx, o)
	if err != nil {
		return err
	}
	stop := c.watchBench(run)
	result, err := run.Go(ctx)
	stop()
	if cerr := run.Close(); err == nil && cerr != nil {
		fmt.Fprintf(c.err, "godwit: %v\n", cerr)
	}
	if err != nil {
		return err
	}
	if c.output == "json" {
		err = printJSON(c.out, benchJSON(&o, result))
	} else {
		c.printBench(&o, result)
	}
	if err != nil {
		return err
	}
	return result.Fault()
}

// options completes what the flags say.
func (f *benchFlags) options(c *cli) (load.Options, error) {
	o := f.Options
	o.Persistent = o.Persistent && !f.nonPersistent
	if c.output != "table" && c.output != "json" {
		return o, &usageError{fmt.Errorf("output %q is not known; expected table or json", c.output)}
	}
	if f.destination != "" {
		d, err := message.ParseDestination(f.destination, message.Queue)
		if err != nil || d.Kind.IsTemporary() || d.IsPattern() {
			return o, &usageError{fmt.Errorf("destination %q is not the name of one queue or topic", f.destination)}
		}
		o.Destination, o.Topic = d.Name, o.Topic || d.Kind.IsTopic()
	}
	o.User = cmp.Or(c.user, os.Getenv("GODWIT_USER"))
	if o.User != "" {
		if o.Password = os.Getenv("GODWIT_PASSWORD"); o.Password == "" {
			var err error
			if o.Password, err = c.askPassword("Password of " + o.User + ": "); err != nil {
				return o, fmt.Errorf("the password of %s is needed: set GODWIT_PASSWORD, or run in a terminal: %w", o.User, err)
			}
		}
	}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return o, err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return o, fmt.Errorf("%s holds no certificate in PEM form", f.ca)
		}
		o.TLS = &tls.Config{RootCAs: pool}
	}
	return o, nil
}

// watchBench shows on a terminal how far the load is, until the function that it returns is called.
func (c *cli) watchBench(run *load.Run) (stop func()) {
	if !terminal(c.err) {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		const pause = 500 * time.Millisecond
		tick := time.NewTicker(pause)
		defer tick.Stop()
		var before load.Progress
		for begun, last := time.Now(), time.Now(); ; {
			select {
			case <-done:
				fmt.Fprint(c.err, "\r\033[K")
				return
			case now := <-tick.C:
				p, passed := run.Progress(), now.Sub(last).Seconds()
				fmt.Fprintf(c.err, "\r\033[K%4.0f s  sent %d (%.0f/s)  received %d (%.0f/s)", now.Sub(begun).Seconds(),
					p.Sent, float64(p.Sent-before.Sent)/passed, p.Received, float64(p.Received-before.Received)/passed)
				before, last = p, now
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (c *cli) printBench(o *load.Options, r *load.Result) {
	how := "persistent"
	if !o.Persistent {
		how = "non-persistent"
	}
	if o.Transacted > 0 {
		how += fmt.Sprintf(", %d in a transaction", o.Transacted)
	} else if o.Async {
		how += ", async"
	}
	fmt.Fprintf(c.out, "%s, %d producers, %d consumers, %d bytes, %s\n", r.Destination, o.Producers, o.Consumers, o.Size, how)
	fmt.Fprintf(c.out, "sent      %d in %.2f s: %.0f/s\n", r.Sent, r.Sending.Seconds(), r.SendRate())
	if o.Consumers > 0 {
		fmt.Fprintf(c.out, "received  %d in %.2f s: %.0f/s\n", r.Received, r.Receiving.Seconds(), r.ReceiveRate())
	}
	for _, l := range []struct {
		what string
		of   load.Latencies
	}{{"send", r.Sends}, {"arrival", r.EndToEnd}} {
		if l.of.Count > 0 {
			what := l.what
			if l.what == "send" && o.Transacted > 0 {
				what = "commit" // the whole transaction
			}
			fmt.Fprintf(c.out, "%-9s p50 %s  p99 %s  p99.9 %s  max %s\n", what, short(l.of.P50), short(l.of.P99), short(l.of.P999), short(l.of.Max))
		}
	}
	if o.Consumers > 0 {
		fmt.Fprintf(c.out, "checked   %d lost, %d twice, %d out of order, %d redelivered\n", r.Lost, r.Duplicates, r.Disordered, r.Redelivered)
	}
}

// short is a duration with three digits or so.
func short(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

// benchLatency is one kind of latency in JSON, in milliseconds.
type benchLatency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
}

func latencyJSON(l load.Latencies) benchLatency {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return benchLatency{l.Count, ms(l.P50), ms(l.P99), ms(l.P999), ms(l.Max)}
}

// benchReport is a run in JSON.
type benchReport struct {
	Destination      string       `json:"destination"`
	Producers        int          `json:"producers"`
	Consumers        int          `json:"consumers"`
	SizeBytes        int          `json:"sizeBytes"`
	Persistent       bool         `json:"persistent"`
	Async            bool         `json:"async"`
	Transacted       int          `json:"transacted"`
	Sent             int64        `json:"sent"`
	Received         int64        `json:"received"`
	Lost             int64        `json:"lost"`
	Duplicates       int64        `json:"duplicates"`
	Disordered       int64        `json:"disordered"`
	Redelivered      int64        `json:"redelivered"`
	SendingSeconds   float64      `json:"sendingSeconds"`
	ReceivingSeconds float64      `json:"receivingSeconds"`
	SentPerSecond    float64      `json:"sentPerSecond"`
	ReceivedPerSec   float64      `json:"receivedPerSecond"`
	SendMillis       benchLatency `json:"sendMillis"`
	ArrivalMillis    benchLatency `json:"arrivalMillis"`
}

func benchJSON(o *load.Options, r *load.Result) benchReport {
	return benchReport{
		Destination: r.Destination, Producers: o.Producers, Consumers: o.Consumers, SizeBytes: o.Size, Persistent: o.Persistent, Async: o.Async, Transacted: o.Transacted,
		Sent: r.Sent, Received: r.Received, Lost: r.Lost, Duplicates: r.Duplicates, Disordered: r.Disordered, Redelivered: r.Redelivered,
		SendingSeconds: r.Sending.Seconds(), ReceivingSeconds: r.Receiving.Seconds(), SentPerSecond: r.SendRate(), ReceivedPerSec: r.ReceiveRate(),
		SendMillis: latencyJSON(r.Sends), ArrivalMillis: latencyJSON(r.EndToEnd),
	}
}
