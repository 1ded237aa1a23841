package activemq

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Bounds of what is read: a configuration is far below them.
const (
	maxFile  = 4 << 20
	maxDepth = 64
	maxParts = 100_000 // elements and attributes together
	maxText  = 16 << 10
)

// node is an element.
type node struct {
	name     string // without prefix
	space    string // its namespace
	file     string
	line     int
	attrs    []attr
	text     string // what stands in it, without blanks around it
	children []*node
	parent   *node
}

type attr struct {
	name  string // with its prefix, if it has one
	value string
	line  int
}

// value is an attribute's value, or "".
func (n *node) value(name string) string {
	for _, a := range n.attrs {
		if a.name == name {
			return a.value
		}
	}
	return ""
}

// all gives the node and all in it to visit, in the order of the file.
func (n *node) all(visit func(*node)) {
	visit(n)
	for _, c := range n.children {
		c.all(visit)
	}
}

// parseXML reads a document. Entities other than XML's own five are an error, and nothing outside the text is ever read: the decoder knows no
// external entities.
func parseXML(file string, data []byte) (*node, error) {
	data, err := toUTF8(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now
	p := treeBuilder{file: file, data: data}
	for {
		line, _ := d.InputPos()
		start := d.InputOffset()
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = p.token(t, line, start, d.InputOffset())
		}
		if err != nil {
			var syntax *xml.SyntaxError
			if errors.As(err, &syntax) {
				return nil, fmt.Errorf("%s:%d: %s", file, syntax.Line, syntax.Msg)
			}
			return nil, fmt.Errorf("%s:%d: %w", file, line, err)
		}
	}
	if p.root == nil {
		return nil, fmt.Errorf("%s: there is no XML element in it", file)
	}
	return p.root, nil
}

type treeBuilder struct {
	file         string
	data         []byte
	root, inside *node
	depth, parts int
}

func (p *treeBuilder) token(t xml.Token, line int, start, end int64) error {
	switch t := t.(type) {
	case xml.StartElement:
		n := &node{name: t.Name.Local, space: t.Name.Space, file: p.file, line: line, parent: p.inside}
		n.attrs = attributes(string(p.data[start:end]), line)
		p.depth++
		p.parts += 1 + len(n.attrs)
		switch {
		case p.depth > maxDepth:
			return fmt.Errorf("nested more than %d levels deep", maxDepth)
		case p.parts > maxParts:
			return fmt.Errorf("more than %d elements and attributes", maxParts)
		case len(n.attrs) != len(t.Attr):
			return fmt.Errorf("<%s>: its attributes cannot be told apart", n.name)
		}
		for i := range n.attrs {
			n.attrs[i].value = t.Attr[i].Value
		}
		if p.inside != nil {
			p.inside.children = append(p.inside.children, n)
		} else {
			p.root = n
		}
		p.inside = n
	case xml.EndElement:
		p.inside.text = strings.TrimSpace(p.inside.text)
		p.inside, p.depth = p.inside.parent, p.depth-1
	case xml.CharData:
		if text := bytes.TrimSpace(t); p.inside != nil && len(text) > 0 {
			if p.inside.text += string(t); len(p.inside.text) > maxText {
				return fmt.Errorf("text of more than %d KiB", maxText>>10)
			}
		}
	}
	return nil
}

// attributes gives names and lines of a tag's attributes, which the decoder does not tell. The decoder has accepted the tag.
func attributes(tag string, line int) []attr {
	var list []attr
	at := 0
	to := func(chars string, want bool) { // moves to the next character that is, or is not, among chars
		for at < len(tag) && strings.ContainsRune(chars, rune(tag[at])) != want {
			if tag[at] == '\n' {
				line++
			}
			at++
		}
	}
	const blank = " \t\r\n"
	to(blank+"/>", true)
	for {
		to(blank, false)
		if at >= len(tag) || tag[at] == '/' || tag[at] == '>' {
			return list
		}
		a, begin := attr{line: line}, at
		to(blank+"=", true)
		a.name = tag[begin:at]
		to(`"'`, true)
		if at >= len(tag) {
			return list
		}
		quote := tag[at : at+1]
		at++
		to(quote, true)
		at++
		list = append(list, a)
	}
}

var encoding = regexp.MustCompile(`^\s*<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// toUTF8 converts what Java's tools write.
func toUTF8(data []byte) ([]byte, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("larger than %d MiB", maxFile>>20)
	}
	data = bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))
	name := "UTF-8"
	if m := encoding.FindSubmatch(data); m != nil {
		name = strings.ToUpper(string(m[1]))
	}
	switch name {
	case "UTF-8", "UTF8", "US-ASCII":
		if !utf8.Valid(data) {
			return nil, errors.New("is not UTF-8; save it as that, or name its encoding in the first line")
		}
		return data, nil
	case "ISO-8859-1", "LATIN1":
		return latin1(data), nil
	}
	return nil, fmt.Errorf("encoding %s is not read; save it as UTF-8", name)
}

// latin1 makes UTF-8 of ISO-8859-1, in which each byte is a character.
func latin1(data []byte) []byte {
	out := make([]byte, 0, len(data))
	for _, b := range data {
		out = utf8.AppendRune(out, rune(b))
	}
	return out
}
