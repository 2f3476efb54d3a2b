package edgetest

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/edgehub/edgehub/routes"
)

// logNames are the headers that tell an access log about a request.
var logNames = []string{"X-Edgehub-User", "X-Edgehub-Server", "X-Edgehub-Decision", "X-Edgehub-Reason"}

// Logged writes an access log as Traefik does: a line for each request that has ended, with the headers of the very request
// that it passed on.
func Logged(edge http.Handler, file string) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		line := map[string]any{"RequestPath": r.URL.Path}
		defer func() {
			for _, name := range logNames {
				if v := r.Header[name]; len(v) > 0 {
					line["request_"+name] = strings.Join(v, ",")
				}
			}
			text, _ := json.Marshal(line)
			mu.Lock()
			defer mu.Unlock()
			if f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600); err == nil {
				_, _ = f.Write(append(text, '\n'))
				_ = f.Close()
			}
		}()
		edge.ServeHTTP(w, r)
	})
}

// TraefikLog is the part of Traefik's static configuration that writes such a log.
func TraefikLog(file string) map[string]any {
	keep := map[string]string{}
	for _, name := range logNames {
		keep[name] = "keep"
	}
	return map[string]any{"filePath": file, "format": "json", "addInternals": true, "fields": map[string]any{
		"queryParameters": map[string]any{"defaultMode": "drop"}, "headers": map[string]any{"defaultMode": "drop", "names": keep}}}
}

// logLine is what the log says of the n-th request for a path: user, server, decision and reason.
func (w *World) logLine(file, path string, n int) string {
	w.T.Helper()
	found := ""
	w.Eventually("the access log has "+path, func() bool {
		text, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		seen := 0
		for _, line := range strings.Split(string(text), "\n") {
			entry := map[string]any{}
			if json.Unmarshal([]byte(line), &entry) != nil || entry["RequestPath"] != path {
				continue
			}
			if seen++; seen == n {
				found = fields(entry)
				return true
			}
		}
		return false
	})
	return found
}

// fields are ours in one line of the log.
func fields(entry map[string]any) string {
	var all []string
	for _, name := range logNames {
		value, _ := entry["request_"+name].(string)
		if value == "" {
			value = "-"
		}
		all = append(all, value)
	}
	return strings.Join(all, " ")
}

// logFields shows that the access log learns who it was and why, that nobody can put words into it, and that it alone learns.
func logFields(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	route := Route("alice", Server(t, "alice").URL)
	route.Users, route.Groups = []string{"id-friend"}, []string{"team"}
	w.PutRoute(route)
	open := Route("open", Server(t, "open").URL)
	open.Auth = routes.AuthNone
	w.PutRoute(open)
	away := Route("away", "http://"+FreeAddr(t))
	w.PutRoute(away)
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "gone"), routes.Revocation{Schema: 1})
	file := filepath.Join(t.TempDir(), "access.log")
	w.Start(make, func(o *Options) { o.LogFields, o.AccessLog = true, file })
	w.Hub.OnExchange(func(string) (string, int) { return "", 500 })

	member, admin, gone, narrow, hostile := Claims("member"), Claims("root"), Claims("alice"), Claims("alice"), Claims("x")
	member.Groups, gone.Session = []string{"team"}, "gone"
	admin.Scopes, narrow.Scopes = []string{routes.ScopeAccess}, []string{"access:servers!server=alice/lab2"}
	hostile.Subject = "x\"\r\n" + strings.Repeat("y", 200)
	token := func(c routes.Claims) []string { return []string{"Authorization", "token " + w.Token(c)} }
	cookie := []string{"Cookie", "edgehub=" + w.TokenOf("alice")}
	for _, c := range []struct {
		path, method string
		headers      []string
		want         string
	}{
		{"/user/alice/a", "GET", token(Claims("alice")), "alice /user/alice/ allow owner"},
		{"/user/alice/b", "GET", cookie, "alice /user/alice/ allow owner"},
		{"/user/alice/c", "POST", token(Claims("friend")), "friend /user/alice/ allow share"},
		{"/user/alice/d", "GET", token(member), "member /user/alice/ allow group"},
		{"/user/alice/e", "GET", token(admin), "root /user/alice/ allow admin"},
		{"/user/open/f", "GET", nil, "- /user/open/ allow open"},
		{"/user/alice", "GET", cookie, "alice /user/alice/ allow owner"},
		{"/user/alice/g", "GET", token(Claims("bob")), "bob /user/alice/ refuse stranger"},
		{"/user/alice/h", "GET", token(narrow), "alice /user/alice/ refuse scope"},
		{"/user/alice/i", "GET", token(hostile), "x???" + strings.Repeat("y", 60) + " /user/alice/ refuse stranger"},
		{"/user/alice/j", "POST", append([]string{"Origin", "http://evil.test"}, cookie...), "alice /user/alice/ refuse other_site"},
		{"/user/alice/k", "GET", append([]string{"Cookie", "edgehub=2"}, cookie...), "- /user/alice/ refuse credentials"},
		{"/user/alice/l", "GET", nil, "- /user/alice/ signin no_credential"},
		{"/user/alice/m", "GET", []string{"Authorization", "token canary"}, "- /user/alice/ signin credential"},
		{"/user/alice/n", "GET", token(gone), "alice /user/alice/ signin revoked"},
		{"/user/alice/o", "GET", []string{"Authorization", "token canary" + strings.Repeat("0", 32)}, "- /user/alice/ error unchecked_token"},
		{"/user/away/p", "GET", token(Claims("away")), "away /user/away/ error server_away"},
		{"/user/nobody/q", "GET", token(Claims("bob")), "- - stopped not_running"},
		{"/user/nobody/r", "GET", []string{"Accept", "text/html"}, "- - stopped page"},
		{"/hub/s", "GET", token(Claims("alice")), "- - hub -"},
	} {
		for n := range 2 { // the second time the edge may remember the first
			h := append([]string{"X-Edgehub-User", "forged", "X-Edgehub-Reason", "forged", "Cookie", "other=canary"}, c.headers...)
			a := w.Do(w.Request(c.method, c.path+"?token=canary&x=canary", h...))
			if seen := a.Seen(); seen != nil {
				for name := range seen.Header {
					if strings.HasPrefix(name, "X-Edgehub-") {
						t.Errorf("%s: %s reached %s", c.path, name, seen.Server)
					}
				}
			}
			if got := w.logLine(file, c.path, n+1); got != c.want {
				t.Errorf("%s %s: the log says %q, want %q (status %d)", c.method, c.path, got, c.want, a.Status)
			}
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"canary", "forged", w.TokenOf("alice")[:40]} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the access log has %q in it", secret)
		}
	}
}

