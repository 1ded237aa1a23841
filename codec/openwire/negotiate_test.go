package openwire

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"
	"time"
)

func TestWireFormatOfClients(t *testing.T) {
	raw, err := os.ReadFile("testdata/captures/wire-format-infos.json")
	if err != nil {
		t.Fatal(err)
	}
	var frames []struct {
		Name, Dir, Hex string
		Version        int
	}
	if err := json.Unmarshal(raw, &frames); err != nil || len(frames) != 11 {
		t.Fatalf("%d frames, %v; want 11", len(frames), err)
	}
	for _, f := range frames {
		_, frame := unhex(t, f.Hex)
		c, err := new(Decoder).Decode(frame)
		if err != nil {
			t.Fatal(err)
		}
		w, err := c.(*WireFormatInfo).WireFormat()
		if err != nil {
			t.Fatalf("%s %s: %v", f.Name, f.Dir, err)
		}
		delay := 10 * time.Second
		if f.Name == "keep-alive#1" && f.Dir == "c2b" {
			delay = 100 * time.Millisecond
		}
		if w.Version != f.Version || w.ProviderName != "ActiveMQ" || w.ProviderVersion != "6.3.1" || w.PlatformDetails != "Java" ||
			w.MaxFrameSize < 100<<20 || !w.MaxFrameSizeEnabled || !w.StackTrace || !w.TCPNoDelay || w.SizePrefixDisabled ||
			w.MaxInactivityInitialDelay != delay || w.MaxInactivity < 0 || w.CacheSize != 1024 {
			t.Errorf("%s %s: %+v", f.Name, f.Dir, w)
		}
	}
}

func TestWireFormatRoundTrip(t *testing.T) {
	w := WireFormat{
		Version: 11, TightEncoding: true, Cache: true, CacheSize: 1024, SizePrefixDisabled: true, StackTrace: true, TCPNoDelay: true,
		MaxInactivity: 30 * time.Second, MaxInactivityInitialDelay: 10 * time.Second, MaxFrameSize: 1 << 40, MaxFrameSizeEnabled: true,
		Host: "höst", ProviderName: "Godwit", ProviderVersion: "1", PlatformDetails: "Go",
	}
	for _, want := range []WireFormat{w, {}, {Version: 12, Host: "h"}} {
		c, err := new(Decoder).Decode(encode(t, 0, want.Info()))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.(*WireFormatInfo).WireFormat(); err != nil || got != want {
			t.Errorf("came back as %+v, %v; want %+v", got, err, want)
		}
	}
	w.Host = strings.Repeat("h", 513) // a peer would refuse it
	if got, err := w.Info().WireFormat(); err != nil || got.Host != "" {
		t.Errorf("a host of 513 bytes came back as %q, %v; want it left out", got.Host, err)
	}
}

