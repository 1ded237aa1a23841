// Package jolokia answers what tools ask of the Jolokia agent in ActiveMQ: read, search, list and version, and those operations that the configuration allows. Objects and attributes have
// ActiveMQ's names and are made of the core's view. Nothing that a request names is looked up anywhere but in that list.
//
// Answers have HTTP's status 200; the real one is in the answer, as with Jolokia.
package jolokia

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/message"
)

const (
	// MaxRequests is how many one call may have.
	MaxRequests = 1000
	// maxAnswer bounds what is answered to one call, in bytes.
	maxAnswer = 16 << 20
	// MaxBody bounds a call, in bytes.
	MaxBody = 4 << 20
)

// Request is one question.
type Request struct {
	Type      string          `json:"type"`
	MBean     string          `json:"mbean,omitempty"`
	Attribute json.RawMessage `json:"attribute,omitempty"` // a name, a list of names, or nothing for all
	Path      string          `json:"path,omitempty"`
	Operation string          `json:"operation,omitempty"`
	Arguments []any           `json:"arguments,omitempty"`
	Value     any             `json:"value,omitempty"`
	Config    Config          `json:"config,omitzero"`
}

// Config is how a question is to be answered. What else Jolokia knows there only shortens answers, or concerns exceptions, and changes nothing here.
type Config struct {
	MaxDepth     json.Number `json:"maxDepth,omitempty"` // of what list answers
	IgnoreErrors any         `json:"ignoreErrors,omitempty"`
}

// Answer is what is told.
type Answer struct {
	Request   any    `json:"request,omitempty"`
	Value     any    `json:"value"`
	Status    int    `json:"status"`
	Timestamp int64  `json:"timestamp"`
	Error     string `json:"error,omitempty"`
	ErrorType string `json:"error_type,omitempty"`
}

// The only class names that are ever told: tools tell by them what there is not.
const (
	noBean      = "javax.management.InstanceNotFoundException"
	noAttribute = "javax.management.AttributeNotFoundException"
)

// refusal is an answer's error.
type refusal struct {
	status int
	kind   string
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

// Agent answers. It is for one call.
type Agent struct {
	// View asks the core how it looks. It is called once at most.
	View  func() (*broker.View, error)
	Facts func() Facts
	// Allow are the operations that may be asked for, of Operations.
	Allow []string
	// Do carries an operation out, and says if the caller may not.
	Do func(operation string, on message.Destination) (any, error)

	Now time.Time

	seen  []bean
	facts Facts
}

func (a *Agent) beans() ([]bean, error) {
	if a.seen == nil {
		v, err := a.View()
		if err != nil {
			return nil, err
		}
		a.facts = a.Facts()
		a.seen = beans(v, a.facts, a.Now)
	}
	return a.seen, nil
}

// Answer gives the answer to a question.
func (a *Agent) Answer(r Request) Answer {
	answer := Answer{Request: r, Status: 200, Timestamp: a.Now.Unix()}
	value, err := a.value(r)
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		answer.Status, answer.Error, answer.ErrorType = refused.status, refused.text, refused.kind
	case err != nil:
		answer.Status, answer.Error = 500, "internal error; the broker's log says more"
		var core *broker.Error
		if errors.As(err, &core) {
			answer.Error = core.Detail
			switch core.Code {
			case broker.Denied:
				answer.Status = 403
			case broker.NotFound:
				answer.Status = 404
			}
		}
	default:
		answer.Value = value
	}
	return answer
}

func (a *Agent) value(r Request) (any, error) {
	switch r.Type {
	case "version":
		f := a.Facts()
		return map[string]any{"agent": "1.7.1", "protocol": "7.2", "config": map[string]string{}, "info": map[string]string{"product": "godwit", "vendor": "Godwit", "version": f.Version}}, nil
	case "read":
		return a.read(r)
	case "search":
		pattern, err := parse(r.MBean)
		if err != nil {
			return nil, err
		}
		found, err := a.fitting(pattern)
		names := make([]string, len(found))
		for i, b := range found {
			names[i] = b.name.String()
		}
		return names, err
	case "list":
		return a.list(r)
	case "exec":
		return a.exec(r)
	case "write":
		return nil, refuse(403, "attribute %s of %s cannot be written; change the configuration instead", r.Attribute, r.MBean)
	}
	return nil, refuse(400, "type %q is not known; expected read, search, list, version or exec", r.Type)
}

