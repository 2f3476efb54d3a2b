package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// These are about what no hub can be made to do at will: answers that break off, and pages that lead astray.

// pretend runs one command against a server that answers as handler does.
func pretend(t *testing.T, ctx context.Context, handler http.HandlerFunc, args ...string) (code int, stdout, stderr string) { //nolint:revive // t comes first in all helpers
	t.Helper()
	srv := httptest.NewServer(handler)
	defer srv.Close()
	var out, errs bytes.Buffer
	code = run(ctx, append(args, "--url", srv.URL, "--token-file", configFile(t, "0123456789abcdef")), &out, &errs)
	return code, out.String(), errs.String()
}

func TestAListIsPrintedAsItComes(t *testing.T) {
	t.Parallel()
	printed := make(chan string, 1)
	pr, pw := io.Pipe()
	go func() {
		first := make([]byte, 1000)
		n, _ := io.ReadAtLeast(pr, first, len("NAME")) // an error is a short text
		printed <- string(first[:n])
		_, _ = io.Copy(io.Discard, pr)
	}()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") == "" {
			_, _ = fmt.Fprint(w, `{"items": [{"name": "alice"}], "_pagination": {"total": 2, "next": {"url": "/hub/api/users?cursor=x"}}}`)
			return
		}
		if got := <-printed; !strings.Contains(got, "alice") {
			t.Errorf("before the second page it printed %q", got)
		}
		_, _ = fmt.Fprint(w, `{"items": [{"name": "bartholomew"}], "_pagination": {"total": 2, "next": null}}`)
	}))
	defer srv.Close()
	var errs bytes.Buffer
	if code := run(t.Context(), []string{"user", "list", "--url", srv.URL, "--token-file", configFile(t, "0123456789abcdef")}, pw, &errs); code != 0 {
		t.Errorf("%d: %s", code, errs.String())
	}
	_ = pw.Close()
}

func TestTheTokenStaysAtItsHub(t *testing.T) {
	t.Parallel()
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	code, stdout, _ := pretend(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("offset") != "" {
			_, _ = fmt.Fprint(w, `{"items": [{"name": "bob"}], "_pagination": {"next": null}}`)
			return
		}
		_, _ = fmt.Fprintf(w, `{"items": [{"name": "alice"}], "_pagination": {"next": {"url": "%s/hub/api/users?offset=1"}}}`, thief.URL)
	}, "user", "list")
	if code != 0 || stolen.Load() > 0 || !strings.Contains(stdout, "bob") {
		t.Errorf("%d, %d calls of another host, %s", code, stolen.Load(), stdout)
	}
	code, _, stderr := pretend(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}, "user", "get", "alice")
	if code != exitFailed || stolen.Load() > 0 || !strings.Contains(stderr, "Is it a hub") {
		t.Errorf("a redirect: %d, %d calls of another host, %s", code, stolen.Load(), stderr)
	}
}

func TestAListThatBreaksOffIsNoJSON(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := pretend(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprint(w, `{"status": 503, "message": "Away.", "request_id": "r1"}`)
			return
		}
		_, _ = fmt.Fprint(w, `{"items": [{"name": "alice"}], "_pagination": {"next": {"url": "/?cursor=x"}}}`)
	}, "user", "list", "--json")
	if code != exitFailed || strings.Contains(stdout, "]") || !strings.Contains(stderr, "Away. (503, request r1 in its log)") {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}

func TestAListWithoutEndIsNoticed(t *testing.T) {
	t.Parallel()
	code, _, stderr := pretend(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"items": [], "_pagination": {"next": {"url": "/?%s"}}}`, r.URL.RawQuery)
	}, "user", "list")
	if code != exitFailed || !strings.Contains(stderr, "does not say where the list goes on") {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestControlCharactersDoNotReachTheTerminal(t *testing.T) {
	t.Parallel()
	answer := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `{"api_tokens": [{"id": "a1", "note": "\u001b]0;title\u0007\nnext\u202e ä"}]}`)
	}
	_, stdout, _ := pretend(t, t.Context(), answer, "token", "list", "--user", "alice")
	if !strings.Contains(stdout, "?]0;title??next? ä") {
		t.Errorf("%q", stdout)
	}
}

// events answers a request for progress with some events, and then as it likes.
func progressEvents(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		_, _ = fmt.Fprintf(w, "\n\ndata: %s\n\n", e)
	}
	_ = http.NewResponseController(w).Flush()
}

const (
	requested = `{"progress": 0, "message": "Server requested"}`
	halfway   = `{"progress": 50, "message": "Spawning server..."}`
	ready     = `{"progress": 100, "ready": true, "message": "Server ready at /user/alice/"}`
)

func TestProgressThatBreaksOffGoesOn(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	code, stdout, stderr := pretend(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) {
		switch calls.Add(1) {
		case 1:
			progressEvents(w, requested)
			panic(http.ErrAbortHandler)
		case 2:
			progressEvents(w, requested, halfway)
		default:
			progressEvents(w, requested, halfway, ready)
		}
	}, "server", "progress", "alice")
	want := "  0%  Server requested\n 50%  Spawning server...\n100%  Server ready at /user/alice/\n"
	if code != exitOK || stdout != want {
		t.Errorf("%d %q %q, want %q", code, stdout, stderr, want)
	}
}

func TestAStartThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := pretend(t, t.Context(), func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		progressEvents(w, requested, `{"progress": 100, "failed": true, "message": "Spawn failed: no room"}`)
	}, "server", "start", "alice")
	if code != exitFailed || stdout != "  0%  Server requested\n" || stderr != "edgehub: alice: Spawn failed: no room\n" {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}

func TestCtrlCEndsWhatWaits(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	code, stdout, stderr := pretend(t, ctx, func(w http.ResponseWriter, r *http.Request) {
		progressEvents(w, requested)
		cancel()
		<-r.Context().Done()
	}, "server", "progress", "alice")
	if code != exitInterrupted || stderr != "" {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}

func TestKeyValues(t *testing.T) {
	t.Parallel()
	got, err := keyValues([]string{"n=1", "s=x y", "q=\"1\"", "l=[1]", "e=", "eq=a=b", "t=true"})
	want := `map[e: eq:a=b l:[1] n:1 q:1 s:x y t:true]`
	if text := fmt.Sprint(got); err != nil || text != want {
		t.Errorf("got %s, %v, want %s", text, err, want)
	}
	if _, isText := got["q"].(string); !isText {
		t.Errorf("\"1\" is a %T", got["q"])
	}
}
