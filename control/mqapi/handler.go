package mqapi

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// Options are what the handler works with.
type Options struct {
	Service Service
	Keys    Keys
	Rules   Rules
	// Account and Region are those that the operator means who names none.
	Account, Region string
	// PageKey seals tokens of pages: 16 or 32 random bytes, the same on all nodes that answer the same callers. nil: made at random, so that
	// tokens hold for this handler only.
	PageKey []byte
	// MaxBody is the largest body of a request, in bytes. 0: 1 MiB.
	MaxBody int64
	// MaxDepth is how many objects and lists a body may have within each other. 0: 16.
	MaxDepth int
	// Skew is how far the caller's clock may be from Now. 0: 5 minutes.
	Skew time.Duration
	// Burst is how many requests an account may make at once, and Rate how many a second from then on. 0: 100 and 15.
	Burst int
	Rate  float64
	// Now is the clock. nil: time.Now.
	Now func() time.Time
	// Noted is told of each request that would change something and has come as far as an operation: who, the operation, the path, the body and what came of it, nil if it was done. nil: nobody is.
	Noted func(c Caller, operation, path string, body []byte, err error)
	// Log receives changes, refusals and failures, each with the request's id, never bodies. nil: nothing is logged.
	Log *slog.Logger
}

// Handler answers the API's requests. It may be used by many goroutines.
type Handler struct {
	options  Options
	log      *slog.Logger
	throttle throttle
	pages    *pages
}

// New makes a handler. The error is of PageKey.
func New(options Options) (*Handler, error) {
	options.MaxBody = cmp.Or(options.MaxBody, 1<<20)
	options.MaxDepth = cmp.Or(options.MaxDepth, 16)
	options.Skew = cmp.Or(options.Skew, 5*time.Minute)
	options.Burst = cmp.Or(options.Burst, 100)
	options.Rate = cmp.Or(options.Rate, 15)
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.PageKey == nil {
		options.PageKey = make([]byte, 32)
		rand.Read(options.PageKey) // never fails
	}
	pages, err := newPages(options.PageKey)
	if err != nil {
		return nil, err
	}
	return &Handler{options: options, log: options.Log, pages: pages,
		throttle: throttle{burst: float64(options.Burst), perSecond: options.Rate, accounts: map[string]bucket{}}}, nil
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r, "") }

// The headers in which the operator says for whom he asks. Without them it is Options.Account and Options.Region.
const (
	AccountHeader = "Godwit-Account"
	RegionHeader  = "Godwit-Region"
)

// As answers requests of the operator, of whom somebody else has made sure that he may: without a signature, in any account and region, as often as he likes. All else is as for
// those with access keys.
func (h *Handler) As(operator string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, operator) })
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, operator string) {
	c := Caller{RequestID: newRequestID(), Operator: operator}
	c.Source, _ = netip.ParseAddrPort(r.RemoteAddr) // of a TCP connection it always parses
	head := w.Header()
	head.Set("x-amzn-RequestId", c.RequestID)
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	if operator == "" && r.Header.Get("Origin") != "" {
		// Any page may ask: a browser adds no credentials by itself that would count here, only a signature does.
		head.Set("Access-Control-Allow-Origin", "*")
		head.Set("Access-Control-Expose-Headers", "x-amzn-RequestId,x-amzn-ErrorType,Date")
	}
	log := h.log.With("request", c.RequestID, "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr)
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			panic(p)
		default:
			log.Error("Amazon MQ API call panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			h.fail(w, internal(c))
		}
	}()
	if operator == "" && r.Method == http.MethodOptions {
		preflight(w, r)
		return
	}
	began := h.options.Now()
	op, body, answer, err := h.answer(w, r, &c, log)
	if h.options.Noted != nil && (op != nil && op.Method != http.MethodGet || err != nil && c.Account == "") {
		name := r.Method
		if op != nil {
			name = op.Name
		}
		h.options.Noted(c, name, r.URL.Path, body, err)
	}
	log = log.With("account", c.Account, "region", c.Region, "key", cmp.Or(c.Operator, c.AccessKeyID), "took", h.options.Now().Sub(began))
	if op != nil {
		log = log.With("operation", op.Name)
	}
	if err != nil {
		h.fail(w, h.explain(op, c, err, log))
		return
	}
	level := slog.LevelInfo
	if r.Method == http.MethodGet {
		level = slog.LevelDebug
	}
	log.Log(r.Context(), level, "Amazon MQ API call")
	h.succeed(w, op, answer)
}

