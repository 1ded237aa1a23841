//go:build linux

// Crowd opens many connections with a consumer each, and says how long the broker took to accept them. It speaks to its parent as the load
// client in Java does: a line that begins with '@' marks a phase, and after each it waits for a line on stdin; the last line is JSON. It is
// there beside it because thousands of connections of the Java client cost their own process more than the broker.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/godwitmq/godwit/bench/load"
)

// result is what the last line says.
type result struct {
	OK            bool    `json:"ok"`
	Connections   int     `json:"connections"`
	AcceptSeconds float64 `json:"accept_s"`     // until the last consumer's answer
	ClientCPU     float64 `json:"client_cpu_s"` // in that time
	Received      int64   `json:"received"`
	Lost          int64   `json:"lost"`
	Duplicates    int64   `json:"duplicates"`
}

func main() {
	url := flag.String("url", "tcp://127.0.0.1:61616", "the broker")
	connections := flag.Int("connections", 5000, "how many")
	flag.Parse()
	r, err := crowd(*url, *connections, bufio.NewScanner(os.Stdin))
	if err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(r)
	// The connections end with the process: closing thousands in order is not what is measured.
}

func crowd(url string, connections int, parent *bufio.Scanner) (*result, error) {
	ctx := context.Background()
	mark(parent, "start")
	begun, cpu := time.Now(), cpuSeconds()
	run, err := load.New(ctx, load.Options{
		URL: url, Destination: "bench.crowd", Producers: 1, Consumers: connections, Prefetch: 1, Count: int64(connections), Patience: 30 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	r := &result{Connections: connections, AcceptSeconds: time.Since(begun).Seconds(), ClientCPU: cpuSeconds() - cpu}
	mark(parent, "end")
	got, err := run.Go(ctx) // that they are served
	if err != nil {
		return nil, err
	}
	r.OK, r.Received, r.Lost, r.Duplicates = got.Fault() == nil, got.Received, got.Lost, got.Duplicates
	return r, nil
}

// mark tells the parent, and waits for its answer. The 0 stands for the time of the mark, which nobody needs here.
func mark(parent *bufio.Scanner, phase string) {
	fmt.Printf("@%s 0\n", phase)
	parent.Scan()
}

// cpuSeconds is what this process has used.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