func parse(text string) (Name, error) {
	n, err := ParseName(text)
	if err != nil {
		return n, refuse(400, "%s", err)
	}
	return n, nil
}

func (a *Agent) fitting(pattern Name) ([]bean, error) {
	all, err := a.beans()
	if err != nil {
		return nil, err
	}
	var found []bean
	for _, b := range all {
		if pattern.Fits(b.name) {
			found = append(found, b)
		}
	}
	return found, nil
}

// one finds the bean of that name.
func (a *Agent) one(text string) (bean, error) {
	name, err := parse(text)
	if err != nil {
		return bean{}, err
	}
	if name.IsPattern() {
		return bean{}, refuse(400, "%s is a pattern; expected the name of one object", text)
	}
	found, err := a.fitting(name)
	if err == nil && len(found) == 0 {
		err = &refusal{404, noBean, name.String()}
	}
	if err != nil {
		return bean{}, err
	}
	return found[0], nil
}

func (a *Agent) read(r Request) (any, error) {
	names, single, err := attributes(r.Attribute)
	if err != nil {
		return nil, err
	}
	name, err := parse(r.MBean)
	if err != nil {
		return nil, err
	}
	if name.IsPattern() {
		if r.Path != "" {
			return nil, refuse(400, "a path goes with the name of one object, not with a pattern")
		}
		return a.readAll(name, names)
	}
	b, err := a.one(r.MBean)
	if err != nil {
		return nil, err
	}
	values := b.attributes()
	if single {
		value, ok := values[names[0]]
		if !ok {
			return nil, &refusal{404, noAttribute, "No such attribute: " + names[0]}
		}
		return inside(value, r.Path)
	}
	chosen, missing := choose(values, names)
	if missing != "" {
		return nil, &refusal{404, noAttribute, "No such attribute: " + missing}
	}
	return inside(chosen, r.Path)
}

// readAll reads the attributes of all that fit; those that an object has not are left out.
func (a *Agent) readAll(pattern Name, names []string) (any, error) {
	found, err := a.fitting(pattern)
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	for _, b := range found {
		if values, _ := choose(b.attributes(), names); len(values) > 0 {
			all[b.name.String()] = values
		}
	}
	if len(all) == 0 {
		return nil, &refusal{404, noBean, "No object fits " + pattern.String()}
	}
	return all, nil
}

// choose takes the attributes that are named, or all, and names one that there is not.
func choose(values map[string]any, names []string) (chosen map[string]any, missing string) {
	if len(names) == 0 {
		return values, ""
	}
	chosen = make(map[string]any, len(names))
	for _, n := range names {
		if value, ok := values[n]; ok {
			chosen[n] = value
		} else if missing == "" {
			missing = n
		}
	}
	return chosen, missing
}

// attributes reads the names; single says that one was asked for by itself.
func attributes(raw json.RawMessage) (names []string, single bool, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, false, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		if one == "" {
			return nil, false, nil
		}
		return []string{one}, true, nil
	}
	if json.Unmarshal(raw, &names) != nil {
		return nil, false, refuse(400, "attribute is neither a name nor a list of names")
	}
	return names, false, nil
}

// inside follows a path into a value.
func inside(value any, path string) (any, error) {
	if path == "" {
		return value, nil
	}
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var at any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&at); err != nil {
		return nil, err
	}
	for _, step := range Split(path) {
		var ok bool
		switch x := at.(type) {
		case map[string]any:
			at, ok = x[step]
		case []any:
			var i int
			if i, err = strconv.Atoi(step); err == nil && i >= 0 && i < len(x) {
				at, ok = x[i], true
			}
		}
		if !ok {
			return nil, refuse(404, "there is no %q in the value", step)
		}
	}
	return at, nil
}

