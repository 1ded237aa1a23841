package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/godwitmq/godwit/listen/listentest"
)

// TestExport has the broker send its metrics to a server of OTLP and to moto's CloudWatch, which boto3 is asked for them.
func TestExport(t *testing.T) {
	need(t, "moto", "python3")
	python := venv(t, "cloudwatch-python", "cloudwatch/requirements.txt")
	l, err := listentest.Listen()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	moto := exec.Command(filepath.Join(python, "bin", "moto_server"), "-H", "127.0.0.1", "-p", port)
	if err := moto.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { moto.Process.Kill(); moto.Wait() }()
	cloud := "http://127.0.0.1:" + port
	eventuallyWithin(t, time.Minute, "moto does not answer", func() bool {
		response, err := http.Get(cloud + "/moto-api/")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == 200
	})

	var mu sync.Mutex
	got := map[string]float64{} // the last value of each series, with name and attributes
	fail := true                // the first time, to see that it is tried again
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if fail {
			fail = false
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		body, err := io.ReadAll(r.Body)
		var data otlp.MetricsData
		if err == nil {
			err = proto.Unmarshal(body, &data)
		}
		if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("OTLP: %v, content type %s", err, r.Header.Get("Content-Type"))
		}
		for _, resource := range data.ResourceMetrics {
			for _, scope := range resource.ScopeMetrics {
				for _, m := range scope.Metrics {
					points := m.GetGauge().GetDataPoints()
					if sum := m.GetSum(); sum != nil {
						points = sum.DataPoints
						if !sum.IsMonotonic || !strings.HasSuffix(m.Name, "_total") {
							t.Errorf("%s is a sum, monotonic: %v", m.Name, sum.IsMonotonic)
						}
					}
					for _, p := range points {
						key := m.Name
						for _, a := range p.Attributes {
							key += "," + a.Key + "=" + a.Value.GetStringValue()
						}
						got[key] = p.GetAsDouble()
					}
				}
			}
		}
	}))
	defer collector.Close()

	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("AKIDEXAMPLE secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := startOwn(t, fmt.Sprintf(`
broker: {name: payroll}
metrics:
  export:
    - {to: otlp, url: '%s/v1/metrics', names: prometheus, every: 3s}
    - {to: otlp, url: '%s/v1/metrics', names: cloudwatch, every: 2s}
    - {to: cloudwatch, url: '%s/', names: cloudwatch, every: 2s, region: eu-central-1, namespace: Godwit/AmazonMQ, keyFile: '%s'}
    - {to: otlp, url: 'http://127.0.0.1:1/', names: cloudwatch, every: 2s}
`, collector.URL, collector.URL, cloud, key), brokerOptions{})
	eventuallyWithin(t, time.Minute, "OTLP has got nothing", func() bool {
		mu.Lock()
		defer mu.Unlock()
		_, is := got["TotalMessageCount"]
		return is
	})
	time.Sleep(3 * time.Second) // all have got a batch: counts of a time begin with the first
	c := loginStomp(t, b)
	for range 3 {
		c.must(t, "SEND", "x", "destination", "/queue/orders", "persistent", "true")
	}
	eventuallyWithin(t, time.Minute, "OTLP has not got the series", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return got["godwit_destination_messages,kind=queue,name=orders"] == 3 && got["godwit_messages_enqueued_total"] >= 3 && got["QueueSize,Queue=orders"] == 3
	})
	type value struct {
		Name       string
		Dimensions map[string]string
		Value      *float64
		Unit       string
	}
	read := func() map[string]value {
		cmd := exec.CommandContext(t.Context(), filepath.Join(python, "bin", "python"), "cloudwatch/read.py")
		cmd.Env = append(os.Environ(), "INTEROP_CLOUDWATCH="+cloud, "AWS_EC2_METADATA_DISABLED=true")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("boto3: %v\n%s", err, out)
		}
		found := map[string]value{}
		for line := range strings.Lines(string(out)) {
			var v value
			if err := json.Unmarshal([]byte(line), &v); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			found[v.Name+" "+v.Dimensions["Broker"]+" "+v.Dimensions["Queue"]] = v
		}
		return found
	}
	is := func(found map[string]value, key string, want float64, unit string) bool {
		v := found[key]
		return v.Value != nil && *v.Value == want && v.Unit == unit
	}
	eventuallyWithin(t, time.Minute, "CloudWatch has not got the metrics", func() bool {
		found := read()
		return is(found, "QueueSize payroll-1 orders", 3, "Count") && is(found, "EnqueueCount payroll-1 orders", 3, "Count") && is(found, "TotalMessageCount payroll-1 ", 3, "Count") && found["StorePercentUsage payroll-1 "].Unit == "Percent"
	})
	if found := read(); len(found) > 350 {
		t.Errorf("%d metrics; the budget is 350", len(found))
	}
	_, text := fetch(t, strings.TrimSuffix(b.readyURL, "/readyz")+"/metrics")
	for _, result := range []string{"sent", "dropped"} {
		if strings.Contains(text, fmt.Sprintf("godwit_metrics_exports_total{result=%q} 0\n", result)) || !strings.Contains(text, "godwit_metrics_exports_total") {
			t.Errorf("no batch is counted as %s:\n%s", result, text)
		}
	}
}
