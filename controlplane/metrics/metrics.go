// Package metrics is what a replica tells Prometheus. Names and labels are JupyterHub's where the meaning is the same, and
// begin with edgehub_ where there is nothing of the kind in JupyterHub.
//
// Two sorts of values must not be mixed up: what this process has done and seen since it started, which is summed over
// replicas, and gauges of the whole hub (see Counts), which every replica gives alike.
//
// Invariant: labels are route patterns, methods, statuses and words of this program, never anything that a client can choose;
// and no name of a user, server or service is among them.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Outcomes are the values of the label status.
const (
	Success = "success"
	Failure = "failure"
)

// Metrics are those of one replica. It is safe for concurrent use. A nil Metrics takes everything and keeps nothing.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
	spawns   *prometheus.HistogramVec
	stops    *prometheus.HistogramVec
	polls    *prometheus.HistogramVec
	logins   *prometheus.HistogramVec
	logouts  prometheus.Observer
	startup  prometheus.Observer
	reports  prometheus.Counter
	etcd     *prometheus.HistogramVec
}

// Buckets in seconds: of what takes little time, and of starts of servers, which are JupyterHub's.
func quick() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

func slow() []float64 { return []float64{.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 180, 300, 600} }

// New returns the metrics of a process that has just started.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.requests = m.histograms("jupyterhub_request_duration_seconds", "Time of requests by the pattern of their path, as the hub's routes have it.", quick(), "method", "handler", "code")
	m.spawns = m.histograms("jupyterhub_server_spawn_duration_seconds", "Time of starts of servers that this replica has ended.", slow(), "status", "reason")
	m.stops = m.histograms("jupyterhub_server_stop_seconds", "Time of stops of servers that this replica has done.", quick(), "status")
	m.polls = m.histograms("jupyterhub_server_poll_duration_seconds", "Time to learn from the spawner whether a server runs.", quick(), "status")
	m.logins = m.histograms("jupyterhub_login_duration_seconds", "Time of sign-ins, with a password or at the end of one with a provider.", quick(), "status")
	m.etcd = m.histograms("edgehub_etcd_request_duration_seconds", "Time of requests to etcd, each attempt for itself.", quick(), "method", "code")
	m.logouts = m.histograms("jupyterhub_logout_duration_seconds", "Time of sign-outs.", quick()).WithLabelValues()
	m.startup = m.histograms("jupyterhub_hub_startup_duration_seconds", "Time from the start of this replica until it served, without waiting for etcd.", quick()).WithLabelValues()
	m.reports = prometheus.NewCounter(prometheus.CounterOpts{Name: "jupyterhub_csp_reports_total", Help: "Reports of browsers about content that a page's policy refused."})
	m.begin()
	m.registry.MustRegister(m.reports, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	m.registry.MustRegister(v)
	return v
}

// begin makes what has not happened yet be there, as zero: of a value that appears Prometheus does not see the first change.
func (m *Metrics) begin() {
	for _, reason := range []string{Timeout, Exited, Error} {
		m.spawns.WithLabelValues(Failure, reason)
	}
	m.spawns.WithLabelValues(Success, "")
	for _, status := range []string{Success, Failure} {
		m.stops.WithLabelValues(status)
		m.logins.WithLabelValues(status)
	}
}

// Handler serves the metrics in the format that the scraper asks for. It checks no rights.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: maxScrapes})
}

// maxScrapes is how many scrapes may be under way: each holds the whole text.
const maxScrapes = 4

// Spawned notes the end of a start: why it failed, one of the Reasons, or "" for a success.
func (m *Metrics) Spawned(reason string, took time.Duration) {
	if m != nil {
		m.spawns.WithLabelValues(outcome(reason == ""), reason).Observe(took.Seconds())
	}
}

// Why starts fail, values of the label reason.
const (
	Timeout = "timeout"
	Exited  = "exited"
	Error   = "error"
)

// Stopped notes the end of a stop.
func (m *Metrics) Stopped(ok bool, took time.Duration) {
	if m != nil {
		m.stops.WithLabelValues(outcome(ok)).Observe(took.Seconds())
	}
}

// Polled notes what the spawner said of a server: running, stopped or unknown.
func (m *Metrics) Polled(said string, took time.Duration) {
	if m != nil {
		m.polls.WithLabelValues(said).Observe(took.Seconds())
	}
}

// SignedIn notes a sign-in, or one that was refused.
func (m *Metrics) SignedIn(ok bool, took time.Duration) {
	if m != nil {
		m.logins.WithLabelValues(outcome(ok)).Observe(took.Seconds())
	}
}

// SignedOut notes a sign-out.
func (m *Metrics) SignedOut(took time.Duration) {
	if m != nil {
		m.logouts.Observe(took.Seconds())
	}
}

// Started notes how long the replica took to start.
func (m *Metrics) Started(took time.Duration) {
	if m != nil {
		m.startup.Observe(took.Seconds())
	}
}

// Reported counts a report of a browser.
func (m *Metrics) Reported() {
	if m != nil {
		m.reports.Inc()
	}
}

func outcome(ok bool) string {
	if ok {
		return Success
	}
	return Failure
}
