package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/readiness"
)

func (c *cli) watch() *cobra.Command {
	var every time.Duration
	once := false
	cmd := &cobra.Command{
		Use: "watch", Short: "Watch the instances and their clients live", Args: exactly(0, "no arguments"),
		Long: "Watch which instance is active, how far the standby is, how many messages a second come and go, and how many connections of each service came to which instance: during a\n" +
			"switchover they cross over. Ctrl-C ends it. Into a pipe it writes a line each time.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if every < 100*time.Millisecond {
				return &usageError{fmt.Errorf("--every %v is too often; expected 100ms or more", every)}
			}
			remote, err := c.remote()
			if err != nil {
				return err
			}
			w := &watcher{remote: remote, out: c.out, every: every}
			return w.run(cmd.Context(), once, terminal(c.out))
		},
	}
	cmd.Flags().DurationVar(&every, "every", 500*time.Millisecond, "time between two looks")
	cmd.Flags().BoolVar(&once, "once", false, "look once, and end")
	return cmd
}

// watcher looks again and again.
type watcher struct {
	remote *client.Client
	out    io.Writer
	every  time.Duration
	last   sight
	names  []string       // of all services that were seen
	most   map[string]int // connections that a service had at most
}

// sight is what was seen at one time.
type sight struct {
	at        time.Time
	instances []api.Instance
	alone     bool         // there are no instances
	clients   *api.Clients // nil: nobody could say
	why       string       // nobody could say
	in, out   float64      // messages a second; negative: not known
}

// lookTimeout bounds one look: a node that hangs must not hold up the picture.
const lookTimeout = 3 * time.Second

func (w *watcher) look(ctx context.Context) sight {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	type known struct {
		all []api.Instance
		err error
	}
	nodes := make(chan known, 1)
	go func() {
		all, err := w.remote.Instances(ctx)
		nodes <- known{all, err}
	}()
	s := sight{in: -1, out: -1}
	clients, err := w.remote.Clients(ctx, false)
	s.at = time.Now()
	if err != nil {
		s.why = err.Error()
	} else {
		s.clients = clients
	}
	k := <-nodes
	s.instances, s.alone = k.all, k.err != nil && s.clients != nil
	if before := w.last.clients; before != nil && s.clients != nil && before.Active == s.clients.Active {
		passed := s.at.Sub(w.last.at).Seconds()
		s.in = rate(before.Enqueued, s.clients.Enqueued, passed)
		s.out = rate(before.Dequeued, s.clients.Dequeued, passed)
	}
	w.last = s
	return s
}

// rate is a counter's growth a second. A destination that is removed takes its counters along; that is no negative rate.
func rate(before, now uint64, seconds float64) float64 {
	if now < before || seconds <= 0 {
		return 0
	}
	return float64(now-before) / seconds
}

