// Package web is what all HTTP handlers of the hub share: handlers that return errors, the one table from error kinds to
// status codes, JSON in and out, request ids, the access log, XSRF tokens, cookies and the check of "next" URLs.
//
// Invariant: the text of an error that nobody made for the client never leaves the process.
package web

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// Handler is a handler that returns its error instead of writing it.
type Handler func(w http.ResponseWriter, r *http.Request) error

// ErrorWriter writes an error to a client.
type ErrorWriter func(w http.ResponseWriter, r *http.Request, status int, err error)

// Adapter turns Handlers into http.Handlers.
type Adapter struct {
	Log *slog.Logger
	// WriteError writes errors: JSONError for the API, a page for people.
	WriteError ErrorWriter
}

// Handle returns the http.Handler of h. An error, or a panic, is logged once if it is ours, and written with
// WriteError if nothing was written yet.
func (a Adapter) Handle(h Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tracked := &statusWriter{ResponseWriter: w, request: r}
		err := a.call(h, tracked, r)
		if err == nil {
			return
		}
		if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
			// The client is gone, or the hub shuts down. In the second case silence would be a 200.
			if tracked.status == 0 {
				a.WriteError(w, r, http.StatusServiceUnavailable, ended)
			}
			return
		}
		status := Status(err)
		if status >= 500 {
			a.Log.Error("request failed", "method", r.Method, "path", hub.Clip(r.URL.Path), "status", status, "request_id", RequestID(r), "err", err)
		}
		if tracked.status == 0 {
			a.WriteError(w, r, status, err)
		}
	})
}

// ended is what the client of a request hears that the hub could not finish before it shut down.
var ended = hub.Errorf(hub.Unavailable, "The hub is restarting. Try again shortly.")

func (a Adapter) call(h Handler, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h(w, r)
}

// statusOf is the only table from kinds to status codes. As in JupyterHub, bad credentials on the API are 403, not 401.
var statusOf = map[hub.Kind]int{
	hub.Internal:        http.StatusInternalServerError,
	hub.Invalid:         http.StatusBadRequest,
	hub.Unauthenticated: http.StatusForbidden,
	hub.Forbidden:       http.StatusForbidden,
	hub.NotFound:        http.StatusNotFound,
	hub.Conflict:        http.StatusConflict,
	hub.Exhausted:       http.StatusTooManyRequests,
	hub.Unavailable:     http.StatusServiceUnavailable,
}

// Status is the HTTP status of an error.
func Status(err error) int {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return http.StatusRequestEntityTooLarge
	}
	var coded interface{ HTTPStatus() int }
	if errors.As(err, &coded) {
		return coded.HTTPStatus()
	}
	return statusOf[hub.KindOf(err)]
}

// StatusError is an error with a status that no kind has, such as 405 or 424.
type StatusError struct {
	Code    int
	Message string
}

// Error is the message.
func (e *StatusError) Error() string { return e.Message }

// HTTPStatus is the code.
func (e *StatusError) HTTPStatus() int { return e.Code }

// Message is the text of an error for the client: what was made for it, else the reason phrase of its status.
func Message(err error) string {
	var coded *StatusError
	if errors.As(err, &coded) {
		return coded.Message
	}
	if m := hub.MessageOf(err); m != "" {
		return m
	}
	return http.StatusText(Status(err))
}

// errorBody is JupyterHub's error body with two fields added.
type errorBody struct {
	Status    int    `json:"status"`
	Message   string `json:"message"`
	Kind      string `json:"kind"`
	RequestID string `json:"request_id,omitempty"`
}

// JSONError writes err in JupyterHub's form.
func JSONError(w http.ResponseWriter, r *http.Request, status int, err error) {
	SetRetryAfter(w, status)
	_ = JSON(w, status, errorBody{Status: status, Message: Message(err), Kind: kindOf(err, status).String(), RequestID: RequestID(r)})
}

// kindOf is the kind of err. Errors that have a status and no kind are the client's below 500.
func kindOf(err error, status int) hub.Kind {
	kind := hub.KindOf(err)
	if kind == hub.Internal && status < http.StatusInternalServerError {
		return hub.Invalid
	}
	return kind
}

