package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// How a host becomes a node: it has a token, makes a key, and sends to the inviter, by TLS, the token's secret and a certificate request. It gets a certificate for that
// key, and what else it needs. When it has written all to its disk it sends the same again, with Written, and is told that it has joined.
//
// Each side knows the other before it says anything: the host takes no other server than one with a certificate that the authority in the token has made for an inviter,
// and the inviter tells nothing, not even whose name it has heard, before it has seen the secret of a token. The authority's key signs here and nowhere else, so the
// inviter is a command of an operator and no part of a node.

// Bounds of what an inviter takes from whoever reaches it.
const (
	maxRequest     = 16 << 10 // bytes of the body; a request has less than one KiB
	maxAnswer      = 8 << 20
	maxConnections = 64
	requestTime    = 10 * time.Second
	answerTime     = 30 * time.Second
	// maxWrong secrets from an address (IPv6: a /64) within wrongTime; then nothing that comes from there counts until the time is over.
	maxWrong  = 5
	wrongTime = time.Minute
	// maxSuspects is how many addresses are remembered for wrong secrets.
	maxSuspects = 1024
)

const (
	// inviterName is in the certificate of an inviter and in no node's: who has only a node's key cannot pass for an inviter and collect the secrets of others.
	inviterName = "invite.godwit.invalid"
	// JoinPath is where hosts ask.
	JoinPath = "/join"
)

// joinRequest is what a host sends, as JSON.
type joinRequest struct {
	Node    string `json:"node"`
	Secret  []byte `json:"secret"`
	Request []byte `json:"request"` // PKCS #10, DER
	Written bool   `json:"written"` // the answer of before is on the host's disk
}

// joinAnswer is what it gets: one of both.
type joinAnswer struct {
	Error string `json:"error,omitempty"`
	Given *Given `json:"given,omitempty"`
}

// Given is what a host gets to become a node, beside what it has itself: its key.
type Given struct {
	Certificate []byte `json:"certificate"`     // PEM, for the key that it has shown
	Authority   []byte `json:"authority"`       // PEM
	Config      []byte `json:"config"`          // its godwit.yaml
	Users       []byte `json:"users,omitempty"` // the file of users; nil: none is needed
}

// Invited is a node that a host may become.
type Invited struct {
	Node   string
	Hosts  []string // names or addresses at which the other nodes reach it: what its certificate is for, whatever the host asks for
	Config []byte
	Users  []byte
}

// JoinEvent is something that an inviter's operator wants to see. Without Refused and Joined the node was given its certificate.
type JoinEvent struct {
	Node    string // whose token was shown; "" if it was nobody's
	From    string // the host's address
	Joined  bool   // all is on its disk
	Refused error
}

// Inviter gives hosts that have a token what they need to be nodes, for some time. Of the tokens it keeps hashes of the secrets only, in memory: who starts another one
// makes new tokens.
type Inviter struct {
	authority *Authority
	until     time.Time
	tell      func(JoinEvent)
	done      chan struct{} // closed when all have joined

	mu    sync.Mutex
	nodes []*invitation
	wrong wrongSecrets
}

type invitation struct {
	Invited
	secret [sha256.Size]byte // its hash. The secret is random and as long as a key: no slow hash is needed
	key    []byte            // that used the token first (PKIX, DER); nil: none
	from   string
	at     time.Time
	given  *Given
	joined bool
}

// Invite makes an inviter for nodes, and a token for each, in the same order. addresses are where hosts will reach it. tell is called for each event, one at a time, and
// may not call the inviter.
func (a *Authority) Invite(addresses []string, until time.Time, nodes []Invited, tell func(JoinEvent)) (*Inviter, []Token, error) {
	i := &Inviter{authority: a, until: until, tell: tell, done: make(chan struct{})}
	var tokens []Token
	for _, n := range nodes {
		if size := len(n.Config) + len(n.Users); size > maxAnswer/2 { // it grows on the way
			return nil, nil, fmt.Errorf("configuration and users of %s are %d bytes; at most %d can be sent", n.Node, size, maxAnswer/2)
		}
		t, secret, err := a.Token(addresses, n.Node)
		if err != nil {
			return nil, nil, err
		}
		tokens = append(tokens, t)
		i.nodes = append(i.nodes, &invitation{Invited: n, secret: secret})
	}
	return i, tokens, nil
}

// Token makes one for a node, and the hash of its secret, which is what whoever invites keeps.
func (a *Authority) Token(addresses []string, node string) (t Token, secret [sha256.Size]byte, err error) {
	t = Token{Addresses: addresses, Node: node, Authority: sha256.Sum256(a.cert.Raw)}
	if _, err := rand.Read(t.secret[:]); err != nil {
		return t, secret, err
	}
	return t, sha256.Sum256(t.secret[:]), t.check()
}

