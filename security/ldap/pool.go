package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
	"github.com/godwitmq/godwit/security"
)

// pool keeps a few connections to the first server that answers.
type pool struct {
	o      *Options
	places chan struct{} // one for each connection in use

	mu      sync.Mutex
	idle    []*connection // the last one used is at the end
	resting map[string]rest
	closed  bool
}

// rest is of a server that did not answer.
type rest struct {
	until time.Time
	why   error
}

func newPool(o *Options) *pool {
	return &pool{o: o, places: make(chan struct{}, o.Connections), resting: map[string]rest{}}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.drop()
}

// drop closes what is idle. The caller holds p.mu.
func (p *pool) drop() {
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
}

// with gives a connection to a question, and a fresh one if the one it had been given was gone. It fails with an *Unavailable for what is no answer.
func (p *pool) with(question func(*connection) error) error {
	p.places <- struct{}{}
	defer func() { <-p.places }()
	if c := p.take(); c != nil {
		err := question(c)
		if !broken(err) {
			return p.give(c, err)
		}
		c.close()
		p.mu.Lock()
		p.drop() // they are of the same server
		p.mu.Unlock()
	}
	var last error
	for _, host := range p.o.Hosts {
		p.mu.Lock()
		r := p.resting[host]
		p.mu.Unlock()
		if time.Now().Before(r.until) {
			last = r.why
			continue
		}
		c, err := p.o.dial(host)
		if err == nil {
			if err = question(c); !broken(err) {
				return p.give(c, err)
			}
			c.close()
		}
		last = err
		p.mu.Lock()
		p.resting[host] = rest{time.Now().Add(restFor), err}
		p.mu.Unlock()
	}
	return &security.Unavailable{Text: p.noAnswer(), Err: last}
}

func (p *pool) noAnswer() string {
	if len(p.o.Hosts) == 1 {
		return "LDAP server " + p.o.Hosts[0] + " does not answer"
	}
	return "LDAP servers " + strings.Join(p.o.Hosts, ", ") + " do not answer"
}

// take is a connection that waits for use, or nil.
func (p *pool) take() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := time.Now().Add(-idleFor)
	p.idle = slices.DeleteFunc(p.idle, func(c *connection) bool {
		gone := c.used.Before(old) || c.ldap.IsClosing()
		if gone {
			c.close()
		}
		return gone
	})
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c
}

// give takes a connection back. An error that the server itself gave, and that is no verdict, is an *Unavailable: it says nothing about a password.
func (p *pool) give(c *connection, err error) error {
	c.used = time.Now()
	p.mu.Lock()
	if p.closed {
		c.close()
	} else {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if err == nil || isVerdict(err) {
		return err
	}
	return &security.Unavailable{Text: "LDAP server " + c.host + " does not answer as it should", Err: err}
}

func isVerdict(err error) bool {
	return errors.Is(err, security.ErrElsewhere) || errors.Is(err, security.ErrWrongPassword)
}

// broken says whether an error means that a connection is of no use any more, or its server: all but what the server said after due thought.
func broken(err error) bool {
	if err == nil || isVerdict(err) {
		return false
	}
	said, ok := errors.AsType[*ldap.Error](err)
	return !ok || said.ResultCode >= ldap.ErrorNetwork || ldap.IsErrorAnyOf(said, ldap.LDAPResultUnavailable, ldap.LDAPResultBusy, ldap.LDAPResultProtocolError)
}

// connection is one to a server, for one question at a time.
type connection struct {
	o     *Options
	host  string
	ldap  *ldap.Conn
	used  time.Time
	bound bool // as the service account
}

// dial connects, and does TLS; every step is bounded by the timeout.
func (o *Options) dial(host string) (*connection, error) {
	address, err := o.address(host)
	if err != nil {
		return nil, err
	}
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.Timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	secure := &tls.Config{ServerName: name, RootCAs: o.Roots, MinVersion: tls.VersionTLS12}
	if o.Transport == LDAPS {
		c := tls.Client(raw, secure)
		if err := c.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS with %s: %w", host, err)
		}
		raw = c
	}
	c := &connection{o: o, host: host, ldap: ldap.NewConn(raw, o.Transport == LDAPS)}
	c.ldap.SetTimeout(o.Timeout)
	c.ldap.Start()
	if o.Transport == StartTLS {
		stop := context.AfterFunc(ctx, func() { raw.Close() }) // the library's handshake has no bound of its own
		err := c.ldap.StartTLS(secure)
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			c.close()
			return nil, fmt.Errorf("TLS with %s: %w", host, err)
		}
	}
	return c, nil
}

func (c *connection) close() { c.ldap.Close() }

// serve makes the connection the service account's.
func (c *connection) serve() error {
	if c.bound {
		return nil
	}
	var err error
	if c.o.ServiceAccountUsername == "" {
		err = c.ldap.UnauthenticatedBind("") // nobody's, which a connection is from the start, but not after a user's bind
	} else {
		err = c.ldap.Bind(c.o.ServiceAccountUsername, c.o.ServiceAccountPassword)
	}
	if err != nil {
		return fmt.Errorf("bind as service account %q: %w", c.o.ServiceAccountUsername, err)
	}
	c.bound = true
	return nil
}

// bind makes the connection a user's, if the password is right.
func (c *connection) bind(dn, password string) error {
	c.bound = false
	return c.ldap.Bind(dn, password)
}

// search finds entries, at most limit.
func (c *connection) search(base string, subtree bool, filter string, limit int, attributes ...string) ([]*ldap.Entry, error) {
	scope := ldap.ScopeSingleLevel
	if subtree {
		scope = ldap.ScopeWholeSubtree
	}
	found, err := c.ldap.Search(ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, limit, int(max(c.o.Timeout.Seconds(), 1)), false, filter, attributes, nil))
	if err != nil && !(ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) && found != nil) {
		return nil, fmt.Errorf("search %q for %s: %w", base, filter, err)
	}
	return found.Entries, nil
}
