package openwire

import (
	"testing"
	"time"

	wire "github.com/godwitmq/godwit/codec/openwire"
	"github.com/godwitmq/godwit/security"
)

// TestKeepAlive agrees on little and then says nothing.
func TestKeepAlive(t *testing.T) {
	s := newServer(t, security.Policy{})
	c := s.dial("ID:silent")
	format := java(12)
	format.MaxInactivity = 1200 * time.Millisecond
	c.hello(format)
	c.login()
	begun := time.Now()
	beats := 0
	for {
		got, err := c.any()
		if err != nil {
			break
		}
		if _, ok := got.(*wire.KeepAliveInfo); !ok {
			t.Fatalf("got %+v", got)
		}
		beats++
	}
	// One to two intervals, and a beat each third.
	if took := time.Since(begun); took < 1200*time.Millisecond || took > 5*time.Second || beats < 3 {
		t.Errorf("a silent client was cut after %v and %d keep-alives; want 1.2 to 2.4 s and one each 0.4 s", took, beats)
	}
}
