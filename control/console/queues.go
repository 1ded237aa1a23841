package console

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
	"github.com/godwitmq/godwit/message"
)

const (
	perPage   = 50
	showFirst = 10  // messages of a plan
	browsed   = 100 // messages at most
)

func (c *Console) queueRoutes() {
	const lists = 2 * time.Second
	c.at("queues", page{title: "Queues", role: api.Reader, every: lists, model: destinationsOf(message.Queue)})
	c.at("topics", page{title: "Topics", role: api.Reader, every: lists, model: destinationsOf(message.Topic)})
	c.at("destination", page{title: "Destination", role: api.Reader, every: lists, model: destinationOf})
	c.at("messages", page{title: "Messages", role: api.Operator, model: messagesOf})
	c.at("send", page{title: "Send", role: api.Operator, model: sendOf})
	c.at("sweep", page{title: "Messages", role: api.Operator, model: sweepOf})
	c.act("send", send)
	c.act("sweep", sweep)
	c.act("create", create)
	c.act("pause", pause)
	c.act("delete", remove)
	c.at("subscriptions", page{title: "Subscriptions", role: api.Reader, every: lists, model: subscriptionsOf})
	c.act("subscription", subscription)
	c.at("clients", page{title: "Connections", role: api.Reader, every: lists, model: connectionsOf})
	c.act("disconnect", disconnect)
	c.at("scheduled", page{title: "Scheduled", role: api.Operator, model: scheduledOf})
	c.act("scheduled", scheduled)
	c.at("transactions", page{title: "Transactions", role: api.Reader, every: lists, model: transactionsOf})
	c.act("settle", settle)
	c.at("retries", page{title: "Retries", role: api.Operator, model: func(v *view) (any, error) { return v.api.Retries(v.ctx) }})
	c.act("undo", undo)
	h := func(w http.ResponseWriter, r *http.Request) {
		if v, ok := c.view(w, r); ok {
			v.history(w)
		}
	}
	c.mux.HandleFunc("GET "+root+"history", h)
	c.mux.HandleFunc("GET "+root+"b/{broker}/history", h)
}

