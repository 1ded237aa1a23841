package mqapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Signatures are AWS's version 4 ("Signing AWS API requests" of its IAM user guide), in the header form. A signature that is seen again while its time is within
// the limit is taken again, as by AWS: clients sign with whole seconds, so that two equal requests of one second have one signature, and a
// client that asks for the same thing twice a second does nothing wrong. What must not happen twice, CreateBroker, has its own token; and whoever can read
// requests on the way has to be kept off by TLS.

// Key is an access key's other half.
type Key struct {
	Account  string
	Secret   string
	Disabled bool
	Expires  time.Time // zero: never
}

// ErrUnknownKey is what Keys says of a key that there is not.
var ErrUnknownKey = errors.New("unknown access key")

// Keys knows the access keys.
type Keys interface {
	// Secret looks up a key. Errors other than ErrUnknownKey are internal ones.
	Secret(ctx context.Context, accessKeyID string) (Key, error)
}

const (
	algorithm  = "AWS4-HMAC-SHA256"
	signedFor  = "mq"
	terminator = "aws4_request"
	dateLayout = "20060102T150405Z"
)

// authorization is the header of that name, its parts separated but not believed yet.
type authorization struct {
	accessKeyID   string
	date, region  string // of the scope
	service       string // of the scope: signedFor
	signedHeaders []string
	signature     []byte
	at            time.Time // X-Amz-Date
}

func (a *authorization) scope() string {
	return a.date + "/" + a.region + "/" + a.service + "/" + terminator
}

var (
	keyForm    = regexp.MustCompile(`^[A-Za-z0-9_]{1,128}$`)
	regionForm = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)
	headerForm = regexp.MustCompile("^[a-z0-9!#$%&'*+.^_`|~-]+$")
)

const howToSign = "sign with AWS Signature Version 4 in the Authorization header, as the AWS CLI and the SDKs do"

// parseAuthorization reads "AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/mq/aws4_request, SignedHeaders=a;b, Signature=HEX".
func parseAuthorization(header string) (*authorization, *Error) {
	incomplete := func(format string, args ...any) *Error {
		return Errorf(IncompleteSignature, "Authorization", format+"; "+howToSign, args...)
	}
	name, rest, _ := strings.Cut(header, " ")
	if name != algorithm {
		return nil, incomplete("the Authorization header must begin with %s, not %s", algorithm, text(name))
	}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if _, twice := parts[key]; twice || !ok || key != "Credential" && key != "SignedHeaders" && key != "Signature" {
			return nil, incomplete("the Authorization header has Credential=, SignedHeaders= and Signature=, each once, separated by commas; it has %s", text(part))
		}
		parts[key] = value
	}
	for _, key := range []string{"Credential", "SignedHeaders", "Signature"} {
		if parts[key] == "" {
			return nil, incomplete("the Authorization header lacks %s=", key)
		}
	}
	scope := strings.Split(parts["Credential"], "/")
	if len(scope) != 5 {
		return nil, incomplete("Credential must be ACCESS-KEY-ID/DATE/REGION/%s/%s, not %s", signedFor, terminator, text(parts["Credential"]))
	}
	a := &authorization{accessKeyID: scope[0], date: scope[1], region: scope[2], service: scope[3], signedHeaders: strings.Split(parts["SignedHeaders"], ";")}
	switch {
	case !keyForm.MatchString(a.accessKeyID):
		return nil, incomplete("%s is no access key id", text(a.accessKeyID))
	case !regionForm.MatchString(a.region):
		return nil, incomplete("%s is no region", text(a.region))
	case a.service != signedFor || scope[4] != terminator:
		return nil, Errorf(InvalidSignature, "Authorization", "Credential should be scoped to the service %s and end with %s, not %s; use a client for Amazon MQ, or sign for the service %[1]s",
			signedFor, terminator, text(scope[3]+"/"+scope[4]))
	}
	var err error
	if a.signature, err = hex.DecodeString(parts["Signature"]); err != nil || len(a.signature) != sha256.Size {
		return nil, incomplete("Signature must be %d hexadecimal digits", 2*sha256.Size)
	}
	if !slices.IsSorted(a.signedHeaders) {
		return nil, incomplete("SignedHeaders must be sorted")
	}
	for i, h := range a.signedHeaders {
		if !headerForm.MatchString(h) || i > 0 && a.signedHeaders[i-1] == h {
			return nil, incomplete("SignedHeaders must be names in lower case, each once, separated by semicolons")
		}
	}
	return a, nil
}

