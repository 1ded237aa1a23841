package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/godwitmq/godwit/control/api"
)

// broughtBy is the header of a request that another instance has brought here: its name. Such a request is never brought on, so that two instances that take each other for
// the active one do not pass it to and fro.
const broughtBy = "Godwit-Brought-By"

const (
	// dialTime is how long it may take to reach the active instance.
	dialTime = 2 * time.Second
	// settleTime is for how long a call waits for an instance to become active, as clients do: in a switchover, none is for some hundredths of a second.
	settleTime = 2 * time.Second
	lookEvery  = 20 * time.Millisecond
)

// bringer carries requests to the active instance.
type bringer struct {
	transport http.Transport
}

func newBringer() *bringer {
	dialer := net.Dialer{Timeout: dialTime}
	return &bringer{transport: http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTime, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, DisableCompression: true}}
}

// brought is next where the broker's core is. Elsewhere the request is brought there, in the caller's name, and the answer back.
func (s *Server) brought(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := s.cluster()
		if c == nil {
			next(w, r)
			return
		}
		by := r.Header.Get(broughtBy)
		name, at, err := c.Active(r.Context(), r.Header)
		for begun := time.Now(); (err != nil || at != "" && by != "") && time.Since(begun) < settleTime && r.Context().Err() == nil; {
			select {
			case <-time.After(lookEvery):
			case <-r.Context().Done():
			}
			name, at, err = c.Active(r.Context(), r.Header)
		}
		switch {
		case err != nil:
			s.failed(w, r, err)
		case at == "":
			next(w, r)
		case by != "":
			s.failed(w, r, &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Op: r.Method + " " + r.URL.Path,
				Detail: fmt.Sprintf("%s has brought this call to %s, which is not the active instance any more: %s is; try again", by, c.Instance().Name, name)})
		default:
			s.bring(w, r, c.Instance().Name, name, at)
		}
	}
}

// bring asks the active instance, whose API is at a URL, in the name of this one.
func (s *Server) bring(w http.ResponseWriter, r *http.Request, own, name, at string) {
	target, err := url.Parse(at)
	if err != nil {
		s.failed(w, r, fmt.Errorf("cluster.nodes: api of %s: %w", name, err))
		return
	}
	s.pass(w, r, target, &s.bringer.transport, http.Header{broughtBy: {own}}, fmt.Sprintf("%s, which is the active instance as far as %s knows, does not answer at %s", name, own, at))
}

// pass has another API answer a call, which gets more headers. silent says who it is that does not answer.
func (s *Server) pass(w http.ResponseWriter, r *http.Request, target *url.URL, by http.RoundTripper, more http.Header, silent string) {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(s.stopping, func() { cancel(context.Cause(s.stopping)) })()
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			p.Out.Header.Del("Origin") // it was looked at here
			maps.Copy(p.Out.Header, more)
		},
		Transport: by, FlushInterval: -1, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			var stopping *api.Error
			var large *http.MaxBytesError
			switch {
			case errors.As(context.Cause(ctx), &stopping):
				err = stopping
			case !errors.As(err, &large):
				err = &api.Error{Status: http.StatusServiceUnavailable, Code: api.Unavailable, Op: r.Method + " " + r.URL.Path,
					Detail: fmt.Sprintf("%s: %v", silent, err)}
			}
			s.failed(w, r, err)
		},
	}
	proxy.ServeHTTP(&patient{ResponseWriter: w}, r.WithContext(ctx))
}

// patient gives the caller writeTime for each piece of an answer that it reads.
type patient struct{ http.ResponseWriter }

func (p *patient) Write(b []byte) (int, error) {
	if err := http.NewResponseController(p.ResponseWriter).SetWriteDeadline(time.Now().Add(writeTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

func (p *patient) Unwrap() http.ResponseWriter { return p.ResponseWriter }
