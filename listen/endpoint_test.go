package listen

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	tests := map[string]struct {
		want Endpoint
		err  string
	}{
		"openwire=tcp://127.0.0.1:61616": {want: Endpoint{Protocol: OpenWire, Address: "127.0.0.1:61616"}},
		"stomp=tls://:61615":             {want: Endpoint{Protocol: STOMP, Address: ":61615", TLS: TLSRequired}},
		"stomp=ssl://host:1/":            {want: Endpoint{Protocol: STOMP, Address: "host:1", TLS: TLSRequired}},
		"auto=tcp+tls://[::1]:5000":      {want: Endpoint{Protocol: Auto, Address: "[::1]:5000", TLS: TLSOptional}},
		"stomp=tls://:1?client-auth=required&name=x&proxy-from=10.1.0.0/8,192.0.2.7": {want: Endpoint{Protocol: STOMP, Address: ":1", TLS: TLSRequired,
			ClientAuth: RequiredClientAuth, Name: "x", ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32")}}},
		"":                                         {err: "no protocol given; expected PROTOCOL=tcp://HOST:PORT"},
		"tcp://127.0.0.1:61616":                    {err: "no protocol given"},
		"tcp://127.0.0.1:1?name=x":                 {err: "no protocol given"},
		"openwire=127.0.0.1:61616":                 {err: "no transport given"},
		"openwire=udp://127.0.0.1:61616":           {err: `transport "udp" is unknown`},
		"openwyre=tcp://127.0.0.1:61616":           {err: `protocol "openwyre" is unknown; expected openwire`},
		"stomp=tcp://127.0.0.1":                    {err: "is not HOST:PORT"},
		"stomp=tcp://::1:61613":                    {err: "brackets"},
		"stomp=tcp://h:70000":                      {err: `port "70000" is not a number from 0 to 65535`},
		"stomp=tcp://h:http":                       {err: `port "http"`},
		"stomp=tcp://h:00":                         {err: "oddly"},
		"stomp=tcp://a/b:1":                        {err: `host "a/b"`},
		"stomp=tcp://h:1?tls=on":                   {err: `option "tls" is unknown`},
		"stomp=tcp://h:1?proxy-from=x":             {err: `"x" is no network`},
		"stomp=tcp://h:1?client-auth=maybe":        {err: `client-auth "maybe" is unknown; expected none, optional or required`},
		"stomp=tcp://h:1?client-auth=optional":     {err: "needs tls"},
		"stomp=tcp+tls://h:1?client-auth=required": {err: "just leave it out"},
	}
	for text, tt := range tests {
		t.Run(text, func(t *testing.T) {
			got, err := ParseEndpoint(text)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), text) {
					t.Errorf("ParseEndpoint(%q) = %+v, %v; want %q", text, got, err, tt.err)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("ParseEndpoint(%q) = %+v, %v; want %+v", text, got, err, tt.want)
			}
			again, err := ParseEndpoint(got.String())
			if err != nil || again.Address != got.Address || again.Protocol != got.Protocol || again.TLS != got.TLS {
				t.Errorf("%q read again = %+v, %v", got, again, err)
			}
		})
	}
}

func TestLoopback(t *testing.T) {
	tests := map[string]bool{"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "192.0.2.1:1": false, "example.org:1": false, "nonsense": false}
	for address, want := range tests {
		if got := (Endpoint{Address: address}).Loopback(); got != want {
			t.Errorf("Loopback of %q = %v, want %v", address, got, want)
		}
	}
}

func TestModeTexts(t *testing.T) {
	for m := TLSOff; m <= TLSOptional; m++ {
		text, _ := m.MarshalText()
		var back TLSMode
		if err := back.UnmarshalText(text); err != nil || back != m {
			t.Errorf("tls %v -> %q -> %v, %v", m, text, back, err)
		}
	}
	for a := NoClientAuth; a <= RequiredClientAuth; a++ {
		text, _ := a.MarshalText()
		var back ClientAuth
		if err := back.UnmarshalText(text); err != nil || back != a {
			t.Errorf("client-auth %v -> %q -> %v, %v", a, text, back, err)
		}
	}
	var m TLSMode
	if err := m.UnmarshalText([]byte("yes")); err == nil || !strings.Contains(err.Error(), "off, required or optional") {
		t.Errorf("tls yes = %v", err)
	}
}

func FuzzParseEndpoint(f *testing.F) {
	f.Add("stomp=tls://:1?client-auth=required&name=x&proxy-from=10.1.0.0/8,192.0.2.7")
	f.Add("auto=tcp+tls://[::1]:5000")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := ParseEndpoint(text)
		if err != nil {
			return
		}
		if again, err := ParseEndpoint(e.String()); err != nil || again.Address != e.Address {
			t.Fatalf("%q -> %q -> %+v, %v", text, e, again, err)
		}
	})
}
