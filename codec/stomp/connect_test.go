package stomp_test

import (
	"testing"
	"time"

	"github.com/godwitmq/godwit/codec/stomp"
)

func TestNegotiate(t *testing.T) {
	const supported = ", supported versions are: [1.2, 1.1, 1.0]"
	tests := map[string]struct {
		header string
		want   stomp.Version
		err    string
	}{
		"absent":             {"", stomp.V10, ""},
		"blank":              {" ", stomp.V10, ""},
		"only 1.0":           {"1.0", stomp.V10, ""},
		"highest":            {"1.0,1.1", stomp.V11, ""},
		"any order, spaces":  {"1.2, 1.0 ,1.1", stomp.V12, ""},
		"unknown ones":       {"1.2,1.3", stomp.V12, ""},
		"none in common":     {"1.3", 0, "Invalid Protocol version[1.3]" + supported},
		"none of several":    {"1.3,2.0", 0, "Invalid Protocol version[1.3,2.0]" + supported},
		"only a likely text": {"1.22", 0, "Invalid Protocol version[1.22]" + supported},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := stomp.Negotiate(tt.header)
			if got != tt.want || text(err) != tt.err {
				t.Errorf("Negotiate(%q) = %v, %v; want %v, %s", tt.header, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestParseHeartBeat(t *testing.T) {
	const longest = 2147483647 * time.Millisecond
	tests := map[string]struct {
		header     string
		send, want time.Duration
		err        string
	}{
		"both":        {"5000,7000", 5 * time.Second, 7 * time.Second, ""},
		"none":        {"0,0", 0, 0, ""},
		"spaces":      {" 1 , 2 ", time.Millisecond, 2 * time.Millisecond, ""},
		"longest":     {"2147483647,0", longest, 0, ""},
		"longer":      {"2147483648,99999999999999999999999999", longest, longest, ""},
		"text":        {"x", 0, 0, "Invalid heart-beat header:x"},
		"one number":  {"5000", 0, 0, "Invalid heart-beat header:5000"},
		"three":       {"1,2,3", 0, 0, "Invalid heart-beat header:1,2,3"},
		"negative":    {"-1,0", 0, 0, "Invalid heart-beat header:-1,0"},
		"second text": {"1,x", 0, 0, "Invalid heart-beat header:1,x"},
		"empty":       {"", 0, 0, "Invalid heart-beat header:"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			send, want, err := stomp.ParseHeartBeat(tt.header)
			if send != tt.send || want != tt.want || text(err) != tt.err {
				t.Errorf("ParseHeartBeat(%q) = %v, %v, %v; want %v, %v, %s", tt.header, send, want, err, tt.send, tt.want, tt.err)
			}
		})
	}
}

func TestFormatHeartBeat(t *testing.T) {
	if got := stomp.FormatHeartBeat(7*time.Second, 0); got != "7000,0" {
		t.Errorf("FormatHeartBeat(7s, 0) = %q, want %q", got, "7000,0")
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
