package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/godwitmq/godwit/control/mqapi"
	"github.com/godwitmq/godwit/control/plane"
	"github.com/godwitmq/godwit/control/plane/durable"
	"github.com/godwitmq/godwit/control/service"
	"github.com/godwitmq/godwit/vfs"
)

// managed is the service for several brokers that a node is as well: the control plane, and Amazon MQ's API in front of it.
type managed struct {
	n       *node
	plane   atomic.Pointer[durable.Plane] // nil: it cannot be asked now
	broken  chan error                    // the plane's log has failed
	service *service.Service
	amazon  *mqapi.Handler
}

// openService opens the control plane, and makes what answers for it.
func (n *node) openService() (*managed, error) {
	cfg := n.config()
	m := &managed{n: n, broken: make(chan error, 1)}
	p, err := m.open() // which takes the folder's lock
	var locked *vfs.LockedError
	if errors.As(err, &locked) {
		return nil, fmt.Errorf("the data folder %s is in use: %w\nStop that broker first, or choose another folder with --data", cfg.Data, err)
	}
	if err != nil {
		return nil, err
	}
	n.running.Go(func() { m.supervise(p) })
	secret, err := secretIn(filepath.Join(cfg.ControlPath(), "secret"))
	if err != nil {
		return nil, fmt.Errorf("the service's secret: %w", err)
	}
	m.service = service.New(service.Options{Plane: m.plane.Load, Secret: secret, Account: cfg.Service.Account, Region: cfg.Service.Region, ConsoleURL: httpURL(cfg)})
	m.amazon, err = mqapi.New(mqapi.Options{Service: m.service, Keys: m.service, Rules: mqapi.Rules{Catalog: m.service.Catalog, ConfigurationBytes: configurationBytes},
		PageKey: derived(secret, "pages"), Log: n.log})
	return m, err
}

// configurationBytes is what a revision may have: the control plane's own limit.
const configurationBytes = 256 << 10

// open opens the control plane and says what this node is like.
func (m *managed) open() (*durable.Plane, error) {
	cfg := m.n.config()
	p, err := durable.OpenDir(filepath.Join(cfg.ControlPath(), "journal"), durable.Options{
		OnBroken: func(err error) { m.broken <- err },
		Logger:   m.n.log,
	})
	if err != nil {
		return nil, err
	}
	s := cfg.Service
	ctx, cancel := within(registerWithin)
	defer cancel()
	_, err = p.Do(ctx, plane.Origin{Who: s.Node}, plane.RegisterNode{Name: s.Node, Zone: s.ZoneName(), Subnets: s.Subnets, Range: s.Range(), MemoryBytes: int64(s.Memory), Instances: s.Instances})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("register this node with the control plane: %w", err), p.Close())
	}
	m.plane.Store(p)
	return p, nil
}

// registerWithin is how long a node may take to register itself, which is one sync of the disk.
const registerWithin = time.Minute

// supervise owns the control plane: it closes it when the node stops. When its log has failed, nobody knows what the disk holds: it is opened anew, which reads what is there. The instances
// go on all the while.
func (m *managed) supervise(p *durable.Plane) {
	for {
		select {
		case <-m.n.background.Done():
			m.close(p)
			return
		case err := <-m.broken:
			m.n.log.Error("the control plane's log failed: nothing can be changed until it can be read again", "error", err)
		}
		m.close(p)
		for pause := firstPause; ; pause = min(2*pause, longPause) {
			select {
			case <-time.After(pause):
			case <-m.n.background.Done():
				return
			}
			var err error
			if p, err = m.open(); err == nil {
				m.n.log.Info("the control plane was read again")
				break
			}
			m.n.log.Error("the control plane cannot be opened; trying again", "error", err, "in", min(2*pause, longPause))
		}
	}
}

func (m *managed) close(p *durable.Plane) {
	m.plane.Store(nil)
	if err := p.Close(); err != nil {
		m.n.log.Warn("the control plane's log did not close in good order", "error", err)
	}
}

// secretIn reads 32 random bytes from a file, which is made if it is not there.
func secretIn(path string) ([]byte, error) {
	secret, err := os.ReadFile(path)
	switch {
	case err == nil && len(secret) != sha256.Size:
		return nil, fmt.Errorf("%s has %d bytes; expected %d: put it back from a backup", path, len(secret), sha256.Size)
	case err == nil || !errors.Is(err, fs.ErrNotExist):
		return secret, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	secret = make([]byte, sha256.Size)
	rand.Read(secret)
	return secret, writeFile(path, secret)
}

// derived makes a key for one purpose of a secret.
func derived(secret []byte, purpose string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(purpose))
	return h.Sum(nil)
}
