package mqapi

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// Requests that botocore has signed (testdata/sigv4.py).
func TestBotocoreVectors(t *testing.T) {
	raw, err := os.ReadFile("testdata/sigv4.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		At, Secret string
		Cases      map[string]struct {
			Method, URL, Body string
			Headers           map[string]string
		}
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(dateLayout, vectors.At)
	if err != nil || len(vectors.Cases) < 10 {
		t.Fatalf("%d cases of %s: %v", len(vectors.Cases), vectors.At, err)
	}
	for name, v := range vectors.Cases {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(v.Method, v.URL, strings.NewReader(v.Body))
			for key, value := range v.Headers {
				r.Header.Set(key, value)
			}
			a, problem := signatureOf(r, at, time.Second)
			if problem != nil {
				t.Fatal(problem)
			}
			body, _ := io.ReadAll(r.Body)
			if problem := a.verify(r, body, vectors.Secret); problem != nil {
				t.Error(problem)
			}
			if problem := a.verify(r, body, vectors.Secret+"x"); problem == nil || problem.Kind != InvalidSignature {
				t.Errorf("with another secret: %v; want %s", problem, InvalidSignature)
			}
			if problem := a.verify(r, append(body, ' '), vectors.Secret); problem == nil || problem.Kind != InvalidSignature {
				t.Errorf("with another body: %v; want %s", problem, InvalidSignature)
			}
		})
	}
}

// Signatures that AWS has published with its description of the algorithm. They are of services whose paths are encoded once or have nothing to
// encode, and all have the same key and time.
func TestPublishedVectors(t *testing.T) {
	const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	tests := map[string]struct {
		method, url, service, contentType string
		want                              string
	}{
		"IAM's ListUsers": {"GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", "iam", "application/x-www-form-urlencoded; charset=utf-8",
			"5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
		"get-vanilla":                      {"GET", "https://example.amazonaws.com/", "service", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		"get-vanilla-query-order-key-case": {"GET", "https://example.amazonaws.com/?Param2=value2&Param1=value1", "service", "", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		"post-vanilla":                     {"POST", "https://example.amazonaws.com/", "service", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tt.method, tt.url, http.NoBody)
			r.Header.Set("X-Amz-Date", "20150830T123600Z")
			signed := []string{"host", "x-amz-date"}
			if tt.contentType != "" {
				r.Header.Set("Content-Type", tt.contentType)
				signed = []string{"content-type", "host", "x-amz-date"}
			}
			canonical, problem := canonicalRequest(r, signed, emptyHash)
			if problem != nil {
				t.Fatal(problem)
			}
			a := &authorization{date: "20150830", region: "us-east-1", service: tt.service, at: time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)}
			if got := hex.EncodeToString(signature("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", a, canonical)); got != tt.want {
				t.Errorf("signature %s; want %s, of\n%s", got, tt.want, canonical)
			}
		})
	}
}

// What is taken for an Authorization header says the same when it is written again.
func FuzzAuthorization(f *testing.F) {
	good := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261130/eu-central-1/mq/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0a", 32)
	f.Add(good)
	f.Add(strings.ReplaceAll(good, ", ", ","))
	f.Add(strings.Replace(good, "SignedHeaders", "Signature", 1))
	f.Add("Basic YTpi")
	f.Fuzz(func(t *testing.T, header string) {
		a, problem := parseAuthorization(header)
		if problem != nil {
			if status := problem.Kind.Status(); status < 400 || status >= 500 || problem.Message == "" {
				t.Fatalf("%q: %d %v", header, status, problem)
			}
			return
		}
		again, problem := parseAuthorization(algorithm + " Credential=" + a.accessKeyID + "/" + a.scope() + ",SignedHeaders=" + strings.Join(a.signedHeaders, ";") + ",Signature=" + hex.EncodeToString(a.signature))
		if problem != nil || again.scope() != a.scope() || strings.Join(again.signedHeaders, ";") != strings.Join(a.signedHeaders, ";") {
			t.Fatalf("%q: written again it is %v, %v", header, again, problem)
		}
	})
}
