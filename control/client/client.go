// Package client speaks to the HTTP API for the command line and for tests.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/godwitmq/godwit/audit"
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
)

// DefaultURL is where godwit serve has its API by default.
const DefaultURL = "http://127.0.0.1:8161"

// Client calls one API. It may be used concurrently.
type Client struct {
	base           *url.URL
	user, password string
	http           *http.Client
}

// Options of a client. The zero value works.
type Options struct {
	User, Password string            // none: no credentials are sent
	Transport      http.RoundTripper // nil: http.DefaultTransport
}

// New makes a client for http://HOST:PORT or https://HOST:PORT. User and password in the URL count where options have none.
func New(address string, options Options) (*Client, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("%q is not the address of an API; expected for example %s", address, DefaultURL)
	}
	c := &Client{user: options.User, password: options.Password, http: &http.Client{Transport: options.Transport}}
	if base.User != nil && c.user == "" {
		c.user = base.User.Username()
		c.password, _ = base.User.Password()
	}
	c.base = &url.URL{Scheme: base.Scheme, Host: base.Host, Path: strings.TrimSuffix(base.Path, "/")}
	return c, nil
}

// URL is the API's address without credentials.
func (c *Client) URL() string { return c.base.String() }

// Credentialed is a transport to the API with the client's credentials, for calls that were made elsewhere.
func (c *Client) Credentialed() http.RoundTripper { return credentialed{c} }

type credentialed struct{ c *Client }

// RoundTrip implements http.RoundTripper.
func (t credentialed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Del("Authorization")
	if t.c.user != "" {
		r.SetBasicAuth(t.c.user, t.c.password)
	}
	if t.c.http.Transport != nil {
		return t.c.http.Transport.RoundTrip(r)
	}
	return http.DefaultTransport.RoundTrip(r)
}

// words are kinds of destinations as paths have them.
var words = map[message.Kind]string{message.Queue: "queues", message.Topic: "topics", message.TempQueue: "temp-queues", message.TempTopic: "temp-topics"}

// at is a path below a destination.
func at(d message.Destination, parts ...string) []string {
	return append([]string{words[d.Kind], d.Name}, parts...)
}

// Queues lists the queues, Topics the topics; all takes the temporary ones along.
func (c *Client) Queues(ctx context.Context, all bool) ([]broker.DestinationView, error) {
	return c.destinations(ctx, "queues", all)
}

// Topics lists the topics.
func (c *Client) Topics(ctx context.Context, all bool) ([]broker.DestinationView, error) {
	return c.destinations(ctx, "topics", all)
}

func (c *Client) destinations(ctx context.Context, word string, all bool) ([]broker.DestinationView, error) {
	var answer api.Destinations
	query := url.Values{}
	if all {
		query.Set("all", "true")
	}
	err := c.get(ctx, &answer, query, word)
	return answer.Destinations, err
}

// Destination shows one destination.
func (c *Client) Destination(ctx context.Context, d message.Destination) (broker.DestinationView, error) {
	var answer broker.DestinationView
	err := c.get(ctx, &answer, nil, at(d)...)
	return answer, err
}

// Connections lists the clients' connections.
func (c *Client) Connections(ctx context.Context) ([]broker.ConnectionView, error) {
	var answer api.Connections
	err := c.get(ctx, &answer, nil, "connections")
	return answer.Connections, err
}

// CloseConnection ends a client's connection.
func (c *Client) CloseConnection(ctx context.Context, id broker.ConnID) error {
	return c.call(ctx, http.MethodDelete, nil, nil, nil, "connections", strconv.FormatUint(uint64(id), 10))
}

