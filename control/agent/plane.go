package agent

import (
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
)

// Plane is what a control plane is to an agent. Its methods may be called concurrently. Errors are to be tried again, but those that are a *plane.Error.
type Plane interface {
	// Orders gives what is to be done on a node by a state whose serial is higher than after, and waits until there is one. After 0 it does not wait.
	Orders(ctx context.Context, node string, after uint64) (Orders, error)
	// Report gives a command of a node: StepDone, StepFailed, Observed. A *plane.Error of kind Stale says that the node is to look at newer orders.
	Report(ctx context.Context, node string, c plane.Command) error
	// Configuration is the data of a revision: ActiveMQ's XML.
	Configuration(ctx context.Context, ref plane.ConfigurationRef) ([]byte, error)
	// Password is that of agents at the API of a broker's instances, the same on all nodes, because instances ask each other in the caller's name.
	Password(ctx context.Context, broker string) (string, error)
	// ServerCertificate certifies, in PEM, a key of an instance for its hosts, as clients see it.
	ServerCertificate(ctx context.Context, name string, hosts []string, key *ecdsa.PublicKey) ([]byte, error)
	// NodeCertificate certifies a key of an instance for the others of its broker, and gives the authority's certificate as well, which is the broker's own.
	NodeCertificate(ctx context.Context, broker, name string, hosts []string, key *ecdsa.PublicKey) (certificate, authority []byte, err error)
}

// Orders are all that is to be done on a node, as one state of the control plane has it. An instance that is not in them is not to be there.
type Orders struct {
	Serial  uint64
	Effects []plane.Effect
	// Removed says, in words, that the node is none any more. Then nothing is said of what is to be done, and what runs goes on, but for instances that have come up elsewhere: Elsewhere has their
	// generations by broker id and number, and what is here of older ones ends.
	Removed   string            `json:",omitempty"`
	Elsewhere map[string]uint64 `json:",omitempty"`
}

// Local is the Plane of a process that has the control plane in it. Dir is a folder for what only the control plane has: the authority of servers' certificates (ca.pem is
// for clients to trust), an authority for each broker's instances, and the secret of which passwords are made.
type Local struct {
	Plane *durable.Plane
	Dir   string

	mu sync.Mutex // guards the files in Dir
}

// Orders implements Plane.
func (l *Local) Orders(ctx context.Context, node string, after uint64) (Orders, error) {
	for {
		changed := l.Plane.Changed()
		s := l.Plane.State()
		if after == 0 || s.Serial() > after {
			o := Orders{Serial: s.Serial()}
			for _, e := range s.Work() {
				if e.Spec.Node == node {
					o.Effects = append(o.Effects, e)
				}
			}
			return o, l.tidy(s)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Orders{}, ctx.Err()
		}
	}
}

// Report implements Plane.
func (l *Local) Report(ctx context.Context, node string, c plane.Command) error {
	l.Plane.NodeSeen(node)
	_, err := l.Plane.Do(ctx, plane.Origin{Who: node, Node: node}, c)
	return err
}

// Configuration implements Plane.
func (l *Local) Configuration(_ context.Context, ref plane.ConfigurationRef) ([]byte, error) {
	r := l.Plane.State().Revision(ref)
	if r == nil {
		return nil, &plane.Error{Kind: plane.NotFound, Detail: fmt.Sprintf("configuration %s has no revision %d", ref.ID, ref.Revision)}
	}
	return r.Data, nil
}

const (
	secretFile = "agents.key"
	nodesDir   = "nodes" // an authority of each broker
)

// Password implements Plane.
func (l *Local) Password(_ context.Context, broker string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	path := filepath.Join(l.Dir, secretFile)
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		secret = make([]byte, 32)
		rand.Read(secret)
		if err = os.MkdirAll(l.Dir, 0o700); err == nil {
			err = writeFile(path, secret)
		}
	}
	if err == nil && len(secret) != 32 {
		err = fmt.Errorf("%s has %d bytes; expected 32: put back the one that was there", path, len(secret))
	}
	if err != nil {
		return "", fmt.Errorf("the secret of agents: %w", err)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("agent " + broker))
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// ServerCertificate implements Plane.
func (l *Local) ServerCertificate(_ context.Context, name string, hosts []string, key *ecdsa.PublicKey) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	authority, err := cluster.OpenAuthorityNamed(l.Dir, "Godwit service")
	if err != nil {
		return nil, fmt.Errorf("the authority of servers: %w", err)
	}
	return authority.Certify(name, hosts, key)
}

// NodeCertificate implements Plane.
func (l *Local) NodeCertificate(_ context.Context, broker, name string, hosts []string, key *ecdsa.PublicKey) (certificate, own []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Plane.State().Broker(plane.Scope{}, broker) == nil { // else its authority would never go
		return nil, nil, &plane.Error{Kind: plane.NotFound, Detail: fmt.Sprintf("broker [%s] does not exist", broker)}
	}
	authority, err := cluster.OpenAuthorityNamed(filepath.Join(l.Dir, nodesDir, broker), "Godwit nodes of "+broker)
	if err != nil {
		return nil, nil, fmt.Errorf("the authority of broker %s: %w", broker, err)
	}
	certificate, err = authority.Certify(name, hosts, key)
	return certificate, authority.PEM(), err
}

// tidy removes the authorities of brokers that are gone.
func (l *Local) tidy(s *plane.State) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	there, err := os.ReadDir(filepath.Join(l.Dir, nodesDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, d := range there {
		if strings.HasPrefix(d.Name(), "b-") && s.Broker(plane.Scope{}, d.Name()) == nil && l.Plane.State().Broker(plane.Scope{}, d.Name()) == nil {
			if err := os.RemoveAll(filepath.Join(l.Dir, nodesDir, d.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