// Serve answers hosts until all have joined or the time is over, and returns nil, or until ctx ends. It closes the listener.
func (i *Inviter) Serve(ctx context.Context, l net.Listener) error {
	certificate, err := i.certificate()
	if err != nil {
		l.Close()
		return err
	}
	server := &http.Server{
		Handler: i, ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: requestTime, MaxHeaderBytes: 4 << 10,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13},
		Protocols: new(http.Protocols), DisableGeneralOptionsHandler: true,
		ErrorLog: log.New(io.Discard, "", 0), // of handshakes that others begin and do not end
	}
	server.Protocols.SetHTTP1(true)
	ended := make(chan error, 1)
	go func() { ended <- server.ServeTLS(&bounded{l, make(chan struct{}, maxConnections)}, "", "") }()
	over := time.NewTimer(time.Until(i.until))
	defer over.Stop()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		err = ctx.Err()
	case <-over.C:
	case <-i.done:
	}
	// The last answer still goes out.
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
	defer cancel()
	_ = server.Shutdown(ending)
	_ = server.Close()
	<-ended
	return err
}

// Missing are the nodes that have not joined.
func (i *Inviter) Missing() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var names []string
	for _, n := range i.nodes {
		if !n.joined {
			names = append(names, n.Node)
		}
	}
	return names
}

func (i *Inviter) certificate() (tls.Certificate, error) {
	return i.authority.inviterCertificate(i.until.Add(clocksDiffer))
}

// inviterCertificate is what an inviter shows. Its key is in memory only, and it is good for nothing between nodes.
func (a *Authority) inviterCertificate(until time.Time) (tls.Certificate, error) {
	key, err := NewKey()
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: inviterName}, DNSNames: []string{inviterName}, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &key.PublicKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key}, nil
}

// ServeHTTP answers one request of a host.
func (i *Inviter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	given, err := i.take(w, r)
	answerJoin(w, given, err)
}

