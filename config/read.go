package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxFile bounds the configuration file: a larger one is something else by mistake.
const maxFile = 4 << 20

// maxNesting bounds brackets and indentation; ours need four. Beyond it the YAML parser's time and stack would be at risk.
const maxNesting = 32

// Override sets one key over the file and the environment.
type Override struct {
	Key    string // "data", "http.address"; "listeners" takes PROTOCOL=URL, and replaces all listeners at its first use
	Value  string
	Origin string // for messages: "flag --data"
}

// Load reads the file, then the environment (NAME=value, as os.Environ gives it), then the overrides, and checks the
// whole. path "" means godwit.yaml in the working directory, which may be missing. An error is Problems, all of them, unless
// the file cannot be read.
func Load(path string, environ []string, overrides ...Override) (*Config, error) {
	optional := path == ""
	if optional {
		path = FileName
	}
	c := Default()
	c.origins = map[string]string{}
	data, err := readFile(path)
	switch {
	case optional && errors.Is(err, os.ErrNotExist):
		data = nil
	case err != nil:
		return nil, fmt.Errorf("read configuration: %w", err)
	default:
		c.file = path
	}
	var problems Problems
	c.read(path, data, &problems)
	c.override(environment(environ), &problems)
	c.override(overrides, &problems)
	c.completePolicies()
	c.validate(&problems)
	if err := problems.err(); err != nil {
		return nil, err
	}
	c.nameListeners()
	return c, nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %s", path, Size(maxFile))
	}
	return data, nil
}

// Parse reads a configuration from data alone, over the defaults, without environment. name stands for the file in messages; relative
// paths in data are relative to its folder. The error is Problems.
func Parse(name string, data []byte) (*Config, error) {
	c := Default()
	c.origins = map[string]string{}
	c.file = name
	var problems Problems
	c.read(name, data, &problems)
	c.completePolicies()
	c.validate(&problems)
	if err := problems.err(); err != nil {
		return nil, err
	}
	c.nameListeners()
	return c, nil
}

func (c *Config) read(name string, data []byte, problems *Problems) {
	if len(strings.TrimSpace(string(data))) == 0 {
		return
	}
	if line := tooDeep(data); line > 0 {
		problems.add(fmt.Sprintf("%s:%d", name, line), "", "nested more than %d levels deep", maxNesting)
		return
	}
	r := reader{config: c, name: name, folder: filepath.Dir(name), problems: problems}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		r.syntax(err)
		return
	}
	if len(file.Docs) > 1 {
		r.problem(file.Docs[1].Start, "", "a second document; expected one")
		return
	}
	if len(file.Docs) == 1 && file.Docs[0].Body != nil {
		r.section(file.Docs[0].Body, reflect.ValueOf(c).Elem(), "")
	}
}

// tooDeep gives the first line whose brackets or indentation are deeper than maxNesting, or 0. It counts brackets in texts too, which
// do no harm here: nobody writes 32 of them.
func tooDeep(data []byte) int {
	line, depth, indent, dashes, start := 1, 0, 0, 0, true
	for _, b := range data {
		switch {
		case b == '\n':
			line, indent, dashes, start = line+1, 0, 0, true
			continue
		case b == '[' || b == '{':
			depth++
		case b == ']' || b == '}':
			depth = max(0, depth-1)
		case start && b == ' ':
			indent++
			continue
		case start && (b == '-' || b == '?'):
			dashes++
			continue
		case b == ':': // "a: b: c" is refused by the parser, but only after it went down
			dashes++
		}
		if b != ' ' && b != '-' && b != '?' {
			start = false
		}
		if depth > maxNesting || indent > 8*maxNesting || start && dashes > maxNesting {
			return line
		}
	}
	return 0
}

// reader walks the syntax tree beside the struct, so that it can name every problem with its place, not only the first.
type reader struct {
	config   *Config
	name     string
	folder   string
	problems *Problems
}

func (r *reader) where(at *token.Token) string {
	if at == nil || at.Position == nil {
		return r.name
	}
	return fmt.Sprintf("%s:%d:%d", r.name, at.Position.Line, at.Position.Column)
}

func (r *reader) problem(at *token.Token, key, format string, args ...any) {
	r.problems.add(r.where(at), key, format, args...)
}

