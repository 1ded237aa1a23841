package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const hash = "$argon2id$v=19$m=19456,t=2,p=1$YWJjZGVmZ2hpamtsbW5vcA$NTtErRZ9ZqrvXZ2WZ0yYb9XB1OnzmSYEpCyQyyPq0ys"

func TestParseProblems(t *testing.T) {
	tests := map[string]struct {
		file string
		want []string // each must be a line of the error
	}{
		"unknown key, near": {"dat: x\n", []string{`g.yaml:1:1: unknown key "dat"; did you mean "data"?`}},
		"unknown key, far":  {"shutdown:\n  wobble: 1\n", []string{`g.yaml:2:3: shutdown: unknown key "wobble"; expected grace`}},
		"wrong case":        {"limits:\n  framesize: 1 MiB\n", []string{`g.yaml:2:3: limits: unknown key "framesize"; did you mean "frameSize"?`}},
		"in a list":         {"listeners:\n  - protocol: stomp\n    uri: tcp://127.0.0.1:1\n", []string{`g.yaml:3:5: listeners[0]: unknown key "uri"; did you mean "url"?`, `g.yaml:2:5: listeners[0].url: is missing; expected for example tcp://127.0.0.1:61616`}},
		"a pair's times": {"cluster:\n  name: a\n  listen: '127.0.0.1:1'\n  nodes: [{name: a, log: '127.0.0.1:1'}, {name: b, log: '127.0.0.1:2'}, {name: w, log: '127.0.0.1:3'}]\n  giveUp: 1s\n  silence: 100ms\n",
			[]string{`g.yaml:5:3: cluster.giveUp: 1s is too short`, `g.yaml:6:3: cluster.silence: 100ms is less than three times cluster.heartbeat`}},
		"a name without what it needs": {pairYAML("[{name: a, log: '127.0.0.1:1', clients: ['tcp://a:1']}, {name: b, log: '127.0.0.1:2'}, {name: w, log: '127.0.0.1:3'}]") + "  dns: {name: broker.example.com}\n",
			[]string{`g.yaml:5:3: cluster.dns.servers: is empty; expected HOST:PORT`, `g.yaml:5:3: cluster.dns.key: is missing; expected a file as tsig-keygen writes it`, `g.yaml:4:3: cluster.nodes: says no address of a for broker.example.com; expected addresses: [10.0.1.5]`}},
		"too much of a name": {pairYAML("[{name: a, log: '127.0.0.1:1', addresses: [10.0.0.1"+strings.Repeat(", 10.0.0.1", most)+"]}, {name: b, log: '127.0.0.1:2'}, {name: w, log: '127.0.0.1:3'}]") +
			"  dns: {name: broker.example, servers: ['ns:53'" + strings.Repeat(", 'ns:53'", most) + "], key: k}\n",
			[]string{`cluster.nodes[0].addresses: has 9 entries; expected 8 at most`, `cluster.dns.servers: has 9 entries; expected 8 at most`}},
		"a name that is none": {pairYAML("[{name: a, log: '127.0.0.1:1', addresses: [10.0.0.1, '::', 10.0.0.0/8, 224.0.0.1, 'fe80::1']}, {name: b, log: '127.0.0.1:2'}, {name: w, log: '127.0.0.1:3'}]") +
			"  dns: {name: 'broker..example', zone: 'ample', servers: [ns, ':53', '10.0.0.53:0', '10.0.0.53:53'], key: k, ttl: 1500ms}\n",
			[]string{`cluster.dns.name: "broker..example" is no name`, `cluster.dns.zone: "ample" is no zone that broker..example could be in`, `cluster.dns.servers[0]: "ns" has no port`, `cluster.dns.servers[1]: ":53" is no HOST:PORT`,
				`cluster.dns.servers[2]: "10.0.0.53:0" is no HOST:PORT`, `cluster.dns.ttl: 1.5s is out of range; expected whole seconds, 1s to 24h`,
				`cluster.nodes[0].addresses[1]: "::" is no address of one machine`, `cluster.nodes[0].addresses[2]: "10.0.0.0/8" is no address`, `cluster.nodes[0].addresses[3]: "224.0.0.1" is no address of one machine`,
				`cluster.nodes[0].addresses[4]: "fe80::1" is no address of one machine`}},
		"text for number":       {"limits:\n  connections: many\n", []string{`g.yaml:2:16: limits.connections: "many" is text; expected a whole number`}},
		"number for text":       {"broker:\n  name: 7\n", []string{`g.yaml:2:9: broker.name: is a number, which is not text without quotes; expected text`}},
		"number without unit":   {"shutdown:\n  grace: 30\n", []string{`g.yaml:2:10: shutdown.grace: is a number; expected a duration with a unit, for example 30s`}},
		"bad duration":          {"shutdown:\n  grace: 30 x\n", []string{`g.yaml:2:10: shutdown.grace: "30 x" is not a duration; expected for example 500ms, 30s or 5m`}},
		"bad size":              {"limits:\n  cache: 5 apples\n", []string{`g.yaml:2:10: limits.cache: "5 apples" is not a size; expected for example 64 MiB, 10 GB or a number of bytes`}},
		"bad word":              {"credentials:\n  mode: sometimes\n", []string{`g.yaml:2:9: credentials.mode: "sometimes" is not allowed; expected ignore, observe, optional or mandatory`}},
		"bool":                  {"credentials:\n  allowInsecure: maybe\n", []string{`g.yaml:2:18: credentials.allowInsecure: "maybe" is text; expected true or false`}},
		"list for section":      {"broker: [a]\n", []string{`g.yaml:1:9: broker: is a list; expected a section with keys`}},
		"section for list":      {"listeners:\n  protocol: stomp\n", []string{`g.yaml:2:3: listeners: is a section; expected a list (lines that begin with "- ")`}},
		"duplicate key":         {"data: a\ndata: b\n", []string{`g.yaml:2:1: mapping key "data" already defined at [1:1]`}},
		"alias":                 {"data: &a x\n", []string{`g.yaml:1:7: data: is an anchor or alias, which are not supported here; expected text`}},
		"second document":       {"data: a\n---\ndata: b\n", []string{`g.yaml:2:1: a second document; expected one`}},
		"no listeners":          {"listeners: []\n", []string{`g.yaml:1:1: listeners: is empty; expected at least one`}},
		"no url":                {"listeners:\n  - protocol: stomp\n", []string{`g.yaml:2:5: listeners[0].url: is missing; expected for example tcp://127.0.0.1:61616`}},
		"ssl":                   {"listeners:\n  - {protocol: stomp, url: \"ssl://127.0.0.1:61615\"}\n", []string{`g.yaml:2:23: listeners[0].url: "ssl://127.0.0.1:61615": ssl is not a transport here; expected tls://127.0.0.1:61615`}},
		"transport":             {"listeners:\n  - {protocol: stomp, url: \"udp://127.0.0.1:1\"}\n", []string{`g.yaml:2:23: listeners[0].url: "udp://127.0.0.1:1": transport "udp" is not known; expected tcp, tls or tcp+tls://HOST:PORT`}},
		"no port":               {"listeners:\n  - {protocol: stomp, url: \"tcp://127.0.0.1\"}\n", []string{`g.yaml:2:23: listeners[0].url: "tcp://127.0.0.1": "127.0.0.1" has no port; expected HOST:PORT`}},
		"same address":          {"listeners:\n  - {protocol: stomp, url: \"tcp://127.0.0.1:8161\"}\n", []string{`g.yaml:2:23: listeners[0].url: 127.0.0.1:8161 is also the address of http.address`}},
		"same name":             {"listeners:\n  - {name: a, protocol: stomp, url: \"tcp://127.0.0.1:1\"}\n  - {name: a, protocol: stomp, url: \"tcp://127.0.0.1:2\"}\n", []string{`g.yaml:3:6: listeners[1].name: "a" is also the name of listeners[0]`}},
		"open to the world":     {"listeners:\n  - {protocol: stomp, url: \"tcp://0.0.0.0:61614\"}\n", []string{`credentials.mode: ignore lets anybody connect who reaches tcp://0.0.0.0:61614 (listeners[0]); expected mandatory, or credentials.allowInsecure: true if that is meant`}},
		"plain password":        {"credentials:\n  users:\n    - {name: a, password: hunter2}\n", []string{`g.yaml:3:17: credentials.users[0].password: `}},
		"user twice":            {"credentials:\n  users:\n    - {name: a, certificates: [\"CN=a\"]}\n    - {name: a, certificates: [\"CN=b\"]}\n", []string{`g.yaml:4:8: credentials.users[1].name: "a" is there twice`}},
		"right without groups":  {"credentials:\n  rights:\n    - {destination: \"queue://A.>\"}\n", []string{`g.yaml:3:8: credentials.rights[0]: gives no right; expected groups in read, write or admin`}},
		"right of nothing":      {"credentials:\n  rights:\n    - {destination: \"kueue://A\", read: [a]}\n", []string{`g.yaml:3:8: credentials.rights[0].destination: `}},
		"key without its other": {"tls:\n  key: a.pem\n", []string{`g.yaml:1:1: tls: certificate and key go together; one of them is missing`}},
		"client CA":             {"tls:\n  clientAuth: required\n", []string{`g.yaml:2:3: tls.clientAuth: required needs tls.clientCA, the authorities that client certificates come from`}},
		"network":               {"listeners:\n  - {protocol: stomp, url: \"tcp://127.0.0.1:1\", proxyFrom: [\"10.0.0.1\"]}\n", []string{`listeners[0].proxyFrom[0]: "10.0.0.1" is not a network; expected for example 10.0.0.0/8 or 192.0.2.7/32`}},
		"service for all":       {"services:\n  - {name: web}\n", []string{`g.yaml:2:6: services[0]: fits every client; expected clientIDs, users or addresses`}},
		"service without name":  {"services:\n  - {users: [web]}\n", []string{`services[0].name: is missing; expected the service's name`}},
		"service elsewhere":     {"services:\n  - {name: web, addresses: [10.0.0.0/8, \"::1\", here]}\n", []string{`services[0].addresses[2]: "here" is no address and no network; expected for example 10.0.3.7 or 10.0.4.0/24`}},
		"journal":               {"journal:\n  maxSize: 20 MiB\n", []string{`g.yaml:2:3: journal.maxSize: 20 MiB is less than four segments of 16 MiB`}},
		"several": {"dat: x\nlimits:\n  connections: 0\n  cache: 1\n", []string{
			`g.yaml:1:1: unknown key "dat"; did you mean "data"?`,
			`g.yaml:3:3: limits.connections: 0 is out of range; expected 1 or more`,
			`g.yaml:4:3: limits.cache: 1 B is too little; expected 1 MiB or more`,
		}},
		"syntax": {"data: [a\n", []string{`g.yaml:1:7: `}},
		"deep":   {strings.Repeat("[", 200), []string{`g.yaml:1: nested more than 32 levels deep`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("g.yaml", []byte(tt.file))
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("Parse = %v; want Problems", err)
			}
			if len(problems) != len(tt.want) {
				t.Errorf("%d problems; want %d:\n%v", len(problems), len(tt.want), err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("problems:\n%v\nwant among them:\n%s", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a password: %v", err)
			}
		})
	}
}

// pairYAML is the configuration of an instance, to which more of the section cluster can be added.
func pairYAML(nodes string) string {
	return "cluster:\n  name: a\n  listen: '127.0.0.1:1'\n  nodes: " + nodes + "\n"
}

func TestParse(t *testing.T) {
	c, err := Parse("/etc/godwit/godwit.yaml", []byte(`
# the shop's broker
data: /var/lib/godwit
broker: {name: shop}
listeners:
  - protocol: auto
    url: tcp+tls://0.0.0.0:61616
    proxyFrom: [10.0.0.0/8]
  - {protocol: stomp, url: "tcp://127.0.0.1:61614", name: inner}
tls: {certificate: tls/cert.pem, key: tls/key.pem}
http:
  address: off
credentials:
  mode: mandatory
  users:
    - name: orders
      password: "`+hash+`"
      groups: [services]
  rights:
    - {destination: "queue://ORDERS.>", read: [services], write: ["*"]}
limits:
  frameSize: 10 MB
  loginTimeout: 5s
redelivery:
  multiplier: 1.5
shutdown:
  grace: 1m
`))
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Data, c.Broker.Name, len(c.Listeners), c.Listeners[0].Name, c.Listeners[1].Name, c.TLS.Certificate, c.HTTP.Off(), c.Credentials.Mode,
		c.Credentials.Users[0].Groups, c.Limits.FrameSize, c.Limits.LoginTimeout, c.Redelivery.Multiplier, c.Shutdown.Grace, c.Limits.Transaction}
	want := []any{"/var/lib/godwit", "shop", 2, "auto-61616", "inner", "/etc/godwit/tls/cert.pem", true, "mandatory",
		[]string{"services"}, Size(10_000_000), 5 * time.Second, 1.5, time.Minute, 1_000_000}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestDefaultIsValid(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
}

func TestLoadOrder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "g.yaml")
	if err := os.WriteFile(path, []byte("data: fromfile\nbroker: {name: fromfile}\nlog: {level: warn}\nlimits: {transaction: 5}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, []string{"GODWIT_BROKER_NAME=fromenv", "GODWIT_LOG_LEVEL=error", "GODWIT_LISTEN=stomp=tcp://127.0.0.1:1,auto=tls://127.0.0.1:2", "GODWIT_SERVICE_HOST=10.0.0.1"},
		Override{Key: "log.level", Value: "debug", Origin: "flag --log-level"})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{c.Data, c.Broker.Name, c.Log.Level, c.Limits.Transaction, len(c.Listeners), c.Listeners[1].URL, c.File()}
	want := []any{filepath.Join(dir, "fromfile"), "fromenv", "debug", 5, 2, "tls://127.0.0.1:2", path}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestLoadProblemsNameTheirOrigin(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := Load("", []string{"GODWIT_LIMITS_TRANSACTION=x", "GODWIT_HTTP=localhost"},
		Override{Key: "listeners", Value: "tcp://127.0.0.1:1", Origin: "flag --listen"},
		Override{Key: "listeners", Value: "mqtt=tcp://127.0.0.1:1", Origin: "flag --listen"},
		Override{Key: "credentials.mode", Value: "none", Origin: "flag --credentials"})
	want := `environment variable GODWIT_LIMITS_TRANSACTION: limits.transaction: "x" is not a whole number
flag --listen: "tcp://127.0.0.1:1" has no protocol; expected for example openwire=tcp://127.0.0.1:61616
flag --credentials: credentials.mode: "none" is not allowed; expected ignore, observe, optional or mandatory
flag --listen: listeners[0].protocol: "mqtt" is not allowed; expected openwire, stomp or auto
environment variable GODWIT_HTTP: http.address: "localhost" has no port; expected HOST:PORT, or off`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	if _, err := Load("missing.yaml", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of a named file that is missing = %v; want os.ErrNotExist", err)
	}
}

func TestDiff(t *testing.T) {
	old, changed := Default(), Default()
	changed.Credentials.Mode = "mandatory"
	changed.Credentials.Users = []User{{Name: "a", Password: hash}}
	changed.HTTP.Hosts = []string{"broker.example"}
	changed.Data = "elsewhere"
	changed.Limits.FrameSize = 1 << 20
	changed.Listeners = changed.Listeners[:1]
	live, restart := Diff(old, changed)
	wantLive := []Change{
		{Key: "http.hosts", Old: "[]", New: "[broker.example]"},
		{Key: "credentials.mode", Old: "ignore", New: "mandatory"},
		{Key: "credentials.users"},
	}
	wantRestart := []Change{
		{Key: "data", Old: "godwit-data", New: "elsewhere"},
		{Key: "listeners"},
		{Key: "limits.frameSize", Old: "100 MiB", New: "1 MiB"},
	}
	if !reflect.DeepEqual(live, wantLive) || !reflect.DeepEqual(restart, wantRestart) {
		t.Errorf("Diff = %v, %v; want %v, %v", live, restart, wantLive, wantRestart)
	}
	merged := old.Live(changed)
	if live, restart = Diff(merged, changed); len(live) != 0 || !reflect.DeepEqual(restart, wantRestart) {
		t.Errorf("after Live, Diff = %v, %v; want none live, and %v", live, restart, wantRestart)
	}
	if live, restart = Diff(old, merged); !reflect.DeepEqual(live, wantLive) || len(restart) != 0 {
		t.Errorf("Live changed %v, %v; want %v, and none that needs a restart", live, restart, wantLive)
	}
}

func TestYAMLReadsBack(t *testing.T) {
	c := Default()
	c.Credentials.Users = []User{{Name: "o'brien, #x", Password: hash, Groups: []string{"a b", "- c"}}}
	c.Credentials.Rights = []Right{{Destination: "queue://A.>", Read: []string{"*"}}}
	c.Listeners[0].ProxyFrom = []string{"10.0.0.0/8", "::/0"}
	c.Listeners[0].ClientAuth = "off"
	c.Data, c.Redelivery.Multiplier, c.Shutdown.Grace = "/data", 2.5, 90*time.Second
	for _, comments := range []bool{false, true} {
		text := c.YAML(comments, true)
		back, err := Parse("g.yaml", text)
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if live, restart := Diff(c, back); len(live)+len(restart) > 0 {
			t.Errorf("read back differs: %v, %v in:\n%s", live, restart, text)
		}
	}
	if shown := string(c.YAML(true, false)); strings.Contains(shown, "argon2id$v") {
		t.Errorf("YAML without secrets shows a hash:\n%s", shown)
	}
}

func TestSize(t *testing.T) {
	tests := map[string]struct {
		size  Size
		again string // "" : the error
	}{
		"0": {0, "0"}, "1": {1, "1 B"}, "64 MiB": {64 << 20, "64 MiB"}, "64MiB": {64 << 20, "64 MiB"}, "10 GB": {10e9, "9765625 KiB"},
		"1536 KiB": {1536 << 10, "1536 KiB"}, "1 kB": {1000, "1000 B"}, "-1": {}, "1.5 MiB": {}, "9999999999 TiB": {}, "MiB": {}, "": {},
	}
	for in, tt := range tests {
		size, err := ParseSize(in)
		if size != tt.size || (err == nil) != (tt.again != "") || err == nil && size.String() != tt.again {
			t.Errorf("ParseSize(%q) = %d (%s), %v; want %d (%s)", in, size, size, err, tt.size, tt.again)
		}
	}
}

func TestLoopback(t *testing.T) {
	tests := map[string]bool{"tcp://127.0.0.1:1": true, "tcp://[::1]:1": true, "tls://localhost:1": true, "tcp://127.9.9.9:1": true, "tcp://[::ffff:127.0.0.1]:1": true,
		"tcp://0.0.0.0:1": false, "tcp://[::]:1": false, "tcp://:1": false, "tcp://10.0.0.1:1": false, "tcp://localhost.evil.example:1": false}
	for url, want := range tests {
		if got := (Listener{URL: url}).Loopback(); got != want {
			t.Errorf("Loopback of %s = %v; want %v", url, got, want)
		}
	}
}

func TestEnvName(t *testing.T) {
	tests := map[string]string{"data": "GODWIT_DATA", "credentials.usersFile": "GODWIT_CREDENTIALS_USERS_FILE", "tls.clientCA": "GODWIT_TLS_CLIENT_CA", "deadLetter.queue": "GODWIT_DEAD_LETTER_QUEUE"}
	for key, want := range tests {
		if got := envName(key); got != want {
			t.Errorf("envName(%s) = %s; want %s", key, got, want)
		}
	}
}

// FuzzConfig asks that no file makes Parse panic, and that what it accepts can be written and read back as the same.
func FuzzConfig(f *testing.F) {
	f.Add(Default().YAML(true, true))
	f.Add([]byte("listeners:\n  - {protocol: auto, url: \"tcp+tls://[::1]:0\"}\nhttp: {address: off}\n"))
	f.Add([]byte("data: |\n  a\nlimits: {frameSize: 10 MB}\ncredentials: {mode: mandatory, users: [{name: a, certificates: [\"CN=a\"]}]}\n"))
	f.Add([]byte("? a\n: b\n--- !!x &y *z <<: 1e400\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("g.yaml", data)
		if err != nil {
			return
		}
		text := c.YAML(false, true)
		back, err := Parse("g.yaml", text)
		if err != nil {
			t.Fatalf("%v\nafter writing %q as:\n%s", err, data, text)
		}
		if live, restart := Diff(c, back); len(live)+len(restart) > 0 {
			t.Fatalf("read back differs: %v, %v in:\n%s", live, restart, text)
		}
	})
}

func TestPolicies(t *testing.T) {
	tests := map[string]struct {
		file string
		want func(*Policy) // of policies[0], made of what holds by itself
		err  string
	}{
		"open keys are those of the top": {
			file: "redelivery: {maximum: 3, delay: 2s}\npolicies:\n  - {destination: 'queue://a.>', redelivery: {maximum: 9}}",
			want: func(p *Policy) {
				p.Destination, p.Redelivery.Maximum, p.Redelivery.Delay = "queue://a.>", 9, 2*time.Second
			},
		},
		"zero is said too": {
			file: "redelivery: {maximum: 3}\npolicies:\n  - {destination: 'topic://a', redelivery: {maximum: 0}, expiry: {to: drop}}",
			want: func(p *Policy) { p.Destination, p.Expiry.To = "topic://a", "drop" },
		},
		"no kind":  {file: "policies:\n  - {destination: a}", err: "g.yaml:2:6: policies[0].destination: \"a\" names no destinations; expected for example queue://ORDERS.>"},
		"twice":    {file: "policies:\n  - {destination: 'queue://a'}\n  - {destination: 'queue://a'}", err: "g.yaml:3:6: policies[1].destination: queue://a has a policy already, policies[0]"},
		"no queue": {file: "policies:\n  - {destination: 'queue://a', deadLetter: {queue: 'x.>'}}", err: "g.yaml:2:45: policies[0].deadLetter.queue: \"x.>\" is not the name of one queue"},
		"no end":   {file: "redelivery: {maximum: -2}", err: "g.yaml:1:14: redelivery.maximum: -2 is out of range; expected 0 or more, or -1 for redeliveries without end"},
		"wild":     {file: "redelivery: {collisionAvoidance: 2}", err: "g.yaml:1:14: redelivery.collisionAvoidance: 2 is out of range; expected 0 to 1"},
		"itself":   {file: "deadLetter: {strategy: individual, queuePrefix: ''}", err: "g.yaml:1:36: deadLetter.queuePrefix: prefix and suffix are both empty: a queue would be its own dead-letter queue"},
		"no regex": {file: "deadLetter: {drop: ['a.*', '(']}", err: "g.yaml:1:28: deadLetter.drop[1]: \"(\" is no regular expression: error parsing regexp: missing closing ): `^(?:()$`"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := Parse("g.yaml", []byte(tt.file))
			switch {
			case err != nil && err.Error() != tt.err, err == nil && tt.err != "":
				t.Errorf("Parse(%q): error %v, want %q", tt.file, err, tt.err)
			case err == nil:
				top, got := Default(), c.Policies[0]
				want := Policy{Redelivery: top.Redelivery, DeadLetter: top.DeadLetter, Expiry: top.Expiry}
				tt.want(&want)
				if got = (Policy{Destination: got.Destination, Redelivery: got.Redelivery, DeadLetter: got.DeadLetter, Expiry: got.Expiry}); !reflect.DeepEqual(got, want) {
					t.Errorf("Parse(%q) gives policy %+v, want %+v", tt.file, got, want)
				}
			}
		})
	}
}

