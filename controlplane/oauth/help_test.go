package oauth

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/pages"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// testHub is two replicas of the provider over one real store.
type testHub struct {
	t        *testing.T
	store    *store.Store
	tokens   *token.Service
	accounts *account.Accounts
	urls     [2]string
}

func newHub(t *testing.T, change ...func(*Options)) *testHub {
	t.Helper()
	st, _ := storetest.Open(t)
	h := &testHub{t: t, store: st}
	for i := range h.urls {
		h.urls[i] = h.replica(change)
	}
	return h
}

func (h *testHub) replica(change []func(*Options)) string {
	h.t.Helper()
	signing, err := token.OpenSigning(h.t.Context(), h.store)
	h.must(err)
	h.tokens = token.New(h.store, signing)
	h.accounts, err = account.New(h.store, h.tokens)
	h.must(err)
	log := slog.New(slog.NewTextHandler(h.t.Output(), nil))
	servers := spawn.New(spawn.Options{Store: h.store, Tokens: h.tokens, Log: log, ClientScopes: []string{"read:servers!user", "tokens!server"}})
	xsrf := web.XSRF{MAC: signing.MAC}
	html, err := pages.New(pages.Options{Store: h.store, Accounts: h.accounts, Tokens: h.tokens, Servers: servers, XSRF: xsrf, Log: log})
	h.must(err)
	opts := Options{Store: h.store, Accounts: h.accounts, Tokens: h.tokens, Servers: servers, XSRF: xsrf, Pages: html, Log: log}
	for _, f := range change {
		f(&opts)
	}
	srv := httptest.NewServer(web.WithRequestID(log, web.StrictPath(New(opts))))
	h.t.Cleanup(srv.Close)
	return srv.URL
}

func (h *testHub) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *testHub) user(name string, admin bool) hub.User {
	h.t.Helper()
	u, err := h.accounts.Create(h.t.Context(), account.NewUser{Name: hub.UserName(name), Admin: admin})
	h.must(err)
	return u
}

// server makes the record of a server that runs, and returns its API token.
func (h *testHub) server(u hub.User, name hub.ServerName) (hub.Token, string) {
	h.t.Helper()
	s := hub.Server{Schema: hub.Schema, User: u.Name, UserID: u.ID, Name: name, State: hub.Running, Gen: 1}
	t, secret, err := h.tokens.Issue(h.t.Context(), hub.Token{User: u.Name, UserID: u.ID, Server: s.FullName(), Scopes: []string{"users:activity!user"}})
	h.must(err)
	s.TokenID = t.ID
	h.must(store.NewTable[hub.Server](h.store, store.Servers, "server").Create(h.t.Context(), store.ID(string(u.Name), string(name)), s))
	return t, secret
}

const serviceSecret = "0123456789abcdef-of-the-service"

func (h *testHub) service(s hub.Service) {
	h.t.Helper()
	h.must(store.NewTable[hub.Service](h.store, store.Services, "service").Create(h.t.Context(), store.ID(s.Name), s))
	h.must(h.tokens.AdoptForService(h.t.Context(), hub.Token{Service: s.Name, Scopes: []string{"inherit"}}, serviceSecret))
}

// browser is a signed-in browser. It follows no redirects.
type browser struct {
	h       *testHub
	session hub.Session
	client  *http.Client
}

func (h *testHub) browser(u hub.User) *browser {
	h.t.Helper()
	b := h.anonymous()
	session, secret, err := h.tokens.StartSession(h.t.Context(), u)
	h.must(err)
	b.session = session
	at, _ := url.Parse(h.urls[0])
	b.client.Jar.SetCookies(at, []*http.Cookie{{Name: web.SessionCookie, Value: secret, Path: "/"}})
	return b
}

