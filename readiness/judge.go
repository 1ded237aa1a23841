package readiness

import (
	"fmt"
	"strings"
	"time"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	Ready         Level = "ready"
	Warning       Level = "warning"
	WillNotFollow Level = "will not follow"
)

// Rank orders levels, the best first.
func (l Level) Rank() int {
	switch l {
	case Ready:
		return 0
	case Warning:
		return 1
	}
	return 2
}

// Finding is something about a client that somebody should know, and what to change.
type Finding struct {
	Code  string `json:"code"`
	Level Level  `json:"level"`
	// Failover says that it is about whether the client follows a failover, and not about other things.
	Failover bool   `json:"failover,omitempty"`
	Text     string `json:"text"`
	// Connections is for how many of a service's connections it holds.
	Connections int `json:"connections,omitempty"`
}

// Consumer is one of a client's.
type Consumer struct {
	Destination string `json:"destination"`
	Prefetch    int    `json:"prefetch"`
	InFlight    int    `json:"inFlight"`
	Oldest      int64  `json:"oldest,omitempty"` // for how long it has held the oldest message, ms
}

// Client is a connection with all that can be said of it.
type Client struct {
	Facts
	Service    string     `json:"service"`
	Consumers  []Consumer `json:"consumers,omitempty"`
	Reconnects int        `json:"reconnects"`         // in the last Lately
	Returned   *Return    `json:"returned,omitempty"` // the last time that it came back after its connection was cut
	Probed     *Probed    `json:"probed,omitempty"`
	Verdict    Level      `json:"verdict"`
	Findings   []Finding  `json:"findings,omitempty"`
}

// Lately is the time in which a client's reconnects are counted.
const Lately = 10 * time.Minute

const (
	manyReconnects = 10               // in Lately
	largePrefetch  = 100              // from which on a consumer that is slow takes messages from others
	longHeld       = time.Minute      // that a message is held
	oldOpenWire    = 6                // the first version that tells of failover
	keepAlive      = 30 * time.Second // what we suggest
)

// Situation is what following depends on beside the client.
type Situation struct {
	// Pair says that there is another instance; Relay that the endpoints of one that is not active work.
	Pair, Relay bool
	// Addresses are where clients reach the instances: by "tcp" and "ssl" those of OpenWire, by "stomp" and "stomp+ssl" those of STOMP, host:port each.
	Addresses map[string][]string
}

// Judge gives the findings on a client, the worst level first. It is a function of what it is given.
func Judge(c *Client, s Situation) []Finding {
	j := judge{c: c, s: s}
	j.probe()
	j.reconnect()
	j.addresses()
	j.credentials()
	j.network()
	j.churn()
	j.prefetch()
	return j.found
}

type judge struct {
	c     *Client
	s     Situation
	found []Finding
}

func (j *judge) add(code string, level Level, failover bool, format string, args ...any) {
	f := Finding{Code: code, Level: level, Failover: failover, Text: fmt.Sprintf(format, args...)}
	at := len(j.found)
	for at > 0 && j.found[at-1].Level.Rank() < level.Rank() {
		at--
	}
	j.found = append(j.found[:at], append([]Finding{f}, j.found[at:]...)...)
}

// seen says how the client was seen coming back; "" if it was not.
func (j *judge) seen() string {
	switch c := j.c; {
	case c.Returned != nil:
		return fmt.Sprintf("%v after its connection was cut", time.Duration(c.Returned.After)*time.Millisecond)
	case c.Probed != nil && c.Probed.Back:
		return fmt.Sprintf("%v after a probe closed its connection", time.Duration(c.Probed.After)*time.Millisecond)
	}
	return ""
}

// failed says that the last time when somebody looked, it did not come back.
func (j *judge) failed() bool {
	p, r := j.c.Probed, j.c.Returned
	return p != nil && !p.Back && (r == nil || r.At.Before(p.At))
}

func (j *judge) probe() {
	if j.failed() {
		j.add("probe", WillNotFollow, true, "a probe closed its connection, and it %s: look into the application's log", j.c.Probed.Text)
	}
}