// signatureOf reads what a request says about its signature, and refuses what needs no key to see that it is wrong. The body is not looked at.
func signatureOf(r *http.Request, now time.Time, skew time.Duration) (*authorization, *Error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, Errorf(BadRequest, "", "the query cannot be read: %v", err)
	}
	for key := range query {
		if strings.HasPrefix(strings.ToLower(key), "x-amz-") {
			return nil, Errorf(IncompleteSignature, key, "signatures in the query (presigned URLs) are not taken; %s", howToSign)
		}
	}
	headers := r.Header.Values("Authorization")
	switch len(headers) {
	case 0:
		return nil, Errorf(MissingAuthenticationToken, "Authorization", "the request is not signed; %s", howToSign)
	case 1:
	default:
		return nil, Errorf(IncompleteSignature, "Authorization", "there are %d Authorization headers; %s", len(headers), howToSign)
	}
	a, problem := parseAuthorization(headers[0])
	if problem != nil {
		return nil, problem
	}
	dates := r.Header.Values("X-Amz-Date")
	if len(dates) != 1 {
		return nil, Errorf(IncompleteSignature, "X-Amz-Date", "there must be one X-Amz-Date header (%s); %s", dateLayout, howToSign)
	}
	if a.at, err = time.Parse(dateLayout, dates[0]); err != nil {
		return nil, Errorf(IncompleteSignature, "X-Amz-Date", "X-Amz-Date must be like %s, not %s", dateLayout, text(dates[0]))
	}
	if !strings.HasPrefix(dates[0], a.date) || len(a.date) != len("20060102") {
		return nil, Errorf(InvalidSignature, "Authorization", "the date of Credential, %s, is not that of X-Amz-Date, %s", text(a.date), text(dates[0]))
	}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !slices.Contains(a.signedHeaders, name) {
			return nil, Errorf(InvalidSignature, "Authorization", "the header %s is not signed; every x-amz-* header must be in SignedHeaders", name)
		}
	}
	for _, name := range []string{"host", "x-amz-date"} { // the second is for a request whose date comes twice
		if !slices.Contains(a.signedHeaders, name) {
			return nil, Errorf(InvalidSignature, "Authorization", "%q must be in SignedHeaders", name)
		}
	}
	if token := r.Header.Get("X-Amz-Security-Token"); token != "" {
		return nil, Errorf(UnrecognizedClient, "X-Amz-Security-Token", "there are no temporary credentials here; unset AWS_SESSION_TOKEN (aws_session_token) and use an access key that the operator has made")
	}
	// RFC 3339 times and how far they are apart: what somebody needs who looks for the wrong clock.
	if off := now.Sub(a.at); off > skew || off < -skew {
		state := "Signature expired"
		if off < 0 {
			state = "Signature not yet current"
		}
		return nil, Errorf(InvalidSignature, "X-Amz-Date", "%s: it was made at %s and it is %s here, more than %v apart; set the clock of the machine that asks (or of this one)",
			state, a.at.Format(time.RFC3339), now.UTC().Format(time.RFC3339), skew)
	}
	return a, nil
}

// verify holds the signature against that which the secret gives, in constant time.
func (a *authorization) verify(r *http.Request, body []byte, secret string) *Error {
	payload := sha256.Sum256(body)
	hash := hex.EncodeToString(payload[:])
	if said := r.Header.Get("X-Amz-Content-Sha256"); said != "" && said != hash {
		return Errorf(InvalidSignature, "X-Amz-Content-Sha256", "X-Amz-Content-Sha256 is not the hash of the body; unsigned and streamed bodies are not taken")
	}
	canonical, problem := canonicalRequest(r, a.signedHeaders, hash)
	if problem != nil {
		return problem
	}
	if !hmac.Equal(signature(secret, a, canonical), a.signature) {
		return Errorf(InvalidSignature, "Authorization", "The request signature we calculated does not match the signature you provided. Check the secret access key of %s, and that nothing between changes the path, the query, the body or the Host header", a.accessKeyID)
	}
	return nil
}

func mac(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}

// signature is what a key makes of a canonical request.
func signature(secret string, a *authorization, canonical string) []byte {
	sum := sha256.Sum256([]byte(canonical))
	toSign := algorithm + "\n" + a.at.Format(dateLayout) + "\n" + a.scope() + "\n" + hex.EncodeToString(sum[:])
	key := mac([]byte("AWS4"+secret), a.date)
	for _, part := range []string{a.region, a.service, terminator} {
		key = mac(key, part)
	}
	return mac(key, toSign)
}

// canonicalRequest is what both sides make of a request, to sign it.
func canonicalRequest(r *http.Request, signedHeaders []string, payloadHash string) (string, *Error) {
	query, problem := canonicalQuery(r.URL.RawQuery)
	if problem != nil {
		return "", problem
	}
	var b strings.Builder
	// The path as it came, encoded once more: every service but S3 does that.
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	fmt.Fprintf(&b, "%s\n%s\n%s\n", r.Method, encode(path, true), query)
	for _, name := range signedHeaders {
		values, problem := headerValues(r, name)
		if problem != nil {
			return "", problem
		}
		for i, v := range values {
			values[i] = strings.Join(strings.FieldsFunc(v, func(c rune) bool { return c == ' ' || c == '\t' }), " ")
		}
		fmt.Fprintf(&b, "%s:%s\n", name, strings.Join(values, ","))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(signedHeaders, ";"), payloadHash)
	return b.String(), nil
}

// headerValues are those of a signed header. Go keeps some headers elsewhere.
func headerValues(r *http.Request, name string) ([]string, *Error) {
	switch values := r.Header.Values(name); {
	case name == "host":
		return []string{r.Host}, nil
	case len(values) > 0:
		return slices.Clone(values), nil
	case name == "content-length" && r.ContentLength >= 0:
		return []string{strconv.FormatInt(r.ContentLength, 10)}, nil
	}
	return nil, Errorf(InvalidSignature, "Authorization", "the header %s is in SignedHeaders, but did not come with the request", name)
}

// canonicalQuery sorts by the encoded key, then by the encoded value.
func canonicalQuery(raw string) (string, *Error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return "", Errorf(BadRequest, "", "the query cannot be read: %v", err)
	}
	type pair struct{ key, value string }
	var pairs []pair
	for key, values := range query {
		for _, value := range values {
			pairs = append(pairs, pair{encode(key, false), encode(value, false)})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.key, b.key); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	parts := make([]string, len(pairs))
	for i, p := range pairs {
		parts[i] = p.key + "=" + p.value
	}
	return strings.Join(parts, "&"), nil
}

// encode is the specification's UriEncode.
func encode(s string, isPath bool) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '/' && isPath:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
