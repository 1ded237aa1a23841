// Package openwire is a client of brokers that speak OpenWire: one connection, its commands numbered and answered, its deliveries handed
// over. It is close to the protocol: who uses it speaks in the commands of codec/openwire. It is for tools and links, which need its speed
// and want to see what a JMS client hides.
package openwire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/godwitmq/godwit/codec/openwire"
)

// Options of a connection. The zero value works.
type Options struct {
	User, Password string
	ClientID       string        // exclusive in the broker. "": the connection's own id
	TLS            *tls.Config   // for ssl:// and tls://; nil: the system's authorities
	MaxFrameSize   int           // of what the broker sends, in bytes. 0 means wire.DefaultMaxFrameSize
	MaxInactivity  time.Duration // after which a silent broker counts as dead, if it agrees. 0 means 30 s
	// Dispatch is given each delivery, by the goroutine that reads: it must not wait for an answer of the broker. What it is given is valid
	// until it returns; more says that another command has arrived already. nil: the connection has no consumers.
	Dispatch func(d *wire.MessageDispatch, more bool)
}

// Limits of time while connecting, where ctx has none.
const helloPatience = 30 * time.Second

// maxPending is how many bytes may wait to be written before Post waits.
const maxPending = 1 << 20

// Conn is a connection whose client is logged in. Its methods may be called concurrently.
type Conn struct {
	conn     net.Conn
	id       string
	dispatch func(*wire.MessageDispatch, bool)
	idle     time.Duration // agreed
	lastID   atomic.Int64  // of sessions, producers, consumers and transactions
	beat     *time.Timer   // sends keep-alives
	frames   *wire.Framer  // of the reader, as decoder
	decoder  wire.Decoder
	read     chan struct{} // closed when the reader has ended

	mu      sync.Mutex // guards what follows
	room    sync.Cond  // less is pending, or the connection has failed
	encoder wire.Encoder
	out     []byte // to be written
	spare   []byte
	writing bool // somebody is, and takes along what comes meanwhile
	number  int32
	waiting map[int32]chan answer
	err     error // why the connection has ended
}

type answer struct {
	command wire.Command
	err     error
}

// RemoteError is what the broker answered instead of doing as asked, or ended the connection with.
type RemoteError struct {
	Class string // Java's, "javax.jms.InvalidDestinationException"; never to be used as more than text
	Text  string
}

func (e *RemoteError) Error() string {
	if e.Text == "" {
		return e.Class
	}
	return e.Text
}

func remote(t *wire.Throwable) error {
	if t == nil {
		return &RemoteError{Text: "the broker gave no reason"}
	}
	return &RemoteError{Class: t.Class, Text: t.Message}
}

// errClosed ends a connection that its client closed.
var errClosed = errors.New("the connection is closed")

var (
	started     = time.Now()
	connections atomic.Int64
)

// Dial connects to tcp://HOST:PORT, ssl://HOST:PORT or tls://HOST:PORT and logs in. ctx is for that alone.
func Dial(ctx context.Context, address string, options Options) (*Conn, error) {
	c, err := dial(ctx, address, options)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return c, nil
}

func dial(ctx context.Context, address string, options Options) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, helloPatience)
	defer cancel()
	conn, err := open(ctx, address, options.TLS)
	if err != nil {
		return nil, err
	}
	c := &Conn{
		conn: conn, dispatch: options.Dispatch, read: make(chan struct{}), waiting: map[int32]chan answer{},
		id: fmt.Sprintf("ID:godwit-%d-%d:%d", started.UnixNano(), connections.Add(1), 1),
	}
	c.room.L = &c.mu
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err = c.shakeHands(options)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	go c.receive()
	if c.idle > 0 {
		c.mu.Lock()
		c.beat = time.AfterFunc(c.idle/3, c.keepAlive)
		c.mu.Unlock()
	}
	login := &wire.ConnectionInfo{ConnectionID: wire.ConnectionID{Value: c.id}, ClientID: options.ClientID, UserName: options.User, Password: options.Password}
	if login.ClientID == "" {
		login.ClientID = c.id
	}
	stop = context.AfterFunc(ctx, func() { c.fail(ctx.Err()) })
	_, err = c.Call(login)
	stop()
	if err == nil {
		// The session of consumers and producers; -1 is that of the connection itself.
		err = c.Post(&wire.SessionInfo{SessionID: wire.SessionID{ConnectionID: c.id, Value: theSession}})
	}
	if err != nil {
		c.fail(err)
		<-c.read
		return nil, err
	}
	return c, nil
}

// theSession is the one that the connection has.
const theSession = 1

// open makes the socket.
func open(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	u, err := url.Parse(address)
	if err != nil || u.Port() == "" || u.Scheme != "tcp" && u.Scheme != "ssl" && u.Scheme != "tls" {
		return nil, errors.New("not an address of a broker; expected tcp://HOST:PORT or ssl://HOST:PORT")
	}
	if u.Scheme == "tcp" {
		return new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	}
	return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", u.Host)
}

