package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"
)

// What a service manager is told that waits for it (systemd's sd_notify: a datagram of lines to the socket that NOTIFY_SOCKET names). Without one nothing is done.

const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
	notifyAlive    = "WATCHDOG=1"
)

// notifyPatience is how long the service manager may take to take in what it is told.
const notifyPatience = 100 * time.Millisecond

// notify tells the service manager something.
func notify(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	if name[0] == '@' { // in Linux's abstract space
		name = "\x00" + name[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer conn.Close()
	// Its socket takes in a few datagrams only (net.unix.max_dgram_qlen), and a manager that is busy must not hold the broker up.
	if err := conn.SetWriteDeadline(time.Now().Add(notifyPatience)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}

// watchdogEvery is how often the service manager wants to hear that the process lives: half of what it waits at most. 0: it does not.
func watchdogEvery() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	micros, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || micros <= 0 {
		return 0
	}
	return time.Duration(micros) * time.Microsecond / 2
}