// history answers a chart's question.
func (v *view) history(w http.ResponseWriter) {
	h, err := v.api.History(v.ctx, v.Query("d"))
	if err != nil {
		v.Err = err
		http.Error(w, sentence(err), v.status())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(h)
}

// paged is one page of a list.
type paged[T any] struct {
	Rows             []T
	All, Found       int
	Page, Pages      int
	First, Last      int
	Sort             string
	Previous, Next   int // numbers of pages; 0: there is none
	Filter, Kind     string
	Size             int64
	WithoutConsumers int
}

// page cuts a page out of a list.
func (p *paged[T]) page(rows []T, wanted string) {
	p.Found = len(rows)
	p.Pages = max(1, (len(rows)+perPage-1)/perPage)
	p.Page, _ = strconv.Atoi(wanted)
	p.Page = min(max(1, p.Page), p.Pages)
	first := (p.Page - 1) * perPage
	p.Rows = rows[first:min(len(rows), first+perPage)]
	p.First, p.Last = first+1, first+len(p.Rows)
	p.Previous = p.Page - 1
	if p.Page < p.Pages {
		p.Next = p.Page + 1
	}
}

// destinationsOf lists the queues or topics: filtered, sorted and cut to a page here, so that thousands are no burden to a browser.
func destinationsOf(kind message.Kind) func(*view) (any, error) {
	return func(v *view) (any, error) {
		ask := v.api.Queues
		p := &paged[broker.DestinationView]{Sort: cmp.Or(v.Query("sort"), "name"), Filter: v.Query("filter"), Kind: "queue"}
		if kind == message.Topic {
			ask, p.Kind = v.api.Topics, "topic"
		}
		all, err := ask(v.ctx, v.Query("all") == "true")
		if err != nil {
			return nil, err
		}
		var rows []broker.DestinationView
		for _, d := range all {
			if kind == message.Topic && strings.HasPrefix(d.Name, "ActiveMQ.Advisory.") && v.Query("all") != "true" {
				continue
			}
			p.All++
			p.Size += d.Size
			if d.Consumers == 0 && d.Size > 0 {
				p.WithoutConsumers++
			}
			if strings.Contains(strings.ToLower(d.Name), strings.ToLower(p.Filter)) {
				rows = append(rows, d)
			}
		}
		slices.SortStableFunc(rows, func(a, b broker.DestinationView) int {
			down := 0
			switch p.Sort {
			case "size":
				down = cmp.Compare(b.Size, a.Size)
			case "flight":
				down = cmp.Compare(b.InFlight, a.InFlight)
			case "consumers":
				down = cmp.Compare(b.Consumers, a.Consumers)
			case "in":
				down = cmp.Compare(b.Enqueued, a.Enqueued)
			case "out":
				down = cmp.Compare(b.Dequeued, a.Dequeued)
			}
			return cmp.Or(down, strings.Compare(a.Name, b.Name))
		})
		p.page(rows, v.Query("page"))
		return p, nil
	}
}

// URI is the name of a destination as the API and people write it.
func uri(d broker.DestinationView) string { return d.Kind + "://" + d.Name }

// named is the destination that the request means.
func (v *view) named(text string) (message.Destination, error) {
	d, err := message.ParseDestination(text, message.Queue)
	if err != nil {
		return d, &api.Error{Status: http.StatusBadRequest, Code: "malformed", Detail: err.Error()}
	}
	return d, nil
}

// one is a destination.
type one struct {
	broker.DestinationView
	URI       string
	Consumers []broker.ConsumerView
	Count     int
	In, Out   float64
}

// IsQueue says whether there is anything that waits.
func (o *one) IsQueue() bool { return strings.HasSuffix(o.Kind, "queue") }

func destinationOf(v *view) (any, error) {
	d, err := v.named(v.Query("d"))
	if err != nil {
		return nil, err
	}
	found, err := v.api.Destination(v.ctx, d)
	if err != nil {
		return nil, err
	}
	v.Title = found.Name
	o := &one{DestinationView: found, URI: uri(found), Count: found.Consumers, In: -1, Out: -1}
	all, err := v.api.Consumers(v.ctx)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		if c.Destination == o.URI {
			o.Consumers = append(o.Consumers, c)
		}
	}
	if h, err := v.api.History(v.ctx, o.URI); err == nil {
		o.In, o.Out = latest(h.In), latest(h.Out)
	}
	return o, nil
}

// listed are messages of a queue.
type listed struct {
	URI      string
	Selector string
	Limit    int
	Messages []shown
	More     bool
}

// shown is a message with its body for people.
type shown struct {
	api.Message
	Text string
}

// text is a body as people read it.
func text(m api.Message) string {
	if m.BodyError != "" {
		return "(" + m.BodyError + ")"
	}
	var body struct {
		Text, Base64 *string
		Map, Stream  json.RawMessage
	}
	if err := json.Unmarshal(m.Body, &body); err != nil {
		return ""
	}
	var out bytes.Buffer
	switch {
	case body.Text != nil:
		return *body.Text
	case body.Base64 != nil:
		return "base64: " + *body.Base64
	case body.Map != nil && json.Indent(&out, body.Map, "", "  ") == nil, body.Stream != nil && json.Indent(&out, body.Stream, "", "  ") == nil:
		return out.String()
	}
	return ""
}

func showAll(messages []api.Message) []shown {
	list := make([]shown, len(messages))
	for i, m := range messages {
		list[i] = shown{m, text(m)}
	}
	return list
}

