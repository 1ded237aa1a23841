package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/message"
)

// maxInput bounds a body that is read from a file or standard input.
const maxInput = 100 << 20

// sendFlags are those of send.
type sendFlags struct {
	message    api.Send
	properties []string
	priority   int
	count      int
	file       string
	lines      bool
	bytes      bool
}

func (c *cli) send() *cobra.Command {
	var f sendFlags
	cmd := &cobra.Command{
		Use: "send DESTINATION [BODY]", Short: "Send a message",
		Long: "Send a message to queue://NAME or topic://NAME (a name alone is a queue), and return when it is safe.\n" +
			"The body is the argument, or --file, or standard input.",
		Example: "  godwit send queue://orders 'hello'\n  godwit send orders --property region=EU --priority 9 '{\"id\": 7}'\n  godwit send orders --lines < orders.txt",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return exactly(1, "a destination and a body, for example: godwit send queue://orders 'hello'")(cmd, nil)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return c.runSend(cmd.Context(), &f, args) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.properties, "property", "p", nil, "property NAME=VALUE; whole numbers, decimals, true and false are such, NAME:=VALUE is always text")
	flags.IntVar(&f.priority, "priority", message.DefaultPriority, "0 to 9, higher first")
	flags.StringVar(&f.message.TimeToLive, "ttl", "", "time until the message expires, for example 30s")
	flags.BoolVar(&f.message.NonPersistent, "non-persistent", false, "may be lost when the broker stops")
	flags.StringVar(&f.message.ReplyTo, "reply-to", "", "destination for the answer")
	flags.StringVar(&f.message.CorrelationID, "correlation-id", "", "JMSCorrelationID")
	flags.StringVar(&f.message.JMSType, "type", "", "JMSType")
	flags.StringVar(&f.message.Group, "group", "", "JMSXGroupID")
	flags.IntVar(&f.count, "count", 1, "how many copies")
	flags.StringVar(&f.file, "file", "", "file with the body, - for standard input")
	flags.BoolVar(&f.lines, "lines", false, "each line of the input is a message")
	flags.BoolVar(&f.bytes, "bytes", false, "a bytes message, not a text message")
	return cmd
}

func (c *cli) runSend(ctx context.Context, f *sendFlags, args []string) error {
	d, err := destination(args[0])
	if err != nil {
		return err
	}
	f.message.Priority = &f.priority
	if f.message.Properties, err = properties(f.properties); err != nil {
		return err
	}
	remote, err := c.remote()
	if err != nil {
		return err
	}
	input, err := c.input(f, args[1:])
	if err != nil {
		return err
	}
	defer input.Close()
	s := sender{remote: remote, to: d, flags: f, progress: c.progress("sent")}
	defer s.progress.end()
	if f.lines {
		return s.lines(ctx, input)
	}
	data, err := io.ReadAll(io.LimitReader(input, maxInput+1))
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	if len(data) > maxInput {
		return fmt.Errorf("the body is larger than %d MiB", maxInput>>20)
	}
	for range f.count {
		if err := s.add(ctx, data); err != nil {
			return err
		}
	}
	return s.flush(ctx)
}

// input is where the body comes from.
func (c *cli) input(f *sendFlags, args []string) (io.ReadCloser, error) {
	switch {
	case len(args) == 1 && f.file != "":
		return nil, &usageError{errors.New("a body and --file exclude each other")}
	case len(args) == 1:
		return io.NopCloser(strings.NewReader(args[0])), nil
	case f.file != "" && f.file != "-":
		file, err := os.Open(f.file)
		if err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
		return file, nil
	case terminal(c.in):
		fmt.Fprintln(c.err, "Type the message, and Ctrl-D to end it.")
	}
	return io.NopCloser(c.in), nil
}

// properties reads NAME=VALUE.
func properties(pairs []string) (map[string]any, error) {
	values := map[string]any{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" || name == ":" {
			return nil, &usageError{fmt.Errorf("property %q is not NAME=VALUE", pair)}
		}
		if text, ok := strings.CutSuffix(name, ":"); ok {
			values[text] = value
			continue
		}
		values[name] = guess(value)
	}
	return values, nil
}

