// Package listentest finds addresses for servers that tests start, and start again.
package listentest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// The ports that are given out: below those from which Linux takes the ports of outgoing connections. A port from there, which the kernel gives who listens on port 0, may be that of
// some connection by the time a server that was told to use it listens.
const (
	first   = 10_000
	usual   = 32_768 // the kernel's first for outgoing connections, where it does not say
	fewest  = 1_000
	attempt = 100
)

// Listen listens on a port of 127.0.0.1 that is free, and stays so for a while after it is closed.
func Listen() (net.Listener, error) {
	end := usual
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if _, err := fmt.Sscan(string(text), &end); err != nil {
			end = usual
		}
	}
	if end < first+fewest {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	var err error
	for range attempt {
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(end-first))); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no port is free: %w", err)
}