// answerJoin answers a request with what was given, or why nothing was.
func answerJoin(w http.ResponseWriter, given *Given, err error) {
	var answer joinAnswer
	status := http.StatusOK
	if refused := (*Refused)(nil); errors.As(err, &refused) {
		status, answer.Error = refused.status, refused.Text
	} else if err != nil {
		status, answer.Error = http.StatusInternalServerError, "the inviter could not make the certificate; it says more"
	} else {
		answer.Given = given
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// Refused is an inviter's answer to a request that it does not obey.
type Refused struct {
	Text   string // says what is wrong and what to do
	status int
}

func (r *Refused) Error() string { return r.Text }

func refuse(status int, format string, args ...any) error {
	return &Refused{fmt.Sprintf(format, args...), status}
}

// What is said to whoever has not shown a secret.
var (
	errNoRequest = refuse(http.StatusBadRequest, "this is no request of `godwit cluster join`: use the same version of godwit here and where the token was made")
	errNoSecret  = refuse(http.StatusForbidden, "the token is none of this invite: an invite that is started again makes new ones. Take the newest")
	errSlower    = refuse(http.StatusTooManyRequests, "too many tokens from this address were wrong: try again in a minute")
)

func (i *Inviter) take(w http.ResponseWriter, r *http.Request) (*Given, error) {
	ask, err := readJoin(w, r)
	if err != nil {
		return nil, err
	}
	from := addressOf(r.RemoteAddr)
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	if i.wrong.full(from, now) {
		return nil, errSlower
	}
	n := i.find(ask.Secret)
	if n == nil {
		i.wrong.count(from, now)
		i.tell(JoinEvent{From: from.String(), Refused: errors.New("its token is none of this invite")})
		return nil, errNoSecret
	}
	event := JoinEvent{Node: n.Node, From: from.String(), Joined: ask.Written}
	given, err := i.give(n, ask, from.String(), now)
	if err != nil {
		event.Joined, event.Refused = false, err
	}
	i.tell(event)
	return given, err
}

func readJoin(w http.ResponseWriter, r *http.Request) (*joinRequest, error) {
	if r.Method != http.MethodPost || r.URL.Path != JoinPath {
		return nil, errNoRequest
	}
	ask := &joinRequest{}
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	body.DisallowUnknownFields()
	if err := body.Decode(ask); err != nil {
		return nil, errNoRequest
	}
	return ask, nil
}

// find looks for the node whose secret it is, and takes the same time for any that is not.
func (i *Inviter) find(secret []byte) (found *invitation) {
	hash := sha256.Sum256(secret)
	for _, n := range i.nodes {
		if subtle.ConstantTimeCompare(hash[:], n.secret[:]) == 1 {
			found = n
		}
	}
	return found
}

// give obeys a host that has shown a node's secret.
func (i *Inviter) give(n *invitation, ask *joinRequest, from string, now time.Time) (*Given, error) {
	again := fmt.Sprintf("invite it again: `godwit cluster invite --node %s`", n.Node)
	if ask.Node != n.Node {
		return nil, refuse(http.StatusForbidden, "the secret is that of node %s's token: take the token as it was printed for the node that this host is to be", n.Node)
	}
	if !now.Before(i.until) {
		return nil, refuse(http.StatusGone, "the invite of %s is over; %s", n.Node, again)
	}
	key, encoded, err := keyOf(ask.Request)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the certificate request of node %s: %v", n.Node, err)
	}
	// The answer may be lost on its way, or the host stop before it has written it. So a token is used up for all keys but the one that came first with it: who has that
	// one gets the same answer again, which tells nobody anything new, because only that host can use the certificate. If the first was a thief, the host hears of it here.
	if n.key != nil && !bytes.Equal(n.key, encoded) {
		return nil, refuse(http.StatusConflict, "the token was used already, at %s from %s, with another key. If that was the host that is to be %s, and its key is gone, %s. If it was not, somebody else can be "+
			"that node: then set up all nodes anew, with another authority (`godwit cluster init` into another folder)", n.at.Format(time.DateTime), n.from, n.Node, again)
	}
	if n.given == nil {
		certificate, err := i.authority.Certify(n.Node, n.Hosts, key)
		if err != nil {
			return nil, err
		}
		n.key, n.from, n.at = encoded, from, now
		n.given = &Given{Certificate: certificate, Authority: encodeCertificate(i.authority.cert), Config: n.Config, Users: n.Users}
	}
	if !ask.Written || n.joined {
		return n.given, nil
	}
	n.joined = true
	for _, other := range i.nodes {
		if !other.joined {
			return n.given, nil
		}
	}
	close(i.done)
	return n.given, nil
}

// keyOf is what a certificate request is taken for: the public key, and the proof that the sender has the private one. Which names and hosts the certificate has is not
// the host's to say.
func keyOf(request []byte) (key *ecdsa.PublicKey, encoded []byte, err error) {
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, nil, errors.New("it cannot be read")
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, nil, errors.New("its key is not ECDSA P-256")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, nil, errors.New("it is not signed with its own key")
	}
	encoded, err = x509.MarshalPKIXPublicKey(key)
	return key, encoded, err
}

// wrongSecrets counts them by address. Nobody guesses 128 bits; this keeps who tries from the operator's screen and the processor.
type wrongSecrets map[netip.Prefix]*wrongSince

type wrongSince struct {
	begun time.Time
	count int
}

// full says whether so many came from an address that no more are looked at now.
func (w wrongSecrets) full(from netip.Addr, now time.Time) bool {
	s := w[suspect(from)]
	return s != nil && s.count >= maxWrong && now.Sub(s.begun) < wrongTime
}

func (w *wrongSecrets) count(from netip.Addr, now time.Time) {
	if *w == nil || len(*w) >= maxSuspects { // who has a thousand addresses gets a few guesses more
		*w = wrongSecrets{}
	}
	s := (*w)[suspect(from)]
	if s == nil || now.Sub(s.begun) >= wrongTime {
		s = &wrongSince{begun: now}
		(*w)[suspect(from)] = s
	}
	s.count++
}

// suspect is what counts as one sender: of IPv6 a /64, in which a host chooses its address.
func suspect(from netip.Addr) netip.Prefix {
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	p, _ := from.WithZone("").Prefix(bits)
	return p
}

func addressOf(remote string) netip.Addr {
	at, _ := netip.ParseAddrPort(remote)
	return at.Addr().Unmap()
}

// bounded is a listener with a bound for the connections that are open at a time.
type bounded struct {
	net.Listener
	places chan struct{}
}

func (b *bounded) Accept() (net.Conn, error) {
	b.places <- struct{}{}
	conn, err := b.Listener.Accept()
	if err != nil {
		<-b.places
		return nil, err
	}
	return &place{Conn: conn, leave: sync.OnceFunc(func() { <-b.places })}, nil
}

// place is a connection that counts until it is closed.
type place struct {
	net.Conn
	leave func()
}

func (p *place) Close() error {
	defer p.leave()
	return p.Conn.Close()
}
