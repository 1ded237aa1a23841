package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/client"
)

// A control plane whose log has failed is read again; what was confirmed is there, and calls meanwhile are told to come again.
func TestControlPlaneIsReadAgain(t *testing.T) {
	l, err := listenAnywhere()
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	data := t.TempDir()
	text := fmt.Sprintf("data: %s\nhttp: {address: %s}\nlisteners: [{protocol: stomp, url: tcp://127.0.0.1:0}]\nservice: {enabled: true, addresses: 127.211.7.0/24}\n", data, address)
	load := func() (*config.Config, error) { return config.Parse("godwit.yaml", []byte(text)) }
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	serve := func() *node {
		t.Helper()
		n, err := start(cfg, load, slog.New(slog.DiscardHandler), &slog.LevelVar{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	n := serve()
	remote, err := client.New("http://"+address, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := remote.CreateKey(t.Context(), api.NewKey{Note: "kept"})
	if err != nil {
		t.Fatal(err)
	}
	before := n.managed.plane.Load()
	n.managed.broken <- errors.New("the disk is on fire")
	for deadline := time.Now().Add(30 * time.Second); n.managed.plane.Load() == before || n.managed.plane.Load() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the control plane is not read again")
		}
		if _, err := remote.Keys(t.Context()); err != nil && !client.Retryable(err) {
			t.Fatalf("meanwhile: %v", err)
		}
	}
	if keys, err := remote.Keys(t.Context()); err != nil || len(keys) != 1 || keys[0].ID != key.ID {
		t.Errorf("keys %+v, %v", keys, err)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}

	// The secret of requests' digests is the same at each start, and never made anew over one that is damaged.
	secret := filepath.Join(data, "control", "secret")
	was, err := os.ReadFile(secret)
	if err != nil {
		t.Fatal(err)
	}
	n = serve()
	if again, err := os.ReadFile(secret); err != nil || string(again) != string(was) {
		t.Errorf("the secret has changed, %v", err)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secret, was[:7], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := start(cfg, load, slog.New(slog.DiscardHandler), &slog.LevelVar{}, time.Now()); err == nil || !strings.Contains(err.Error(), "has 7 bytes; expected 32") {
		t.Errorf("with a damaged secret: %v", err)
	}
}

// Amazon MQ's API is there beside the operator's, and only where this is a service; it takes signatures and nothing else.
func TestAmazonsPaths(t *testing.T) {
	for _, enabled := range []bool{false, true} {
		l, err := listenAnywhere()
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		l.Close()
		text := fmt.Sprintf("data: %s\nhttp: {address: %s}\nlisteners: [{protocol: stomp, url: tcp://127.0.0.1:0}]\nservice: {enabled: %t, addresses: 127.211.8.0/24}\n", t.TempDir(), address, enabled)
		load := func() (*config.Config, error) { return config.Parse("godwit.yaml", []byte(text)) }
		cfg, err := load()
		if err != nil {
			t.Fatal(err)
		}
		n, err := start(cfg, load, slog.New(slog.DiscardHandler), &slog.LevelVar{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.Get("http://" + address + "/v1/brokers")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		want := map[bool]int{false: http.StatusNotFound, true: http.StatusForbidden}[enabled]
		if kind := response.Header.Get("x-amzn-ErrorType"); response.StatusCode != want || enabled != (kind == "MissingAuthenticationTokenException") {
			t.Errorf("service %t: status %d, error %q", enabled, response.StatusCode, kind)
		}
		remote, err := client.New("http://"+address, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := remote.Keys(t.Context()); enabled != (err == nil) || err != nil && !strings.Contains(err.Error(), "service.enabled") {
			t.Errorf("service %t: keys %v", enabled, err)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	}
}
