package api

import (
	"io"
	"net/http"
	"testing"
)

// someMetrics stands for what the control plane measures.
func someMetrics(open bool) func(*Options) {
	return func(o *Options) {
		o.OpenMetrics = open
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "some 1\n")
		})
	}
}

func TestMetricsNeedTheirScope(t *testing.T) {
	t.Parallel()
	h := newHub(t, someMetrics(false))
	admin, alice := h.user("root", true), h.user("alice", false)
	scraper := h.token(admin, "read:metrics")
	for _, path := range []string{"/hub/metrics", "/hub/api/metrics"} {
		if got := h.do("GET", path, "", as(scraper)).want(http.StatusOK); got.body != "some 1\n" {
			t.Errorf("%s: %q", path, got.body)
		}
		h.do("GET", path, "").want(http.StatusForbidden)
		h.do("GET", path, "", as("wrong")).want(http.StatusForbidden)
		h.do("GET", path, "", as(h.token(alice))).want(http.StatusForbidden)
	}
	h.do("GET", "/hub/api/users", "", as(scraper)).want(http.StatusForbidden) // a scraper's token opens nothing else
}

func TestOpenMetrics(t *testing.T) {
	t.Parallel()
	h := newHub(t, someMetrics(true))
	for _, path := range []string{"/hub/metrics", "/hub/api/metrics"} {
		h.do("GET", path, "").want(http.StatusOK)
		h.do("GET", path, "", as("wrong")).want(http.StatusOK)
	}
	h.do("GET", "/hub/api/users", "").want(http.StatusForbidden)
}
