package operators

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/test/env"
)

// serves fails the test unless the hub of the world is served at host, and by the plugin.
func (tr *traefik) serves(t *testing.T, w *edgetest.World, host string) {
	t.Helper()
	site := "https://" + host
	auth := func(user string) string { return "token " + w.TokenOf(user) }
	last := &edgetest.Answer{}
	env.Eventually(t, host+" is served", 30*time.Second, func() error {
		last = tr.get(t, site+"/user/alice/api?x=1", "Authorization", auth("alice"))
		if seen := last.Seen(); last.Status != http.StatusOK || seen == nil || seen.Server != "alice" {
			return answerError{last}
		}
		return nil
	})
	if seen := last.Seen(); strings.Contains(seen.Header.Get("Authorization"), w.TokenOf("alice")) || seen.Target != "/user/alice/api?x=1" {
		t.Errorf("the server got %+v", seen)
	}
	for _, c := range []struct {
		what, path string
		headers    []string
		status     int
	}{
		{"another user", "/user/alice/api", []string{"Authorization", auth("bob")}, http.StatusForbidden},
		{"nobody", "/user/alice/api", nil, http.StatusForbidden},
	} {
		if a := tr.get(t, site+c.path, c.headers...); a.Status != c.status || a.Seen() != nil {
			t.Errorf("%s: %d %s, want %d", c.what, a.Status, a.Body, c.status)
		}
	}
	// Whatever Traefik itself might serve is the hub's here.
	for _, path := range []string{"/", "/hub/home", "/api/rawdata", "/dashboard/", "/metrics", "/ping", "/debug/pprof/"} {
		if seen := tr.get(t, site+path).Seen(); seen == nil || seen.Server != "hub" {
			t.Errorf("%s is not answered by the hub: %+v", path, seen)
		}
	}
	stranger := &traefik{place: &place{websecure: tr.websecure}} // there is no certificate for that host
	if a := stranger.get(t, "https://other.example.org/user/alice/api", "Authorization", auth("alice")); a.Status != http.StatusNotFound {
		t.Errorf("another host: %d %s, want 404", a.Status, a.Body)
	}
}

// answerError is an answer that is not the one that is waited for.
type answerError struct{ *edgetest.Answer }

func (e answerError) Error() string { return http.StatusText(e.Status) + ": " + e.Body }

// hardened fails the test unless the static configuration has the limits and the log that the manual promises.
func (tr *traefik) hardened(t *testing.T, host string) {
	t.Helper()
	site := "https://" + host
	if a := tr.get(t, site+"/hub/x", "X_Forwarded_User", "admin"); a.Status != http.StatusBadRequest {
		t.Errorf("a header with underscores: %d, want 400", a.Status)
	}
	if a := tr.get(t, site+"/hub/x", "X-Long", strings.Repeat("x", 80<<10)); a.Status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("80 KiB of headers: %d, want 431", a.Status)
	}
	const secret = "canary-in-the-address"
	tr.get(t, site+"/hub/logged?token="+secret, "Cookie", "session="+secret)
	env.Eventually(t, "the access log has the request", 20*time.Second, func() error {
		for _, line := range strings.Split(tr.log(t), "\n") {
			var entry struct{ RequestPath, RouterName string }
			if json.Unmarshal([]byte(line), &entry) == nil && entry.RequestPath == "/hub/logged" && entry.RouterName != "" {
				return nil
			}
		}
		return os.ErrNotExist
	})
	if strings.Contains(tr.log(t), secret) {
		t.Error("a query or a cookie is in the log")
	}
	resp, err := http.DefaultTransport.RoundTrip(request(t, "http://"+tr.web+"/hub/x", host))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got := resp.Header.Get("Location"); resp.StatusCode/100 != 3 || !strings.HasPrefix(got, site) {
		t.Errorf("plain HTTP: %d %s, want a redirect to https", resp.StatusCode, got)
	}
}

// drains fails the test unless Traefik goes on accepting requests after SIGTERM, so that a load balancer can notice.
func (tr *traefik) drains(t *testing.T, w *edgetest.World, host string) {
	t.Helper()
	if err := syscall.Kill(tr.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	env.Eventually(t, "Traefik waits", 20*time.Second, func() error {
		if !strings.Contains(tr.log(t), "for incoming requests to cease") {
			return os.ErrNotExist
		}
		return nil
	})
	if a := tr.get(t, "https://"+host+"/user/alice/api", "Authorization", "token "+w.TokenOf("alice")); a.Status != http.StatusOK {
		t.Errorf("after SIGTERM: %d %s", a.Status, a.Body)
	}
}

func request(t *testing.T, url, host string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	return r
}
