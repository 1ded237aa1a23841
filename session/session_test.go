package session

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/godwitmq/godwit/broker"
)

func TestRefusals(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	var r Refusals
	a, b := &broker.Error{Code: broker.Denied, Op: "send", Detail: "not a"}, &broker.Error{Code: broker.Denied, Op: "send", Detail: "not b"}
	for _, err := range []*broker.Error{nil, a, a, {Code: broker.Full, Detail: "full"}, b, b, a} {
		r.Note(log, "u", netip.MustParseAddrPort("192.0.2.1:1"), err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		_, text, _ := strings.Cut(line, "level=")
		got = append(got, strings.TrimSpace(text))
	}
	want := `WARN msg=refused user=u address=192.0.2.1:1 error="send: not a"|WARN msg=refused user=u address=192.0.2.1:1 error="send: not b"|WARN msg=refused user=u address=192.0.2.1:1 error="send: not a"`
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("logged\n%s\nwant\n%s", s, want)
	}
}