func guess(value string) any {
	if b := value == "true"; b || value == "false" {
		return b
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(value, 64); err == nil && strings.ContainsAny(value, "0123456789") {
		return f
	}
	return value
}

// sender sends in batches.
type sender struct {
	remote   *client.Client
	to       message.Destination
	flags    *sendFlags
	batch    []api.Send
	size     int
	progress *progress
}

func (s *sender) lines(ctx context.Context, input io.Reader) error {
	scanner := bufio.NewScanner(input)
	scanner.Buffer(nil, maxInput)
	for scanner.Scan() {
		for range s.flags.count {
			if err := s.add(ctx, scanner.Bytes()); err != nil {
				return err
			}
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read the messages: %w", err)
	}
	return s.flush(ctx)
}

func (s *sender) add(ctx context.Context, body []byte) error {
	m := s.flags.message
	if s.flags.bytes {
		encoded := base64.StdEncoding.EncodeToString(body)
		m.Base64 = &encoded
	} else {
		text := string(body)
		m.Text = &text
	}
	s.batch = append(s.batch, m)
	s.size += len(body)
	if len(s.batch) < 1000 && s.size < 4<<20 {
		return nil
	}
	return s.flush(ctx)
}

func (s *sender) flush(ctx context.Context) error {
	if len(s.batch) == 0 {
		return nil
	}
	if _, err := s.remote.Send(ctx, s.to, s.batch...); err != nil {
		if s.progress.done > 0 {
			return fmt.Errorf("after %d messages were sent: %w", s.progress.done, err)
		}
		return err
	}
	s.progress.add(len(s.batch))
	s.batch, s.size = s.batch[:0], 0
	return nil
}

// progress counts on a terminal while work takes long; elsewhere it is silent.
type progress struct {
	w     io.Writer // nil: silent
	word  string
	done  int
	begun time.Time
	shown bool
}

func (c *cli) progress(word string) *progress {
	p := &progress{word: word, begun: time.Now()}
	if terminal(c.err) {
		p.w = c.err
	}
	return p
}

func (p *progress) add(n int) {
	p.done += n
	if took := time.Since(p.begun); p.w != nil && took > time.Second/2 {
		p.shown = true
		fmt.Fprintf(p.w, "\r%d %s, %.0f a second ", p.done, p.word, float64(p.done)/took.Seconds())
	}
}

// to counts up to a number.
func (p *progress) to(n int) { p.add(n - p.done) }

func (p *progress) end() {
	if p.shown {
		fmt.Fprintln(p.w)
	}
}

// receiveFlags are those of receive.
type receiveFlags struct {
	count    int
	wait     time.Duration
	follow   bool
	selector string
	headers  bool
}

func (c *cli) receive() *cobra.Command {
	var f receiveFlags
	cmd := &cobra.Command{
		Use: "receive DESTINATION", Short: "Take messages out of a queue",
		Long: "Take messages out of queue://NAME (a name alone is a queue) and print their bodies, one a line. A message is acknowledged after it was\n" +
			"printed. From topic://NAME it takes what is sent while it waits. Without any message it ends with exit code 1. A name may have options, as for\n" +
			"other clients: orders?consumer.exclusive=true&consumer.priority=5.",
		Example: "  godwit receive queue://orders\n  godwit receive orders -n 10 --wait 30s -o json\n  godwit receive orders --follow",
		Args:    exactly(1, "a destination, for example: godwit receive queue://orders"),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.runReceive(cmd.Context(), &f, args[0]) },
	}
	flags := cmd.Flags()
	flags.IntVarP(&f.count, "number", "n", 1, "how many messages at most; 0 is all that are there")
	flags.DurationVar(&f.wait, "wait", 2*time.Second, "how long to wait for a message")
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on until interrupted")
	flags.StringVar(&f.selector, "selector", "", "JMS selector, for example \"region = 'EU'\"")
	flags.BoolVar(&f.headers, "headers", false, "print headers and properties too")
	outputFlag(cmd, &c.output)
	return cmd
}

// confirmTime is how long a broker waits for the word that messages were printed.
const confirmTime = time.Minute

func (c *cli) runReceive(ctx context.Context, f *receiveFlags, name string) error {
	d, err := destination(name)
	if err != nil {
		return err
	}
	if f.follow && d.Kind.IsTopic() {
		return &usageError{errors.New("a topic keeps nothing for later, so --follow would miss messages; follow a queue, or use a client with a durable subscription")}
	}
	if f.count < 0 || f.wait < 0 {
		return &usageError{errors.New("-n and --wait are not negative")}
	}
	remote, err := c.remote()
	if err != nil {
		return err
	}
	total := 0
	for f.follow || f.count == 0 || total < f.count {
		n, err := c.receiveSome(ctx, remote, d, f, total)
		if err != nil && ctx.Err() != nil && f.follow {
			return nil
		}
		if err != nil {
			return err
		}
		total += n
		if n == 0 && !f.follow {
			break
		}
	}
	if total == 0 {
		fmt.Fprintf(c.err, "no message from %s within %s\n", d, f.wait)
		return errSilent
	}
	return nil
}

func (c *cli) receiveSome(ctx context.Context, remote *client.Client, d message.Destination, f *receiveFlags, total int) (int, error) {
	request := api.ReceiveRequest{Max: 1000, Wait: f.wait.String(), Selector: f.selector, Confirm: confirmTime.String()}
	if f.count > 0 && !f.follow {
		request.Max = min(request.Max, f.count-total)
	}
	if f.follow {
		request.Wait = (30 * time.Second).String()
	}
	if f.count == 0 && total > 0 {
		request.Wait = ""
	}
	got, err := remote.Receive(ctx, d, request)
	if err != nil || len(got.Messages) == 0 {
		return 0, err
	}
	out := bufio.NewWriter(c.out)
	for i := range got.Messages {
		c.printMessage(out, &got.Messages[i], f.headers)
	}
	if err := out.Flush(); err != nil {
		_ = remote.Release(context.WithoutCancel(ctx), got.Receipt) // they go back by themselves too, only later
		return 0, fmt.Errorf("print messages: %w", err)
	}
	// They are printed: an interruption from here on must not bring them again.
	if err := remote.Confirm(context.WithoutCancel(ctx), got.Receipt); err != nil {
		return 0, fmt.Errorf("%d messages were printed but not acknowledged, so they will come again: %w", len(got.Messages), err)
	}
	return len(got.Messages), nil
}

// printMessage writes a message for people, or as a line of JSON.
func (c *cli) printMessage(w io.Writer, m *api.Message, headers bool) {
	if c.output == "json" {
		data, err := json.Marshal(m)
		if err == nil {
			w.Write(append(data, '\n'))
		}
		return
	}
	if headers {
		printHeaders(w, m)
	}
	fmt.Fprintln(w, bodyText(m))
}

func printHeaders(w io.Writer, m *api.Message) {
	show := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s: %s\n", name, printable(value))
		}
	}
	show("id", m.ID)
	show("destination", m.Destination)
	show("original", m.Original)
	show("reply-to", m.ReplyTo)
	show("correlation-id", m.CorrelationID)
	show("jms-type", m.JMSType)
	show("group", m.Group)
	show("user", m.User)
	show("timestamp", when(m.Timestamp))
	show("expiration", when(m.Expiration))
	show("priority", strconv.Itoa(m.Priority))
	show("persistent", strconv.FormatBool(m.Persistent))
	show("redeliveries", strconv.Itoa(m.Redeliveries))
	show("type", m.Type)
	for _, name := range slices.Sorted(maps.Keys(m.Properties)) {
		show("property "+name, fmt.Sprint(m.Properties[name]))
	}
	fmt.Fprintln(w)
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}

