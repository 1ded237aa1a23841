// Package readiness knows who the clients are and says which of them will follow when the active instance changes, and what the others must change. It knows
// no socket and no core: sessions tell it what clients say of themselves (Facts), the Roster keeps who is here and who was, Judge draws the conclusions.
package readiness

import (
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// Facts are what is known of one client's connection. Texts come from the client and are as it sent them.
type Facts struct {
	ID       uint64         `json:"id"` // as `godwit connections` shows it
	ClientID string         `json:"clientId,omitempty"`
	User     string         `json:"user,omitempty"`
	Protocol string         `json:"protocol"`          // openwire, stomp
	Version  string         `json:"version,omitempty"` // of the protocol
	Library  string         `json:"library,omitempty"` // with its version; "" where the client does not say
	Platform string         `json:"platform,omitempty"`
	Remote   netip.AddrPort `json:"remote"`

	Endpoint   string `json:"endpoint"`             // the listener's name
	Node       string `json:"node,omitempty"`       // the instance that it dialled; "" of a broker alone
	Relayed    bool   `json:"relayed,omitempty"`    // Node brings it to the active instance
	Local      string `json:"local,omitempty"`      // the address that it dialled
	Host       string `json:"host,omitempty"`       // the host that it says it dialled
	TLS        string `json:"tls,omitempty"`        // "TLS 1.3"; "" is plain
	ServerName string `json:"serverName,omitempty"` // that it asked for in TLS

	// Failover says how it would come back: Yes and No only where the protocol tells.
	Failover Tristate `json:"failover"`
	// Credentials says what became of them, in words; Refusable that mode mandatory would refuse them.
	Credentials string `json:"credentials,omitempty"`
	Refusable   bool   `json:"refusable,omitempty"`
	// KeepAlive is after how long of silence the client is taken for dead, in ms; 0: never.
	KeepAlive int64     `json:"keepAlive"`
	Since     time.Time `json:"since"`
}

// Tristate is an answer that may be missing.
type Tristate string

// The answers.
const (
	Unknown Tristate = "unknown"
	Yes     Tristate = "yes"
	No      Tristate = "no"
)

// Key is the same for a client that comes back: its client id, without the number that a connection factory counts up; for a client without one its user and
// address. Several connections may share a key.
func (f *Facts) Key() string {
	if f.ClientID == "" {
		return f.Protocol + " " + f.User + "@" + f.Remote.Addr().String()
	}
	return f.Protocol + " " + generated.ReplaceAllString(f.ClientID, "$1")
}

var (
	// generated is an id that an ActiveMQ client makes up: ID:HOST-PORT-MILLIS-N:M, where M counts the connections of one factory. One without a host's name,
	// or with a prefix of its own, ends in the same way.
	generated = regexp.MustCompile(`^(.+-\d+-\d+-\d+):\d+$`)
	hostOf    = regexp.MustCompile(`^ID:(.+)-\d+-\d+-\d+$`)
	counted   = regexp.MustCompile(`(\d+|[-_.:#][0-9a-f]*\d[0-9a-f]*)+$`)
)

// stem is what client ids of one program have in common: of a generated one the host's name, else what is before numbers at its end.
func stem(clientID string) string {
	id := generated.ReplaceAllString(clientID, "$1")
	if host := hostOf.FindStringSubmatch(id); host != nil {
		return host[1]
	}
	if s := counted.ReplaceAllString(id, ""); s != "" {
		return strings.TrimRight(s, "-_.:#")
	}
	return clientID
}
