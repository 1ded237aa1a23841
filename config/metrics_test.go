package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMetrics(t *testing.T) {
	const cloud = "{to: cloudwatch, url: 'https://h/', names: cloudwatch, region: r, namespace: N, keyFile: k}"
	for name, tt := range map[string]struct{ yaml, want string }{
		"default":       {"{}", ""},
		"all":           {"{budget: 1000, destination: [messages], always: ['queue://A.>'], export: [" + cloud + ", {to: otlp, url: 'http://h:4318/v1/metrics', names: prometheus, every: 10s}]}", ""},
		"small budget":  {"{budget: 100}", "metrics.budget: 100 is out of range"},
		"unknown":       {"{destination: [size]}", `metrics.destination[0]: "size" is nothing that is measured`},
		"twice":         {"{destination: [dead, dead]}", "is there twice"},
		"no kind":       {"{always: [A]}", `metrics.always[0]: "A" names no destinations`},
		"no URL":        {"{export: [{to: otlp, url: h, names: prometheus}]}", "is no URL"},
		"no names":      {"{export: [{to: otlp, url: 'http://h/'}]}", "metrics.export[0].names: is missing"},
		"too often":     {"{export: [{to: otlp, url: 'http://h/', names: prometheus, every: 1ms}]}", "is out of range"},
		"no key":        {"{export: [{to: cloudwatch, url: 'http://h/', names: prometheus, region: r, namespace: N}]}", "are needed by cloudwatch"},
		"AWS namespace": {"{export: [" + strings.Replace(cloud, "namespace: N", "namespace: AWS/AmazonMQ", 1) + "]}", "keeps for itself"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "godwit.yaml")
			if err := os.WriteFile(file, []byte("metrics: "+tt.yaml+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(file, nil)
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v; want %q", tt.yaml, err, tt.want)
			}
		})
	}
}
