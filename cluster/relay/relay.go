// Package relay lets every endpoint of a pair work: the instance that is not active carries its clients' connections to
// the one that is, which serves them as if they had connected there.
//
// A [Carrier] is the side of the client's endpoint. It opens one connection to the active for each client, of mutually
// authenticated TLS 1.3, begins it with a PROXY protocol v2 header, and waits for an answer of one byte, so that a client
// is tied to an instance only once that instance has taken it. [Listen] is the active's side. Between client and
// session everything then passes as it comes; nothing of the client is read before the answer, so that until then another
// instance can be tried.
//
// The active believes its peers who a client is: they verified its certificate and saw its address.
package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"github.com/godwitmq/godwit/listen"
)

// Answers to a header. A connection that ends without one was not taken: whoever was there may be dying.
const (
	taken   byte = 1
	passive byte = 2 // this instance is not active; another may be
	refused byte = 3 // a limit, or something unknown, of the client; no use trying again
)

// ErrNotActive is why an instance does not take a connection that a peer hands over.
var ErrNotActive = errors.New("this instance is not active")

// ReceiverOptions say where an instance takes its peers' connections.
type ReceiverOptions struct {
	Address string // host:port, for peers only
	// TLS has the certificate of this instance and, as ClientCAs, that of the cluster, as listen.Handover says. Nil: plain,
	// for which Address must be a loopback one.
	TLS *tls.Config
	// Active says whether this instance is active; it must not wait. Where it is not, the peer is told, and holds its client
	// until somebody is. Nil: always.
	Active func() bool
	// Limits are those before the login, for the clients.
	Limits listen.Limits
}

// Listen opens, at the server of the endpoints, the one at which peers hand over their clients' connections. They reach
// the server's handlers with Info.Relayed. [listen.Server.Unlisten] closes it by the name that is returned.
func Listen(server *listen.Server, options ReceiverOptions) (listen.Endpoint, error) {
	active := options.Active
	if active == nil {
		active = func() bool { return true }
	}
	return server.ListenHandover(listen.Handover{
		Address: options.Address, TLS: options.TLS, Limits: options.Limits, Read: readHeader,
		Answer: func(w io.Writer, refusal error) error {
			answer := taken
			var err error
			switch {
			case refusal != nil:
				answer, err = refused, refusal
			case !active():
				answer, err = passive, ErrNotActive
			}
			if _, werr := w.Write([]byte{answer}); werr != nil {
				return fmt.Errorf("answer the peer: %w", werr)
			}
			return err
		},
	})
}
