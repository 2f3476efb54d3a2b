package front

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// lines gets each line of a log.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// served is the line that the log has of one request to h.
func served(t *testing.T, h http.HandlerFunc) map[string]any {
	t.Helper()
	out := make(lines, 9)
	s := httptest.NewServer(AccessLog(out, slog.New(slog.DiscardHandler))(logPanics(slog.New(slog.DiscardHandler), h)))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL+"/a%20b?token=canary", strings.NewReader("canary"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", "edgehub=canary")
	req.Header.Set("Authorization", "token canary")
	if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body) // one answer is cut on purpose
		_ = resp.Body.Close()
	}
	s.Close()
	text := <-out
	if strings.Count(text, "\n") != 1 || strings.Contains(text, "canary") || len(out) > 0 {
		t.Fatalf("the log is %q", text)
	}
	line := map[string]any{}
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		t.Fatal(err)
	}
	return line
}

func TestTheAccessLogHasALineForEachRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    map[string]any
	}{
		"an answer": {func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("X-Edgehub-User", "alice\nx")
			r.Header.Set("X-Edgehub-Decision", "allow")
			w.Header().Set("X-Request-Id", "r1")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "hello")
		}, map[string]any{"method": "PUT", "path": "/a%20b", "status": 201.0, "bytes": 5.0, "user": "alice\nx", "decision": "allow", "request_id": "r1"}},
		"no status": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") }, map[string]any{"status": 200.0, "bytes": 2.0}},
		"an upgrade": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.(*net.TCPConn).Close()
			}
		}, map[string]any{"status": 101.0}},
		"an answer that is cut": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		}, map[string]any{"status": 200.0, "bytes": 4.0}},
	} {
		line := served(t, c.handler)
		for key, want := range c.want {
			if line[key] != want {
				t.Errorf("%s: %s is %v, want %v", name, key, line[key], want)
			}
		}
	}
}

func TestAnAccessLogThatCannotBeWrittenIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := OpenAccessLog(t.TempDir()+"/no/such/folder", io.Discard); hub.KindOf(err) != hub.Invalid {
		t.Errorf("got %v", err)
	}
}
