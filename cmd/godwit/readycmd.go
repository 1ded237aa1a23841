package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

// askHealthWithin is how long a broker may take to say how it is.
const askHealthWithin = 5 * time.Second

func (c *cli) ready() *cobra.Command {
	var wait time.Duration
	alive, file := false, ""
	cmd := &cobra.Command{
		Use: "ready", Short: "Say whether the broker on this machine serves clients", Args: exactly(0, "no arguments"),
		Long: "Say whether clients that come to this broker are served, be it by another instance; the exit code is 0 if so, else 1. With --alive, whether the process lives and answers. It is\n" +
			"for health checks of containers and for scripts, and needs no credentials. Without --api and GODWIT_API the configuration tells where to ask.",
		Example: "  godwit ready\n  godwit ready --wait 1m && start-the-rest\n  godwit ready --alive --config /etc/godwit/godwit.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := c.ownAPI(file)
			if err != nil {
				return err
			}
			path := "/readyz"
			if alive {
				path = "/healthz"
			}
			for begun := time.Now(); ; {
				h, err := askHealth(cmd.Context(), address+path)
				if err == nil {
					fmt.Fprintln(c.out, strings.Join(strings.Fields(strings.Join([]string{h.Status, h.Role}, " ")), ", "))
					return nil
				}
				if time.Since(begun) >= wait {
					return err
				}
				select {
				case <-time.After(200 * time.Millisecond):
				case <-cmd.Context().Done():
					return context.Cause(cmd.Context())
				}
			}
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for it")
	cmd.Flags().BoolVar(&alive, "alive", false, "ask whether the process lives, not whether it serves")
	cmd.Flags().StringVarP(&file, "config", "c", "", "the broker's configuration, which says where its API is")
	return cmd
}

// ownAPI is where the API of the broker on this machine is: as flags and environment say, else as its configuration does.
func (c *cli) ownAPI(file string) (string, error) {
	if address := cmp.Or(c.api, os.Getenv("GODWIT_API")); address != "" {
		remote, err := client.New(address, client.Options{})
		if err != nil {
			return "", &usageError{err}
		}
		return remote.URL(), nil
	}
	cfg, err := config.Load(cmp.Or(file, os.Getenv("GODWIT_CONFIG")), os.Environ())
	if err != nil {
		return "", err
	}
	if cfg.HTTP.Off() {
		return "", errors.New("the broker has no HTTP API (http.address is off), so it cannot be asked")
	}
	host, port, err := net.SplitHostPort(cfg.HTTP.Address)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	scheme := "http"
	if cfg.HTTP.Certificate != "" {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}

// askHealth asks how a broker is. The error says why not well.
func askHealth(ctx context.Context, url string) (h api.Health, err error) {
	ctx, cancel := context.WithTimeout(ctx, askHealthWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return h, err
	}
	// Whoever answers is believed: nothing is told, and the name in a certificate is seldom that of the loopback address.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return h, fmt.Errorf("the broker does not answer: %w", err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return h, fmt.Errorf("the broker does not answer: %w", err)
	}
	_ = json.Unmarshal(data, &h) // without it the status alone tells
	if answer.StatusCode != http.StatusOK {
		return h, errors.New("the broker is not ready: " + cmp.Or(strings.TrimSpace(strings.TrimSuffix(h.Status+": "+h.Detail, ": ")), answer.Status))
	}
	return h, nil
}
