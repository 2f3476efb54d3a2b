package login

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// leeway is how far the provider's clock may be behind or ahead of ours.
const leeway = time.Minute

// Finish ends a sign-in that the provider sent back to the callback address that ends with name. It returns the user who may
// sign in, and where the browser wanted to go, which is also known for most errors.
func (l *Login) Finish(r *http.Request, name string) (hub.User, string, error) {
	c, err := l.returning(name)
	if err != nil {
		return hub.User{}, "", err
	}
	secret, err := web.Cookie(r, Cookie)
	if err != nil {
		return hub.User{}, "", err
	}
	q := r.URL.Query()
	s, err := l.open(q.Get("state"), c.Name, secret)
	if err != nil {
		return hub.User{}, "", err
	}
	user, err := l.finish(r.Context(), c, s, q)
	return user, s.Next, err
}

func (l *Login) finish(ctx context.Context, c *client, s state, q url.Values) (hub.User, error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return hub.User{}, err
	}
	// The issuer of the answer, RFC 9207: another provider's answer must not be taken for this one's.
	if iss := q.Get("iss"); iss != c.Issuer && (q.Has("iss") || m.said.TellsIss) {
		return hub.User{}, stale()
	}
	if err := l.spend(ctx, s); err != nil {
		return hub.User{}, err
	}
	if q.Has("error") {
		return hub.User{}, c.answered(q.Get("error"))
	}
	person, err := c.identify(c.context(ctx), m, s, q.Get("code"))
	if err != nil {
		return hub.User{}, err
	}
	return l.admit(ctx, c, person)
}

// answered is the error for one of the provider's. What it says besides is not shown: anybody could have written it.
func (c *client) answered(code string) error {
	switch code {
	case "access_denied", "login_required", "interaction_required", "consent_required", "account_selection_required":
		return refused("%s did not sign you in: it refused, or you did not agree.", c.label())
	case "temporarily_unavailable", "server_error":
		return c.down(errors.New(code))
	}
	return c.wrong(errors.New(code))
}

// identify changes the code for an ID token, and returns what it says of the person.
func (c *client) identify(ctx context.Context, m *metadata, s state, code string) (claims, error) {
	if code == "" {
		return nil, c.wrong(errors.New("no code"))
	}
	t, err := c.oauth2(m).Exchange(ctx, code, oauth2.VerifierOption(s.Verifier))
	if err != nil {
		return nil, c.exchangeFailed(err)
	}
	raw, _ := t.Extra("id_token").(string)
	verifier := m.VerifierContext(ctx, &oidc.Config{ClientID: c.ClientID, Now: func() time.Time { return time.Now().Add(-leeway) }})
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		return nil, c.wrong(err)
	}
	person := claims{}
	if err := id.Claims(&person); err != nil {
		return nil, c.wrong(err)
	}
	if err := c.checkToken(id, person, s, t.AccessToken); err != nil {
		return nil, c.wrong(err)
	}
	return person, c.askMore(ctx, m, t, person)
}

// exchangeFailed tells a code that is no good any more, which is the visitor's, from a provider that fails.
func (c *client) exchangeFailed(err error) error {
	var answer *oauth2.RetrieveError
	if errors.As(err, &answer) && answer.ErrorCode == "invalid_grant" {
		return hub.WithCause(hub.Errorf(hub.Invalid, "%s did not accept this sign-in any more. Please try again.", c.label()), c.because(err))
	}
	return c.wrong(err)
}

// checkToken checks what the verifier leaves to us.
func (c *client) checkToken(id *oidc.IDToken, person claims, s state, accessToken string) error {
	switch azp := person.text("azp"); {
	case id.Nonce != s.Nonce:
		return errors.New("the ID token is for another sign-in")
	case id.Subject == "" || len(id.Subject) > 255:
		return errors.New("the ID token has no usable subject")
	case azp != c.ClientID && (azp != "" || len(id.Audience) > 1):
		return errors.New("the ID token was made for another client")
	case id.IssuedAt.After(time.Now().Add(leeway)):
		return errors.New("the ID token is of the future; compare the clocks")
	case id.AccessTokenHash != "":
		return id.VerifyAccessToken(accessToken)
	}
	return nil
}

// askMore asks the provider for claims that the ID token does not have.
func (c *client) askMore(ctx context.Context, m *metadata, t *oauth2.Token, person claims) error {
	if m.said.UserInfo == "" || !c.lacks(person) {
		return nil
	}
	info, err := m.UserInfo(ctx, oauth2.StaticTokenSource(t))
	if err != nil {
		return c.wrong(err)
	}
	if info.Subject != person.text("sub") {
		return c.wrong(errors.New("the user info is about somebody else"))
	}
	more := claims{}
	if err := info.Claims(&more); err != nil {
		return c.wrong(err)
	}
	for name, value := range more {
		if _, ok := person[name]; !ok {
			person[name] = value
		}
	}
	return nil
}