func (r *reader) syntax(err error) {
	var located yaml.Error
	if errors.As(err, &located) {
		r.problem(located.GetToken(), "", "%s", located.GetMessage())
		return
	}
	r.problems.add(r.name, "", "%s", firstLine(err.Error()))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// tokenOf is the node's place; nil for a node that the parser left empty.
func tokenOf(n ast.Node) *token.Token {
	if n == nil {
		return nil
	}
	if m, ok := n.(*ast.MappingNode); ok && len(m.Values) > 0 {
		return m.Values[0].Key.GetToken()
	}
	return n.GetToken()
}

// section fills a struct from a mapping.
func (r *reader) section(n ast.Node, v reflect.Value, prefix string) {
	var entries []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		entries = n.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{n}
	case *ast.NullNode, *ast.CommentGroupNode:
		return
	default:
		r.problem(tokenOf(n), prefix, "is %s; expected a section with keys", nodeName(n))
		return
	}
	for _, e := range entries {
		r.entry(e, v, prefix)
	}
}

func (r *reader) entry(e *ast.MappingValueNode, v reflect.Value, prefix string) {
	word := e.Key.GetToken().Value
	var known []string
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key := f.Tag.Get("yaml")
		if key == "" {
			continue
		}
		if key == word {
			path := join(prefix, key)
			r.config.origins[path] = r.where(e.Key.GetToken())
			r.value(e.Value, v.Field(i), f, path)
			return
		}
		known = append(known, key)
	}
	if guess := Nearest(word, known); guess != "" {
		r.problem(e.Key.GetToken(), prefix, "unknown key %q; did you mean %q?", word, guess)
	} else {
		r.problem(e.Key.GetToken(), prefix, "unknown key %q; expected %s", word, oneOf(known))
	}
}

func (r *reader) value(n ast.Node, v reflect.Value, f reflect.StructField, path string) {
	if n == nil || n.Type() == ast.NullType {
		return // a key without a value says nothing
	}
	kind := typeName(f.Type)
	switch kind {
	case "section":
		r.section(n, v, path)
		return
	case "list", "list of text":
		r.list(n, v, f, path)
		return
	}
	value, err := scalar(n, kind)
	if err == nil {
		err = parse(v, f.Tag, value)
	}
	if err != nil {
		r.problem(tokenOf(n), path, "%s", err)
		return
	}
	if f.Tag.Get("path") == "yes" {
		v.SetString(r.path(v.String()))
	}
}

// path makes a path relative to the file's folder, because the file, not the place where godwit was started, is what its author knew.
func (r *reader) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(r.folder, p)
}

func (r *reader) list(n ast.Node, v reflect.Value, f reflect.StructField, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.problem(tokenOf(n), path, "is %s; expected a list (lines that begin with \"- \")", nodeName(n))
		return
	}
	if len(seq.Values) == 0 {
		v.SetZero()
		return
	}
	list := reflect.MakeSlice(f.Type, len(seq.Values), len(seq.Values))
	for i, item := range seq.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		r.config.origins[at] = r.where(tokenOf(item))
		if f.Type != textsType {
			r.section(item, list.Index(i), at)
			continue
		}
		value, err := scalar(item, "text")
		if err != nil {
			r.problem(tokenOf(item), at, "%s", err)
		}
		list.Index(i).SetString(value)
	}
	v.Set(list)
}

// scalar is the text of a node that fits the kind of value wanted.
func scalar(n ast.Node, kind string) (string, error) {
	name := nodeName(n)
	switch n := n.(type) {
	case *ast.StringNode:
		if kind == "number" || kind == "decimal" || kind == "yes/no" {
			return "", fmt.Errorf("%q is text; expected %s", n.Value, kindWords[kind])
		}
		return n.Value, nil
	case *ast.LiteralNode:
		if kind == "text" && n.Value != nil {
			return strings.TrimSpace(n.Value.Value), nil
		}
	case *ast.BoolNode:
		if kind == "yes/no" {
			return strconv.FormatBool(n.Value), nil
		}
	case *ast.IntegerNode:
		if kind == "number" || kind == "decimal" || kind == "size" || kind == "duration" && n.Token.Value == "0" {
			return fmt.Sprint(n.Value), nil
		}
		if kind == "text" {
			name += ", which is not text without quotes"
		}
	case *ast.FloatNode:
		if kind == "decimal" {
			return n.Token.Value, nil
		}
	}
	return "", fmt.Errorf("is %s; expected %s", name, kindWords[kind])
}

var kindWords = map[string]string{
	"text":     "text",
	"yes/no":   "true or false",
	"number":   "a whole number",
	"decimal":  "a number",
	"size":     "a size, for example 64 MiB",
	"duration": "a duration with a unit, for example 30s",
}

func nodeName(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a section"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode:
		return "a number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number with a fraction"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or alias, which are not supported here"
	case *ast.TagNode:
		return "a tag, which is not supported here"
	default:
		return "nothing"
	}
}
