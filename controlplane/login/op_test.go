package login

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"golang.org/x/oauth2"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/controlplane/token"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// provider is one that lies as it is told to. Dex, which is real, is in test/e2e.
type provider struct {
	*httptest.Server
	key *rsa.PrivateKey
	// claims are those of the next ID token, besides what is due; nil as a value leaves one out. userInfo is what the
	// endpoint of that name answers.
	claims, userInfo map[string]any
	// metadata changes the discovery document.
	metadata map[string]any
	// token answers in place of the token endpoint.
	token http.HandlerFunc
	// alg signs, RS256 if empty; signer is another key to sign with.
	alg    string
	signer *rsa.PrivateKey

	broken     atomic.Bool
	discovered atomic.Int32
	nonce      string // of the sign-in under way
	challenge  string
}

const clientID, secret = "the-hub", "correct-horse-battery"

// keyOfAll signs for all providers: making one takes a while.
var keyOfAll = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := keyOfAll()
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, claims: map[string]any{}, metadata: map[string]any{}}
	keys := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: "k", Algorithm: oidc.RS256}}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("POST /token", p.answer)
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(p.userInfo) })
	mux.Handle("/", keys)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	keys.SetIssuer(p.URL)
	return p
}

func (p *provider) discovery(w http.ResponseWriter, _ *http.Request) {
	p.discovered.Add(1)
	if p.broken.Load() {
		http.Error(w, "out of order", http.StatusServiceUnavailable)
		return
	}
	doc := map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token",
		"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"}}
	maps.Copy(doc, p.metadata)
	_ = json.NewEncoder(w).Encode(doc)
}

// answer is the token endpoint: it wants the code, the client's secret, and the verifier of PKCE.
func (p *provider) answer(w http.ResponseWriter, r *http.Request) {
	if p.token != nil {
		p.token(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	id, password, _ := r.BasicAuth()
	if id != clientID || password != secret {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":"invalid_client"}`))
		return
	}
	if r.FormValue("code") != "good" || oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) != p.challenge {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": p.idToken()})
}

func (p *provider) idToken() string {
	now := time.Now().Unix()
	all := map[string]any{"iss": p.URL, "aud": clientID, "sub": "17", "nonce": p.nonce, "iat": now, "exp": now + 300,
		"preferred_username": "alice", "email": "alice@example.org", "email_verified": true}
	for name, value := range p.claims {
		if value == nil {
			delete(all, name)
		} else {
			all[name] = value
		}
	}
	text, _ := json.Marshal(all) // of maps and strings
	alg, signer := p.alg, p.signer
	if alg == "" {
		alg = oidc.RS256
	}
	if signer == nil {
		signer = p.key
	}
	return oidctest.SignIDToken(signer, "k", alg, string(text))
}

// site is a hub that uses providers.
type site struct {
	*Login
	t        *testing.T
	accounts *account.Accounts
}

func newSite(t *testing.T, providers ...Provider) *site {
	t.Helper()
	s, _ := storetest.Open(t)
	signing, err := token.OpenSigning(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := account.New(s, token.New(s, signing))
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(providers, "http://hub.test/"); err != nil {
		t.Fatal(err)
	}
	l, err := New(Options{Providers: providers, HubURL: "http://hub.test/hub/", Accounts: accounts, Store: s, MAC: signing.MAC,
		Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return &site{l, t, accounts}
}

// at is a provider whom everybody may use; change may change that.
func at(p *provider, change func(*Provider)) Provider {
	out := Provider{Name: "op", DisplayName: "The OP", Issuer: p.URL, ClientID: clientID, ClientSecret: secret, AllowAll: true}
	if change != nil {
		change(&out)
	}
	return out
}

// visitor is a browser with its cookies.
type visitor struct {
	s       *site
	cookies []*http.Cookie
}

// start goes to the provider, and returns what the address there asks for.
func (v *visitor) start(p *provider, name, next string) url.Values {
	v.s.t.Helper()
	r := httptest.NewRequestWithContext(v.s.t.Context(), http.MethodGet, "/hub/oauth_login", nil)
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	to, err := v.s.Start(w, r, name, next)
	if err != nil {
		v.s.t.Fatal(err)
	}
	v.cookies = w.Result().Cookies()
	u, err := url.Parse(to)
	if err != nil {
		v.s.t.Fatal(err)
	}
	p.nonce, p.challenge = u.Query().Get("nonce"), u.Query().Get("code_challenge")
	return u.Query()
}

// finish comes back from the provider.
func (v *visitor) finish(name string, q url.Values) (hub.User, string, error) {
	r := httptest.NewRequestWithContext(v.s.t.Context(), http.MethodGet, "/hub/oauth_callback?"+q.Encode(), nil)
	for _, c := range v.cookies {
		r.AddCookie(c)
	}
	return v.s.Finish(r, name)
}

// signIn is a whole sign-in with the first provider.
func (s *site) signIn(p *provider) (hub.User, error) {
	s.t.Helper()
	v := &visitor{s: s}
	q := v.start(p, "", "/hub/home")
	u, _, err := v.finish("", url.Values{"code": {"good"}, "state": {q.Get("state")}})
	return u, err
}