// Audit lists what was done and by whom, the newest first. A limit of 0 is 100.
func (c *Client) Audit(ctx context.Context, f audit.Filter) ([]audit.Entry, error) {
	query := url.Values{}
	for name, value := range map[string]string{"who": f.Who, "operation": f.Operation} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if !f.Since.IsZero() {
		query.Set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if f.Limit > 0 {
		query.Set("limit", strconv.Itoa(f.Limit))
	}
	var answer api.Audit
	err := c.get(ctx, &answer, query, "audit")
	return answer.Entries, err
}

// Consumers lists the consumers.
func (c *Client) Consumers(ctx context.Context) ([]broker.ConsumerView, error) {
	var answer api.Consumers
	err := c.get(ctx, &answer, nil, "consumers")
	return answer.Consumers, err
}

// Subscriptions lists the durable subscriptions.
func (c *Client) Subscriptions(ctx context.Context) ([]broker.SubscriptionView, error) {
	var answer api.Subscriptions
	err := c.get(ctx, &answer, nil, "subscriptions")
	return answer.Subscriptions, err
}

// Browse shows up to limit messages (0: as many as the API gives by itself).
func (c *Client) Browse(ctx context.Context, d message.Destination, selector string, limit int, bodies bool) (*api.Browsed, error) {
	query := url.Values{}
	if selector != "" {
		query.Set("selector", selector)
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	if bodies {
		query.Set("bodies", "true")
	}
	answer := &api.Browsed{}
	return answer, c.get(ctx, answer, query, at(d, "messages")...)
}

// Send sends messages, all or none, and returns when they are safe.
func (c *Client) Send(ctx context.Context, d message.Destination, messages ...api.Send) (*api.Sent, error) {
	answer := &api.Sent{}
	return answer, c.post(ctx, answer, api.SendRequest{Messages: messages}, at(d, "send")...)
}

// Receive takes messages.
func (c *Client) Receive(ctx context.Context, d message.Destination, request api.ReceiveRequest) (*api.Received, error) {
	answer := &api.Received{}
	return answer, c.post(ctx, answer, request, at(d, "receive")...)
}

// Confirm settles what a receipt stands for.
func (c *Client) Confirm(ctx context.Context, receipt string) error {
	return c.post(ctx, nil, nil, "receipts", receipt, "confirm")
}

// Release gives back what a receipt stands for.
func (c *Client) Release(ctx context.Context, receipt string) error {
	return c.post(ctx, nil, nil, "receipts", receipt, "release")
}

// Purge removes what waits in a queue, and says how much it was.
func (c *Client) Purge(ctx context.Context, d message.Destination) (int, error) {
	var answer api.Purged
	err := c.post(ctx, &answer, nil, at(d, "purge")...)
	return answer.Removed, err
}

// Remove removes a destination.
func (c *Client) Remove(ctx context.Context, d message.Destination) error {
	return c.call(ctx, http.MethodDelete, nil, nil, nil, at(d)...)
}

// RemoveSubscription removes a durable subscription without consumers. clientID may be "" of a shared one.
func (c *Client) RemoveSubscription(ctx context.Context, clientID, name string) error {
	return c.call(ctx, http.MethodDelete, nil, nil, url.Values{"client": {clientID}, "name": {name}}, "subscription")
}

// PurgeSubscription removes what waits in a durable subscription, and says how much it was.
func (c *Client) PurgeSubscription(ctx context.Context, clientID, name string) (int, error) {
	var answer api.Purged
	err := c.call(ctx, http.MethodPost, &answer, nil, url.Values{"client": {clientID}, "name": {name}}, "subscription", "purge")
	return answer.Removed, err
}

// Instances lists the nodes of a broker that several run.
func (c *Client) Instances(ctx context.Context) ([]api.Instance, error) {
	var answer api.Instances
	err := c.get(ctx, &answer, nil, "instances")
	return answer.Instances, err
}

// Instance is how the node that is asked is, one of several.
func (c *Client) Instance(ctx context.Context) (*api.Instance, error) {
	answer := &api.Instance{}
	return answer, c.get(ctx, answer, nil, "instance")
}

// SwitchOver makes another instance the active one, for good. An empty name is the standby.
func (c *Client) SwitchOver(ctx context.Context, to string) (*api.SwitchedOver, error) {
	answer := &api.SwitchedOver{}
	return answer, c.post(ctx, answer, api.SwitchOver{To: to}, "switchover")
}

// Transactions lists at most limit transactions, those prepared the longest first (0: as many as the API gives by itself).
func (c *Client) Transactions(ctx context.Context, limit int) (*broker.TransactionsView, error) {
	query := url.Values{}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	answer := &broker.TransactionsView{}
	return answer, c.get(ctx, answer, query, "transactions")
}

// SettleTransaction commits or rolls back a prepared transaction. xid is as Transactions gives it.
func (c *Client) SettleTransaction(ctx context.Context, xid string, commit bool) error {
	verb := "rollback"
	if commit {
		verb = "commit"
	}
	return c.post(ctx, nil, nil, "transactions", xid, verb)
}

// Reload has the configuration read again.
func (c *Client) Reload(ctx context.Context) (*api.Reloaded, error) {
	answer := &api.Reloaded{}
	return answer, c.post(ctx, answer, nil, "reload")
}

// Refusals lists whom mode observe admitted though mode mandatory would not.
func (c *Client) Refusals(ctx context.Context) (*api.Refusals, error) {
	answer := &api.Refusals{}
	return answer, c.get(ctx, answer, nil, "refusals")
}

// Version says what is running there.
func (c *Client) Version(ctx context.Context) (*api.Version, error) {
	answer := &api.Version{}
	return answer, c.get(ctx, answer, nil, "version")
}

// Caller says who calls there, and what that one may do.
func (c *Client) Caller(ctx context.Context) (*api.Caller, error) {
	answer := &api.Caller{}
	return answer, c.get(ctx, answer, nil, "caller")
}

// Listeners are where clients reach the node that is asked.
func (c *Client) Listeners(ctx context.Context) ([]api.Listener, error) {
	var answer api.Listeners
	err := c.get(ctx, &answer, nil, "listeners")
	return answer.Listeners, err
}

// History is how a destination was in the last hour, or with "" all together.
func (c *Client) History(ctx context.Context, destination string) (*api.History, error) {
	query := url.Values{}
	if destination != "" {
		query.Set("destination", destination)
	}
	answer := &api.History{}
	return answer, c.get(ctx, answer, query, "history")
}

func (c *Client) get(ctx context.Context, answer any, query url.Values, path ...string) error {
	return c.call(ctx, http.MethodGet, answer, nil, query, path...)
}

func (c *Client) post(ctx context.Context, answer, body any, path ...string) error {
	return c.call(ctx, http.MethodPost, answer, body, nil, path...)
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 30

// Unreachable says that nobody answers at the API's address.
type Unreachable struct {
	URL string
	Err error
}

// Error says what to do.
func (e *Unreachable) Error() string {
	why := e.Err.Error()
	var op *net.OpError
	if errors.As(e.Err, &op) {
		why = op.Err.Error()
	}
	hint := "is `godwit serve` running? another address is given by --api or GODWIT_API"
	if errors.Is(e.Err, syscall.ECONNREFUSED) {
		why = "connection refused"
	}
	return fmt.Sprintf("cannot reach the broker at %s (%s): %s", e.URL, why, hint)
}

// Unwrap gives the cause.
func (e *Unreachable) Unwrap() error { return e.Err }

// Do sends a request that was made elsewhere, to an address below the API's URL, with the client's credentials.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	if c.user != "" {
		r.SetBasicAuth(c.user, c.password)
	}
	response, err := c.http.Do(r)
	if err != nil && r.Context().Err() != nil {
		return nil, context.Cause(r.Context())
	}
	if err != nil {
		return nil, &Unreachable{URL: c.URL(), Err: err}
	}
	return response, nil
}

// Refusal is the error of an answer that is no success, whose body is data.
func (c *Client) Refusal(response *http.Response, data []byte) error {
	return refusal(c.URL(), response, data)
}

func (c *Client) call(ctx context.Context, method string, answer, body any, query url.Values, path ...string) error {
	request, err := c.request(ctx, method, body, query, path)
	if err != nil {
		return err
	}
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("read the answer of %s: %w", c.URL(), err)
	}
	if response.StatusCode != http.StatusOK {
		return refusal(c.URL(), response, data)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("the answer of %s is not Godwit's: %w", c.URL(), err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method string, body any, query url.Values, path []string) (*http.Request, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, fmt.Errorf("make request: %w", err)
		}
	}
	escaped := "/api/v1"
	for _, part := range path {
		escaped += "/" + escape(part)
	}
	target := c.base.String() + escaped
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	return request, nil
}

// escape makes one path segment of any text; "." and ".." would else be taken for steps.
func escape(part string) string {
	if part == "." || part == ".." {
		return strings.ReplaceAll(part, ".", "%2E")
	}
	return url.PathEscape(part)
}

// refusal is the error of an answer that is no success.
func refusal(base string, response *http.Response, data []byte) error {
	e := &api.Error{}
	if json.Unmarshal(data, e) != nil || e.Code == "" {
		return fmt.Errorf("%s answered %s: is it Godwit's API?", base, response.Status)
	}
	e.Status = response.StatusCode
	if e.Code == api.Unauthorized {
		e.Detail += "; give --user, and the password in GODWIT_PASSWORD or at the prompt"
	}
	return e
}

// Retryable says whether a call that failed may succeed a moment later.
func Retryable(err error) bool {
	var e *api.Error
	var u *Unreachable
	return errors.As(err, &e) && e.Code == api.Unavailable || errors.As(err, &u)
}

// RetryDelay is a good time to wait before that.
const RetryDelay = time.Second
