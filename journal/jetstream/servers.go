package jetstream

import (
	"context"
	"errors"
	"log/slog"

	"github.com/nats-io/nats-server/v2/server"
)

// Servers is the way to the servers that keep a log's stream. All of a log's own logic stands above it: the chain, the epochs, what becomes of an append whose answer is
// lost. Below it is only what the servers are asked: by NATS in nats.go, by a simulated network and simulated servers in sim/pair.
type Servers interface {
	// Remote is the stream of that name, whose messages are published to the subject. Nothing is asked yet.
	Remote(stream, subject string) Remote
	// Close ends the connection, and the embedded server if there is one.
	Close()
}

// Remote is a log's stream as its servers show it, each from what it knows. Calls wait for askTimeout at most, or until ctx ends. An error that a server names wraps a *server.ApiError;
// after any other nothing is known.
type Remote interface {
	// Info is what the stream's leader says of it.
	Info(ctx context.Context) (*server.StreamInfo, error)
	// Create makes the stream.
	Create(ctx context.Context, c *server.StreamConfig) error
	// Purge forgets the messages before a sequence.
	Purge(ctx context.Context, before uint64) error
	// StepDown makes another node the stream's leader.
	StepDown(ctx context.Context, preferred string) error
	// LeaderGet reads one message from the stream's leader: what it does not have (ErrNoMessage) is not in the log, unless that leader is deposed and does not know it.
	LeaderGet(ctx context.Context, seq uint64) ([]byte, error)
	// LocalGet reads one message from some replica, which may not have all of the log yet (ErrNoMessage).
	LocalGet(ctx context.Context, seq uint64) ([]byte, error)
	// Fetcher reads runs of messages from some replica.
	Fetcher() (Fetcher, error)
	// Publisher sends messages. answered is called from one goroutine, with the token that Publish was given.
	Publisher(answered func(token uint64, v Verdict)) (Publisher, error)
	// LedHere says whether this node's own server leads the stream, as far as it knows. It asks nobody else.
	LedHere() bool
	// Closed says that the connection was closed for good, because the node ends or starts its server again: nothing will be answered any more.
	Closed() bool
}

// Fetcher reads runs of messages. One goroutine uses it.
type Fetcher interface {
	// Fetch gives fn what some replica has from a sequence on, up to a limit, and returns how many messages that were and how many more the replica has.
	// After an error of fn nothing is given any more. It waits twice as long as other calls.
	Fetch(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) (n int, more uint64, err error)
	Close()
}

// Publisher sends messages whose answers come to a function.
type Publisher interface {
	// Publish appends data on the condition that the stream's last sequence is `last`. It does not wait for the answer. The data may be changed when it returns.
	Publish(token, last uint64, data []byte) error
	Close()
}

// Verdict is the answer to one append. Exactly one field is set.
type Verdict struct {
	Seq  uint64 // under which it is stored
	Err  *server.ApiError
	Lost bool // nobody was there to take it
}

// ErrNoMessage means that there is no message with the sequence, or none that the server can read.
var ErrNoMessage = errors.New("no such message")

// NodeOver is a node whose servers are others than NATS.
func NodeOver(name string, s Servers, log *slog.Logger) *Node {
	return &Node{name: name, servers: s, log: log, stop: make(chan struct{})}
}
