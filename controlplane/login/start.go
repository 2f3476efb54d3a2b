package login

import (
	"net/http"
	"net/url"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Start returns the address at the provider where the browser of r signs in, and gives the browser what it has to come back
// with. next is where it goes afterwards: checked by the caller, a path, or empty. An empty name is the first provider's.
func (l *Login) Start(w http.ResponseWriter, r *http.Request, name, next string) (string, error) {
	c, err := l.client(name)
	if err != nil {
		return "", err
	}
	m, err := c.metadata(r.Context())
	if err != nil {
		return "", err
	}
	secret, err := browser(w, r)
	if err != nil {
		return "", err
	}
	s := newState(next)
	sealed, err := l.sealed(s, c.Name, secret)
	if err != nil {
		return "", err
	}
	params := []oauth2.AuthCodeOption{oidc.Nonce(s.Nonce), oauth2.S256ChallengeOption(s.Verifier)}
	for name, value := range c.AuthorizeParams {
		params = append(params, oauth2.SetAuthURLParam(name, value))
	}
	return c.oauth2(m).AuthCodeURL(sealed, params...), nil
}

// Leave returns the address at the provider where the person of an issuer signs out, "" if that is not wanted or unknown.
// Afterwards the browser comes to back, a path below HubURL.
func (l *Login) Leave(r *http.Request, issuer, back string) string {
	for _, c := range l.clients {
		if c.Issuer != issuer || !c.EndSession {
			continue
		}
		m, err := c.metadata(r.Context())
		if err != nil || m.said.EndSession == "" {
			return "" // signed out here all the same
		}
		u, err := url.Parse(m.said.EndSession)
		if err != nil || u.Scheme != "https" && !loopback(u.Hostname()) {
			return ""
		}
		q := u.Query()
		q.Set("client_id", c.ClientID)
		q.Set("post_logout_redirect_uri", l.opts.HubURL+back)
		u.RawQuery = q.Encode()
		return u.String()
	}
	return ""
}