func (h *testHub) anonymous() *browser {
	jar, _ := cookiejar.New(nil) // never fails
	return &browser{h: h, client: &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

type answer struct {
	t      *testing.T
	status int
	header http.Header
	body   string
}

func (b *browser) do(r *http.Request) answer {
	b.h.t.Helper()
	resp, err := b.client.Do(r)
	b.h.must(err)
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	b.h.must(err)
	return answer{b.h.t, resp.StatusCode, resp.Header, string(data)}
}

// open opens the authorization page.
func (b *browser) open(q url.Values, header ...string) answer {
	b.h.t.Helper()
	return b.openRaw(q.Encode(), header...)
}

func (b *browser) openRaw(query string, header ...string) answer {
	b.h.t.Helper()
	r, err := http.NewRequestWithContext(b.h.t.Context(), http.MethodGet, b.h.urls[0]+authorizePath, nil)
	b.h.must(err)
	r.URL.RawQuery = query
	r.Header.Set("Accept", "text/html")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return b.do(r)
}

var (
	xsrfField  = regexp.MustCompile(`name="_xsrf" value="([^"]+)"`)
	scopeField = regexp.MustCompile(`name="scopes" value="([^"]+)"`)
)

// submit posts the form of a consent page.
func (b *browser) submit(q url.Values, page answer, change ...func(url.Values)) answer {
	b.h.t.Helper()
	form := url.Values{}
	if m := xsrfField.FindStringSubmatch(page.body); m != nil {
		form.Set("_xsrf", m[1])
	}
	for _, m := range scopeField.FindAllStringSubmatch(page.body, -1) {
		form.Add("scopes", m[1])
	}
	for _, f := range change {
		f(form)
	}
	r, err := http.NewRequestWithContext(b.h.t.Context(), http.MethodPost, b.h.urls[0]+authorizePath+"?"+q.Encode(), strings.NewReader(form.Encode()))
	b.h.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "text/html")
	return b.do(r)
}

// want checks the status.
func (a answer) want(status int) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s %.400s", a.status, status, a.header.Get("Location"), a.body)
	}
	return a
}

// says checks that the body has a text.
func (a answer) says(text string) answer {
	a.t.Helper()
	if !strings.Contains(a.body, text) {
		a.t.Errorf("the answer does not say %q: %.600s", text, a.body)
	}
	return a
}

// back is the query with which the browser is sent to an address.
func (a answer) back(to string) url.Values {
	a.t.Helper()
	at, query, _ := strings.Cut(a.header.Get("Location"), "?")
	q, err := url.ParseQuery(query)
	if at != to || err != nil {
		a.t.Fatalf("status %d: sent to %q, want %q: %.300s", a.status, a.header.Get("Location"), to, a.body)
	}
	return q
}

const verifier = "a-verifier-of-the-forty-three-signs-at-least"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// asks is the request of alice's server.
func asks(more ...string) url.Values {
	q := url.Values{"client_id": {"jupyterhub-user-alice"}, "redirect_uri": {"/user/alice/oauth_callback"}, "response_type": {"code"}, "state": {"s1"}}
	for i := 0; i+1 < len(more); i += 2 {
		if q.Set(more[i], more[i+1]); more[i+1] == "" {
			q.Del(more[i])
		}
	}
	return q
}

// redeem asks a replica for the token of a code.
func (h *testHub) redeem(replica int, code, secret string, more ...string) answer {
	h.t.Helper()
	form := url.Values{"client_id": {"jupyterhub-user-alice"}, "client_secret": {secret}, "grant_type": {"authorization_code"}, "code": {code},
		"redirect_uri": {"/user/alice/oauth_callback"}}
	for i := 0; i+1 < len(more); i += 2 {
		if form.Set(more[i], more[i+1]); more[i+1] == "" {
			form.Del(more[i])
		}
	}
	return h.post(replica, form.Encode())
}

func (h *testHub) post(replica int, body string, header ...string) answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.urls[replica]+tokenPath, strings.NewReader(body))
	h.must(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return h.anonymous().do(r)
}

// accessToken is the answer to a good code.
func (a answer) accessToken() (secret, scope string) {
	a.t.Helper()
	a.want(http.StatusOK)
	var v struct {
		AccessToken string `json:"access_token"`
		TokenType   string `json:"token_type"`
		ExpiresIn   int    `json:"expires_in"`
		Scope       string `json:"scope"`
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || v.AccessToken == "" || v.TokenType != "Bearer" || v.ExpiresIn < 1 {
		a.t.Fatalf("answer %s, want RFC 6749's of section 5.1", a.body)
	}
	if a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
		a.t.Errorf("header %v: caches may keep the token", a.header)
	}
	return v.AccessToken, v.Scope
}

// fails checks the error of a token request.
func (a answer) fails(status int, code string) {
	a.t.Helper()
	var v struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || a.status != status || v.Error != code {
		a.t.Errorf("answer %d %s, want %d and %s", a.status, a.body, status, code)
	}
}

// good reports whether an API token is good.
func (h *testHub) good(secret string) bool {
	_, err := h.accounts.ByToken(h.t.Context(), secret)
	if err != nil && hub.KindOf(err) != hub.Unauthenticated {
		h.t.Fatal(err)
	}
	return err == nil
}