// list describes objects: domain, keys, then attr, op and desc.
func (a *Agent) list(r Request) (any, error) {
	steps := Split(r.Path)
	if r.Path == "" {
		steps = nil
	}
	all, err := a.beans()
	if err != nil {
		return nil, err
	}
	depth := 0
	if r.Config.MaxDepth != "" {
		if depth, err = strconv.Atoi(r.Config.MaxDepth.String()); err != nil || depth < 0 {
			return nil, refuse(400, "maxDepth %q is no number", r.Config.MaxDepth)
		}
	}
	var want Name
	if len(steps) >= 2 {
		if want, err = parse(steps[0] + ":" + steps[1]); err != nil {
			return nil, err
		}
	}
	known := map[string]any{}
	for _, b := range all {
		if len(steps) < 2 && depth > 0 && depth-(1-len(steps)) <= 1 {
			known[b.name.keys()] = 1
		} else if len(steps) < 2 || want.Fits(b.name) {
			known[b.name.keys()] = described(b)
		}
	}
	if len(steps) > 0 && steps[0] != Domain || len(known) == 0 {
		return nil, &refusal{404, noBean, "there is nothing at " + r.Path}
	}
	switch {
	case len(steps) == 0 && depth == 1:
		return map[string]any{Domain: 1}, nil
	case len(steps) == 0:
		return map[string]any{Domain: known}, nil
	case len(steps) == 1:
		return known, nil
	case want.IsPattern():
		return known, nil
	}
	return inside(known[want.keys()], Join(steps[2:]))
}

func described(b bean) any {
	attr := map[string]any{}
	for name, value := range b.attributes() {
		attr[name] = map[string]any{"rw": false, "type": typeOf(value), "desc": name}
	}
	op := map[string]any{}
	for _, name := range b.operations {
		args := []map[string]string{}
		if takesName(name) {
			args = append(args, map[string]string{"name": "name", "type": "string", "desc": "name of the destination"})
		}
		op[name] = map[string]any{"args": args, "ret": "void", "desc": name}
	}
	return map[string]any{"attr": attr, "op": op, "desc": b.name.String()}
}

// typeOf is a value's type in JSON's words.
func typeOf(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int, int64, uint64:
		return "long"
	case []map[string]string:
		return "array"
	}
	return "object"
}

func takesName(operation string) bool { return slices.Contains(brokerOperations, operation) }

func (a *Agent) exec(r Request) (any, error) {
	operation, _, _ := strings.Cut(r.Operation, "(") // a signature tells nothing: no operation here has two
	if !slices.Contains(Operations(), operation) || !slices.Contains(a.Allow, operation) {
		return nil, refuse(403, "operation %q is not allowed; http.jolokia.allow in the configuration lists what is, of %s", operation, strings.Join(Operations(), ", "))
	}
	b, err := a.one(r.MBean)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(b.operations, operation) {
		return nil, refuse(404, "%s has no operation %q", b.name, operation)
	}
	on := b.of
	if takesName(operation) {
		if len(r.Arguments) != 1 {
			return nil, refuse(400, "%s takes the name of a destination; it has %d arguments", operation, len(r.Arguments))
		}
		name, ok := r.Arguments[0].(string)
		if !ok || name == "" || len(name) > message.MaxNameBytes {
			return nil, refuse(400, "%s takes the name of a destination, 1 to %d bytes", operation, message.MaxNameBytes)
		}
		on = message.Destination{Kind: message.Queue, Name: name}
		if strings.HasSuffix(operation, "Topic") {
			on.Kind = message.Topic
		}
	} else if len(r.Arguments) != 0 {
		return nil, refuse(400, "%s takes no arguments; it has %d", operation, len(r.Arguments))
	}
	return a.Do(operation, on)
}

// Split divides a path at its slashes; !/ is a slash and !! an exclamation mark inside a part.
func Split(path string) []string {
	var parts []string
	var part strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '!' && i+1 < len(path):
			i++
			part.WriteByte(path[i])
		case c == '/':
			parts = append(parts, part.String())
			part.Reset()
		default:
			part.WriteByte(c)
		}
	}
	return append(parts, part.String())
}

