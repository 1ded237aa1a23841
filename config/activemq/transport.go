package activemq

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/godwitmq/godwit/config"
)

// transports are the connectors and their key store, read so far.
type transports struct {
	connector *connector
	all       []*connector
	// frames are the largest frames that connectors want; unbounded says that one of them sets no bound.
	frames    []config.Size
	unbounded bool
	frameItem *Item
	tls       map[string]tlsSetting
	storeItem *Item
}

type tlsSetting struct {
	value string
	item  *Item
}

// connector is a transportConnector being read.
type connector struct {
	config.Listener
	item      *Item
	auth      *Item // who asked for client certificates
	outer     *connector
	start     int // of its items
	frame     bool
	supported bool
}

// enterConnector begins a listener.
func enterConnector(im *importer, n *node, item *Item) {
	im.transports.connector = &connector{item: item, start: len(im.items), outer: im.transports.connector}
	if n.value("uri") == "" {
		item.fail("has no uri")
	}
}

func leaveConnector(im *importer, n *node, item *Item) {
	c := im.transports.connector
	im.transports.connector = c.outer
	if !c.supported {
		if item.Verdict == Mapped {
			item.lack("see its uri")
		}
		for _, inner := range im.items[c.start:] {
			if inner.Verdict == Mapped {
				inner.lack("there is no such listener")
			}
		}
		return
	}
	c.Name = im.properties.try(n.value("name"))
	if slices.ContainsFunc(im.transports.all, func(other *connector) bool { return c.Name != "" && other.Name == c.Name }) {
		c.Name = ""
	}
	im.transports.all = append(im.transports.all, c)
}

const webSockets = "WebSockets are not spoken yet: put a WebSocket proxy before a STOMP listener, or leave browsers with the old broker"

// laterProtocols are those that ActiveMQ speaks and Godwit does not.
var laterProtocols = map[string]string{
	"amqp": "AMQP is not spoken yet: leave its clients with the old broker, or have them use OpenWire or STOMP",
	"mqtt": "MQTT is not spoken yet: leave its clients with the old broker, or have them use OpenWire or STOMP",
	"ws":   webSockets, "wss": webSockets,
	"http": "OpenWire over HTTP is not spoken: give its clients a tcp or ssl URL", "https": "OpenWire over HTTP is not spoken: give its clients an ssl URL",
	"udp": "messages over UDP could be lost: give its clients a tcp URL", "multicast": "is for finding brokers: give clients the URLs",
	"peer": "is for brokers inside their clients: give clients the URLs", "jgroups": "is for finding brokers: give clients the URLs",
	"vm": "is for clients inside the broker's own process, of which there are none",
}

func connectorURI(im *importer, value string, item *Item) {
	c := im.transports.connector
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), "://")
	address, query, _ := strings.Cut(rest, "?")
	parts := strings.Split(strings.ToLower(scheme), "+")
	options := splitOptions(query)
	for _, p := range parts {
		if why, ok := laterProtocols[p]; ok {
			item.lack("%s", why)
			im.shareOptions(options, item)
			return
		}
		if !slices.Contains([]string{"tcp", "nio", "ssl", "auto", "stomp"}, p) {
			item.fail("transport %q is not known", scheme)
			im.shareOptions(options, item)
			return
		}
	}
	address = strings.TrimSuffix(address, "/")
	if _, _, err := net.SplitHostPort(address); err != nil {
		item.fail("%q has no port; expected for example tcp://0.0.0.0:61616", hideURI(value))
		im.shareOptions(options, item)
		return
	}
	c.supported = true
	c.Protocol, c.URL = "openwire", "tcp://"+address
	for _, p := range parts {
		switch p {
		case "stomp", "auto":
			c.Protocol = p
		case "ssl":
			c.URL = "tls://" + address
		}
	}
	item.Key, item.Words = "listeners", fmt.Sprintf("%s on %s", c.Protocol, c.URL)
	for _, o := range options {
		im.connectorOption(o, item)
	}
}

// option is one of a URI's query.
type option struct{ name, value string }

func splitOptions(query string) []option {
	var list []option
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(value); err == nil {
			value = plain
		}
		list = append(list, option{name, value})
	}
	return list
}

func (im *importer) optionItem(o option, of *Item) *Item {
	value := o.value
	if secretName(o.name) {
		value = "(hidden)"
	}
	return im.add(Item{Kind: Option, File: of.File, Line: of.Line, Path: of.Path + "?" + o.name, Value: value})
}

// shareOptions tells of the options of a transport that is not there.
func (im *importer) shareOptions(options []option, of *Item) {
	for _, o := range options {
		item := im.optionItem(o, of)
		item.Verdict, item.Words, item.Within, item.around = of.Verdict, "as the transport", of.Path, of
	}
}

// connectorOption tells of one option. Its name may say which part of ActiveMQ it is for, and within auto for which protocol.
func (im *importer) connectorOption(o option, of *Item) {
	item := im.optionItem(o, of)
	name := o.name
	for _, protocol := range []string{"amqp.", "mqtt."} {
		if strings.HasPrefix(name, protocol) {
			item.lack("%s", laterProtocols[protocol[:4]])
			return
		}
	}
	for _, prefix := range []string{"openwire.", "stomp.", "default.", "transport.", "wireFormat.", "socket."} {
		name = strings.TrimPrefix(name, prefix)
	}
	r := im.books.byName["transportConnector?"+name]
	switch {
	case r == nil:
		item.lack("unknown option, which ActiveMQ would not heed either")
		if guess := config.Nearest(name, im.books.options); guess != "" {
			item.Words += "; did you mean " + guess + "?"
		}
	case r.usual != "" && strings.EqualFold(o.value, r.usual):
		item.Verdict, item.Words = Same, "ActiveMQ's default"
	default:
		item.apply(r)
		if r.as != nil {
			im.assign(r, o.value, item)
		} else if r.attribute != nil {
			r.attribute(im, o.value, item)
		}
	}
}

