package activemq

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxExpanded bounds a value after its ${...} have been replaced: they may stand for one another.
const (
	maxExpanded = 64 << 10
	maxNested   = 8
)

// properties are what ${NAME} stands for. As with Spring, nothing is replaced unless the file has a bean for it.
type properties struct {
	active bool
	given  map[string]string   // told to the import: counts over all
	files  map[string]string   // of the files that the bean names
	rest   []map[string]string // environment, and the folders that ActiveMQ's start script sets
}

func newProperties(im *importer) properties {
	base := filepath.Dir(im.folder)
	environ := map[string]string{}
	for _, pair := range im.options.Environ {
		name, value, _ := strings.Cut(pair, "=")
		environ[name] = value
	}
	script := map[string]string{"activemq.conf": im.folder, "activemq.base": base, "activemq.home": base, "activemq.data": filepath.Join(base, "data")}
	return properties{given: im.options.Properties, files: map[string]string{}, rest: []map[string]string{environ, script}}
}

func (p *properties) find(name string) (string, bool) {
	for _, m := range append([]map[string]string{p.given, p.files}, p.rest...) {
		if value, ok := m[name]; ok {
			return value, true
		}
	}
	return "", false
}

// encrypted says what to do about a value that is encrypted, given as the file has it.
func encrypted(value string) error {
	const what = "is encrypted, which cannot be read here: decrypt it with ActiveMQ's own tool and "
	if _, rest, ok := strings.Cut(value, "${"); ok {
		name, _, _ := strings.Cut(rest, "}")
		name, _, _ = strings.Cut(name, ":")
		return fmt.Errorf(what+"give it with -D %s=VALUE", name)
	}
	return errors.New(what + "write it in a copy of the file")
}

// expand replaces ${NAME} and ${NAME:DEFAULT}. It fails for what has no value, and for ENC(...).
func (p *properties) expand(value string) (string, error) {
	written := value
	if p.active {
		var err error
		if value, err = p.replace(value, 0); err != nil {
			return value, err
		}
	}
	if strings.Contains(value, "ENC(") {
		return "ENC(...)", encrypted(written)
	}
	return value, nil
}

// try is expand for what is only shown.
func (p *properties) try(value string) string {
	if out, err := p.expand(value); err == nil {
		return out
	}
	return value
}

func (p *properties) replace(value string, depth int) (string, error) {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(value, "${")
		b.WriteString(before)
		if !ok {
			return b.String(), nil
		}
		name, rest, ok := strings.Cut(after, "}")
		if !ok {
			b.WriteString("${" + after)
			return b.String(), nil
		}
		name, usual, hasUsual := strings.Cut(name, ":")
		found, ok := p.find(name)
		switch {
		case !ok && hasUsual:
			found = usual
		case !ok:
			return value, fmt.Errorf("${%s} has no value; give it with -D %s=VALUE", name, name)
		case depth >= maxNested:
			return value, fmt.Errorf("${%s} stands for itself", name)
		}
		found, err := p.replace(found, depth+1)
		if err != nil {
			return value, err
		}
		if b.WriteString(found); b.Len() > maxExpanded {
			return value, fmt.Errorf("${%s} stands for more than %d KiB", name, maxExpanded>>10)
		}
		value = rest
	}
}

// placeholderFiles reads the property files that a bean for ${...} names.
func (im *importer) placeholderFiles(n *node) {
	if !isPlaceholderBean(n) {
		return
	}
	im.properties.active = true
	for name, value := range inlineProperties(n) {
		im.properties.files[name] = value
	}
	for _, location := range locations(n) {
		path := im.path(location)
		data, err := im.read(path)
		if err != nil {
			item := im.add(Item{Kind: Note, File: n.file, Line: n.line, Path: n.name, Value: location})
			item.lack("the file cannot be read (%v); give the values that it has with -D NAME=VALUE", plainError(err))
			continue
		}
		for _, e := range parseProperties(data) {
			im.properties.files[e.key] = e.value
		}
	}
}

func isPlaceholderBean(n *node) bool {
	return n.name == "bean" && strings.Contains(n.value("class"), "Placeholder") || n.name == "property-placeholder"
}

// locations are the files that a bean for ${...} names, in one of Spring's forms.
func locations(n *node) []string {
	var list []string
	n.all(func(at *node) {
		switch {
		case at.name == "property" && (at.value("name") == "location" || at.value("name") == "locations") && at.value("value") != "":
			list = append(list, at.value("value"))
		case at.name == "value" && at.text != "":
			list = append(list, at.text)
		case at.name == "property-placeholder":
			list = append(list, strings.Split(at.value("location"), ",")...)
		}
	})
	return slices.DeleteFunc(list, func(s string) bool { return strings.TrimSpace(s) == "" })
}

func inlineProperties(n *node) map[string]string {
	m := map[string]string{}
	n.all(func(at *node) {
		if at.name == "prop" {
			m[at.value("key")] = at.text
		}
	})
	return m
}

// path finds a file that the configuration names: Spring's file: and classpath:, and relative names, are taken from the folder of activemq.xml.
func (im *importer) path(location string) string {
	location = strings.TrimSpace(im.properties.try(location))
	for _, prefix := range []string{"file://", "file:", "classpath*:", "classpath:"} {
		location = strings.TrimPrefix(location, prefix)
	}
	// Without the bean for ${...} ActiveMQ would not find it either; its folder is meant all the same.
	location = strings.ReplaceAll(location, "${activemq.conf}", im.folder)
	if filepath.IsAbs(location) {
		return filepath.Clean(location)
	}
	return filepath.Join(im.folder, location)
}

// plainError is an error without the path, which is told already.
func plainError(err error) error {
	var of *os.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// property is a line of a Java properties file.
type property struct {
	key, value string
	line       int
}

// parseProperties reads Java's format (java.util.Properties): comments, continued lines, and escapes; bytes are ISO-8859-1.
func parseProperties(data []byte) []property {
	var list []property
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(latin1(data))), "\n")
	for i := 0; i < len(lines); i++ {
		first := i + 1
		line := strings.TrimLeft(lines[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continued(line) && i+1 < len(lines) {
			i++
			line = line[:len(line)-1] + strings.TrimLeft(lines[i], " \t\f")
		}
		key, value := splitProperty(line)
		list = append(list, property{unescape(key), unescape(value), first})
	}
	return list
}

// continued says whether a line ends with a backslash that is not escaped itself.
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

func splitProperty(line string) (key, value string) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '=', ':':
			return line[:i], strings.TrimLeft(line[i+1:], " \t\f")
		case ' ', '\t', '\f':
			rest := strings.TrimLeft(line[i:], " \t\f")
			if rest != "" && (rest[0] == '=' || rest[0] == ':') {
				rest = strings.TrimLeft(rest[1:], " \t\f")
			}
			return line[:i], rest
		}
	}
	return line, ""
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if s[i] == 'u' && i+4 < len(s) {
			if r, err := strconv.ParseUint(s[i+1:i+5], 16, 32); err == nil {
				b.WriteRune(rune(r))
				i += 4
				continue
			}
		}
		if j := strings.IndexByte("tnrf", s[i]); j >= 0 {
			b.WriteByte("\t\n\r\f"[j])
		} else {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
