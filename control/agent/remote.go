package agent

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/godwitmq/godwit/cluster"
	"github.com/godwitmq/godwit/control/plane"
)

// Remote is the Plane of a machine that has joined a service: it asks the control plane by mutual TLS.
type Remote struct {
	client *http.Client
}

// wireAnswerBytes bounds an answer.
const wireAnswerBytes = 64 << 20

// NewRemote makes one for a controller at addresses (HOST:PORT, any of them will do), with the certificate that the machine has joined with and the authority of that, in PEM.
func NewRemote(addresses []string, certificate tls.Certificate, authority []byte) (*Remote, error) {
	config, err := cluster.ClientTLS(certificate, authority)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var failed error
		for _, a := range addresses {
			conn, err := dialer.DialContext(ctx, "tcp", a)
			if err == nil {
				return conn, nil
			}
			failed = errors.Join(failed, err)
		}
		return nil, failed
	}
	return &Remote{client: &http.Client{Timeout: holdOrders + wireTime, Transport: &http.Transport{DialContext: dial, TLSClientConfig: config, TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// Close ends the connections that are idle.
func (r *Remote) Close() { r.client.CloseIdleConnections() }

// removedError says that the machine is no node any more.
type removedError struct {
	why       *plane.Error
	elsewhere map[string]uint64
}

func (e *removedError) Error() string { return e.why.Error() }
func (e *removedError) Unwrap() error { return e.why }

// call asks one question. found says that there is an answer, of which there is none where nothing is new.
func (r *Remote) call(ctx context.Context, method, path string, body, answer any) (found bool, err error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return false, err
		}
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, "https://"+cluster.Controller+path, content)
	if err != nil {
		return false, err
	}
	response, err := r.client.Do(request)
	if err != nil {
		if outer := (*url.Error)(nil); errors.As(err, &outer) { // without the URL, whose host means nothing to people
			err = outer.Err
		}
		return false, fmt.Errorf("ask the controller: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNoContent {
		return false, nil
	}
	decoder := json.NewDecoder(io.LimitReader(response.Body, wireAnswerBytes))
	if response.StatusCode == http.StatusOK {
		if err := decoder.Decode(answer); err != nil {
			return false, fmt.Errorf("read the controller's answer: %w", err)
		}
		return true, nil
	}
	var refused wireError
	if err := decoder.Decode(&refused); err != nil {
		return false, fmt.Errorf("the controller answers with status %d and what cannot be read: %w", response.StatusCode, err)
	}
	known := &plane.Error{Kind: refused.Kind, Attribute: refused.Attribute, Detail: refused.Detail}
	switch {
	case refused.Removed:
		return false, &removedError{known, refused.Elsewhere}
	case refused.Kind != "":
		return false, known
	}
	return false, fmt.Errorf("the controller answers: %s", refused.Detail)
}

// Orders implements Plane.
func (r *Remote) Orders(ctx context.Context, _ string, after uint64) (Orders, error) {
	for {
		var o Orders
		found, err := r.call(ctx, http.MethodGet, pathOrders+"?after="+strconv.FormatUint(after, 10), nil, &o)
		var removed *removedError
		if errors.As(err, &removed) {
			return Orders{Removed: removed.why.Detail, Elsewhere: removed.elsewhere}, nil
		}
		if found || err != nil {
			return o, err
		}
	}
}

// Report implements Plane.
func (r *Remote) Report(ctx context.Context, _ string, c plane.Command) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_, err = r.call(ctx, http.MethodPost, pathReport, wireReport{Kind: strings.TrimPrefix(fmt.Sprintf("%T", c), "plane."), Command: data}, nil)
	return err
}

// Configuration implements Plane.
func (r *Remote) Configuration(ctx context.Context, ref plane.ConfigurationRef) ([]byte, error) {
	answer, err := r.ask(ctx, pathConfiguration, wireConfiguration{ref})
	return answer.Data, err
}

// Password implements Plane.
func (r *Remote) Password(ctx context.Context, broker string) (string, error) {
	answer, err := r.ask(ctx, pathPassword, wirePassword{broker})
	return answer.Password, err
}

// ServerCertificate implements Plane.
func (r *Remote) ServerCertificate(ctx context.Context, name string, hosts []string, key *ecdsa.PublicKey) ([]byte, error) {
	answer, err := r.certify(ctx, pathServer, wireCertificate{Name: name, Hosts: hosts}, key)
	return answer.Data, err
}

// NodeCertificate implements Plane.
func (r *Remote) NodeCertificate(ctx context.Context, broker, name string, hosts []string, key *ecdsa.PublicKey) (certificate, authority []byte, err error) {
	answer, err := r.certify(ctx, pathNode, wireCertificate{Broker: broker, Name: name, Hosts: hosts}, key)
	return answer.Data, answer.Authority, err
}

func (r *Remote) certify(ctx context.Context, path string, ask wireCertificate, key *ecdsa.PublicKey) (answer wireAnswer, err error) {
	if ask.Key, err = x509.MarshalPKIXPublicKey(key); err != nil {
		return answer, err
	}
	return r.ask(ctx, path, ask)
}

func (r *Remote) ask(ctx context.Context, path string, body any) (answer wireAnswer, err error) {
	found, err := r.call(ctx, http.MethodPost, path, body, &answer)
	if err == nil && !found {
		err = errors.New("the controller answers with nothing")
	}
	return answer, err
}
