package config

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/godwitmq/godwit/message"
)

// Metrics say what is measured.
type Metrics struct {
	Budget      int      `yaml:"budget" doc:"Series that there are at most. Of these 120 are for the broker, the process and the node; the rest is spent on the destinations that are pinned, then on the fullest and busiest, and on one more, other, which has the sum of the rest."`
	Destination []string `yaml:"destination" doc:"What there is of each destination: messages, inFlight, bytes, consumers, producers, sendsWaiting, enqueued, dequeued, dispatched, expired, dead. The fewer, the more destinations have series of their own. Empty: none has."`
	Always      []string `yaml:"always" doc:"Destinations that have series of their own before all others: queue://NAME, topic://ORDERS.>"`
	Export      []Export `yaml:"export" doc:"Who is sent metrics, besides those who ask for them."`
}

// Export is one receiver of metrics.
type Export struct {
	To        string        `yaml:"to" allowed:"otlp|cloudwatch" doc:"How: OTLP over HTTP, or CloudWatch's PutMetricData."`
	URL       string        `yaml:"url" doc:"Where: http://collector:4318/v1/metrics, or CloudWatch's endpoint, https://monitoring.eu-central-1.amazonaws.com/"`
	Names     string        `yaml:"names" allowed:"prometheus|cloudwatch" doc:"Names: those of /metrics, or Amazon MQ's."`
	Every     time.Duration `yaml:"every" doc:"How often. 0: each minute."`
	Region    string        `yaml:"region" doc:"Region of CloudWatch, for which requests are signed."`
	Namespace string        `yaml:"namespace" doc:"Namespace in CloudWatch. It takes none that begins with AWS/."`
	KeyFile   string        `yaml:"keyFile" path:"yes" doc:"File with the id of an access key and its secret, which may PutMetricData in CloudWatch. Read each time."`
}

// Interval is Every, or what stands for it.
func (e Export) Interval() time.Duration { return cmp.Or(e.Every, time.Minute) }

// DestinationMetrics are what Metrics.Destination may name.
var DestinationMetrics = []string{"messages", "inFlight", "bytes", "consumers", "producers", "sendsWaiting", "enqueued", "dequeued", "dispatched", "expired", "dead"}

// JolokiaOperations are what HTTP.Jolokia.Allow may name.
var JolokiaOperations = []string{"purge", "pause", "resume", "addQueue", "addTopic", "removeQueue", "removeTopic"}

func (k checker) metrics() {
	m := k.config.Metrics
	k.check(m.Budget >= 150 && m.Budget <= 100_000, "metrics.budget", "%d is out of range; expected 150 to 100000", m.Budget)
	for i, word := range m.Destination {
		key := fmt.Sprintf("metrics.destination[%d]", i)
		k.check(slices.Contains(DestinationMetrics, word), key, "%q is nothing that is measured; expected one of %s", word, strings.Join(DestinationMetrics, ", "))
		k.check(!slices.Contains(m.Destination[:i], word), key, "%q is there twice", word)
	}
	k.check(len(m.Export) <= 8, "metrics.export", "has %d entries; expected 8 at most", len(m.Export))
	for i, e := range m.Export {
		key := fmt.Sprintf("metrics.export[%d]", i)
		u, err := url.Parse(e.URL)
		k.check(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", key+".url", "%q is no URL; expected http://HOST:PORT/PATH or https", e.URL)
		k.check(e.To != "", key+".to", "is missing; expected otlp or cloudwatch")
		k.check(e.Names != "", key+".names", "is missing; expected prometheus or cloudwatch")
		k.check(e.Every == 0 || e.Every >= time.Second && e.Every <= time.Hour, key+".every", "%v is out of range; expected 1s to 1h", e.Every)
		k.check(!slices.Contains(m.Export[:i], e), key, "is there twice")
		cloud := e.To == "cloudwatch"
		k.check(cloud == (e.Region != "") && cloud == (e.Namespace != "") && cloud == (e.KeyFile != ""), key, "region, namespace and keyFile are needed by cloudwatch, and by nothing else")
		k.check(!strings.HasPrefix(e.Namespace, "AWS/"), key+".namespace", "%q begins with AWS/, which CloudWatch keeps for itself", e.Namespace)
	}
	for i, text := range m.Always {
		d, err := message.ParseDestination(text, message.NoDestination)
		k.check(err == nil && !strings.ContainsAny(d.Name, ",?"), fmt.Sprintf("metrics.always[%d]", i), "%q names no destinations; expected for example queue://ORDERS.>", text)
	}
}
