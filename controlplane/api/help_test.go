package api

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8") // the longest tests wait for the API's own pauses
	storetest.Main(m)
}

// testHub is the API over a real store, with servers in memory.
type testHub struct {
	t        *testing.T
	opts     Options
	tokens   *token.Service
	accounts *account.Accounts
	servers  *spawn.Manager
	runtime  *runtime
	url      string
}

func newHub(t *testing.T, change ...func(*Options)) *testHub {
	t.Helper()
	st, _ := storetest.Open(t)
	signing, err := token.OpenSigning(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	h := &testHub{t: t, tokens: token.New(st, signing), runtime: newRuntime(t)}
	if h.accounts, err = account.New(st, h.tokens); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	h.servers = spawn.New(spawn.Options{Store: st, Tokens: h.tokens, Spawner: h.runtime, Log: log, Replica: "test",
		HubID: signing.HubID(), APIURL: "http://127.0.0.1:8000/hub/api", StopGrace: time.Second})
	h.opts = Options{Store: st, Accounts: h.accounts, Tokens: h.tokens, Servers: h.servers, XSRF: web.XSRF{MAC: signing.MAC}, Log: log,
		URL:     "http://127.0.0.1:8081",
		Metrics: http.NotFoundHandler()}
	for _, f := range change {
		f(&h.opts)
	}
	h.work(st, log)
	srv := httptest.NewServer(web.WithRequestID(log, web.StrictPath(web.Below(h.opts.Base, New(h.opts)))))
	t.Cleanup(srv.Close)
	h.url = srv.URL
	return h
}

// work runs the replica behind the API.
func (h *testHub) work(st *store.Store, log *slog.Logger) {
	ctx, cancel := context.WithCancel(context.Background())
	joined := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() { _ = store.NewMember(st, "test", "http://127.0.0.1:1", log).Run(ctx, func() { close(joined) }) })
	all.Go(func() { _ = h.servers.Run(ctx) })
	h.t.Cleanup(func() { cancel(); all.Wait() })
	<-joined
}

// user makes a user.
func (h *testHub) user(name string, admin bool, groups ...string) hub.User {
	h.t.Helper()
	u, err := h.accounts.Create(h.t.Context(), account.NewUser{Name: hub.UserName(name), Admin: admin})
	if err == nil && len(groups) > 0 {
		u, err = h.accounts.Update(h.t.Context(), u.Name, account.Change{Groups: &groups})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

// token issues an API token of u and returns its secret. Without scopes it may do all that u may.
func (h *testHub) token(u hub.User, scopes ...string) string {
	h.t.Helper()
	if len(scopes) == 0 {
		scopes = []string{"inherit"}
	}
	_, secret, err := h.tokens.Issue(h.t.Context(), hub.Token{User: u.Name, UserID: u.ID, Scopes: scopes})
	if err != nil {
		h.t.Fatal(err)
	}
	return secret
}

// service makes the admin service and returns its secret.
func (h *testHub) service() string {
	h.t.Helper()
	const secret = "0123456789abcdef0123456789abcdef"
	if err := h.accounts.PutAdminService(h.t.Context(), "automation", secret); err != nil {
		h.t.Fatal(err)
	}
	return secret
}

// with is a change of a request.
type with func(*http.Request)

func header(name, value string) with { return func(r *http.Request) { r.Header.Set(name, value) } }

func as(secret string) with {
	if secret == "" {
		return func(*http.Request) {}
	}
	return header("Authorization", "token "+secret)
}

func cookie(name, value string) with {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: name, Value: value}) }
}

// answer is what came back.
type answer struct {
	t      *testing.T
	what   string
	status int
	header http.Header
	body   string
}

// request sends a request with a JSON body, if there is one.
func (h *testHub) request(method, path, body string, changes ...with) *http.Request {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, change := range changes {
		change(r)
	}
	return r
}

