package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// canary is text that must stay in the log.
const canary = "dial tcp 10.0.0.7:2379 password=hunter2"

// answer is what a client got and what was logged.
type answer struct {
	*httptest.ResponseRecorder
	log string
}

func serve(t *testing.T, r *http.Request, h web.Handler) answer {
	t.Helper()
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	w := httptest.NewRecorder()
	web.WithRequestID(logger, web.Adapter{Log: logger, WriteError: web.JSONError}.Handle(h)).ServeHTTP(w, r)
	return answer{w, log.String()}
}

func fails(err error) web.Handler {
	return func(http.ResponseWriter, *http.Request) error { return err }
}

func TestErrorsBecomeAnswers(t *testing.T) {
	t.Parallel()
	tooLarge := &http.MaxBytesError{Limit: 1}
	hidden := errors.New(canary)
	for what, c := range map[string]struct {
		err     error
		status  int
		kind    string
		message string
	}{
		"plain":             {hidden, 500, "internal", "Internal Server Error"},
		"internal":          {hub.WithCause(hub.Errorf(hub.Internal, "A record cannot be read."), hidden), 500, "internal", "A record cannot be read."},
		"invalid":           {hub.Errorf(hub.Invalid, "Bad."), 400, "invalid", "Bad."},
		"unauthenticated":   {hub.Errorf(hub.Unauthenticated, "Who?"), 403, "unauthenticated", "Who?"},
		"forbidden":         {hub.Errorf(hub.Forbidden, "No."), 403, "forbidden", "No."},
		"not found":         {hub.Errorf(hub.NotFound, "None."), 404, "not_found", "None."},
		"conflict":          {hub.Errorf(hub.Conflict, "Again."), 409, "conflict", "Again."},
		"exhausted":         {hub.Errorf(hub.Exhausted, "Slow."), 429, "exhausted", "Slow."},
		"unavailable":       {hub.WithCause(hub.Errorf(hub.Unavailable, "Later."), hidden), 503, "unavailable", "Later."},
		"with context":      {fmt.Errorf("%s: %w", canary, hub.Errorf(hub.NotFound, "None.")), 404, "not_found", "None."},
		"too large":         {tooLarge, 413, "invalid", "Request Entity Too Large"},
		"too large, inside": {fmt.Errorf("%s: %w", canary, tooLarge), 413, "invalid", "Request Entity Too Large"},
		"a status":          {&web.StatusError{Code: 405, Message: "Method Not Allowed"}, 405, "invalid", "Method Not Allowed"},
		"a status, inside":  {fmt.Errorf("%s: %w", canary, &web.StatusError{Code: 424, Message: "Not running."}), 424, "invalid", "Not running."},
		"a status of ours":  {&web.StatusError{Code: 500, Message: "Spawn failed: x"}, 500, "internal", "Spawn failed: x"},
		"time out":          {context.DeadlineExceeded, 500, "internal", "Internal Server Error"},
		"cancelled inside":  {context.Canceled, 500, "internal", "Internal Server Error"}, // the client is still there
	} {
		got := serve(t, httptest.NewRequest("GET", "/hub/api/x", nil), fails(c.err))
		var body struct {
			Status    int
			Message   string
			Kind      string
			RequestID string `json:"request_id"`
		}
		if err := json.Unmarshal(got.Body.Bytes(), &body); err != nil {
			t.Errorf("%s: body %q: %v", what, got.Body, err)
			continue
		}
		if got.Code != c.status || body.Status != c.status || body.Kind != c.kind || body.Message != c.message {
			t.Errorf("%s:\n got %d %+v\nwant %d, kind %q, message %q", what, got.Code, body, c.status, c.kind, c.message)
		}
		if body.RequestID == "" || body.RequestID != got.Header().Get("X-Request-Id") {
			t.Errorf("%s: request id %q in the body, %q in the header", what, body.RequestID, got.Header().Get("X-Request-Id"))
		}
		if strings.Contains(got.Body.String(), "hunter2") {
			t.Errorf("%s: the client reads what is for the log: %s", what, got.Body)
		}
		if logged := strings.Count(got.log, "request failed"); logged != map[bool]int{true: 1}[c.status >= 500] {
			t.Errorf("%s: logged %d times: %s", what, logged, got.log)
		}
		if c.status >= 500 && !strings.Contains(got.log, body.RequestID) {
			t.Errorf("%s: the log does not name the request: %s", what, got.log)
		}
		if retry := got.Header().Get("Retry-After") != ""; retry != (c.status == 503 || c.status == 429) {
			t.Errorf("%s: status %d with Retry-After %t", what, c.status, retry)
		}
		if got.Header().Get("Cache-Control") != "no-store" || got.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", what, got.Header())
		}
	}
}

func TestEveryKindHasAStatus(t *testing.T) {
	t.Parallel()
	for kind := hub.Internal; kind == hub.Internal || kind.String() != "internal"; kind++ {
		if status := web.Status(hub.Errorf(kind, "x")); status < 400 || status > 599 {
			t.Errorf("kind %s has status %d", kind, status)
		}
	}
}

func TestPanicIs500AndStaysInTheLog(t *testing.T) {
	t.Parallel()
	for what, value := range map[string]any{"text": canary, "an error": errors.New(canary), "a hub error": hub.Errorf(hub.NotFound, "%s", canary)} {
		got := serve(t, httptest.NewRequest("GET", "/hub/api/x", nil), func(http.ResponseWriter, *http.Request) error { panic(value) })
		if got.Code != 500 || strings.Contains(got.Body.String(), "hunter2") || strings.Contains(got.Body.String(), "goroutine") {
			t.Errorf("panic with %s: got %d %s, want 500 without its text", what, got.Code, got.Body)
		}
		if !strings.Contains(got.log, "hunter2") || !strings.Contains(got.log, "errors_test.go") {
			t.Errorf("panic with %s: the log does not say what and where: %s", what, got.log)
		}
	}
}

func TestNothingIsAddedToAnAnswerThatHasBegun(t *testing.T) {
	t.Parallel()
	got := serve(t, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = w.Write([]byte("half"))
		return errors.New(canary)
	})
	if got.Code != 200 || got.Body.String() != "half" || !strings.Contains(got.log, "hunter2") {
		t.Errorf("got %d %q, log %q; want 200 half, and the error in the log", got.Code, got.Body, got.log)
	}
	got = serve(t, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusEarlyHints)
		return hub.Errorf(hub.Conflict, "No.")
	})
	if !strings.Contains(got.Body.String(), "No.") {
		t.Errorf("an error after an informational answer was not written: %q", got.Body)
	}
}

// TestEndedRequestIsNotASuccess is about a hub that shuts down: it ends the requests that it still has, and their clients
// must not take that for "done".
func TestEndedRequestIsNotASuccess(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	got := serve(t, httptest.NewRequest("DELETE", "/hub/api/x", nil).WithContext(ctx), func(http.ResponseWriter, *http.Request) error {
		cancel()
		return fmt.Errorf("read: %w", ctx.Err())
	})
	if got.Code != 503 || got.Header().Get("Retry-After") == "" || !strings.Contains(got.Body.String(), "unavailable") {
		t.Errorf("got %d %q, want 503 with Retry-After", got.Code, got.Body)
	}
	if strings.Contains(got.log, "level=ERROR") {
		t.Errorf("a client that is gone is logged as an error: %s", got.log)
	}
}
