package mqapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// decode reads a request. unknown are the first keys of the body that the operation does not have: newer clients may send some.
func (op *Operation) decode(params map[string]string, query url.Values, body []byte, maxDepth int) (request any, unknown []string, err error) {
	v := reflect.New(op.Request)
	for _, m := range Members(op.Request) {
		var values []string
		switch m.In {
		case "path":
			values = []string{params[m.Wire]}
		case "query":
			values = query[m.Wire]
		default:
			continue
		}
		if err := setText(v.Elem().Field(m.index), m, values); err != nil {
			return nil, nil, err
		}
	}
	if op.hasBody() {
		d := &decoder{json: json.NewDecoder(bytes.NewReader(body)), maxDepth: maxDepth}
		d.json.UseNumber()
		if err := d.body(v.Elem(), body); err != nil {
			return nil, nil, err
		}
		unknown = d.unknown
	}
	return v.Interface(), unknown, nil
}

// setText sets a member from the path or the query.
func setText(v reflect.Value, m Member, values []string) *Error {
	for _, s := range values {
		if !utf8.ValidString(s) {
			return Errorf(BadRequest, m.Wire, "%s is not UTF-8", m.Wire)
		}
	}
	switch {
	case len(values) == 0 && m.Required:
		return Errorf(BadRequest, m.Wire, "%s is required", m.Wire)
	case len(values) == 0:
		return nil
	case v.Kind() == reflect.Slice:
		v.Set(reflect.ValueOf(values))
		return nil
	case len(values) > 1:
		return Errorf(BadRequest, m.Wire, "%s was given %d times; give it once", m.Wire, len(values))
	}
	v = settable(v)
	if v.Kind() == reflect.Int32 {
		n, err := strconv.ParseInt(values[0], 10, 32)
		if err != nil {
			return Errorf(BadRequest, m.Wire, "%s must be a whole number, not %s", m.Wire, text(values[0]))
		}
		v.SetInt(n)
		return nil
	}
	v.SetString(values[0])
	return nil
}

// settable is where the value of a member goes: what its pointer points to, if it is one.
func settable(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	v.Set(reflect.New(v.Type().Elem()))
	return v.Elem()
}

// decoder reads JSON into structures of the schema. Keys are matched exactly; unlike encoding/json it says which member has the wrong type or is
// missing, and bounds the nesting.
type decoder struct {
	json     *json.Decoder
	maxDepth int
	unknown  []string
}

// maxUnknown is how many unknown keys are remembered.
const maxUnknown = 20

// body reads the whole body; an empty one is {}.
func (d *decoder) body(v reflect.Value, raw []byte) *Error {
	if !utf8.Valid(raw) {
		return Errorf(BadRequest, "", "the body is not UTF-8")
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return required(v, nil, "")
	}
	token, err := d.token()
	if err != nil {
		return err
	}
	if token != json.Delim('{') {
		return Errorf(BadRequest, "", "the body must be a JSON object, not %s", kindOf(token))
	}
	if err := d.object(v, "", 1); err != nil {
		return err
	}
	if len(bytes.TrimSpace(raw[d.json.InputOffset():])) > 0 {
		return Errorf(BadRequest, "", "the body goes on after its JSON object")
	}
	return nil
}

func (d *decoder) token() (json.Token, *Error) {
	token, err := d.json.Token()
	if err != nil {
		return nil, Errorf(BadRequest, "", "the body is not JSON: %v (at byte %d)", err, d.json.InputOffset())
	}
	return token, nil
}

// object reads what follows a '{' that belongs to a structure.
func (d *decoder) object(v reflect.Value, path string, depth int) *Error {
	members := Members(v.Type())
	given := map[string]bool{}
	err := d.pairs(path, depth, func(key, at string) *Error {
		for _, m := range members {
			if m.Wire != key || m.In != "body" {
				continue
			}
			if given[key] {
				return Errorf(BadRequest, at, "%s was given twice", at)
			}
			present, err := d.value(v.Field(m.index), at, depth)
			given[key] = present
			return err
		}
		if len(d.unknown) < maxUnknown {
			d.unknown = append(d.unknown, at)
		}
		return d.skip(depth)
	})
	if err != nil {
		return err
	}
	return required(v, given, path)
}

// required complains of the first member that must be given and was not.
func required(v reflect.Value, given map[string]bool, path string) *Error {
	for _, m := range Members(v.Type()) {
		if m.Required && m.In == "body" && !given[m.Wire] {
			at := join(path, m.Wire)
			return Errorf(BadRequest, at, "%s is required", at)
		}
	}
	return nil
}

