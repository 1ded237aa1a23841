package console

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// asker is for whom the API is called: a browser's request, and its session, which may be nil.
type asker struct {
	request *http.Request
	session *session
}

type askerKey struct{}

// ask is the context of calls that are made for a request.
func ask(r *http.Request, s *session) context.Context {
	return context.WithValue(r.Context(), askerKey{}, asker{r, s})
}

// inside calls the API in this process, as the one who asks the console: from the same address, under the same host, with the session's credentials.
type inside struct{ api http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inside) RoundTrip(r *http.Request) (response *http.Response, err error) {
	by, ok := r.Context().Value(askerKey{}).(asker)
	if !ok {
		return nil, fmt.Errorf("call %s: for nobody", r.URL.Path)
	}
	call, from := r.Clone(r.Context()), by.request
	if by.session != nil && by.session.authorize != nil {
		by.session.authorize(call)
	}
	call.RemoteAddr, call.Host, call.RequestURI, call.TLS = from.RemoteAddr, from.Host, r.URL.RequestURI(), from.TLS
	if call.Body == nil {
		call.Body = http.NoBody
	}
	w := &answer{header: http.Header{}, status: http.StatusOK}
	defer func() {
		if p := recover(); p != nil { // http.ErrAbortHandler of an answer that broke off
			response, err = nil, fmt.Errorf("call %s: %v", r.URL.Path, p)
		}
	}()
	t.api.ServeHTTP(w, call)
	if err := context.Cause(r.Context()); err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: w.status, Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r}, nil
}

// answer is an answer in memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	begun  bool
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if !a.begun && status >= 200 {
		a.begun, a.status = true, status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.begun = true
	return a.body.Write(b)
}

// Flush implements http.Flusher: all is there at once.
func (a *answer) Flush() {}