// SetRetryAfter tells clients of a passing failure when to come back.
func SetRetryAfter(w http.ResponseWriter, status int) {
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "2")
	}
}

// JSON writes v with a status.
func JSON(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if tracked, ok := w.(*statusWriter); ok && status == http.StatusOK && tracked.unchanged(data) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.WriteHeader(status)
	_, err = w.Write(data)
	return clientGone(err)
}

// clientGone hides write errors: nobody is left to be told.
func clientGone(err error) error {
	if err != nil {
		return context.Canceled
	}
	return nil
}

// MaxBody is the largest request body that a handler reads, in bytes.
const MaxBody = 1 << 20

// ReadJSON decodes the request body into v. An empty body leaves v alone. Anything but one JSON value is an Invalid error.
func ReadJSON(w http.ResponseWriter, r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody))
	err := dec.Decode(v)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = errors.New("more than one value")
		}
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		field := wrongType.Field
		if field == "" {
			field = "The body"
		}
		return hub.Errorf(hub.Invalid, "%s has the wrong type: got a JSON %s.", field, hub.Clip(wrongType.Value))
	}
	return hub.Errorf(hub.Invalid, "Invalid JSON in body of request")
}

type requestIDKey struct{}

// RequestID is the id of a request that went through WithRequestID.
func RequestID(r *http.Request) string {
	id, _ := r.Context().Value(requestIDKey{}).(string)
	return id
}

// WithRequestID gives every request an id, names it in the answer, and writes the access log.
func WithRequestID(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 8)
		_, _ = rand.Read(b) // never fails since Go 1.24
		id := hex.EncodeToString(b)
		w.Header().Set("X-Request-Id", id)
		tracked := &statusWriter{ResponseWriter: w}
		start := time.Now()
		next.ServeHTTP(tracked, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
		if !log.Enabled(r.Context(), slog.LevelDebug) {
			return
		}
		log.Debug("request", "method", r.Method, "path", hub.Clip(r.URL.Path), "status", tracked.status,
			"took", time.Since(start).Round(time.Microsecond), "request_id", id)
	})
}

// statusWriter remembers the status that was written.
type statusWriter struct {
	http.ResponseWriter
	request *http.Request // of a handler's
	status  int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach Flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Tracked is a ResponseWriter that knows what status was written.
type Tracked struct{ statusWriter }

// Track returns a writer to w that knows what status was written.
func Track(w http.ResponseWriter) *Tracked { return &Tracked{statusWriter{ResponseWriter: w}} }

// Status is the status that was written, 200 if none was.
func (t *Tracked) Status() int {
	if t.status == 0 {
		return http.StatusOK
	}
	return t.status
}

// ClientAddress is where a request came from, as the edge says: the last of X-Forwarded-For, because everything before it may
// be the visitor's invention.
func ClientAddress(r *http.Request) string {
	forwarded := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	if forwarded != "" {
		return strings.TrimSpace(forwarded[strings.LastIndexByte(forwarded, ',')+1:])
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// WantsHTML reports whether the client is a person's browser that opens a page, rather than a program.
func WantsHTML(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html")
}

// BearerToken returns the API token in the Authorization header ("token X" or "Bearer X", in any case), or "".
func BearerToken(r *http.Request) string {
	scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "token") && !strings.EqualFold(scheme, "bearer") {
		return ""
	}
	return strings.TrimSpace(secret)
}

// StrictPath refuses paths that a proxy and the hub could read differently: encoded separators, backslashes, NUL, dot
// segments. Handlers then need not think of them.
func StrictPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strict(r.URL) {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// strict reports whether everybody reads an address alike.
func strict(u *url.URL) bool {
	escaped := u.EscapedPath()
	if strings.HasPrefix(u.Path, "/") && !strings.Contains(escaped, "//") && !strings.Contains(u.Path, "/.") && !strings.ContainsAny(escaped, `%\`) {
		return true // what almost all are
	}
	escaped = strings.ToLower(escaped)
	for _, bad := range []string{"%2f", "%5c", "%00", "%25", "\\", "//"} {
		if strings.Contains(escaped, bad) {
			return false
		}
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}