func messagesOf(v *view) (any, error) {
	d, err := v.named(v.Query("d"))
	if err != nil {
		return nil, err
	}
	l := &listed{URI: d.String(), Selector: v.Query("selector"), Limit: browsed}
	v.Title = "Messages of " + d.Name
	found, err := v.api.Browse(v.ctx, d, l.Selector, browsed, true)
	if err != nil {
		return l, err
	}
	l.Messages, l.More = showAll(found.Messages), found.More
	return l, nil
}

// draft is what the form of a new message shows.
type draft struct{ URI string }

func sendOf(v *view) (any, error) {
	d, err := v.named(v.Query("d"))
	if err != nil {
		return nil, err
	}
	return &draft{d.String()}, nil
}

// send sends what the form says.
func send(v *view) (said, next string, err error) {
	form := v.r.PostFormValue
	d, err := v.named(form("d"))
	if err != nil {
		return "", "", err
	}
	body := strings.ReplaceAll(form("body"), "\r\n", "\n") // which forms make of line ends
	m := api.Send{Text: &body, NonPersistent: form("persistent") == "", CorrelationID: form("correlationId"), ReplyTo: form("replyTo"), JMSType: form("jmsType"), Group: form("group"), TimeToLive: form("timeToLive")}
	if text := form("priority"); text != "" {
		priority, err := strconv.Atoi(text)
		if err != nil {
			return "", "", fmt.Errorf("priority %q is not a number from 0 to 9", text)
		}
		m.Priority = &priority
	}
	if text := strings.TrimSpace(form("properties")); text != "" {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&m.Properties); err != nil {
			return "", "", fmt.Errorf(`the properties are not a JSON object, as {"colour": "red", "count": 3}: %v`, err)
		}
	}
	count := 1
	if text := form("count"); text != "" {
		if count, err = strconv.Atoi(text); err != nil || count < 1 || count > 1000 {
			return "", "", fmt.Errorf("the number of copies is %q; expected 1 to 1000", text)
		}
	}
	sent, err := v.api.Send(v.ctx, d, slices.Repeat([]api.Send{m}, count)...)
	if err != nil {
		return "", "", err
	}
	if len(sent.IDs) == 1 {
		return "Sent as " + sent.IDs[0] + ".", v.Base() + "destination?d=" + url.QueryEscape(d.String()), nil
	}
	return fmt.Sprintf("Sent %d messages.", len(sent.IDs)), v.Base() + "destination?d=" + url.QueryEscape(d.String()), nil
}

// swept is what an act on many messages would do.
type swept struct {
	URI, Do, To, Selector, Origin, Cause string
	Subscription, ClientID               string
	IDs                                  []string
	Limit, Rate                          int
	Ready                                bool // all is given that is needed
	Plan                                 *api.Swept
	First                                []shown
	Why                                  string // why it cannot be
}

// Past is the act in the past tense.
func (s *swept) Past() string {
	return map[string]string{"move": "moved", "copy": "copied", "remove": "removed", "retry": "taken back"}[s.Do]
}

// sweepIn reads it from a page's query, or a form.
func (v *view) sweepIn(value func(string) string, ids []string) (*swept, api.SweepRequest, error) {
	s := &swept{URI: value("d"), Do: value("do"), To: value("to"), Selector: value("selector"), Origin: value("origin"), Cause: value("cause"), IDs: ids,
		Subscription: value("subscription"), ClientID: value("client")}
	ask := api.SweepRequest{To: s.To, Selector: s.Selector, IDs: s.IDs, Origin: s.Origin, Cause: s.Cause}
	for name, into := range map[string]*int{"limit": &s.Limit, "rate": &s.Rate} {
		if text := value(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return s, ask, fmt.Errorf("%s is %q; expected a number, or nothing", name, text)
			}
			*into = n
		}
	}
	ask.Limit, ask.Rate = s.Limit, s.Rate
	if s.Past() == "" {
		return s, ask, fmt.Errorf("%q is not something to do with messages", s.Do)
	}
	if ask.To != "" && !strings.Contains(ask.To, "://") {
		ask.To = "queue://" + ask.To
	}
	s.To = ask.To
	return s, ask, nil
}