var escape = strings.NewReplacer("!", "!!", "/", "!/")

// Join is the other way round.
func Join(parts []string) string {
	escaped := make([]string, len(parts))
	for i, p := range parts {
		escaped[i] = escape.Replace(p)
	}
	return strings.Join(escaped, "/")
}

// FromPath makes a question of what stands behind /api/jolokia/ in a URL, and of its query.
func FromPath(path string, query url.Values) (Request, error) {
	path = strings.Trim(path, "/")
	if path == "" {
		path = query.Get("p")
	}
	parts := Split(path)
	r := Request{Type: parts[0], Config: Config{MaxDepth: json.Number(query.Get("maxDepth"))}}
	rest := parts[1:]
	at := func(i int) string {
		if i < len(rest) {
			return rest[i]
		}
		return ""
	}
	switch r.Type {
	case "":
		r.Type = "version"
	case "version":
	case "list":
		r.Path = Join(rest)
	case "search":
		r.MBean = at(0)
	case "read":
		r.MBean = at(0)
		if names := at(1); strings.Contains(names, ",") {
			r.Attribute, _ = json.Marshal(strings.Split(names, ","))
		} else if names != "" {
			r.Attribute, _ = json.Marshal(names)
		}
		if len(rest) > 2 {
			r.Path = Join(rest[2:])
		}
	case "exec":
		r.MBean, r.Operation = at(0), at(1)
		if len(rest) > 2 {
			for _, argument := range rest[2:] {
				r.Arguments = append(r.Arguments, argument)
			}
		}
	case "write":
		r.MBean = at(0)
		r.Attribute, _ = json.Marshal(at(1))
	default:
		return r, fmt.Errorf("type %q is not known; expected read, search, list, version or exec", r.Type)
	}
	if r.MBean == "" && slices.Contains([]string{"read", "search", "exec", "write"}, r.Type) {
		return r, fmt.Errorf("%s needs an object's name; expected for example %s/%s:type=Broker,brokerName=*", r.Type, r.Type, Domain)
	}
	return r, nil
}

// FromBody reads the questions of a body. bulk says that they are a list, and so must the answers be.
func FromBody(body io.Reader) (questions []Request, bulk bool, err error) {
	data, err := io.ReadAll(io.LimitReader(body, MaxBody+1))
	if err != nil {
		return nil, false, err
	}
	if len(data) > MaxBody {
		return nil, false, fmt.Errorf("the body is longer than %d bytes", MaxBody)
	}
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '[' {
		if err := json.Unmarshal(data, &questions); err != nil {
			return nil, true, err
		}
		if len(questions) > MaxRequests {
			return nil, true, fmt.Errorf("%d requests in one call; at most %d may be", len(questions), MaxRequests)
		}
		return questions, true, nil
	}
	var one Request
	if err := json.Unmarshal(data, &one); err != nil {
		return nil, false, err
	}
	return []Request{one}, false, nil
}

// Answers answers all questions, within maxAnswer.
func (a *Agent) Answers(questions []Request, bulk bool) ([]byte, error) {
	var b bytes.Buffer
	if bulk {
		b.WriteByte('[')
	}
	full := false // then nothing is worked out any more
	for i, q := range questions {
		if i > 0 {
			b.WriteByte(',')
		}
		var data []byte
		var err error
		if !full {
			if data, err = json.Marshal(a.Answer(q)); err != nil {
				return nil, fmt.Errorf("answer %s: %w", q.Type, err)
			}
			full = b.Len()+len(data) > maxAnswer
		}
		if full {
			data, _ = json.Marshal(Answer{Request: q, Status: 500, Timestamp: a.Now.Unix(), Error: fmt.Sprintf("the answer would be larger than %d bytes; ask for less, by name or by maxDepth", maxAnswer)})
		}
		b.Write(data)
	}
	if bulk {
		b.WriteByte(']')
	}
	return b.Bytes(), nil
}