// bodyText is a text body as it is, bytes as base64, and JSON for the others.
func bodyText(m *api.Message) string {
	if m.BodyError != "" {
		return "(" + m.BodyError + ")"
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(m.Body, &body) != nil || body == nil {
		return ""
	}
	for _, member := range []string{"text", "base64"} {
		var s string
		if json.Unmarshal(body[member], &s) == nil && body[member] != nil {
			return s
		}
	}
	return string(cmp.Or(string(body["map"]), string(body["stream"])))
}

func (c *cli) browse() *cobra.Command {
	var limit int
	var selector string
	var bodies bool
	l := &listing[api.Message]{sort: "position"}
	position := map[uint64]int64{}
	l.columns = []column[api.Message]{
		{"position", func(m api.Message) any { return position[m.Sequence] }},
		{"id", func(m api.Message) any { return m.ID }},
		{"time", func(m api.Message) any { return when(m.Timestamp) }},
		{"priority", func(m api.Message) any { return int64(m.Priority) }},
		{"redeliveries", func(m api.Message) any { return int64(m.Redeliveries) }},
		{"type", func(m api.Message) any { return m.Type }},
		{"bytes", func(m api.Message) any { return int64(m.Size) }},
		{"body", func(m api.Message) any { return shorten(bodyText(&m), 60) }},
	}
	cmd := &cobra.Command{
		Use: "browse QUEUE", Short: "Show what waits in a queue, and take nothing away",
		Args: exactly(1, "a queue, for example: godwit browse queue://orders"),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := destination(args[0])
			if err != nil {
				return err
			}
			remote, err := c.remote()
			if err != nil {
				return err
			}
			found, err := remote.Browse(cmd.Context(), d, selector, limit, bodies)
			if err != nil {
				return err
			}
			for i, m := range found.Messages {
				position[m.Sequence] = int64(i + 1)
			}
			if err := l.print(c.out, found.Messages, c.output); err != nil {
				return err
			}
			if found.More {
				fmt.Fprintf(c.err, "There are more; --limit shows them.\n")
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many messages at most")
	cmd.Flags().StringVar(&selector, "selector", "", "JMS selector, for example \"region = 'EU'\"")
	cmd.Flags().BoolVar(&bodies, "bodies", true, "fetch the bodies too")
	l.flags(cmd, &c.output)
	return cmd
}

// shorten keeps the first characters of a text, on one line.
func shorten(s string, most int) string {
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-3]) + "..."
	}
	return s
}

// agrees asks a person.
func (c *cli) agrees(question string) bool {
	fmt.Fprint(c.err, question)
	answer, _ := bufio.NewReader(c.in).ReadString('\n') // an end without an answer is a no
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(answer)), "y")
}