// run asks the API for it.
func (v *view) run(s *swept, ask api.SweepRequest) (*api.Swept, error) {
	if s.Subscription != "" {
		return v.api.SweepSubscription(v.ctx, client.Sweep(s.Do), s.ClientID, s.Subscription, ask, nil)
	}
	d, err := v.named(s.URI)
	if err != nil {
		return nil, err
	}
	return v.api.Sweep(v.ctx, client.Sweep(s.Do), d, ask, nil)
}

// sweepOf shows what would be done.
func sweepOf(v *view) (any, error) {
	q := v.r.URL.Query()
	s, ask, err := v.sweepIn(q.Get, q["id"])
	if err != nil {
		return nil, &api.Error{Status: http.StatusBadRequest, Code: "malformed", Detail: err.Error()}
	}
	v.Title = map[string]string{"move": "Move messages", "copy": "Copy messages", "remove": "Remove messages", "retry": "Retry dead letters"}[s.Do]
	s.Ready = s.To != "" || s.Do == "remove" || s.Do == "retry"
	if !s.Ready {
		return s, nil
	}
	ask.DryRun, ask.First = true, showFirst
	if s.Plan, err = v.run(s, ask); err != nil {
		s.Why = sentence(err)
		return s, nil
	}
	s.First = showAll(s.Plan.First)
	return s, nil
}

// sweep does it.
func sweep(v *view) (said, next string, err error) {
	if err := v.r.ParseForm(); err != nil {
		return "", "", err
	}
	s, ask, err := v.sweepIn(v.r.PostFormValue, v.r.PostForm["id"])
	if err != nil {
		return "", "", err
	}
	done, err := v.run(s, ask)
	if err != nil {
		if done != nil && done.Affected > 0 {
			err = fmt.Errorf("%w (%d messages were %s before that)", err, done.Affected, s.Past())
		}
		return "", "", err
	}
	next = v.Base() + "subscriptions"
	if s.Subscription == "" {
		next = v.Base() + "destination?d=" + url.QueryEscape(s.URI)
	}
	said = fmt.Sprintf("%s messages %s.", countText(done.Affected), s.Past())
	if done.Affected == 1 {
		said = "1 message " + s.Past() + "."
	}
	if s.Do == "retry" && done.Affected > 0 {
		said += " It can be undone on the page Retries."
	}
	return said, next, nil
}

func create(v *view) (said, next string, err error) {
	name := v.r.PostFormValue("name")
	kind := message.Queue
	if v.r.PostFormValue("kind") == "topic" {
		kind = message.Topic
	}
	if strings.TrimSpace(name) == "" {
		return "", "", errors.New("a name is needed")
	}
	d := message.Destination{Kind: kind, Name: name}
	if err := v.api.Create(v.ctx, d); err != nil {
		return "", "", err
	}
	return d.String() + " is there.", v.Base() + "destination?d=" + url.QueryEscape(d.String()), nil
}

func pause(v *view) (said, next string, err error) {
	d, err := v.named(v.r.PostFormValue("d"))
	if err != nil {
		return "", "", err
	}
	on := v.r.PostFormValue("on") == "true"
	if err := v.api.Pause(v.ctx, d, on); err != nil {
		return "", "", err
	}
	if on {
		return d.String() + " is paused: its consumers get nothing, also after a restart.", "", nil
	}
	return d.String() + " goes on.", "", nil
}

func remove(v *view) (said, next string, err error) {
	d, err := v.named(v.r.PostFormValue("d"))
	if err != nil {
		return "", "", err
	}
	if err := v.api.Remove(v.ctx, d); err != nil {
		return "", "", err
	}
	list := "queues"
	if d.Kind.IsTopic() {
		list = "topics"
	}
	return d.String() + " is removed.", v.Base() + list, nil
}