func TestWireFormatErrors(t *testing.T) {
	entries := func(n int) string {
		return "\x00\x00\x00" + string([]byte{byte(n)}) + strings.Repeat("\x00\x01k\x00", n)
	}
	tests := map[string]struct {
		properties string
		bad        bool
		version    int
	}{
		"no entries":         {properties: "\x00\x00\x00\x00"},
		"null map":           {properties: "\xff\xff\xff\xff"},
		"unknown keys":       {properties: "\x00\x00\x00\x03\x00\x01a\x0a\x00\x00\x00\x01x\x00\x01b\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01c\x04\x00\x00"},
		"known, other type":  {properties: "\x00\x00\x00\x01\x00\x04Host\x01\x01"},
		"64 entries":         {properties: entries(64)},
		"65 entries":         {properties: entries(65), bad: true},
		"2 GB of entries":    {properties: "\x7f\xff\xff\xff", bad: true},
		"empty":              {properties: "", bad: true},
		"fewer than said":    {properties: "\x00\x00\x00\x02\x00\x01k\x00", bad: true},
		"more than said":     {properties: "\x00\x00\x00\x00x", bad: true},
		"value of 512":       {properties: "\x00\x00\x00\x01\x00\x01k\x09\x02\x00" + strings.Repeat("v", 512)},
		"value of 513":       {properties: "\x00\x00\x00\x01\x00\x01k\x09\x02\x01" + strings.Repeat("v", 513), bad: true},
		"big string of 2 GB": {properties: "\x00\x00\x00\x01\x00\x01k\x0d\x7f\xff\xff\xff", bad: true},
		"bytes of 4 GB":      {properties: "\x00\x00\x00\x01\x00\x01k\x0a\xff\xff\xff\xff", bad: true},
		"map":                {properties: "\x00\x00\x00\x01\x00\x01k\x0b\x00\x00\x00\x00", bad: true},
		"list":               {properties: "\x00\x00\x00\x01\x00\x01k\x0c\x00\x00\x00\x00", bad: true},
		"unknown tag":        {properties: "\x00\x00\x00\x01\x00\x01k\x63", bad: true},
		"key cut":            {properties: "\x00\x00\x00\x01\x00\x09k", bad: true},
		"value cut":          {properties: "\x00\x00\x00\x01\x00\x01k\x05\x00", bad: true},
		"no text":            {properties: "\x00\x00\x00\x01\x00\x04Host\x09\x00\x01\xff", bad: true},
	}
	for name, tt := range tests {
		_, err := (&WireFormatInfo{Version: 12, MarshalledProperties: []byte(tt.properties)}).WireFormat()
		if tt.bad != errors.Is(err, ErrProperties) || !tt.bad && err != nil {
			t.Errorf("%s: WireFormat(%q) = %v; want an error: %v", name, tt.properties, err, tt.bad)
		}
	}
}

func TestCombine(t *testing.T) {
	ours := WireFormat{
		Version: 12, StackTrace: false, TCPNoDelay: true, MaxInactivity: 30 * time.Second, MaxInactivityInitialDelay: 10 * time.Second,
		MaxFrameSize: 100 << 20, MaxFrameSizeEnabled: true, ProviderName: "Godwit",
	}
	java := WireFormat{
		Version: 12, TightEncoding: true, Cache: true, CacheSize: 1024, StackTrace: true, TCPNoDelay: true, MaxInactivity: 20 * time.Second,
		MaxInactivityInitialDelay: 10 * time.Second, MaxFrameSize: math.MaxInt64, ProviderName: "ActiveMQ", ProviderVersion: "6.3.1",
	}
	old := java
	old.Version, old.MaxInactivity, old.MaxFrameSize, old.TCPNoDelay = 3, 0, 0, false
	future := java
	future.Version = 99
	future.MaxFrameSize = 1 << 20
	for name, tt := range map[string]struct {
		peer WireFormat
		min  int
		want WireFormat
		err  error
	}{
		"Java": {peer: java, want: WireFormat{Version: 12, TCPNoDelay: true, MaxInactivity: 20 * time.Second, MaxInactivityInitialDelay: 10 * time.Second,
			MaxFrameSize: 100 << 20, MaxFrameSizeEnabled: true, ProviderName: "ActiveMQ", ProviderVersion: "6.3.1"}},
		"old": {peer: old, min: 3, want: WireFormat{Version: 3, MaxInactivityInitialDelay: 10 * time.Second,
			MaxFrameSize: 100 << 20, MaxFrameSizeEnabled: true, ProviderName: "ActiveMQ", ProviderVersion: "6.3.1"}},
		"future": {peer: future, want: WireFormat{Version: 12, TCPNoDelay: true, MaxInactivity: 20 * time.Second, MaxInactivityInitialDelay: 10 * time.Second,
			MaxFrameSize: 1 << 20, MaxFrameSizeEnabled: true, ProviderName: "ActiveMQ", ProviderVersion: "6.3.1"}},
		"too old": {peer: old, min: 4, err: ErrOldVersion},
	} {
		got, err := ours.Combine(tt.peer, tt.min)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: Combine = %+v, %v; want %+v, %v", name, got, err, tt.want, tt.err)
		}
	}
}
