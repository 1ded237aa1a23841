package cluster

import (
	"io"
	"log"
	"reflect"
	"strings"
	"testing"
)

func newQuietLog() *log.Logger { return log.New(io.Discard, "", 0) }

var sampleToken = Token{Addresses: []string{"10.0.1.5:7430", "[2001:db8::1]:7430"}, Node: "b", Authority: [32]byte{1, 31: 2}, secret: [16]byte{3, 15: 4}}

func TestToken(t *testing.T) {
	good := sampleToken.String()
	if got, err := ParseToken(good); err != nil || !reflect.DeepEqual(got, sampleToken) {
		t.Fatalf("ParseToken(%s) = %+v, %v; want %+v", good, got, err, sampleToken)
	}
	with := func(change func(*Token)) string {
		x := sampleToken
		change(&x)
		return x.String()
	}
	tests := map[string]struct{ text, want string }{
		"nothing":             {"", "begins with something else"},
		"something else":      {"hello", "begins with something else"},
		"the end is missing":  {good[:len(good)-1], "is not whole"},
		"the begin":           {good[1:], "begins with something else"},
		"only the prefix":     {tokenPrefix, "is not whole"},
		"a letter is wrong":   {good[:len(good)-12] + "x" + good[len(good)-11:], "is not whole"}, // of the secret: all else still fits
		"a broken line":       {good[:20] + "\n" + good[20:], "is not whole"},
		"a newer version":     {"godwit2_" + good[len(tokenPrefix):], "of kind 2, and this godwit knows 1"},
		"too long":            {good + strings.Repeat("A", maxToken), "is not whole"},
		"no address":          {with(func(x *Token) { x.Addresses = nil }), "expected 1 to 4"},
		"too many addresses":  {with(func(x *Token) { x.Addresses = []string{"a:1", "b:1", "c:1", "d:1", "e:1"} }), "expected 1 to 4"},
		"no port":             {with(func(x *Token) { x.Addresses = []string{"10.0.1.5"} }), "no HOST:PORT"},
		"a terminal's escape": {with(func(x *Token) { x.Addresses = []string{"\x1b[2J:1"} }), "no HOST:PORT"},
		"a path":              {with(func(x *Token) { x.Node = "../b" }), "cannot be the name of a node"},
		"no name":             {with(func(x *Token) { x.Node = "" }), "cannot be the name of a node"},
		"the authority's":     {with(func(x *Token) { x.Node = "ca" }), "cannot be the name of a node"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseToken(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseToken(%q) = %+v, %v; want %q", tt.text, got, err, tt.want)
			}
		})
	}
}
