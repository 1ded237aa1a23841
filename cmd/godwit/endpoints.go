package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/godwitmq/godwit/config"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/listen"
)

// printEndpoints shows where clients connect, ready to paste.
func (n *node) printEndpoints(w io.Writer, took time.Duration) {
	cfg := n.config()
	fmt.Fprintf(w, "Godwit %s, broker %s, ready in %d ms\n\n", build().Version, cfg.Broker.Name, took.Milliseconds())
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	var stompTLS string
	var bound []listen.Bound
	if l := n.listeners.Load(); l != nil { // a witness has none
		bound = l.Bound()
	}
	for _, b := range bound {
		for _, line := range endpointLines(b.Endpoint) {
			fmt.Fprintln(t, line)
		}
		if b.TLS != listen.TLSOff && b.Protocol != listen.OpenWire {
			stompTLS = reachable(b.Address)
		}
	}
	if n.api != nil {
		fmt.Fprintf(t, "HTTP API\t%s\n", httpURL(cfg))
		if n.managed != nil {
			fmt.Fprintf(t, "Amazon MQ's API\t%s\tgodwit keys create\n", httpURL(cfg))
		}
	}
	t.Flush()
	fmt.Fprintf(w, "\nData in %s; credentials: %s\n", absolute(cfg.Data), credentialsWords[cfg.Credentials.Mode])
	if n.managed != nil {
		fmt.Fprintf(w, "Clients of the service's brokers trust %s\n", absolute(n.managed.trust()))
	}
	if n.dev != nil {
		printTrust(w, n.dev, stompTLS)
	}
	fmt.Fprintln(w)
}

// logEndpoints says the same in one line of the log, for who collects JSON: a text for people among it would be no line of JSON.
func (n *node) logEndpoints(took time.Duration) {
	cfg := n.config()
	endpoints := []string{}
	for _, l := range n.listening() {
		endpoints = append(endpoints, l.URLs...)
	}
	api := ""
	if n.api != nil {
		api = httpURL(cfg)
	}
	n.log.Info("ready", "version", build().Version, "broker", cfg.Broker.Name, "took", took, "endpoints", endpoints, "api", api, "data", absolute(cfg.Data), "credentials", cfg.Credentials.Mode)
}

// httpURL is that of the HTTP API.
func httpURL(cfg *config.Config) string {
	scheme := "http"
	if cfg.HTTP.Certificate != "" {
		scheme = "https"
	}
	return scheme + "://" + reachable(cfg.HTTP.Address)
}

var credentialsWords = map[string]string{
	"ignore":    "ignored (every client is admitted)",
	"observe":   "observed (every client is admitted; `godwit refusals` lists who would not be)",
	"optional":  "optional (those that are given must be right)",
	"mandatory": "mandatory",
}

// endpointLines are the URLs of an endpoint as clients want them.
func endpointLines(e listen.Endpoint) []string {
	host, port, _ := net.SplitHostPort(reachable(e.Address))
	var lines []string
	for _, url := range endpointURLs(e) {
		switch scheme, _, _ := strings.Cut(url, "://"); scheme {
		case "stomp":
			lines = append(lines, "STOMP\t"+url+"\thost "+host+", port "+port)
		case "stomp+ssl":
			lines = append(lines, "STOMP\t"+url+"\thost "+host+", port "+port+", TLS")
		default:
			lines = append(lines, "OpenWire\t"+url+"\tfailover:("+url+")")
		}
	}
	return lines
}

// endpointURLs are where clients of each protocol reach an endpoint.
func endpointURLs(e listen.Endpoint) []string {
	address := reachable(e.Address)
	var urls []string
	add := func(plain, encrypted string) {
		if e.TLS != listen.TLSRequired {
			urls = append(urls, plain+address)
		}
		if e.TLS != listen.TLSOff {
			urls = append(urls, encrypted+address)
		}
	}
	if e.Protocol != listen.STOMP {
		add("tcp://", "ssl://")
	}
	if e.Protocol != listen.OpenWire {
		add("stomp://", "stomp+ssl://")
	}
	return urls
}

// listening is where clients reach this node.
func (n *node) listening() []api.Listener {
	l := n.listeners.Load()
	if l == nil {
		return nil
	}
	var all []api.Listener
	for _, b := range l.Bound() {
		all = append(all, api.Listener{Name: b.Name, URLs: endpointURLs(b.Endpoint), Connections: b.Open})
	}
	return all
}

// reachable replaces an address of all interfaces by this host's name, under which others may know it.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		if name, err := os.Hostname(); err == nil {
			host = name
		}
	}
	return net.JoinHostPort(host, port)
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// printTrust says how clients trust the development CA.
func printTrust(w io.Writer, f *listen.Files, stompTLS string) {
	ca, store := absolute(f.CA), absolute(f.TrustStore)
	python := fmt.Sprintf("ssl.create_default_context(cafile=%q)", ca)
	if host, port, err := net.SplitHostPort(stompTLS); err == nil {
		python = fmt.Sprintf("connection.set_ssl([(%q, %s)], ca_certs=%q)", host, port, ca)
	}
	fmt.Fprintf(w, "\nTLS uses a development certificate. To trust its CA, %s:\n", ca)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "  Java\t-Djavax.net.ssl.trustStore=%s -Djavax.net.ssl.trustStorePassword=%s\n", shellQuote(store), listen.TrustStorePassword)
	fmt.Fprintf(t, "  Python\t%s\n", python)
	fmt.Fprintf(t, "  curl\tcurl --cacert %s\n", shellQuote(ca))
	t.Flush()
}

// shellQuote quotes a path that a shell would take apart.
func shellQuote(s string) string {
	if strings.ContainsAny(s, " \t'\"\\$`&;|<>()*?[]#~!{}") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}
