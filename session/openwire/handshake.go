package openwire

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/readiness"
	"github.com/godwitmq/godwit/security"
	"github.com/godwitmq/godwit/session"
)

// shakeHands exchanges the WireFormatInfos. Both sides send theirs at once; nothing else is sent before the other's has come.
func (c *connection) shakeHands() error {
	ours := wire.WireFormat{
		Version: wire.MaxVersion, CacheSize: 1024, TCPNoDelay: true,
		MaxInactivity: c.opt.MaxInactivity, MaxInactivityInitialDelay: 10 * time.Second,
		MaxFrameSize: int64(c.opt.MaxFrameSize), MaxFrameSizeEnabled: true,
		ProviderName: "ActiveMQ", // some clients look at it
	}
	if err := c.conn.SetDeadline(time.Now().Add(helloPatience)); err != nil {
		return err
	}
	var encoder wire.Encoder
	hello, err := encoder.Append(nil, ours.Info())
	if err != nil {
		return err
	}
	if _, err := c.conn.Write(hello); err != nil {
		return err
	}
	r := &c.reader
	r.frames = wire.NewFramer(c.conn, maxLoginFrame)
	frame, err := r.frames.Next()
	if err != nil {
		return err
	}
	command, err := r.decoder.Decode(frame)
	if err != nil {
		return err
	}
	info, ok := command.(*wire.WireFormatInfo)
	if !ok {
		return fmt.Errorf("the first frame is a %s, expected WireFormatInfo", wire.TypeName(command.Code()))
	}
	theirs, err := info.WireFormat()
	if err != nil {
		return err
	}
	if c.format, err = ours.Combine(theirs, wire.MinVersion); err != nil {
		return err
	}
	if major, _, _ := strings.Cut(c.format.ProviderVersion, "."); len(major) > 0 {
		if n, err := strconv.Atoi(major); err == nil && n >= 6 {
			c.jms = jakarta
		}
	}
	r.decoder = wire.Decoder{Version: c.format.Version, StackTraces: c.format.StackTrace, Reuse: true}
	c.writer.encoder = wire.Encoder{Version: c.format.Version, StackTraces: c.format.StackTrace}
	return c.conn.SetDeadline(time.Time{})
}

func (c *connection) introduction() *wire.BrokerInfo {
	b := c.deps.Broker
	return &wire.BrokerInfo{BrokerID: wire.BrokerID{Value: b.ID}, BrokerName: b.Name, BrokerURL: c.opt.URL}
}

// beforeLogin takes the commands of a client that is not logged in.
func (c *connection) beforeLogin(command wire.Command) error {
	switch v := command.(type) {
	case *wire.ConnectionInfo:
		return c.login(v)
	case *wire.BrokerInfo:
		c.reader.bridge = true
		return nil
	case *wire.ConnectionControl, *wire.BrokerSubscriptionInfo: // what a failover client or a bridge says first
		return nil
	}
	return c.refuse(command, &broker.Error{Code: broker.IllegalState, Detail: wire.TypeName(command.Code()) + " before ConnectionInfo"})
}

// refuse answers a command that ends the connection.
func (c *connection) refuse(command wire.Command, err *broker.Error) error {
	if !command.NeedsResponse() {
		return err
	}
	c.fail(command, err)
	if err.Code != broker.Denied { // which was logged where it was found
		c.log.Warn("a client was sent away", "reason", err)
	}
	c.linger()
	return errGone
}

// tellsOfFailover is the first version in which a client says whether it has a failover transport.
const tellsOfFailover = 6

// facts are what the client has told of itself.
func (c *connection) facts(v *wire.ConnectionInfo, who *security.Identity) readiness.Facts {
	f := c.peer.Facts("openwire", c.core.ID(), v.ClientID, who)
	f.Version, f.Host, f.KeepAlive = strconv.Itoa(c.format.Version), c.format.Host, c.format.MaxInactivity.Milliseconds()
	f.Library, f.Platform = strings.TrimSpace(c.format.ProviderName+" "+c.format.ProviderVersion), c.format.PlatformDetails
	switch {
	case v.FaultTolerant || v.FailoverReconnect:
		f.Failover = readiness.Yes
	case c.format.Version >= tellsOfFailover:
		f.Failover = readiness.No
	}
	return f
}

func (c *connection) login(v *wire.ConnectionInfo) error {
	r := &c.reader
	switch {
	case r.bridge || v.BrokerMasterConnector:
		return c.refuse(v, &broker.Error{Code: broker.IllegalState, Detail: "this broker takes no network connectors: point the bridge's clients at it instead"})
	case v.ConnectionID.Value == "":
		return c.refuse(v, &broker.Error{Code: broker.IllegalState, Detail: "ConnectionInfo has no connection id"})
	case v.ClientID == "":
		return c.refuse(v, &broker.Error{Code: broker.InvalidClientID, Detail: "No clientID specified for connection request"})
	}
	c.pulse.Busy(true)
	who, err := c.deps.Authority.Login(c.ctx, c.peer.Credentials("openwire", v.UserName, v.Password))
	c.pulse.Busy(false)
	if err != nil {
		return c.refuse(v, &broker.Error{Code: broker.Denied, Detail: err.Error(), Err: err})
	}
	c.about = c.facts(v, who)
	if c.deps.Roster.Admits(&c.about) != nil {
		c.log.Info("a probe keeps a client away for some seconds", "client", v.ClientID)
		return errGone
	}
	r.who, r.name, r.clientID, r.again = who, v.ConnectionID.Value, v.ClientID, v.FailoverReconnect
	r.tolerant = v.FaultTolerant || v.FailoverReconnect
	if r.tolerant {
		c.core.Movable()
	}
	r.unwatch = session.Watch(who, c.core)
	r.sessions = map[int64]struct{}{}
	r.producers = map[objectKey]*producer{}
	r.open = map[broker.TxID]*broker.Error{}
	r.frames.SetMaxFrameSize(c.opt.MaxFrameSize)
	kind := refLoginSilently
	if v.ResponseRequired {
		kind = refLogin
	}
	index := uint64(0)
	if v.Manageable {
		index = 1
	}
	c.log.Debug("connected", "connection", r.name, "client", r.clientID, "user", who.Name(), "version", c.format.Version, "provider", c.format.ProviderName+" "+c.format.ProviderVersion)
	r.events = append(r.events, &broker.Connect{
		Conn: c.core.ID(), Ref: makeRef(kind, index, uint32(v.CommandID)), Name: r.name, ClientID: v.ClientID, User: who.Name(),
		Protocol: "openwire", Remote: c.peer.Remote.String(), Listener: c.peer.Listener,
	})
	return nil
}
