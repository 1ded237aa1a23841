package mqapi

import (
	"context"
	"iter"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Caller is who asks, and how.
type Caller struct {
	Account     string // of the access key
	Region      string // that the request was signed for
	AccessKeyID string // "" for the operator
	Operator    string // the operator's user name; "" for who has an access key
	RequestID   string // of this request, as the caller is told
	Source      netip.AddrPort
}

// Operation is one of the API's.
type Operation struct {
	Name     string
	Method   string
	Path     string // with {name} where a member of the request stands for a whole segment
	Success  int    // the status; with 204 there is no body
	Errors   []Kind // that it declares
	Request  reflect.Type
	Response reflect.Type // nil: the answer is {}
	Extra    bool         // Godwit's, not Amazon's
	Doc      string       // of what is Godwit's: a sentence that goes on after the name
	Refused  string       // why Godwit does not have it; "" if it has

	call func(ctx context.Context, s Service, c Caller, request any) (any, error)
}

// Member is a field of a structure of the API.
type Member struct {
	Field    string // in Go
	Wire     string
	In       string // "body", "path" or "query"
	Type     reflect.Type
	Required bool
	Extra    bool   // Godwit's, not Amazon's
	Doc      string // of what is Godwit's: a sentence that goes on after the name

	index int
}

// Members are the fields of a request, an answer or a structure, in the schema's order.
func Members(structure reflect.Type) []Member {
	var list []Member
	for i := range structure.NumField() {
		f := structure.Field(i)
		m := Member{Field: f.Name, Type: f.Type, Required: f.Tag.Get("required") != "", Extra: f.Tag.Get("extra") != "", Doc: f.Tag.Get("doc"), index: i}
		for _, m.In = range []string{"body", "path", "query"} {
			if m.Wire = f.Tag.Get(m.In); m.Wire != "" {
				break
			}
		}
		list = append(list, m)
	}
	return list
}

// hasBody says whether a request's body means anything.
func (op *Operation) hasBody() bool {
	return slices.ContainsFunc(Members(op.Request), func(m Member) bool { return m.In == "body" })
}

// ordered are the operations by name, for loops whose order shows.
func ordered() iter.Seq[*Operation] {
	return func(yield func(*Operation) bool) {
		names := make([]string, 0, len(Operations))
		for name := range Operations {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if !yield(Operations[name]) {
				return
			}
		}
	}
}

// route finds the operation of a request by the path as it came, still escaped: an ARN is one segment, though it has slashes and colons in
// it. methods are those that the path has; none: there is no such path. params are unescaped.
func route(method, escapedPath string) (op *Operation, params map[string]string, methods []string) {
	segments := strings.Split(escapedPath, "/")
	for candidate := range ordered() {
		found := map[string]string{}
		if !match(strings.Split(candidate.Path, "/"), segments, found) {
			continue
		}
		methods = append(methods, candidate.Method)
		if candidate.Method == method {
			op, params = candidate, found
		}
	}
	return op, params, methods
}

func match(pattern, segments []string, params map[string]string) bool {
	if len(pattern) != len(segments) {
		return false
	}
	for i, p := range pattern {
		name, isParam := strings.CutPrefix(p, "{")
		if !isParam {
			if p != segments[i] {
				return false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return false
		}
		params[strings.TrimSuffix(name, "}")] = value
	}
	return true
}
