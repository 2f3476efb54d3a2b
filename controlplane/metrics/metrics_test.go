package metrics_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/edgehub/edgehub/controlplane/metrics"
)

// scrape reads the metrics as Prometheus would, and returns their text.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/hub/metrics", nil))
	text, err := io.ReadAll(rec.Body)
	if err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%d %v", rec.Code, err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(string(text))); err != nil {
		t.Fatalf("not in Prometheus' format: %v", err)
	}
	return string(text)
}

func want(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
}

// TestRequestsAreCountedByPattern is about labels: nothing that a client writes becomes one.
func TestRequestsAreCountedByPattern(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	api := http.NewServeMux()
	api.HandleFunc("GET /hub/api/users/{user}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("user") == "canary" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = io.WriteString(w, "hello")
	})
	api.HandleFunc("/hub/api/", http.NotFound)
	mux := http.NewServeMux()
	mux.Handle("/hub/api/", api) // the pattern of the inner mux counts
	h := m.Requests(mux)
	for _, r := range [][2]string{{"GET", "/hub/api/users/alice"}, {"GET", "/hub/api/users/bob"}, {"GET", "/hub/api/users/canary"},
		{"GET", "/hub/api/canary"}, {"CANARY", "/hub/api/users/alice"}, {"GET", "/canary"}} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(r[0], r[1], nil))
	}
	text := scrape(t, m)
	want(t, text, `jupyterhub_request_duration_seconds_count{code="200",handler="/hub/api/users/{user}",method="GET"} 2`,
		`jupyterhub_request_duration_seconds_count{code="418",handler="/hub/api/users/{user}",method="GET"} 1`,
		`jupyterhub_request_duration_seconds_count{code="404",handler="/hub/api/",method="GET"} 1`,
		`jupyterhub_request_duration_seconds_count{code="404",handler="/hub/api/",method="other"} 1`,
		`jupyterhub_request_duration_seconds_count{code="404",handler="",method="GET"} 1`)
	if strings.Contains(strings.ToLower(text), "canary") {
		t.Error("something that a client wrote is a label")
	}
}

// TestOutcomes are there from the beginning, as zero, under JupyterHub's names.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	want(t, scrape(t, m), `jupyterhub_server_spawn_duration_seconds_count{reason="",status="success"} 0`,
		`jupyterhub_server_spawn_duration_seconds_count{reason="timeout",status="failure"} 0`,
		`jupyterhub_server_stop_seconds_count{status="failure"} 0`, `jupyterhub_login_duration_seconds_count{status="failure"} 0`,
		`jupyterhub_csp_reports_total 0`)
	m.Spawned("", 3*time.Second)
	m.Spawned(metrics.Exited, time.Second)
	m.Stopped(true, time.Second)
	m.SignedIn(false, time.Second)
	m.SignedOut(time.Second)
	m.Polled("running", time.Second)
	m.Started(time.Second)
	m.Reported()
	want(t, scrape(t, m), `jupyterhub_server_spawn_duration_seconds_count{reason="",status="success"} 1`,
		`jupyterhub_server_spawn_duration_seconds_bucket{reason="",status="success",le="5"} 1`,
		`jupyterhub_server_spawn_duration_seconds_count{reason="exited",status="failure"} 1`,
		`jupyterhub_server_stop_seconds_count{status="success"} 1`, `jupyterhub_login_duration_seconds_count{status="failure"} 1`,
		`jupyterhub_logout_duration_seconds_count 1`, `jupyterhub_server_poll_duration_seconds_count{status="running"} 1`,
		`jupyterhub_hub_startup_duration_seconds_count 1`, `jupyterhub_csp_reports_total 1`)
}

// TestNobodyListening is what packages have that are used without metrics.
func TestNobodyListening(t *testing.T) {
	t.Parallel()
	var m *metrics.Metrics
	m.Spawned("", 0)
	m.Stopped(true, 0)
	m.Polled("running", 0)
	m.SignedIn(true, 0)
	m.SignedOut(0)
	m.Started(0)
	m.Reported()
	if m.Requests(http.NotFoundHandler()) == nil {
		t.Error("no handler")
	}
}

// TestCountsAreNotReadForEachScrape also shows that a failed count is a gap, and no error of the scrape.
func TestCountsAreNotReadForEachScrape(t *testing.T) {
	t.Parallel()
	m := metrics.New()
	var reads atomic.Int64
	number := func(n int) func(context.Context) (int, error) {
		return func(context.Context) (int, error) { reads.Add(1); return n, nil }
	}
	m.Count(metrics.Counts{Users: number(1_000_000), Running: number(7), Replicas: func(context.Context) (int, error) { return 0, errors.New("etcd is away") },
		Active: func(_ context.Context, since time.Time) (int, error) {
			reads.Add(1)
			return int(time.Since(since) / (24 * time.Hour)), nil
		}})
	for range 5 {
		text := scrape(t, m)
		want(t, text, "jupyterhub_total_users 1e+06", "jupyterhub_running_servers 7",
			`jupyterhub_active_users{period="24h"} 1`, `jupyterhub_active_users{period="7d"} 7`, `jupyterhub_active_users{period="30d"} 30`)
		if strings.Contains(text, "edgehub_replicas") {
			t.Error("replicas that could not be counted are there")
		}
	}
	if n := reads.Load(); n != 5 {
		t.Errorf("etcd was asked %d times for 5 scrapes, want 5 times for all", n)
	}
}
