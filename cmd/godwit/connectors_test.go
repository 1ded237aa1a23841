package main

import (
	"maps"
	"testing"

	"github.com/godwitmq/godwit/config"
)

func TestConnectors(t *testing.T) {
	tests := map[string]struct {
		listeners []config.Listener
		want      map[string]string
	}{
		"none":  {nil, map[string]string{}},
		"plain": {[]config.Listener{{Protocol: "openwire", URL: "tcp://a:1"}, {Protocol: "stomp", URL: "tls://a:2"}, {Protocol: "openwire", URL: "tcp://a:3"}}, map[string]string{"openwire": "tcp://a:1", "stomp+ssl": "stomp+ssl://a:2"}},
		"auto":  {[]config.Listener{{Protocol: "auto", URL: "tcp+tls://a:1"}}, map[string]string{"openwire": "tcp://a:1", "ssl": "ssl://a:1", "stomp": "stomp://a:1", "stomp+ssl": "stomp+ssl://a:1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := connectors(&config.Config{Listeners: tt.listeners}); !maps.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
