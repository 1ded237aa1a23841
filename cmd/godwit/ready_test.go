package main

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/godwitmq/godwit/listen/listentest"
)

func listenAnywhere() (net.Listener, error) { return listentest.Listen() }

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
