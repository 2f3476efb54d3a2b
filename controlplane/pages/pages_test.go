package pages

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/api"
	"github.com/edgehub/edgehub/controlplane/audit"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // some wait for the redirect-loop guard's pauses
	storetest.Main(m)
}

// site is the hub's pages over a real store, with servers in memory.
type site struct {
	t        *testing.T
	tokens   *token.Service
	accounts *account.Accounts
	servers  *spawn.Manager
	runtime  *runtime
	audit    *audit.Log
	opts     Options
	url      string
}

func newSite(t *testing.T) *site {
	t.Helper()
	st, _ := storetest.Open(t)
	return siteOver(t, st, nil)
}

// siteOver is a hub over a store; hosts is nil if users have none.
func siteOver(t *testing.T, st *store.Store, hosts *routes.Hosts) *site {
	t.Helper()
	signing, err := token.OpenSigning(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, tokens: token.New(st, signing), runtime: newRuntime(t)}
	if s.accounts, err = account.New(st, s.tokens); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s.servers = spawn.New(spawn.Options{Store: st, Tokens: s.tokens, Spawner: s.runtime, Log: log, Replica: "test",
		HubID: signing.HubID(), APIURL: "http://127.0.0.1:8000/hub/api", StopGrace: time.Second})
	xsrf := web.XSRF{MAC: signing.MAC}
	s.audit = audit.New(st, nil, log)
	rest := api.New(api.Options{Store: st, Accounts: s.accounts, Tokens: s.tokens, Servers: s.servers, XSRF: xsrf, Log: log, Hosts: hosts, Audit: s.audit})
	s.opts = Options{Store: st, Accounts: s.accounts, Tokens: s.tokens, Servers: s.servers, XSRF: xsrf, Log: log, Hosts: hosts, Audit: s.audit,
		API: rest}
	h, err := New(s.opts)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(web.WithRequestID(log, web.StrictPath(h)))
	t.Cleanup(srv.Close)
	s.url = srv.URL
	ctx, cancel := context.WithCancel(context.Background())
	joined := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_ = store.NewMember(st, "test", "http://127.0.0.1:1", log).Run(ctx, sync.OnceFunc(func() { close(joined) }))
	})
	all.Go(func() { _ = s.servers.Run(ctx) })
	t.Cleanup(func() { cancel(); all.Wait() })
	<-joined
	return s
}

// password is everybody's who has one.
const password = "correct horse"

// user makes a user; only one with a password can use the sign-in form.
func (s *site) user(name string, admin bool, password string) hub.User {
	s.t.Helper()
	u, err := s.accounts.Create(s.t.Context(), account.NewUser{Name: hub.UserName(name), Admin: admin, Password: password})
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// running starts a server and waits for it.
func (s *site) running(u hub.User, name hub.ServerName) {
	s.t.Helper()
	s.start(u, name)
	s.await(u, name, hub.Running)
}

func (s *site) start(u hub.User, name hub.ServerName) {
	s.t.Helper()
	if _, err := s.servers.Start(s.t.Context(), u, name, nil); err != nil {
		s.t.Fatal(err)
	}
}

// await waits until a server is in a state.
func (s *site) await(u hub.User, name hub.ServerName, state hub.State) {
	s.t.Helper()
	got, err := s.servers.Await(s.t.Context(), u.Name, name, storetest.Patience, func(s hub.Server) bool { return s.State == state })
	if err != nil || got.State != state {
		s.t.Fatalf("server of %s = %+v, %v, want it %s", u.Name, got, err, state)
	}
}

func (s *site) state(u hub.User, name hub.ServerName) hub.State {
	s.t.Helper()
	got, err := s.servers.Get(s.t.Context(), u.Name, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return got.State
}

// runtime is a spawner in memory. Its programs answer with status.
type runtime struct {
	web *httptest.Server

	mu     sync.Mutex
	live   map[string]int64
	fail   error
	status int
	stop   chan struct{} // if not nil, stops wait for it
}

func newRuntime(t *testing.T) *runtime {
	rt := &runtime{live: map[string]int64{}, status: http.StatusOK}
	rt.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		rt.mu.Lock()
		defer rt.mu.Unlock()
		w.WriteHeader(rt.status)
	}))
	t.Cleanup(rt.web.Close)
	return rt
}

