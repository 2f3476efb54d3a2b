package oauth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
)

// maxForm bounds the body of a token request, in bytes.
const maxForm = 16 << 10

// tokenAnswer is RFC 6749's, section 5.1.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
}

// token gives a client the access token for a code.
func (p *provider) token(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	switch form.Get("grant_type") {
	case "authorization_code":
	case "":
		return wrong("invalid_request", "Missing grant_type parameter.")
	default:
		return wrong("unsupported_grant_type", "Only grant_type=authorization_code is supported.")
	}
	c, issuer, err := p.authenticate(r, form)
	if err != nil {
		if basic(r) && web.Status(err) == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="JupyterHub"`)
		}
		return err
	}
	if form.Get("code") == "" {
		return wrong("invalid_request", "Missing code parameter.")
	}
	t, secret, err := p.Tokens.RedeemCode(r.Context(), form.Get("code"), issuer, p.TokenLife, func(code token.Code) error {
		return accept(code, c, form.Get("redirect_uri"), form.Get("code_verifier"))
	})
	if hub.KindOf(err) == hub.Unauthenticated {
		p.Log.Info("code refused", "client", c.id, "err", err)
		return wrong("invalid_grant", "The code is not valid, or no longer.")
	}
	if err != nil {
		return err
	}
	p.Log.Info("access token issued", "user", t.User, "client", c.id, "token", t.ID)
	if err := p.Tokens.SweepExpired(r.Context(), t.UserID); err != nil {
		p.Log.Warn("cannot remove expired tokens", "user", t.User, "err", err)
	}
	return web.JSON(w, http.StatusOK, tokenAnswer{AccessToken: secret, TokenType: "Bearer", ExpiresIn: int(t.Expires.Sub(t.Created).Round(time.Second).Seconds()),
		Scope: strings.Join(slices.Sorted(slices.Values(t.Scopes)), " ")})
}

// readForm reads the body of a token request. Nothing counts that is in the address, where logs would keep it.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, wrong("invalid_request", "The body must be application/x-www-form-urlencoded.")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, &protocolError{status: http.StatusRequestEntityTooLarge, Code: "invalid_request", Description: "The body is too large."}
		}
		return nil, wrong("invalid_request", "The body is not a form.")
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return nil, wrong("invalid_request", "Give "+hub.Clip(name)+" once.")
		}
	}
	return r.PostForm, nil
}

// authenticate finds the client of a token request by its id and secret, from the form or from HTTP Basic.
func (p *provider) authenticate(r *http.Request, form url.Values) (*client, hub.Token, error) {
	refused := &protocolError{status: http.StatusUnauthorized, Code: "invalid_client", Description: "Unknown client, or wrong secret."}
	id, secret, err := credentials(r, form)
	if err != nil {
		return nil, hub.Token{}, err
	}
	if id == hub.CommandLineClientID && secret == "" {
		return commandLine(form.Get("redirect_uri")), hub.Token{}, nil
	}
	if id == "" || secret == "" {
		return nil, hub.Token{}, refused
	}
	address := web.ClientAddress(r)
	if !p.failures.Take(address) {
		return nil, hub.Token{}, hub.Errorf(hub.Exhausted, "Too many wrong secrets. Try again shortly.")
	}
	c, t, err := p.byCredential(r.Context(), id, secret)
	if hub.KindOf(err) == hub.Unauthenticated {
		p.Log.Info("client refused", "client", hub.Clip(id), "address", address)
		return nil, t, refused
	}
	p.failures.GiveBack(address) // wrong secrets count
	return c, t, err
}

func basic(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "basic")
}

func credentials(r *http.Request, form url.Values) (id, secret string, err error) {
	if !basic(r) { // HubAuth sends its API token there, too
		return form.Get("client_id"), form.Get("client_secret"), nil
	}
	id, secret, ok := r.BasicAuth()
	id, err1 := url.QueryUnescape(id) // both are encoded as in a form (RFC 6749, 2.3.1)
	secret, err2 := url.QueryUnescape(secret)
	if !ok || err1 != nil || err2 != nil {
		return "", "", wrong("invalid_request", "The Authorization header must be HTTP Basic with client id and secret.")
	}
	if form.Has("client_secret") || form.Has("client_id") && form.Get("client_id") != id {
		return "", "", wrong("invalid_request", "Give client id and secret in one way only.")
	}
	return id, secret, nil
}

// accept checks what a client says about a code.
func accept(code token.Code, c *client, redirect, verifier string) error {
	switch {
	case code.Client != c.id || code.Redirect != c.redirect:
		return hub.Errorf(hub.Unauthenticated, "The code is another client's.")
	case redirect != code.Redirect && (redirect != "" || code.Named):
		return wrong("invalid_request", "Mismatching redirect URI.")
	case code.Challenge == "" && verifier != "":
		return hub.Errorf(hub.Unauthenticated, "The code was asked for without a challenge.") // somebody took it away (RFC 9700, 4.8)
	case code.Challenge == "":
		return nil
	case verifier == "":
		return wrong("invalid_request", "Code verifier required.")
	}
	sum := sha256.Sum256([]byte(verifier))
	if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(code.Challenge)) != 1 {
		return hub.Errorf(hub.Unauthenticated, "The verifier is not the challenge's.")
	}
	return nil
}