func (j *judge) reconnect() {
	if j.failed() {
		return
	}
	c, seen := j.c, j.seen()
	switch {
	case c.Failover == Yes:
	case c.Failover == No && seen == "":
		j.add("no-failover", WillNotFollow, true, "no failover transport: its connection factory's URL is %s; use %s", j.url(), j.failoverURL())
	case c.Failover == No:
		j.add("no-failover", Warning, true, "no failover transport. Something around it reconnects (it was back %s), but its application gets an exception each time: use %s", seen, j.failoverURL())
	case seen != "":
	case c.Protocol == "stomp":
		j.add("reconnect-unknown", Warning, true, "STOMP does not tell whether a client reconnects, and this one has not been seen doing so: `godwit clients probe %s` finds out", c.Service)
	default:
		j.add("reconnect-unknown", Warning, true, "its library is too old to tell whether it has a failover transport, and it has not been seen coming back: `godwit clients probe %s` finds out", c.Service)
	}
}

func (j *judge) addresses() {
	if !j.s.Pair || j.s.Relay || j.c.Probed != nil && j.c.Probed.Back && j.c.Probed.To != j.c.Probed.From {
		return
	}
	j.add("addresses", Warning, true, "a standby refuses clients here (cluster.relay: false), so that it must know all addresses, which nothing on the wire tells: `godwit clients probe %s` finds out", j.c.Service)
}

func (j *judge) credentials() {
	if c := j.c; c.Refusable {
		j.add("credentials", Warning, false, "its credentials would be refused (%s): give it those of a user before credentials.mode becomes mandatory", c.Credentials)
	}
}

func (j *judge) network() {
	c := j.c
	if c.TLS == "" && !c.Remote.Addr().Unmap().IsLoopback() {
		j.add("plain", Warning, false, "not encrypted: whoever is on its way to here can read its password and messages; use %s", strings.Join(j.urls(true), " or "))
	}
	if c.KeepAlive == 0 {
		how := "wireFormat.maxInactivityDuration=30000 in its URL"
		if c.Protocol == "stomp" {
			how = fmt.Sprintf("heart-beat:%d,%d in its CONNECT frame", keepAlive.Milliseconds(), keepAlive.Milliseconds())
		}
		j.add("keep-alive", Warning, false, "keep-alive is off: if the network between goes away, neither side notices for minutes; use %s", how)
	}
}

func (j *judge) churn() {
	if n := j.c.Reconnects; n >= manyReconnects {
		j.add("churn", Warning, false, "it has reconnected %d times in %v: keep its connections, in a pool (PooledConnectionFactory), rather than make one for each message", n, Lately)
	}
}

func (j *judge) prefetch() {
	for _, x := range j.c.Consumers {
		held := time.Duration(x.Oldest) * time.Millisecond
		if x.Prefetch < largePrefetch || x.InFlight < 2 || held < longHeld || !strings.HasPrefix(x.Destination, "queue://") {
			continue
		}
		how := "jms.prefetchPolicy.queuePrefetch=10 in its URL"
		if j.c.Protocol == "stomp" {
			how = "activemq.prefetchSize:10 in its SUBSCRIBE frame"
		}
		j.add("prefetch", Warning, false, "its consumer of %s holds %d messages, one of them for %v, which others cannot have meanwhile, because its prefetch is %d; use %s",
			x.Destination, x.InFlight, held.Round(time.Second), x.Prefetch, how)
	}
}

// url is what the client's URL must be about.
func (j *judge) url() string {
	return j.scheme(j.c.TLS != "") + "://" + j.c.Local
}

func (j *judge) scheme(encrypted bool) string {
	switch {
	case j.c.Protocol == "stomp" && encrypted:
		return "stomp+ssl"
	case j.c.Protocol == "stomp":
		return "stomp"
	case encrypted:
		return "ssl"
	}
	return "tcp"
}

// urls are those of all instances, in the client's protocol.
func (j *judge) urls(encrypted bool) []string {
	scheme := j.scheme(encrypted)
	var all []string
	for _, a := range j.s.Addresses[scheme] {
		all = append(all, scheme+"://"+a)
	}
	if all == nil {
		return []string{scheme + "://HOST:PORT"}
	}
	return all
}

func (j *judge) failoverURL() string {
	return "failover:(" + strings.Join(j.urls(j.c.TLS != ""), ",") + ")"
}