func (rt *runtime) set(change func(*runtime)) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	change(rt)
}

func (rt *runtime) Start(_ context.Context, spec hub.Spec) (hub.Instance, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.live[spec.Name] = spec.Gen
	return hub.Instance{URL: rt.web.URL, Auth: routes.AuthTicket}, rt.fail
}

func (rt *runtime) Poll(_ context.Context, name string, _ *hub.Instance) (hub.Status, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	gen, ok := rt.live[name]
	return hub.Status{Running: ok, Gen: gen, Reason: "exited with code 3"}, nil
}

func (rt *runtime) Stop(ctx context.Context, name string, _ int64, _ *hub.Instance, _ time.Duration) error {
	rt.mu.Lock()
	gate := rt.stop
	rt.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	delete(rt.live, name)
	return nil
}

// browser visits a site as browsers do: it keeps cookies, says how it fetches, and follows no redirect by itself.
type browser struct {
	s      *site
	jar    map[string]*http.Cookie
	header http.Header
}

func (s *site) browser() *browser {
	return &browser{s: s, jar: map[string]*http.Cookie{}, header: http.Header{
		"Accept":         {"text/html,application/xhtml+xml,*/*;q=0.8"},
		"Sec-Fetch-Dest": {"document"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Site": {"same-origin"},
	}}
}

// signedIn is a browser with a session of u.
func (s *site) signedIn(u hub.User) *browser {
	s.t.Helper()
	_, secret, err := s.tokens.StartSession(s.t.Context(), u)
	if err != nil {
		s.t.Fatal(err)
	}
	b := s.browser()
	b.jar[web.SessionCookie] = &http.Cookie{Name: web.SessionCookie, Value: secret, Path: "/"}
	return b
}

// with is the same browser with another header for some requests; an empty value takes it away.
func (b *browser) with(pairs ...string) *browser {
	out := &browser{s: b.s, jar: b.jar, header: b.header.Clone()}
	for i := 0; i < len(pairs); i += 2 {
		out.header.Del(pairs[i])
		if pairs[i+1] != "" {
			out.header.Set(pairs[i], pairs[i+1])
		}
	}
	return out
}

// visit is what a browser got.
type visited struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   string
	set    []*http.Cookie
}

func (b *browser) get(path string) visited {
	b.s.t.Helper()
	return b.do(http.MethodGet, path, nil)
}