// answer does all that comes before an answer is written. It fills in the caller as far as he is known.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, c *Caller, log *slog.Logger) (op *Operation, body, answer []byte, err error) {
	body, err = h.authenticate(w, r, c)
	if err != nil {
		return nil, nil, nil, err
	}
	if c.Operator == "" && !h.throttle.take(c.Account, h.options.Now()) {
		return nil, body, nil, Errorf(TooManyRequests, "", "Rate exceeded: account %s may make %d requests at once and %g a second; try again later", c.Account, h.options.Burst, h.options.Rate)
	}
	path := r.URL.EscapedPath()
	op, params, methods := route(r.Method, path)
	switch {
	case len(methods) == 0:
		return nil, body, nil, Errorf(NotFound, "", "there is no path %s in Amazon MQ's API", clip(path))
	case op == nil:
		return nil, body, nil, Errorf(NotFound, "", "there is no operation %s on the path %s; there is %s", clip(r.Method), clip(path), strings.Join(methods, ", "))
	case op.Refused != "":
		return op, body, nil, Errorf(BadRequest, "", "%s is refused: %s", op.Name, op.Refused)
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return op, body, nil, Errorf(BadRequest, "", "the query cannot be read: %v", err)
	}
	request, unknown, err := op.decode(params, query, body, h.options.MaxDepth)
	if err != nil {
		return op, body, nil, err
	}
	if len(unknown) > 0 {
		log.Debug("unknown members of an Amazon MQ API call were passed over", "operation", op.Name, "members", unknown)
	}
	if broken, problem := h.options.Rules.check(*c, unknown).run(request); broken != nil {
		return op, body, nil, problem
	}
	bound := question(*c, path, query)
	if token := nextToken(request); token != nil && *token != nil {
		position, problem := h.pages.open(**token, bound)
		if problem != nil {
			return op, body, nil, problem
		}
		*token = &position
	}
	response, err := op.call(r.Context(), h.options.Service, *c, request)
	if err != nil {
		return op, body, nil, err
	}
	if token := nextToken(response); token != nil && *token != nil {
		*token = new(h.pages.seal(**token, bound))
	}
	if response == nil {
		return op, body, []byte("{}"), nil
	}
	if answer, err = json.Marshal(response); err == nil && string(answer) == "null" {
		err = fmt.Errorf("the service gave neither an answer to %s nor an error", op.Name)
	}
	return op, body, answer, err
}

// authenticate finds out whose request it is, and reads its body. Before the key is known to exist nothing of the body is read.
func (h *Handler) authenticate(w http.ResponseWriter, r *http.Request, c *Caller) (body []byte, err error) {
	if c.Operator != "" {
		if c.Account, c.Region, err = h.meant(r); err != nil {
			return nil, err
		}
		return h.body(w, r)
	}
	a, problem := signatureOf(r, h.options.Now(), h.options.Skew)
	if problem != nil {
		return nil, problem
	}
	c.AccessKeyID, c.Region = a.accessKeyID, a.region
	key, err := h.options.Keys.Secret(r.Context(), a.accessKeyID)
	switch {
	case errors.Is(err, ErrUnknownKey):
		return nil, Errorf(UnrecognizedClient, "Authorization", "there is no access key %s; use one that the operator has made, and check AWS_ACCESS_KEY_ID and the profile", a.accessKeyID)
	case err != nil:
		return nil, fmt.Errorf("look up access key %s: %w", a.accessKeyID, err)
	}
	if body, err = h.body(w, r); err != nil {
		return nil, err
	}
	if problem := a.verify(r, body, key.Secret); problem != nil {
		return nil, problem
	}
	// Only who has the secret learns more of the key.
	switch {
	case key.Disabled:
		return nil, Errorf(UnrecognizedClient, "Authorization", "the access key %s is disabled; ask the operator to enable it, or for another", a.accessKeyID)
	case !key.Expires.IsZero() && !h.options.Now().Before(key.Expires):
		return nil, Errorf(ExpiredToken, "Authorization", "the access key %s expired at %s; ask the operator for another", a.accessKeyID, key.Expires.UTC().Format(time.RFC3339))
	}
	c.Account = key.Account
	return body, nil
}