// shakeHands exchanges the WireFormatInfos.
func (c *Conn) shakeHands(options Options) error {
	ours := wire.WireFormat{
		Version: wire.MaxVersion, TCPNoDelay: true, MaxInactivity: options.MaxInactivity, MaxInactivityInitialDelay: 10 * time.Second,
		MaxFrameSize: int64(options.MaxFrameSize), MaxFrameSizeEnabled: true, ProviderName: "Godwit",
	}
	if ours.MaxInactivity == 0 {
		ours.MaxInactivity = 30 * time.Second
	}
	if ours.MaxFrameSize <= 0 {
		ours.MaxFrameSize = wire.DefaultMaxFrameSize
	}
	hello, err := c.encoder.Append(nil, ours.Info())
	if err != nil {
		return err
	}
	if _, err := c.conn.Write(hello); err != nil {
		return err
	}
	c.frames = wire.NewFramer((*source)(c), options.MaxFrameSize)
	frame, err := c.frames.Next()
	if err != nil {
		return err
	}
	command, err := c.decoder.Decode(frame)
	if err != nil {
		return err
	}
	info, ok := command.(*wire.WireFormatInfo)
	if !ok {
		return fmt.Errorf("the broker began with a %s, expected WireFormatInfo", wire.TypeName(command.Code()))
	}
	theirs, err := info.WireFormat()
	if err != nil {
		return err
	}
	agreed, err := ours.Combine(theirs, wire.MinVersion)
	if err != nil {
		return err
	}
	c.decoder = wire.Decoder{Version: agreed.Version, Reuse: true}
	c.encoder = wire.Encoder{Version: agreed.Version}
	c.idle = agreed.MaxInactivity
	return nil
}

// source is what frames are read from: the socket, with a limit of silence.
type source Conn

func (s *source) Read(p []byte) (int, error) {
	if s.idle > 0 {
		if err := s.conn.SetReadDeadline(time.Now().Add(2 * s.idle)); err != nil {
			return 0, err
		}
	}
	return s.conn.Read(p)
}

// ID names the connection to the broker.
func (c *Conn) ID() string { return c.id }

// NextID gives the number of a new producer, consumer or transaction.
func (c *Conn) NextID() int64 { return c.lastID.Add(1) }

// ProducerID is that of the connection's producer n, ConsumerID that of its consumer n, Transaction its transaction n.
func (c *Conn) ProducerID(n int64) wire.ProducerID {
	return wire.ProducerID{ConnectionID: c.id, SessionID: theSession, Value: n}
}

// ConsumerID is that of the connection's consumer n.
func (c *Conn) ConsumerID(n int64) wire.ConsumerID {
	return wire.ConsumerID{ConnectionID: c.id, SessionID: theSession, Value: n}
}

// Transaction asks for something to be done with the connection's transaction n; see wire.TransactionBegin.
func (c *Conn) Transaction(n int64, what int8) *wire.TransactionInfo {
	return &wire.TransactionInfo{ConnectionID: wire.ConnectionID{Value: c.id}, TransactionID: c.TransactionID(n), Type: what}
}

// TransactionID is that of the connection's transaction n.
func (c *Conn) TransactionID(n int64) wire.TransactionID {
	return wire.TransactionID{Type: wire.CodeLocalTransactionID, ConnectionID: c.id, Value: n}
}

// numbered are commands that can be numbered, which all but WireFormatInfo can.
type numbered interface {
	wire.Command
	SetID(id int32, respond bool)
}

// Call sends a command and waits for its answer: a *wire.Response or one with a value. A refusal is a *RemoteError. The command is the
// caller's again when Call returns.
func (c *Conn) Call(command wire.Command) (wire.Command, error) {
	reply := replies.Get().(chan answer)
	c.mu.Lock()
	err := c.appendLocked(command, reply)
	if err == nil {
		c.flushLocked()
	}
	c.mu.Unlock()
	if err != nil {
		replies.Put(reply)
		return nil, err
	}
	a := <-reply
	replies.Put(reply)
	return a.command, a.err
}

var replies = sync.Pool{New: func() any { return make(chan answer, 1) }}

// Post sends commands to which no answer is wanted; the broker tells of one that failed by ending the connection. It waits while too much has
// not been written yet. The commands are the caller's again when it returns.
func (c *Conn) Post(commands ...wire.Command) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.out) > maxPending && c.err == nil {
		c.room.Wait()
	}
	var err error
	for _, command := range commands {
		if err = c.appendLocked(command, nil); err != nil {
			break // what came before is sent all the same
		}
	}
	c.flushLocked()
	return err
}