func optionConnections(im *importer, value string, item *Item) {
	n, err := parseNumber(value)
	if err != nil {
		item.fail("%v", err)
		return
	}
	if n = max(n, 0); n > 1<<30 { // ActiveMQ's word for no limit is the largest number
		n = 0
	}
	im.transports.connector.MaxConnections = int(n)
}

func optionFrame(im *importer, value string, item *Item) {
	size, err := parseSize(value)
	if err != nil {
		item.fail("%v", err)
		return
	}
	im.transports.connector.frame = true
	im.transports.frames = append(im.transports.frames, size)
	im.transports.frameItem = item
}

func optionAuth(word string) func(*importer, string, *Item) {
	return func(im *importer, value string, item *Item) {
		yes, err := parseBool(value)
		c := im.transports.connector
		switch {
		case err != nil:
			item.fail("%v", err)
		case !yes:
			item.Verdict, item.Key, item.Words = Same, "", "ActiveMQ's default"
		case !strings.HasPrefix(c.URL, "tls://"):
			item.Verdict, item.Key, item.Words = NotNeeded, "", "the transport has no TLS"
		default:
			c.auth = item
			if c.ClientAuth != "required" {
				c.ClientAuth = word
			}
		}
	}
}

func optionProtocols(_ *importer, value string, item *Item) {
	for p := range strings.SplitSeq(value, ",") {
		if p = strings.TrimSpace(p); p != "TLSv1.2" && p != "TLSv1.3" {
			item.lack("TLS 1.2 and 1.3 are spoken, nothing older: clients that need %s must be renewed", p)
			return
		}
	}
	if !strings.Contains(value, "TLSv1.2") {
		item.lack("TLS 1.2 cannot be switched off")
		return
	}
	item.Verdict, item.Key, item.Words = Same, "", "TLS 1.2 and 1.3 are spoken"
}

// finishTransports makes the listeners.
func (im *importer) finishTransports() {
	t := &im.transports
	im.loadStores()
	taken := map[string]string{im.config.HTTP.Address: "the API (http.address)"}
	for _, c := range t.all {
		if c.ClientAuth != "" && im.config.TLS.ClientCA == "" {
			c.auth.fail("needs the authorities that client certificates come from, but there is no trust store that could be read; set tls.clientCA and add the listener %s, which was left out", c.URL)
			continue
		}
		_, address := c.Transport()
		if other, ok := taken[address]; ok && !strings.HasSuffix(address, ":0") {
			c.item.fail("%s is taken by %s; the listener was left out", address, other)
			continue
		}
		taken[address] = c.URL
		if !c.frame && c.Protocol != "stomp" {
			t.unbounded = true
		}
		im.config.Listeners = append(im.config.Listeners, c.Listener)
		tls := strings.HasPrefix(c.URL, "tls://")
		if tls && im.config.TLS.Certificate == "" && t.storeItem == nil {
			im.note(c.item, NotSupported, false, "", "no key store is named here (javax.net.ssl.keyStore of ActiveMQ's start script?): a development certificate is used until tls.certificate and tls.key are set")
			t.storeItem = c.item
		}
	}
	im.frameSize()
	if len(im.config.Listeners) == 0 {
		im.config.Listeners = config.Default().Listeners
		im.note(nil, NotNeeded, false, "listeners", "there is no transport that could be taken over (Amazon MQ's configurations have none): the default listeners, on loopback, stay; say where clients connect")
	}
}

// frameSize makes one limit of the connectors' own: the largest.
func (im *importer) frameSize() {
	t := &im.transports
	usual := config.Default().Limits.FrameSize
	if len(t.frames) == 0 {
		return
	}
	size := slices.Max(t.frames)
	if t.unbounded {
		size = max(size, usual)
	}
	size = min(size, 1<<30)
	if size != slices.Max(t.frames) || slices.Min(t.frames) != slices.Max(t.frames) {
		t.frameItem.Words = fmt.Sprintf("%s holds for all listeners", size)
	}
	im.config.Limits.FrameSize = size
	im.set["limits.frameSize"] = t.frameItem
}

// hideURI blanks passwords in a URI, be they in its user part or among its options.
func hideURI(value string) string {
	if scheme, rest, ok := strings.Cut(value, "://"); ok {
		if user, host, ok := strings.Cut(rest, "@"); ok && !strings.ContainsAny(user, "/?(") {
			name, _, _ := strings.Cut(user, ":")
			value = scheme + "://" + name + ":(hidden)@" + host
		}
	}
	before, query, ok := strings.Cut(value, "?")
	if !ok {
		return value
	}
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if name, _, ok := strings.Cut(part, "="); ok && secretName(name) {
			parts[i] = name + "=(hidden)"
		}
	}
	return before + "?" + strings.Join(parts, "&")
}
