package stomp

import (
	"fmt"
	"strings"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
	"github.com/godwitmq/godwit/security"
)

// maxNames bounds the destinations that a connection remembers by their header value.
const maxNames = 256

// name is a destination header, understood.
type name struct {
	destination message.Destination
	options     string // after '?'
}

// prefixes begin the header value of each kind.
var prefixes = [...]string{message.Queue: "/queue/", message.Topic: "/topic/", message.TempQueue: "/temp-queue/", message.TempTopic: "/temp-topic/"}

// foreign begins the header value of other connections' temporary destinations.
var foreign = [...]string{message.TempQueue: "/remote-temp-queue/", message.TempTopic: "/remote-temp-topic/"}

// resolve understands a destination header. A temporary one of this connection is made on its first use.
func (c *connection) resolve(text string) (name, error) {
	if text == c.lastName && text != "" {
		return c.last, nil
	}
	n, ok := c.names[text]
	if !ok {
		var err error
		if n, err = c.parse(text); err != nil {
			return name{}, err
		}
		if len(c.names) >= maxNames {
			clear(c.names)
		}
		c.names[text] = n
	}
	c.lastName, c.last = text, n
	return n, nil
}

func (c *connection) parse(text string) (name, error) {
	list, options, _ := strings.Cut(text, "?")
	var n name
	composite := false
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		d, err := c.parsePart(part)
		switch {
		case err != nil:
			return name{}, err
		case n.destination.IsZero():
			n.destination = d
		default:
			// The scheme is written, so that a queue whose name begins with one is read back.
			if !composite && strings.Contains(n.destination.Name, "://") {
				n.destination.Name = n.destination.String()
			}
			n.destination.Name += "," + d.String()
			composite = true
		}
	}
	switch {
	case n.destination.IsZero():
		return name{}, &refusal{text: fmt.Sprintf("No destination was given: %q", text)}
	case len(n.destination.Name) > message.MaxNameBytes:
		return name{}, &refusal{text: fmt.Sprintf("The destination name is longer than %d bytes", message.MaxNameBytes)}
	}
	n.options = options
	return n, nil
}

func (c *connection) parsePart(text string) (message.Destination, error) {
	if !strings.HasPrefix(text, "/") {
		return message.Destination{Kind: message.Queue, Name: text}, nil
	}
	kind, rest, local := message.NoDestination, "", false
	for k := message.Queue; k <= message.TempTopic; k++ {
		if r, ok := strings.CutPrefix(text, prefixes[k]); ok {
			kind, rest, local = k, r, k.IsTemporary()
			break
		}
		if !k.IsTemporary() {
			continue
		}
		if r, ok := strings.CutPrefix(text, foreign[k]); ok {
			kind, rest = k, r
			break
		}
	}
	if kind == message.NoDestination {
		return message.Destination{Kind: message.Queue, Name: text}, nil
	}
	if rest = strings.TrimSpace(rest); rest == "" {
		return message.Destination{}, &refusal{text: fmt.Sprintf("The destination %q has no name", text)}
	}
	if local {
		return c.temporary(kind, prefixes[kind]+rest)
	}
	return message.Destination{Kind: kind, Name: rest}, nil
}

// isDestination says whether a reply-to has one of the forms of a destination; others are nothing but text.
func isDestination(text string) bool {
	for _, p := range prefixes {
		if p != "" && strings.HasPrefix(text, p) {
			return true
		}
	}
	return strings.HasPrefix(text, foreign[message.TempQueue]) || strings.HasPrefix(text, foreign[message.TempTopic])
}

// temporary gives the real destination behind a local name, made now if it is new.
func (c *connection) temporary(kind message.Kind, text string) (message.Destination, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d, ok := c.temporaries[text]; ok {
		return d, nil
	}
	if len(c.temporaries) >= c.opt.MaxTemporaries {
		return message.Destination{}, &refusal{text: fmt.Sprintf("The connection has %d temporary destinations, its limit", len(c.temporaries))}
	}
	d := message.Destination{Kind: kind, Name: fmt.Sprintf("%s:%d", c.id, len(c.temporaries)+1)}
	if err := c.identity.MayCreate(security.Kind(kind), d.Name); err != nil {
		return message.Destination{}, &refusal{text: err.Error()}
	}
	c.temporaries[text] = d
	c.temporaryText[d] = text
	c.event(&broker.CreateDestination{Conn: c.core.ID(), Destination: d})
	return d, nil
}

// appendText writes a destination as this client knows it. The caller holds mu.
func (c *connection) appendText(b []byte, d message.Destination) []byte {
	if strings.Contains(d.Name, ",") {
		parts, err := d.Parts()
		if err == nil && len(parts) > 1 {
			for i, p := range parts {
				if i > 0 {
					b = append(b, ',')
				}
				b = c.appendText(b, p)
			}
			return b
		}
	}
	switch {
	case d.Kind == message.NoDestination || int(d.Kind) >= len(prefixes):
	case !d.Kind.IsTemporary():
		b = append(b, prefixes[d.Kind]...)
	default:
		if text, ok := c.temporaryText[d]; ok {
			return append(b, text...)
		}
		b = append(b, foreign[d.Kind]...)
	}
	return append(b, d.Name...)
}