var accountForm = regexp.MustCompile(`^[0-9]{12}$`)

// meant is the account and the region that the operator means.
func (h *Handler) meant(r *http.Request) (account, region string, err error) {
	account, region = cmp.Or(r.Header.Get(AccountHeader), h.options.Account), cmp.Or(r.Header.Get(RegionHeader), h.options.Region)
	switch {
	case !accountForm.MatchString(account):
		err = Errorf(BadRequest, AccountHeader, "account %s is not one: twelve digits", text(account))
	case !regionForm.MatchString(region):
		err = Errorf(BadRequest, RegionHeader, "region %s is not one: expected for example eu-central-1", text(region))
	}
	return account, region, err
}

// body reads a request's body.
func (h *Handler) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" {
		return nil, Errorf(BadRequest, "Content-Encoding", "Content-Encoding %s is not understood; send the body as it is", text(encoding))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.options.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, Errorf(BadRequest, "", "the body has more than %d bytes, which is the limit", large.Limit)
	case err != nil:
		return nil, Errorf(BadRequest, "", "the body did not come whole: %v", err)
	}
	return body, nil
}

// explain makes an answer of any error, and logs what somebody may have to look at.
func (h *Handler) explain(op *Operation, c Caller, err error, log *slog.Logger) *Error {
	var known *Error
	if !errors.As(err, &known) {
		if !errors.Is(err, context.Canceled) { // nobody is there any more
			log.Error("Amazon MQ API call failed", "error", err)
		}
		return internal(c)
	}
	switch known.Kind.Status() {
	case http.StatusInternalServerError:
		log.Error("Amazon MQ API call failed", "error", err)
	case http.StatusUnauthorized, http.StatusForbidden:
		log.Warn("Amazon MQ API call refused", "error", err)
	default:
		log.Info("Amazon MQ API call refused", "error", err)
	}
	if op != nil {
		known = op.declared(known)
	}
	return known
}

func internal(c Caller) *Error {
	return Errorf(InternalServerError, "", "internal error; the service's log has the cause under request id %s", c.RequestID)
}

func (h *Handler) fail(w http.ResponseWriter, e *Error) {
	body, _ := json.Marshal(struct { // two strings: it cannot fail
		Attribute string `json:"errorAttribute,omitempty"`
		Message   string `json:"message"`
	}{e.Attribute, e.Message})
	w.Header().Set("x-amzn-ErrorType", string(e.Kind))
	if e.Kind == TooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	write(w, e.Kind.Status(), body)
}

func (h *Handler) succeed(w http.ResponseWriter, op *Operation, answer []byte) {
	if op.Success == http.StatusNoContent {
		w.WriteHeader(op.Success)
		return
	}
	write(w, op.Success, answer)
}

// writeTime is how long a caller may take to read an answer.
const writeTime = time.Minute

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime)) // where there is none, there is no connection either
	w.WriteHeader(status)
	_, _ = w.Write(body) // who does not read it learns of it by the closed connection
}

// preflight tells browsers what they may ask.
func preflight(w http.ResponseWriter, r *http.Request) {
	_, _, methods := route("", r.URL.EscapedPath())
	if len(methods) == 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	allowed := strings.Join(append(methods, http.MethodOptions), ",")
	head := w.Header()
	head.Set("Allow", allowed)
	head.Set("Access-Control-Allow-Origin", "*")
	head.Set("Access-Control-Allow-Methods", allowed)
	head.Set("Access-Control-Allow-Headers", "Authorization,Content-Type,X-Amz-Date,X-Amz-Security-Token,X-Amz-User-Agent,amz-sdk-invocation-id,amz-sdk-request")
	head.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusOK)
}

// newRequestID is a random UUID.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