// appendLocked encodes one command. The caller holds mu.
func (c *Conn) appendLocked(command wire.Command, reply chan answer) error {
	if c.err != nil {
		return c.err
	}
	if n, ok := command.(numbered); ok {
		c.number++
		n.SetID(c.number, reply != nil)
	} else if reply != nil {
		return fmt.Errorf("a %s cannot be answered", wire.TypeName(command.Code()))
	}
	var err error
	if c.out, err = c.encoder.Append(c.out, command); err != nil {
		return err
	}
	if reply != nil {
		c.waiting[c.number] = reply
	}
	return nil
}

// flushLocked writes what is pending, unless somebody does, who takes this along. The caller holds mu, which is given up while
// writing.
func (c *Conn) flushLocked() {
	if c.writing {
		return
	}
	c.writing = true
	for len(c.out) > 0 && c.err == nil {
		b := c.out
		c.out = c.spare[:0]
		c.mu.Unlock()
		_, err := c.conn.Write(b)
		c.mu.Lock()
		if c.spare = b[:0]; cap(b) > 2*maxPending {
			c.spare = nil
		}
		if err != nil {
			c.failLocked(err)
		}
		c.room.Broadcast()
	}
	c.writing = false
}

// keepAlive tells a silent broker that the client lives.
func (c *Conn) keepAlive() {
	if c.Post(&wire.KeepAliveInfo{}) == nil {
		c.beat.Reset(c.idle / 3)
	}
}

// receive is the reading goroutine.
func (c *Conn) receive() {
	defer close(c.read)
	for {
		frame, err := c.frames.Next()
		var command wire.Command
		if err == nil {
			command, err = c.decoder.Decode(frame)
		}
		if err == nil {
			err = c.take(command)
		}
		if err != nil {
			if err == io.EOF {
				err = errors.New("the broker has ended the connection")
			}
			c.fail(err)
			return
		}
	}
}

func (c *Conn) take(command wire.Command) error {
	switch v := command.(type) {
	case *wire.MessageDispatch:
		if c.dispatch != nil {
			c.dispatch(v, c.frames.HasFrame())
		}
	case *wire.Response:
		c.answer(v.CorrelationID, answer{command: v})
	case *wire.ExceptionResponse:
		c.answer(v.CorrelationID, answer{err: remote(v.Exception)})
	case *wire.DataResponse:
		c.answer(v.CorrelationID, answer{command: v})
	case *wire.DataArrayResponse:
		c.answer(v.CorrelationID, answer{command: v})
	case *wire.IntegerResponse:
		c.answer(v.CorrelationID, answer{command: v})
	case *wire.ConnectionError:
		return remote(v.Exception)
	case *wire.KeepAliveInfo:
		if v.ResponseRequired {
			return c.Post(&wire.Response{CorrelationID: v.CommandID})
		}
	}
	return nil
}

func (c *Conn) answer(number int32, a answer) {
	c.mu.Lock()
	reply := c.waiting[number]
	delete(c.waiting, number)
	c.mu.Unlock()
	if reply != nil {
		reply <- a
	}
}

// fail ends the connection; the first reason stays.
func (c *Conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failLocked(err)
}

func (c *Conn) failLocked(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.conn.Close()
	if c.beat != nil {
		c.beat.Stop()
	}
	for number, reply := range c.waiting {
		delete(c.waiting, number)
		reply <- answer{err: err}
	}
	c.room.Broadcast()
}

// Done is closed when the connection has ended, from either side; Err says why.
func (c *Conn) Done() <-chan struct{} { return c.read }

// Err is why the connection has ended; nil while it lives, and after Close.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == errClosed {
		return nil
	}
	return c.err
}

// Sync waits until the broker has taken all that was posted before.
func (c *Conn) Sync() error {
	tx := c.NextID() // a transaction of nothing, because brokers answer keep-alives and the like in their own ways
	if err := c.Post(c.Transaction(tx, wire.TransactionBegin)); err != nil {
		return err
	}
	_, err := c.Call(c.Transaction(tx, wire.TransactionRollback))
	return err
}

// Within ends the connection after d, and so every Call that waits, unless the function that it returns is called before.
func (c *Conn) Within(d time.Duration) (done func() bool) {
	return time.AfterFunc(d, func() { c.fail(fmt.Errorf("the broker did not answer within %v", d)) }).Stop
}

// goodbyePatience is how long Close waits for the broker.
const goodbyePatience = 5 * time.Second

// Close says goodbye and ends the connection. What was posted before has been taken by the broker then, unless it returns an error, as it
// does when the broker takes more than five seconds for it, or the connection has ended before.
func (c *Conn) Close() error {
	defer c.Within(goodbyePatience)()
	_, err := c.Call(&wire.RemoveInfo{ObjectID: wire.ConnectionID{Value: c.id}})
	if err == nil {
		_ = c.Post(&wire.ShutdownInfo{}) // fails if the broker was faster to close
	}
	c.mu.Lock()
	c.failLocked(errClosed)
	if err == nil {
		c.err = errClosed
	}
	c.mu.Unlock()
	<-c.read
	if err == errClosed {
		return nil
	}
	return err
}
