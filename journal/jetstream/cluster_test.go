package jetstream

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godwitmq/godwit/listen/listentest"
)

// cluster is three nodes in this process, on free ports of 127.0.0.1.
type cluster struct {
	tb    testing.TB
	opts  []NodeOptions
	nodes []*Node
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func freeAddresses(tb testing.TB, n int) (addresses []string) {
	tb.Helper()
	for range n {
		l, err := listentest.Listen()
		if err != nil {
			tb.Fatal(err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

func newCluster(tb testing.TB, change func(*NodeOptions)) *cluster {
	tb.Helper()
	c := &cluster{tb: tb, nodes: make([]*Node, 3)}
	dir := tb.TempDir()
	peers := freeAddresses(tb, 3)
	for i, address := range peers {
		name := string(rune('a' + i))
		opt := NodeOptions{Name: name, Dir: filepath.Join(dir, name), Listen: address, Peers: peers, Logger: quiet()}
		if change != nil {
			change(&opt)
		}
		c.opts = append(c.opts, opt)
		c.start(i)
	}
	tb.Cleanup(func() {
		for i := range c.nodes {
			c.stop(i)
		}
	})
	return c
}

func (c *cluster) start(i int) {
	c.tb.Helper()
	n, err := StartNode(c.opts[i])
	if err != nil {
		c.tb.Fatal(err)
	}
	c.nodes[i] = n
}

func (c *cluster) stop(i int) {
	if c.nodes[i] != nil {
		c.nodes[i].Close()
		c.nodes[i] = nil
	}
}

// leader is the index of the node that leads a log's stream, or -1.
func (c *cluster) leader(opt Options) int {
	name := streamName(opt.Name, opt.Shard)
	for i, n := range c.nodes {
		if n != nil && n.server.JetStreamIsStreamLeader("$G", name) {
			return i
		}
	}
	return -1
}

var logs atomic.Int64

// options of a log of its own.
func options() Options {
	return Options{Name: fmt.Sprintf("test%d", logs.Add(1)), Logger: quiet()}
}

func patience(tb testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

// eventually waits for something that other goroutines bring about.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for begun := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			tb.Fatalf("waited 20 s in vain: %s", what)
		}
	}
}

var common struct {
	once    sync.Once
	cluster *cluster
}

// shared is a cluster for tests that do no harm to it.
func shared(t *testing.T) *cluster {
	t.Helper()
	common.once.Do(func() { common.cluster = newCluster(packageTB{t}, nil) })
	return common.cluster
}

// packageTB keeps what a test has made until the process ends.
type packageTB struct{ testing.TB }

func (p packageTB) Cleanup(func()) {}

func (p packageTB) TempDir() string {
	dir, err := os.MkdirTemp("", "godwit-jetstream")
	if err != nil {
		p.Fatal(err)
	}
	return dir
}

func TestMain(m *testing.M) {
	code := m.Run()
	if c := common.cluster; c != nil {
		for i := range c.nodes {
			c.stop(i)
		}
		os.RemoveAll(filepath.Dir(c.opts[0].Dir))
	}
	os.Exit(code)
}
