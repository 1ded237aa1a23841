// Package export sends metrics to those who do not ask for them: by OTLP over HTTP, and by CloudWatch's PutMetricData.
package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/godwitmq/godwit/metrics"
)

// Batch is what is sent at a time.
type Batch struct {
	Families []metrics.Family
	Broker   string    // as CloudWatch's dimension
	Instance string    // of the node
	Begun    time.Time // of the process: when counters began
	At       time.Time
}

// Target is where to.
type Target struct {
	To        string // otlp or cloudwatch
	URL       string
	Region    string // of CloudWatch
	Namespace string // of CloudWatch
	KeyID     string // access key of CloudWatch
	Secret    string
}

// maxData is how many values CloudWatch takes in one request.
const maxData = 1000

// tries is how often one batch is sent at most, a second and two apart; whoever calls bounds the time by the context.
const tries = 3

var client = &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Send delivers a batch. It tries again what may succeed later, and gives up at the end of ctx.
func (t Target) Send(ctx context.Context, b Batch) error {
	if t.To == "otlp" {
		body, err := proto.Marshal(encode(b))
		if err != nil {
			return fmt.Errorf("encode metrics: %w", err)
		}
		return t.deliver(ctx, "application/x-protobuf", body)
	}
	for _, form := range t.forms(b) {
		if err := t.deliver(ctx, "application/x-www-form-urlencoded", []byte(form.Encode())); err != nil {
			return err
		}
	}
	return nil
}

func (t Target) deliver(ctx context.Context, kind string, body []byte) error {
	var err error
	for n := range tries {
		if n > 0 {
			select {
			case <-time.After(time.Second << (n - 1)):
			case <-ctx.Done():
				return err
			}
		}
		var again bool
		if again, err = t.post(ctx, kind, body); err == nil || !again {
			return err
		}
	}
	return err
}

// post sends once; again says that another try may succeed.
func (t Target) post(ctx context.Context, kind string, body []byte) (again bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", kind)
	if t.To == "cloudwatch" {
		hash := sha256.Sum256(body)
		if err := v4.NewSigner().SignHTTP(ctx, aws.Credentials{AccessKeyID: t.KeyID, SecretAccessKey: t.Secret}, r, hex.EncodeToString(hash[:]), "monitoring", t.Region, time.Now()); err != nil {
			return false, fmt.Errorf("sign: %w", err)
		}
	}
	answer, err := client.Do(r)
	if err != nil {
		return true, err
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 500))
	if answer.StatusCode/100 == 2 {
		return false, nil
	}
	return answer.StatusCode/100 == 5 || answer.StatusCode == http.StatusTooManyRequests, fmt.Errorf("%s answers %s: %q", t.URL, answer.Status, said)
}

// forms are the requests PutMetricData of a batch.
func (t Target) forms(b Batch) []url.Values {
	var all []url.Values
	var form url.Values
	n := maxData
	for _, f := range b.Families {
		for _, s := range f.Samples {
			if n == maxData {
				form, n = url.Values{"Action": {"PutMetricData"}, "Version": {"2010-08-01"}, "Namespace": {t.Namespace}}, 0
				all = append(all, form)
			}
			n++
			key := "MetricData.member." + strconv.Itoa(n) + "."
			form.Set(key+"MetricName", f.Name)
			form.Set(key+"Timestamp", b.At.UTC().Format(time.RFC3339))
			form.Set(key+"Value", strconv.FormatFloat(s.Value, 'g', -1, 64))
			form.Set(key+"Unit", Unit(f.Name))
			labels := append([]string{"Broker", b.Broker}, s.Labels...)
			for i := 0; i+1 < len(labels); i += 2 {
				dimension := key + "Dimensions.member." + strconv.Itoa(i/2+1) + "."
				form.Set(dimension+"Name", labels[i])
				form.Set(dimension+"Value", labels[i+1])
			}
		}
	}
	return all
}

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

// encode makes OTLP of a batch. MetricsData has the wire form of the request that collectors take.
func encode(b Batch) *otlp.MetricsData {
	scope := &otlp.ScopeMetrics{Scope: &common.InstrumentationScope{Name: "godwit"}}
	for _, f := range b.Families {
		m := &otlp.Metric{Name: f.Name, Description: f.Help}
		points := make([]*otlp.NumberDataPoint, len(f.Samples))
		for i, s := range f.Samples {
			p := &otlp.NumberDataPoint{TimeUnixNano: uint64(b.At.UnixNano()), Value: &otlp.NumberDataPoint_AsDouble{AsDouble: s.Value}}
			for j := 0; j+1 < len(s.Labels); j += 2 {
				p.Attributes = append(p.Attributes, text(s.Labels[j], s.Labels[j+1]))
			}
			if f.Kind == metrics.Counter {
				p.StartTimeUnixNano = uint64(b.Begun.UnixNano())
			}
			points[i] = p
		}
		if f.Kind == metrics.Counter {
			m.Data = &otlp.Metric_Sum{Sum: &otlp.Sum{DataPoints: points, IsMonotonic: true, AggregationTemporality: otlp.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE}}
		} else {
			m.Data = &otlp.Metric_Gauge{Gauge: &otlp.Gauge{DataPoints: points}}
		}
		scope.Metrics = append(scope.Metrics, m)
	}
	return &otlp.MetricsData{ResourceMetrics: []*otlp.ResourceMetrics{{
		Resource:     &resource.Resource{Attributes: []*common.KeyValue{text("service.name", "godwit"), text("service.instance.id", b.Instance), text("Broker", b.Broker)}},
		ScopeMetrics: []*otlp.ScopeMetrics{scope},
	}}}
}