// pairs reads the keys of an object, and its end; each reads the value that follows.
func (d *decoder) pairs(path string, depth int, each func(key, at string) *Error) *Error {
	if depth > d.maxDepth {
		return Errorf(BadRequest, path, "the body is nested too deeply; %d levels are the limit", d.maxDepth)
	}
	for d.json.More() {
		key, err := d.token()
		if err != nil {
			return err
		}
		name, ok := key.(string)
		if !ok { // the decoder has complained of that
			return Errorf(BadRequest, path, "the body is not JSON: a key must be text")
		}
		if err := each(name, join(path, name)); err != nil {
			return err
		}
	}
	_, err := d.token()
	return err
}

// value reads one value, and says whether it was there: null is not.
func (d *decoder) value(v reflect.Value, path string, depth int) (present bool, err *Error) {
	token, err := d.token()
	if token == nil || err != nil {
		return false, err
	}
	v = settable(v)
	switch v.Kind() {
	case reflect.Struct:
		if token == json.Delim('{') {
			return true, d.object(v, path, depth+1)
		}
	case reflect.Slice:
		if token == json.Delim('[') {
			return true, d.list(v, path, depth+1)
		}
	case reflect.Map:
		if token == json.Delim('{') {
			return true, d.textMap(v, path, depth+1)
		}
	case reflect.Bool:
		if b, ok := token.(bool); ok {
			v.SetBool(b)
			return true, nil
		}
	case reflect.Int32:
		if n, ok := token.(json.Number); ok {
			i, err := strconv.ParseInt(n.String(), 10, 32)
			if err != nil {
				return true, Errorf(BadRequest, path, "%s must be a whole number from %d to %d, not %.60s", path, math.MinInt32, math.MaxInt32, n)
			}
			v.SetInt(i)
			return true, nil
		}
	case reflect.String:
		if s, ok := token.(string); ok {
			return true, setString(v, path, s)
		}
	}
	return true, Errorf(BadRequest, path, "%s must be %s, not %s", path, wanted(v), kindOf(token))
}

// setString sets text, or a value of an enumeration, in any case, to its own spelling.
func setString(v reflect.Value, path, s string) *Error {
	enum, ok := v.Interface().(interface{ values() []string })
	if !ok {
		v.SetString(s)
		return nil
	}
	for _, value := range enum.values() {
		if strings.EqualFold(value, s) {
			v.SetString(value)
			return nil
		}
	}
	return Errorf(BadRequest, path, "%s must be one of %s, in any case, not %s", path, strings.Join(enum.values(), ", "), text(s))
}

func (d *decoder) list(v reflect.Value, path string, depth int) *Error {
	if depth > d.maxDepth {
		return Errorf(BadRequest, path, "the body is nested too deeply; %d levels are the limit", d.maxDepth)
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	for d.json.More() {
		element := reflect.New(v.Type().Elem()).Elem()
		at := fmt.Sprintf("%s[%d]", path, v.Len())
		present, err := d.value(element, at, depth)
		if err == nil && !present {
			err = Errorf(BadRequest, at, "%s must be %s, not null", at, wanted(element))
		}
		if err != nil {
			return err
		}
		v.Set(reflect.Append(v, element))
	}
	_, err := d.token()
	return err
}

func (d *decoder) textMap(v reflect.Value, path string, depth int) *Error {
	found := map[string]string{}
	v.Set(reflect.ValueOf(found))
	return d.pairs(path, depth, func(key, at string) *Error {
		token, err := d.token()
		if err != nil {
			return err
		}
		value, ok := token.(string)
		if !ok {
			return Errorf(BadRequest, at, "%s must be text, not %s", at, kindOf(token))
		}
		if _, twice := found[key]; twice {
			return Errorf(BadRequest, at, "%s was given twice", at)
		}
		found[key] = value
		return nil
	})
}

// skip passes over a value, whatever it is.
func (d *decoder) skip(depth int) *Error {
	for within := 0; ; {
		token, err := d.token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			within++
		case json.Delim('}'), json.Delim(']'):
			within--
		}
		if depth+within > d.maxDepth {
			return Errorf(BadRequest, "", "the body is nested too deeply; %d levels are the limit", d.maxDepth)
		}
		if within == 0 {
			return nil
		}
	}
}

// wanted says in words what a member must be.
func wanted(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.Int32:
		return "a whole number"
	}
	return "text"
}

func kindOf(token json.Token) string {
	switch token := token.(type) {
	case nil:
		return "null"
	case bool:
		return "true or false"
	case json.Number:
		return "a number"
	case string:
		return "text"
	case json.Delim:
		if token == '[' {
			return "a list"
		}
	}
	return "an object"
}

// join is the name of a member within another. Text of the caller's, a tag's key for example, is cut.
func join(path, name string) string {
	if len(name) > 128 {
		name = strings.ToValidUTF8(name[:128], "") + "..."
	}
	if path == "" {
		return name
	}
	return path + "." + name
}
