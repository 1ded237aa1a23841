package interop

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/godwitmq/godwit/listen/listentest"
)

const monitoring = "../docs/monitoring/"

// metricName finds the names of ours in a text.
var metricName = regexp.MustCompile(`\b(?:godwit|process)_[a-z_]+`)

// TestMonitoring has a real Prometheus scrape a pair, with the alert rules of docs/monitoring, and ask it all that the dashboard and the rules ask.
func TestMonitoring(t *testing.T) {
	needSomething(t)
	for _, program := range []string{"promtool", "prometheus"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s, of Debian's package prometheus, is not installed", program)
		}
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), "promtool", args...)
		cmd.Dir = monitoring
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, out)
		}
	}
	p := startPair(t)
	active := p.await(t, "active")
	if status, answer, err := p.ask(patience, active, "POST", "/api/v1/queues/orders/send", `{"messages": [{"text": "x"}]}`); err != nil || status != 200 {
		t.Fatalf("send: %d %s, %v", status, answer, err)
	}

	there := map[string]bool{}
	var targets []string
	for name, api := range p.apis {
		targets = append(targets, "'"+strings.TrimPrefix(api, "http://")+"'")
		_, text := fetch(t, api+"/metrics")
		for _, family := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(text, -1) {
			there[family[1]] = true
		}
		cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil && strings.Contains(string(out), "error") {
			t.Errorf("promtool check metrics, of %s: %v\n%s", name, err, out)
		}
	}
	rules, err := os.ReadFile(monitoring + "alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	data, err := os.ReadFile(monitoring + "grafana.json")
	if err == nil {
		err = json.Unmarshal(data, &dashboard)
	}
	if err != nil {
		t.Fatal(err)
	}
	used := metricName.FindAllString(string(rules)+string(data), -1)
	if len(used) < 40 {
		t.Errorf("only %d names are found in the rules and the dashboard", len(used))
	}
	for _, name := range used {
		if !there[name] {
			t.Errorf("%s is used in docs/monitoring, and no node has it", name)
		}
	}

	dir := t.TempDir()
	absolute, err := filepath.Abs(monitoring + "alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: ['%s']\nscrape_configs: [{job_name: godwit, static_configs: [{targets: [%s]}]}]\n", absolute, strings.Join(targets, ","))
	if err := os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := listentest.Listen()
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command("prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()

	ask := func(expr string) (n int, err error) {
		response, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(expr))
		if err != nil {
			return 0, err
		}
		defer response.Body.Close()
		var answer struct {
			Status, Error string
			Data          struct{ Result []any }
		}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			return 0, err
		}
		if answer.Status != "success" {
			return 0, fmt.Errorf("%s: %s", expr, answer.Error)
		}
		return len(answer.Data.Result), nil
	}
	eventuallyWithin(t, time.Minute, "Prometheus has not scraped all nodes twice", func() bool {
		n, err := ask("count_over_time(up{job=\"godwit\"}[1m]) >= 2 and up == 1")
		return err == nil && n == len(p.apis)
	})
	if n, err := ask(`godwit_broker_info{role="active",node="` + active + `"}`); err != nil || n != 1 {
		t.Errorf("%d nodes are active as Prometheus sees it, %v", n, err)
	}
	if n, err := ask(`godwit_destination_messages{name="orders"} == 1`); err != nil || n != 1 {
		t.Errorf("Prometheus sees %d queues orders with a message, %v", n, err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expr := strings.ReplaceAll(target.Expr, "$instance", ".*")
			n, err := ask(expr)
			if err != nil || n == 0 && !strings.Contains(expr, "> 0") {
				t.Errorf("panel %q: %s has %d results, %v", panel.Title, expr, n, err)
			}
		}
	}
	response, err := http.Get("http://" + address + "/api/v1/rules")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var loaded struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := json.NewDecoder(response.Body).Decode(&loaded); err != nil || len(loaded.Data.Groups) != 1 {
		t.Fatalf("rules: %+v, %v", loaded, err)
	}
	for _, r := range loaded.Data.Groups[0].Rules {
		if r.Health == "err" {
			t.Errorf("rule %s: %s", r.Name, r.LastError)
		}
	}
}

// TestScrapeOfManyQueues makes 5,000 queues: the budget holds, and a scrape does not take long.
func TestScrapeOfManyQueues(t *testing.T) {
	needSomething(t)
	var yaml strings.Builder
	yaml.WriteString("destinations:\n")
	for i := range 5000 {
		fmt.Fprintf(&yaml, "  - queue://many.%d\n", i)
	}
	b := startOwn(t, yaml.String(), brokerOptions{})
	api := strings.TrimSuffix(b.readyURL, "/readyz")
	fastest := time.Hour
	for range 10 {
		begun := time.Now()
		_, text := fetch(t, api+"/metrics")
		fastest = min(fastest, time.Since(begun))
		series := 0
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "#") {
				series++
			}
		}
		if series > 350 || !strings.Contains(text, "godwit_destinations{kind=\"queue\"} 5000\n") {
			t.Fatalf("%d series of 5,000 queues; the budget is 350:\n%s", series, text)
		}
	}
	t.Logf("the fastest of 10 scrapes took %v", fastest)
	if fastest > time.Second { // 100 ms on a quiet machine
		t.Errorf("a scrape takes %v", fastest)
	}
	begun := time.Now()
	if _, text := fetch(t, api+"/api/jolokia/read/org.apache.activemq:type=Broker,brokerName=*,destinationType=Queue,destinationName=many.4711/QueueSize"); !strings.Contains(text, `{"QueueSize":0}`) {
		t.Errorf("Jolokia says %s", text)
	}
	t.Logf("one of Jolokia's questions took %v", time.Since(begun))
}