func (w *watcher) run(ctx context.Context, once, screen bool) error {
	w.most = map[string]int{}
	s := w.look(ctx)
	if s.clients == nil && s.instances == nil {
		return fmt.Errorf("nothing to watch: %s", s.why)
	}
	if once {
		select { // two looks make a rate
		case <-time.After(w.every):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		_, err := io.WriteString(w.out, w.picture(w.look(ctx)))
		return err
	}
	if screen {
		fmt.Fprint(w.out, "\x1b[?25l\x1b[2J") // no cursor, an empty screen
		defer fmt.Fprint(w.out, "\x1b[?25h")
	}
	for {
		text := w.line(s)
		if screen {
			// Each line is overwritten and its rest wiped: nothing flickers.
			text = "\x1b[H" + strings.ReplaceAll(w.picture(s), "\n", "\x1b[K\n") + "\x1b[J"
		}
		if _, err := io.WriteString(w.out, text); err != nil {
			return err
		}
		took := time.Since(s.at)
		select {
		case <-time.After(max(w.every-took, w.every/2)):
		case <-ctx.Done():
			return nil
		}
		begun := time.Now()
		s = w.look(ctx)
		if took := time.Since(begun); took > w.every { // a look that takes long costs the broker as much
			select {
			case <-time.After(took):
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// active is the instance that serves, as far as is known.
func (s *sight) active() *api.Instance {
	for i := range s.instances {
		if s.instances[i].Role == "active" {
			return &s.instances[i]
		}
	}
	return nil
}

// silent says that nobody answered at all.
func (s *sight) silent() bool { return s.instances == nil && s.clients == nil }

// sides are the instances that clients may come to.
func (s *sight) sides() (names []string) {
	for _, i := range s.instances {
		if i.Role != "witness" {
			names = append(names, i.Name)
		}
	}
	return names
}

func perSecond(r float64) string {
	if r < 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f/s", r)
}

// picture is the whole state as a page.
func (w *watcher) picture(s sight) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  in %s  out %s", clock(s.at), perSecond(s.in), perSecond(s.out))
	switch a := s.active(); {
	case a != nil && a.TakenOver != nil && a.TakenOver.From != "":
		fmt.Fprintf(&b, "  %s took over from %s %v ago (%s, %d ms)", a.Name, a.TakenOver.From, time.Since(a.TakenOver.At).Round(time.Second), a.TakenOver.Reason, a.TakenOver.Millis)
	case s.silent():
		b.WriteString("  THE API DOES NOT ANSWER")
	case a == nil && !s.alone:
		b.WriteString("  NO INSTANCE IS ACTIVE")
	}
	b.WriteString("\n\n")
	if !s.alone && !s.silent() {
		t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "INSTANCE\tROLE\tFOR\tEPOCH\tLAG\tCONNECTIONS\tVERSION")
		for _, i := range s.instances {
			since := "-"
			if !i.Since.IsZero() {
				since = time.Since(i.Since).Round(time.Second).String()
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", i.Name, i.Role, since, i.Epoch, i.Lag, i.Connections, i.Version)
		}
		t.Flush()
		b.WriteString("\n")
	}
	w.services(&b, s)
	return b.String()
}

// width is how many connections a bar shows one by one; a longer one is drawn to scale.
const width = 24

func (w *watcher) services(b *strings.Builder, s sight) {
	if s.clients == nil {
		fmt.Fprintf(b, "The clients are not known: %s\n", printable(s.why))
		return
	}
	now := map[string]*readiness.Service{}
	for i := range s.clients.Services {
		x := &s.clients.Services[i]
		now[x.Name] = x
		if !slices.Contains(w.names, x.Name) {
			w.names = append(w.names, x.Name)
			slices.Sort(w.names)
		}
		w.most[x.Name] = max(w.most[x.Name], x.Connections)
	}
	sides := s.sides()
	if s.alone {
		sides = []string{""}
	}
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "SERVICE\tCONNECTIONS")
	for _, side := range sides {
		fmt.Fprintf(t, "\t%s", strings.ToUpper(side))
	}
	fmt.Fprintln(t, "\tVERDICT")
	for _, name := range w.names { // one that is gone stays to be seen
		x := now[name]
		if x == nil {
			x = &readiness.Service{Verdict: "gone"}
		}
		fmt.Fprintf(t, "%s\t%d of %d", printable(name), x.Connections, w.most[name])
		for _, side := range sides {
			fmt.Fprintf(t, "\t%s", bar(x.Nodes[side], w.most[name]))
		}
		fmt.Fprintf(t, "\t%s\n", x.Verdict)
	}
	t.Flush()
}

// bar draws n of at most most connections.
func bar(n, most int) string {
	long := n
	if most > width {
		long = (n*width + most - 1) / most
	}
	return strings.Repeat("●", long) + strings.Repeat("·", min(most, width)-long) + fmt.Sprintf(" %d", n)
}

// line is the whole state as one line.
func (w *watcher) line(s sight) string {
	parts := []string{s.at.Format(time.RFC3339Nano)}
	for _, i := range s.instances {
		part := i.Name + "=" + i.Role
		if i.Role == "standby" {
			part += fmt.Sprintf(",lag=%d", i.Lag)
		}
		parts = append(parts, part)
	}
	if a := s.active(); a != nil {
		parts = append(parts, fmt.Sprintf("epoch=%d", a.Epoch))
	}
	if s.silent() {
		return strings.Join(append(parts, "no answer:", printable(s.why)), " ") + "\n"
	}
	parts = append(parts, "in="+perSecond(s.in), "out="+perSecond(s.out))
	if s.clients != nil {
		for _, x := range s.clients.Services {
			where := places(x.Nodes)
			if where == "" {
				where = fmt.Sprint(x.Connections)
			}
			parts = append(parts, fmt.Sprintf("%s[%s]", printable(x.Name), where))
		}
	}
	return strings.Join(parts, " ") + "\n"
}