// The digest is the same for two nodes' files that differ only in what is a node's own.
func TestDigest(t *testing.T) {
	base := Default()
	tests := map[string]struct {
		change func(c *Config)
		same   bool
	}{
		"nothing":     {func(c *Config) {}, true},
		"data":        {func(c *Config) { c.Data = "/elsewhere" }, true},
		"addresses":   {func(c *Config) { c.HTTP.Address, c.Listeners = "127.0.0.1:1", nil }, true},
		"users' file": {func(c *Config) { c.Credentials.UsersFile = "/elsewhere/users" }, true},
		"mode":        {func(c *Config) { c.Credentials.Mode = "mandatory" }, false},
		"a limit":     {func(c *Config) { c.Limits.Transaction++ }, false},
		"redelivery":  {func(c *Config) { c.Redelivery.Maximum++ }, false},
		"a policy":    {func(c *Config) { c.Policies = []Policy{{Destination: "queue://A"}} }, false},
		"a right":     {func(c *Config) { c.Credentials.Rights = []Right{{Destination: "A", Read: []string{"g"}}} }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			other := Default()
			tt.change(other)
			if same := other.Digest() == base.Digest(); same != tt.same {
				t.Errorf("the digests are the same: %v, want %v", same, tt.same)
			}
		})
	}
}
