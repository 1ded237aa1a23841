package main

import (
	"strings"

	"github.com/godwitmq/godwit/config"
)

// connectors are the first listeners of each kind, by the names and in the form that ActiveMQ's statistics have.
func connectors(cfg *config.Config) map[string]string {
	found := map[string]string{}
	add := func(wanted bool, name, url string) {
		if wanted && found[name] == "" {
			found[name] = url
		}
	}
	for _, l := range cfg.Listeners {
		scheme, address, _ := strings.Cut(l.URL, "://")
		plain, secure := strings.Contains(scheme, "tcp"), strings.Contains(scheme, "tls")
		openwire, stomp := l.Protocol != "stomp", l.Protocol != "openwire"
		add(plain && openwire, "openwire", "tcp://"+address)
		add(secure && openwire, "ssl", "ssl://"+address)
		add(plain && stomp, "stomp", "stomp://"+address)
		add(secure && stomp, "stomp+ssl", "stomp+ssl://"+address)
	}
	return found
}