// do sends a request, with a form if there is one.
func (b *browser) do(method, path string, form url.Values) visited {
	b.s.t.Helper()
	r, err := http.NewRequestWithContext(b.s.t.Context(), method, b.s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.s.t.Fatal(err)
	}
	r.Host = "hub.example"
	r.Header = b.header.Clone()
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, name := range slices.Sorted(maps.Keys(b.jar)) {
		if c := b.jar[name]; strings.HasPrefix(r.URL.Path, c.Path) {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		if c.MaxAge < 0 {
			delete(b.jar, c.Name)
			continue
		}
		b.jar[c.Name] = c
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return visited{t: b.s.t, what: method + " " + path, status: resp.StatusCode, header: resp.Header, body: string(body), set: resp.Cookies()}
}

// xsrf is the token of a page that the browser has open.
func (b *browser) xsrf() string {
	b.s.t.Helper()
	for _, path := range []string{"/hub/login", "/hub/logout"} { // the second is for those who are signed in
		if p := b.get(path); p.status == http.StatusOK {
			return p.field("_xsrf")
		}
	}
	b.s.t.Fatal("no page has an XSRF token")
	return ""
}

// post sends a form of a page that the browser has open.
func (b *browser) post(path string, fields ...string) visited {
	b.s.t.Helper()
	form := url.Values{"_xsrf": {b.xsrf()}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.do(http.MethodPost, path, form)
}

func (v visited) want(status int) visited {
	v.t.Helper()
	if v.status != status {
		v.t.Errorf("%s = %d %v %.300s, want %d", v.what, v.status, v.header["Location"], v.body, status)
	}
	return v
}

// wantTo checks for a redirect.
func (v visited) wantTo(status int, location string) visited {
	v.t.Helper()
	v.want(status)
	if got := v.header.Get("Location"); got != location {
		v.t.Errorf("%s leads to %q, want %q", v.what, got, location)
	}
	return v
}

// wantText checks that a page of a status shows a text.
func (v visited) wantText(status int, texts ...string) visited {
	v.t.Helper()
	v.want(status)
	if ct := v.header.Get("Content-Type"); ct != "text/html; charset=utf-8" {
		v.t.Errorf("%s is of type %q, want a page", v.what, ct)
	}
	shown := text(v.doc())
	for _, want := range texts {
		if !strings.Contains(shown, want) {
			v.t.Errorf("%s does not show %q:\n%s", v.what, want, shown)
		}
	}
	return v
}

// wantJSON checks for JupyterHub's error body.
func (v visited) wantJSON(status int, message string) {
	v.t.Helper()
	v.want(status)
	var body struct {
		Status  int    `json:"status"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal([]byte(v.body), &body); err != nil || body.Status != status || body.Message != message {
		v.t.Errorf("%s = %s, %v, want message %q", v.what, v.body, err, message)
	}
	if ct := v.header.Get("Content-Type"); ct != "application/json" {
		v.t.Errorf("%s is of type %q", v.what, ct)
	}
}

func (v visited) doc() *html.Node {
	v.t.Helper()
	doc, err := html.ParseWithOptions(strings.NewReader(v.body), html.ParseOptionEnableScripting(false))
	if err != nil {
		v.t.Fatal(err)
	}
	return doc
}

// field is the value of the page's input of a name.
func (v visited) field(name string) string {
	v.t.Helper()
	for _, n := range elements(v.doc(), "input") {
		if got, _ := attr(n, "name"); got == name {
			value, _ := attr(n, "value")
			return value
		}
	}
	v.t.Fatalf("%s has no input %q", v.what, name)
	return ""
}

// actions are where the page's forms go, but for signing out.
func (v visited) actions() []string {
	v.t.Helper()
	var out []string
	for _, n := range elements(v.doc(), "form") {
		if action, _ := attr(n, "action"); action != "/hub/logout" {
			out = append(out, action)
		}
	}
	return out
}

// Every answer, whatever it is: pages, redirects, errors for people and programs, and those that the mux makes.
func TestEveryAnswerIsUncachedAndUnframed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, bob := s.user("alice", false, ""), s.user("bob", false, "")
	s.running(bob, "")
	for _, b := range []*browser{s.browser(), s.signedIn(alice), s.signedIn(bob)} {
		for _, accept := range []string{"text/html", "application/json"} {
			for _, path := range []string{
				"/", "/foo", "/hub", "/hub/", "/hub/login", "/hub/logout", "/hub/home", "/hub/spawn", "/hub/spawn/alice", "/hub/spawn/bob/srv",
				"/hub/spawn-pending/alice", "/hub/spawn-pending/bob", "/hub/user/alice", "/hub/user/alice/", "/hub/user/bob/lab",
				"/hub/user-redirect/lab", "/hub/error/503", "/hub/error/x", "/hub/nothing", "/hub/health", "/hub/static/nothing.css",
				"/user/alice/", "/user/bob/api/status", "/hub/stop/alice", "/hub/token", "/hub/token/revoke", "/hub/admin", "/hub/admin/stop/bob",
			} {
				for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
					if method != "GET" && (accept != "text/html" || strings.HasPrefix(path, "/hub/static")) {
						continue
					}
					v := b.with("Accept", accept).do(method, path, nil)
					if v.status >= 500 {
						t.Errorf("%s = %d %s", v.what, v.status, v.body)
					}
					if v.header.Get("X-Jupyterhub-Version") != hub.Version && !strings.HasPrefix(path, "/hub/static") {
						t.Errorf("%s = %d names version %q", v.what, v.status, v.header.Get("X-Jupyterhub-Version"))
					}
					if got := v.header.Get("Cache-Control"); got != "no-store" && !strings.HasPrefix(path, "/hub/static") {
						t.Errorf("%s = %d has Cache-Control %q", v.what, v.status, got)
					}
					if csp := v.header.Get("Content-Security-Policy"); !strings.Contains(csp, "frame-ancestors 'none'") || !strings.Contains(csp, "default-src") {
						t.Errorf("%s = %d has policy %q", v.what, v.status, csp)
					}
					if got := v.header.Get("X-Content-Type-Options"); got != "nosniff" {
						t.Errorf("%s = %d may be sniffed", v.what, v.status)
					}
					if method == "HEAD" && v.body != "" {
						t.Errorf("%s has a body: %s", v.what, v.body)
					}
				}
			}
		}
	}
	if s.state(alice, "") != hub.Stopped || s.state(bob, "") != hub.Running {
		t.Error("a request without an XSRF token changed a server")
	}
}

func TestHubPagesOpenInWindowsOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.signedIn(s.user("alice", false, ""))
	for _, path := range []string{"/hub/", "/hub/home", "/hub/login", "/hub/logout", "/hub/spawn", "/hub/spawn-pending/alice",
		"/hub/user/alice/", "/hub/user-redirect/lab", "/hub/error/404", "/hub/nothing", "/hub/token"} {
		for _, dest := range []string{"iframe", "frame", "embed", "object", "empty", "image", "script", "style", "worker", "serviceworker"} {
			v := b.with("Sec-Fetch-Dest", dest).get(path)
			v.what += " as " + dest
			v.wantText(http.StatusForbidden, "This page can only be opened in a window of its own.")
			if v.header.Get("Cross-Origin-Opener-Policy") != "same-origin" {
				t.Errorf("%s has opener policy %q", v.what, v.header.Get("Cross-Origin-Opener-Policy"))
			}
		}
		if v := b.with("Sec-Fetch-Dest", "").get(path); v.status == http.StatusForbidden {
			t.Errorf("%s by a program that does not say how it fetches = 403", path)
		}
	}
	b.with("Sec-Fetch-Dest", "style").get("/hub/static/hub.css").want(http.StatusOK)
	b.with("Sec-Fetch-Dest", "iframe").do("POST", "/hub/spawn", url.Values{"_xsrf": {b.xsrf()}}).want(http.StatusForbidden)
	b.with("Sec-Fetch-Dest", "empty", "Accept", "application/json").get("/user/alice/api/status").want(http.StatusFailedDependency)
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.signedIn(s.user("alice", false, ""))
	for _, path := range []string{"/hub/home", "/hub/logout", "/hub/error/404", "/hub/health", "/hub/static/hub.css", "/hub/spawn", "/hub/nothing"} {
		get, head := b.get(path), b.do(http.MethodHead, path, nil)
		if head.status != get.status || head.body != "" || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("HEAD %s = %d %v %q, GET = %d %v", path, head.status, head.header, head.body, get.status, get.header)
		}
	}
}

func TestRedirectsToAndInTheHub(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, bob := s.user("alice", false, ""), s.user("bob", false, "")
	s.running(bob, "")
	nobody, a, b := s.browser(), s.signedIn(alice), s.signedIn(bob)
	for _, test := range []struct {
		who    *browser
		path   string
		status int
		to     string
	}{
		{nobody, "/", 302, "/hub/"},
		{nobody, "/foo/bar?x=1", 302, "/hub/foo/bar?x=1"},
		{nobody, "/user/alice/lab?x=1", 302, "/hub/user/alice/lab?x=1"},
		{nobody, "/hub", 301, "/hub/"},
		{nobody, "/hub/", 302, "/hub/login?next=%2Fhub%2F"},
		{nobody, "/hub/home", 302, "/hub/login?next=%2Fhub%2Fhome"},
		{nobody, "/hub/spawn/alice/srv?next=%2Fx&y=1", 302, "/hub/login?next=%2Fhub%2Fspawn%2Falice%2Fsrv%3Fnext%3D%252Fx%26y%3D1"},
		{nobody, "/hub/user/alice/lab", 302, "/hub/login?next=%2Fhub%2Fuser%2Falice%2Flab"},
		{nobody, "/hub/logout", 302, "/hub/login"},
		{a, "/hub/", 302, "/hub/home"},
		{b, "/hub/", 302, "/user/bob/"},
		{a, "/hub/login", 302, "/hub/"},
		{a, "/hub/login?next=%2Fhub%2Fhome", 302, "/hub/home"},
		{a, "/hub/user-redirect/lab/tree/x.ipynb?a=b%20c", 302,
			"/hub/spawn/alice?next=%2Fuser%2Falice%2Flab%2Ftree%2Fx.ipynb%3Fa%3Db%2520c"},
		{nobody, "/hub/user-redirect/lab", 302, "/hub/login?next=%2Fhub%2Fuser-redirect%2Flab"},
	} {
		test.who.get(test.path).wantTo(test.status, test.to)
	}
	nobody.do("POST", "/hub/spawn", nil).wantTo(302, "/hub/login?next=%2Fhub%2Fhome") // its form is lost anyway
	nobody.do("POST", "/foo", nil).wantText(http.StatusForbidden, "'_xsrf' argument missing from POST")
	a.do("POST", "/foo", nil).want(http.StatusForbidden)
}

func TestErrorPages(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b, nobody := s.signedIn(s.user("alice", false, "")), s.browser()
	b.get("/hub/nothing").wantText(404, "There is no such page.", "alice")
	nobody.get("/hub/nothing").wantText(404, "There is no such page.", "Sign in")
	b.with("Accept", "application/json").get("/hub/nothing").wantJSON(404, "There is no such page.")
	b.with("Accept", "").get("/hub/nothing").wantJSON(404, "There is no such page.")
	if v := b.get("/hub/nothing"); !strings.Contains(text(v.doc()), v.header.Get("X-Request-Id")) {
		t.Error("the error page does not name its request")
	}
	nobody.get("/hub/error/503").wantText(200, "503", "Your server appears to be down.")
	nobody.get("/hub/error/418").wantText(200, "418")
	for _, code := range []string{"0", "200", "399", "600", "x", "-404", "%3Cb%3E"} {
		nobody.get("/hub/error/" + code).want(404)
	}
	b.do("POST", "/hub/home", nil).wantText(403, "_xsrf")
	b.do("DELETE", "/hub/login", nil).wantText(403, "_xsrf")
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	v := s.browser().get("/hub/health").want(200)
	if v.body != "" || v.header.Get("Content-Type") != "text/html" {
		t.Errorf("health = %q of type %q", v.body, v.header.Get("Content-Type"))
	}
}

func TestWithoutEtcdPagesSayComeBack(t *testing.T) {
	t.Parallel()
	etcd := storetest.Start(t)
	st, _ := etcd.Open(t)
	s := siteOver(t, st, nil)
	b := s.signedIn(s.user("alice", false, ""))
	etcd.Stop()
	for _, path := range []string{"/hub/health", "/hub/home"} {
		if v := b.get(path).want(http.StatusServiceUnavailable); v.header.Get("Retry-After") == "" {
			t.Errorf("%s does not say when to come back", path)
		}
	}
	b.with("Accept", "application/json").get("/hub/home").
		wantJSON(http.StatusServiceUnavailable, "The hub cannot reach its database at the moment. Try again shortly.")
	etcd.Restart(t)
	b.get("/hub/home").want(200)
}
