package main

import (
	"errors"
	"net"
	"net/http"
	"time"
)

func listenAnywhere() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// awaitReady asks until the broker serves, at most 30 s.
func awaitReady(api string) error {
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if response, err := http.Get(api + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-deadline:
			return errors.New("the broker at " + api + " is not ready after 30 s")
		case <-tick.C:
		}
	}
}