// StatusToken is the token for the metrics of every world.
const StatusToken = "canary-status-token-0123456789"

var sampleLine = regexp.MustCompile(`^([a-z_]+(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})?) ([0-9.e+-]+)$`)

// metrics reads the metrics with the token.
func (w *World) metrics() map[string]float64 {
	w.T.Helper()
	a := w.Do(w.Request("GET", "/.edgehub/metrics", "Authorization", "Bearer "+StatusToken))
	if a.Status != 200 {
		w.T.Fatalf("%d %s", a.Status, a.Body)
	}
	all := map[string]float64{}
	for _, line := range strings.Split(strings.TrimSuffix(a.Body, "\n"), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			w.T.Fatalf("no sample: %q", line)
		}
		value, err := strconv.ParseFloat(m[2], 64)
		if _, twice := all[m[1]]; err != nil || twice {
			w.T.Fatalf("%q: %v, twice: %v", line, err, twice)
		}
		all[m[1]] = value
	}
	return all
}

func (w *World) withStatus(o *Options) {
	o.StatusPath, o.StatusTokenFile = "/.edgehub", filepath.Join(w.T.TempDir(), "token")
	if err := os.WriteFile(o.StatusTokenFile, []byte(StatusToken+"\n"), 0o600); err != nil {
		w.T.Fatal(err)
	}
}

