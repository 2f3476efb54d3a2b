// Package oauth is the hub as an OAuth 2.0 provider (RFC 6749, with PKCE and the rules of RFC 9700) for the programs that
// people reach through it: users' servers and services. Its access tokens are API tokens of the person, limited to what the
// client may ask for, what the person granted, and what the person may do at each use.
//
// Only the authorization code grant exists. There are no refresh tokens: a client sends the browser to the hub again, which
// does not ask twice.
//
// Invariants: no browser is ever sent to an address that is not registered, byte for byte, for the client of the request. A
// code is good once, for a minute, for one client, redirect URI, verifier and session. Nothing here is kept in memory but
// counters against floods.
package oauth

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
)

// Pages shows people what the provider has to say.
type Pages interface {
	// Consent asks c. The page's form may lead to redirect's origin.
	Consent(w http.ResponseWriter, r *http.Request, c *account.Caller, ask hub.Consent) error
	// WriteError shows an error.
	WriteError(w http.ResponseWriter, r *http.Request, status int, err error)
}

// Options are what the provider works with.
type Options struct {
	Store    *store.Store
	Accounts *account.Accounts
	Tokens   *token.Service
	Servers  *spawn.Manager
	XSRF     web.XSRF
	Pages    Pages
	Log      *slog.Logger
	// PublicURL is the hub as browsers see it, with a slash at the end, or empty if it is not known.
	PublicURL string
	// RequirePKCE refuses clients that send no code challenge, JupyterHub's oauth_require_pkce.
	RequirePKCE bool
	// TokenLife is how long access tokens are good, JupyterHub's oauth_token_expires_in. They never outlive their session.
	TokenLife time.Duration
}

// DefaultTokenLife is TokenLife if nobody says otherwise: that of a session.
const DefaultTokenLife = token.SessionLife

// Paths of the provider.
const (
	// Prefix is what all of them begin with.
	Prefix        = "/hub/api/oauth2/"
	authorizePath = Prefix + "authorize"
	tokenPath     = Prefix + "token"
	issuerPath    = "/hub"
)

type provider struct {
	Options
	services store.Table[hub.Service]
	codes    *web.Limiter // codes by session
	failures *web.Limiter // failed client authentications by address
}

// New returns the handler of the paths below Prefix.
func New(opts Options) http.Handler {
	if opts.TokenLife == 0 {
		opts.TokenLife = DefaultTokenLife
	}
	p := &provider{Options: opts, services: store.NewTable[hub.Service](opts.Store, store.Services, "service"),
		codes: web.NewLimiter(60, time.Second, 4096), failures: web.NewLimiter(30, time.Second, 4096)}
	mux := http.NewServeMux()
	people := web.Adapter{Log: opts.Log, WriteError: opts.Pages.WriteError}
	programs := web.Adapter{Log: opts.Log, WriteError: writeError}
	mux.Handle("GET "+authorizePath, people.Handle(p.authorize))
	mux.Handle("POST "+authorizePath, people.Handle(p.answer))
	mux.Handle("POST "+tokenPath, programs.Handle(p.token))
	others := web.Adapter{Log: opts.Log, WriteError: web.JSONError}
	mux.Handle(authorizePath, others.Handle(wrongMethod("GET, POST")))
	mux.Handle(tokenPath, others.Handle(wrongMethod("POST")))
	mux.Handle(Prefix, others.Handle(func(http.ResponseWriter, *http.Request) error {
		return hub.Errorf(hub.NotFound, "Not Found")
	}))
	return web.Headers(private(mux))
}

// private keeps what is in an address from the sites that pages lead to, and pages out of frames also of old browsers.
func private(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Frame-Options", "DENY")
		w.Header().Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

func wrongMethod(allowed string) web.Handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", allowed)
		return &web.StatusError{Code: http.StatusMethodNotAllowed, Message: "Method Not Allowed"}
	}
}

// issuer is the hub's name in answers to clients (RFC 9207), so that one that uses several hubs can tell them apart.
func (p *provider) issuer(r *http.Request) string { return p.origin(r) + web.Base(r).Path(issuerPath) }

// origin is the hub's as the browser sees it.
func (p *provider) origin(r *http.Request) string {
	if u, err := url.Parse(p.PublicURL); err == nil && u.Host != "" {
		return u.Scheme + "://" + u.Host
	}
	scheme := "http"
	if web.Secure(r) {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}
