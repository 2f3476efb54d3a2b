package plugin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// Bounds of the status pages.
const (
	minStatusToken = 16               // characters; a shorter token opens nothing
	staleAfter     = 15 * time.Second // etcd is asked every five seconds: then two answers are missing
)

// serveStatus answers the edge's own pages below statusPath: whether it is ready, which is no secret, and its metrics.
// Another spelling of their addresses, or another method, is a request like any other.
func serveStatus(s *shared, w http.ResponseWriter, r *http.Request) bool {
	base := s.set.statusPath
	path := r.URL.EscapedPath()
	if base == "" || !strings.HasPrefix(path, base) || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	switch path {
	case base + "/ready":
		noted(r, decidedEdge, "ready")
		serveReady(s, w, r)
	case base + "/metrics":
		noted(r, decidedEdge, "metrics")
		serveMetrics(s, w, r)
	default:
		return false
	}
	return true
}

// readiness is the body of the page for load balancers.
type readiness struct {
	Ready bool   `json:"ready"`
	Why   string `json:"why,omitempty"`
	// StaleFor is for how many seconds etcd has not confirmed the table; 0 while all is well.
	StaleFor int64 `json:"stale_for"`
}

func readinessOf(s *state) readiness {
	a := readiness{Why: s.whyNotReady()}
	a.Ready = a.Why == ""
	if age := s.age(); a.Ready && age > staleAfter {
		a.StaleFor = int64(age / time.Second)
	}
	return a
}

// serveReady answers 200 as soon as there is a table: an old one still serves, and taking this edge out of a load balancer
// would help nobody while etcd is away from all of them.
func serveReady(s *shared, w http.ResponseWriter, r *http.Request) {
	a := readinessOf(s.state)
	status := http.StatusOK
	if !a.Ready {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "1")
	}
	noteSent(r, status)
	if strings.Contains(r.Header.Get("Accept"), "json") {
		answerJSON(w, status, a)
		return
	}
	ownHeaders(w.Header())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(readyText(a))) // a visitor who has left needs no error
}

// readyText is the page as text. It is no method: Yaegi would hide the fields of a Stringer from the JSON encoder.
func readyText(a readiness) string {
	switch {
	case !a.Ready:
		return "not ready: " + a.Why + "\n"
	case a.StaleFor > 0:
		return fmt.Sprintf("ready, but etcd has not answered for %d s\n", a.StaleFor)
	}
	return "ready\n"
}

// serveMetrics answers who has the token. Everybody else gets what an unknown address gets.
func serveMetrics(s *shared, w http.ResponseWriter, r *http.Request) {
	if err := mayRead(s.set.statusTokenFile, r); err != nil {
		s.log.printf("metrics", "refused a request for the metrics: %s", err.Error())
		noted(r, decidedRefuse, "status_token")
		answer(s, w, r, http.StatusNotFound, "not_found", "There is nothing at this address.")
		return
	}
	noteSent(r, http.StatusOK)
	ownHeaders(w.Header())
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write([]byte(metrics(s))) // a visitor who has left needs no error
}

// mayRead returns nil for the bearer of the token in file, which is read each time, so that it can be changed.
func mayRead(file string, r *http.Request) error {
	if file == "" {
		return errors.New("there is no statusTokenFile")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("statusTokenFile: %w", err)
	}
	want := strings.TrimSpace(string(text))
	if len(want) < minStatusToken {
		return fmt.Errorf("statusTokenFile: the token in %s is shorter than %d characters", file, minStatusToken)
	}
	got, problem := headerToken(r)
	a := sha256.Sum256([]byte(got))
	b := sha256.Sum256([]byte(want))
	if problem != nobody || subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return errors.New("wrong token, or none")
	}
	return nil
}

// checkStatus checks the options of the status pages.
func checkStatus(path, tokenFile string) error {
	if path == "" && tokenFile != "" {
		return errors.New("option statusTokenFile: needed with statusPath only")
	}
	if path == "" {
		return nil
	}
	if path[0] != '/' || strings.Trim(path, "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "" {
		return fmt.Errorf("option statusPath: %s is not a path like /.edgehub", clip(path))
	}
	for i, segment := range strings.Split(path[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("option statusPath: %s is not a path like /.edgehub", clip(path))
		}
		if i == 0 && (segment == "hub" || segment == "user" || segment == "services") {
			return fmt.Errorf("option statusPath: %s is the hub's own", clip(path))
		}
	}
	return nil
}