func (h *testHub) do(method, path, body string, changes ...with) answer {
	h.t.Helper()
	r := h.request(method, path, body, changes...)
	resp, err := http.DefaultTransport.RoundTrip(r) // no redirects
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatalf("%s %s: %v", method, path, err)
	}
	h.wantDescribed(r, resp.StatusCode, resp.Header, string(data))
	return answer{t: h.t, what: method + " " + path, status: resp.StatusCode, header: resp.Header, body: string(data)}
}

func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%s = %d %s, want %d", a.what, a.status, a.body, status)
	}
	return a
}

// wantError checks for JupyterHub's error body with our two fields.
func (a answer) wantError(status int, message string) {
	a.t.Helper()
	a.want(status)
	var body struct {
		Status    int    `json:"status"`
		Message   string `json:"message"`
		Kind      string `json:"kind"`
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &body); err != nil {
		a.t.Errorf("%s = %s: %v", a.what, a.body, err)
	}
	if body.Status != a.status || body.Message != message || body.Kind == "" || body.RequestID == "" {
		a.t.Errorf("%s = %s, want message %q", a.what, a.body, message)
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		a.t.Errorf("%s is an error of type %q", a.what, got)
	}
}

// wantJSON compares the body with a pattern, see match.
func (a answer) wantJSON(status int, pattern string) {
	a.t.Helper()
	a.want(status)
	var want any
	if err := json.Unmarshal([]byte(pattern), &want); err != nil {
		a.t.Fatalf("the pattern for %s: %v", a.what, err)
	}
	var got any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		a.t.Errorf("%s = %q: %v", a.what, a.body, err)
		return
	}
	if diff := match(got, want, "body"); diff != "" {
		a.t.Errorf("%s = %s: %s", a.what, a.body, diff)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/json" {
		a.t.Errorf("%s has content type %q", a.what, ct)
	}
}

// into decodes the body.
func (a answer) into(v any) answer {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		a.t.Fatalf("%s = %q: %v", a.what, a.body, err)
	}
	return a
}

// runtime is a spawner in memory. Its programs answer at once unless a test says otherwise.
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

// set changes how the runtime behaves.
func (rt *runtime) set(change func(*runtime)) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	change(rt)
}

func (rt *runtime) Start(_ context.Context, spec hub.Spec) (hub.Instance, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.fail != nil {
		return hub.Instance{}, rt.fail
	}
	rt.live[spec.Name] = spec.Gen
	return hub.Instance{URL: rt.web.URL, Auth: routes.AuthTicket, State: json.RawMessage(fmt.Sprintf(`{"pid":%d}`, 1000+spec.Gen))}, nil
}

func (rt *runtime) Poll(_ context.Context, name string, _ *hub.Instance) (hub.Status, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	gen, ok := rt.live[name]
	return hub.Status{Running: ok, Gen: gen, Reason: "exited with code 3"}, nil
}

func (rt *runtime) Stop(ctx context.Context, name string, gen int64, _ *hub.Instance, _ time.Duration) error {
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
	if rt.live[name] <= gen {
		delete(rt.live, name)
	}
	return nil
}

// await waits until a server is in a state.
func (h *testHub) await(user string, name hub.ServerName, state hub.State) hub.Server {
	h.t.Helper()
	s, err := h.servers.Await(h.t.Context(), hub.UserName(user), name, storetest.Patience, func(s hub.Server) bool { return s.State == state })
	if err != nil || s.State != state {
		h.t.Fatalf("server of %s = %+v, %v, want it %s", user, s, err, state)
	}
	return s
}

// running starts a server and waits for it.
func (h *testHub) running(u hub.User, name hub.ServerName) hub.Server {
	h.t.Helper()
	if _, err := h.servers.Start(h.t.Context(), u, name, nil); err != nil {
		h.t.Fatal(err)
	}
	return h.await(string(u.Name), name, hub.Running)
}

func toJSON(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}