// metricsCount shows what is counted.
func metricsCount(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			rw.WriteHeader(418)
			return
		}
		if c, err := websocket.Accept(rw, r, nil); err == nil {
			_, _, _ = c.Read(r.Context())
			_ = c.CloseNow()
		}
	}).URL))
	w.Put(w.Prefix+routes.HubsTree+"bad", "{")
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "gone"), routes.Revocation{Schema: 1})
	w.Start(make, w.withStatus)
	before := w.metrics()
	for range 3 {
		w.Get("alice", "/user/alice/x")
	}
	w.Get("bob", "/user/alice/x")
	w.Get("", "/user/alice/x")
	w.Get("", "/user/nobody/api")
	w.Get("", "/hub/x")
	conn, _, err := w.dial("/user/alice/ws", "Authorization", "token "+w.TokenOf("alice"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	var after map[string]float64
	// The visitor knows of the socket a moment before it is counted, and the request that opened it ends a moment later.
	w.Eventually("the socket is counted", func() bool {
		after = w.metrics()
		grown := func(series string) float64 { return after[series] - before[series] }
		return grown("edgehub_edge_open_websockets") == 1 && grown("edgehub_edge_open_requests") == 1
	})
	for series, want := range map[string]float64{
		`edgehub_edge_requests_total{decision="allow",status="4xx"}`:   3,
		`edgehub_edge_requests_total{decision="allow",status="1xx"}`:   1,
		`edgehub_edge_requests_total{decision="refuse",status="4xx"}`:  1,
		`edgehub_edge_requests_total{decision="signin",status="4xx"}`:  1,
		`edgehub_edge_requests_total{decision="stopped",status="4xx"}`: 1,
		`edgehub_edge_requests_total{decision="hub",status="2xx"}`:     1,
		`edgehub_edge_header_seconds_count{decision="allow"}`:          4,
	} {
		if got := after[series] - before[series]; got != want {
			t.Errorf("%s grew by %g, want %g", series, got, want)
		}
	}
	for series, want := range map[string]float64{
		"edgehub_edge_ready": 1, "edgehub_edge_routes": 1, "edgehub_edge_keys": 1, "edgehub_edge_hubs": 1, "edgehub_edge_lists_total": 1,
		"edgehub_edge_bad_records": 1, `edgehub_edge_revocations{of="session"}`: 1, `edgehub_edge_panics_total`: 0,
		`edgehub_edge_watch_ends_total{reason="closed"}`: 0,
	} {
		if got, ok := after[series]; !ok || got != want {
			t.Errorf("%s is %g (there: %v), want %g", series, got, ok, want)
		}
	}
	if after["edgehub_edge_table_age_seconds"] > 60 || after["edgehub_edge_table_revision"] < 1 {
		t.Errorf("the table is %g s old at revision %g", after["edgehub_edge_table_age_seconds"], after["edgehub_edge_table_revision"])
	}
	w.Delete(w.Prefix + routes.HubsTree + "bad")
	w.Put(routes.RevokedKey(w.Prefix, routes.RevokedSession, "session-alice"), routes.Revocation{Schema: 1})
	w.Eventually("the socket is cut", func() bool {
		m := w.metrics()
		return m["edgehub_edge_cut_requests_total"] == 1 && m["edgehub_edge_open_websockets"] == 0 && m["edgehub_edge_bad_records"] == 0
	})
}

// metricsRefused shows who does not get the metrics, and that there is nothing special about their address without the option.
func metricsRefused(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	w.PutRoute(Route("alice", Server(t, "alice").URL))
	w.Start(make, w.withStatus)
	for name, headers := range map[string][]string{
		"nobody": nil, "another token": {"Authorization", "Bearer x" + StatusToken}, "nothing": {"Authorization", "Bearer "},
		"a user's token": {"Authorization", "token " + w.TokenOf("alice")}, "a cookie": {"Cookie", "edgehub=" + StatusToken},
		"two headers": {"Authorization", "Bearer " + StatusToken, "Authorization", "Bearer x"},
	} {
		a := w.Do(w.Request("GET", "/.edgehub/metrics?token="+StatusToken, headers...))
		if a.Status != 404 || strings.Contains(a.Body, "edgehub_edge") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	bearer := []string{"Authorization", "Bearer " + StatusToken}
	for _, r := range []*http.Request{w.Request("POST", "/.edgehub/metrics", bearer...), w.Request("GET", "/.edgehub/", bearer...),
		w.Request("GET", "/.edgehub/metrics/x", bearer...), w.Request("GET", "/.edgehubs/metrics", bearer...)} {
		if seen := w.Do(r).Seen(); seen == nil || seen.Server != "hub" {
			t.Errorf("%s %s: not the hub's", r.Method, r.URL)
		}
	}
	plain := NewWorld(t, SharedEtcd(t))
	plain.Start(make)
	for _, path := range []string{"/.edgehub/metrics", "/.edgehub/ready", "/metrics"} {
		if seen := plain.Do(plain.Request("GET", path, bearer...)).Seen(); seen == nil || seen.Server != "hub" {
			t.Errorf("without the option %s is not the hub's", path)
		}
	}
}

// readiness shows what a load balancer sees.
func readiness(t *testing.T, make Maker) {
	w := NewWorld(t, StartEtcd(t, false))
	w.Etcd.Stop()
	o := Options{Etcd: []string{w.Etcd.Endpoint}, Prefix: w.Prefix, Hub: []string{w.Hub.URL}, StatusPath: "/deep/status"}
	w.Edge = make(t, o)
	w.serve()
	get := func(accept string) *Answer { return w.Do(w.Request("GET", "/deep/status/ready", "Accept", accept)) }
	w.Eventually("the reason is known", func() bool {
		a := get("*/*")
		return a.Status == 503 && a.Body == "not ready: etcd cannot be read\n" && a.Header.Get("Retry-After") == "1"
	})
	if a := get("application/json"); a.Status != 503 || a.Body != `{"ready":false,"why":"etcd cannot be read","stale_for":0}` {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := w.Do(w.Request("GET", "/deep/status/metrics", "Authorization", "Bearer ")); a.Status != 404 {
		t.Errorf("metrics without a token file: %d %s", a.Status, a.Body)
	}
	if err := w.Etcd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Eventually("ready", func() bool { return get("*/*").Status == 200 })
	if a := get("application/json"); a.Body != `{"ready":true,"stale_for":0}` {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