func subscriptionsOf(v *view) (any, error) {
	all, err := v.api.Subscriptions(v.ctx)
	if err != nil {
		return nil, err
	}
	p := &paged[broker.SubscriptionView]{Filter: v.Query("filter"), All: len(all)}
	rows := slices.DeleteFunc(all, func(s broker.SubscriptionView) bool {
		return !strings.Contains(strings.ToLower(s.ClientID+" "+s.Name+" "+s.Topic), strings.ToLower(p.Filter))
	})
	p.page(rows, v.Query("page"))
	return p, nil
}

// subscription purges or removes one.
func subscription(v *view) (said, next string, err error) {
	clientID, name := v.r.PostFormValue("client"), v.r.PostFormValue("name")
	switch v.r.PostFormValue("do") {
	case "purge":
		n, err := v.api.PurgeSubscription(v.ctx, clientID, name)
		if err != nil {
			return "", "", err
		}
		return fmt.Sprintf("%s messages removed from subscription %s.", countText(n), name), "", nil
	case "remove":
		if err := v.api.RemoveSubscription(v.ctx, clientID, name); err != nil {
			return "", "", err
		}
		return "Subscription " + name + " is removed.", "", nil
	}
	return "", "", errors.New("nothing is to be done")
}

func connectionsOf(v *view) (any, error) {
	all, err := v.api.Connections(v.ctx)
	if err != nil {
		return nil, err
	}
	p := &paged[broker.ConnectionView]{Filter: v.Query("filter"), All: len(all)}
	rows := slices.DeleteFunc(all, func(c broker.ConnectionView) bool {
		return !strings.Contains(strings.ToLower(strings.Join([]string{c.ClientID, c.User, c.Protocol, c.Remote, c.Listener}, " ")), strings.ToLower(p.Filter))
	})
	p.page(rows, v.Query("page"))
	return p, nil
}

func disconnect(v *view) (said, next string, err error) {
	id, err := strconv.ParseUint(v.r.PostFormValue("id"), 10, 64)
	if err != nil {
		return "", "", errors.New("a connection's number is needed")
	}
	if err := v.api.CloseConnection(v.ctx, broker.ConnID(id)); err != nil {
		return "", "", err
	}
	return fmt.Sprintf("Connection %d is closed. A client that reconnects by itself comes back.", id), "", nil
}

func scheduledOf(v *view) (any, error) {
	return v.api.Schedules(v.ctx, client.Span{}, v.Query("after"), perPage)
}

// scheduled removes one, or sets its time.
func scheduled(v *view) (said, next string, err error) {
	id := v.r.PostFormValue("id")
	if v.r.PostFormValue("do") == "remove" {
		if err := v.api.RemoveSchedule(v.ctx, id); err != nil {
			return "", "", err
		}
		return "The scheduled message is removed.", v.Base() + "scheduled", nil
	}
	if err := v.api.EditSchedule(v.ctx, id, time.Now()); err != nil {
		return "", "", err
	}
	return "The scheduled message is due now.", v.Base() + "scheduled", nil
}

func transactionsOf(v *view) (any, error) { return v.api.Transactions(v.ctx, 200) }

func settle(v *view) (said, next string, err error) {
	commit := v.r.PostFormValue("do") == "commit"
	if err := v.api.SettleTransaction(v.ctx, v.r.PostFormValue("xid"), commit); err != nil {
		return "", "", err
	}
	if commit {
		return "The transaction is committed.", "", nil
	}
	return "The transaction is rolled back.", "", nil
}

func undo(v *view) (said, next string, err error) {
	batch, err := strconv.ParseUint(v.r.PostFormValue("batch"), 10, 64)
	if err != nil {
		return "", "", errors.New("a batch's number is needed")
	}
	n, err := v.api.UndoRetry(v.ctx, batch)
	if err != nil {
		return "", "", err
	}
	return fmt.Sprintf("%s messages are dead letters again.", countText(n)), v.Base() + "retries", nil
}
