package token

import (
	"context"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

const (
	// CodeLife is how long an OAuth client has to redeem a code. RFC 6749 wants ten minutes at most; JupyterHub's is five.
	CodeLife = time.Minute
	// usedFor is how long a redeemed code is remembered, for whoever comes second with it.
	usedFor = time.Hour
)

// Code is what the authorization code of an OAuth client stands for. Its key is the hash of the code.
type Code struct {
	Schema int `json:"v"`
	// Client may redeem it, with the same redirect URI and the verifier of Challenge (PKCE, S256), if there is one. Named says
	// that the request for the code named Redirect, so that the one for the token must.
	Client    string `json:"client"`
	Redirect  string `json:"redirect_uri"`
	Named     bool   `json:"redirect_named,omitempty"`
	Challenge string `json:"challenge,omitempty"`
	// User granted Scopes in Session.
	User    hub.UserName `json:"user"`
	UserID  string       `json:"user_id"`
	Session string       `json:"session"`
	Scopes  []string     `json:"scopes"`
	Expires time.Time    `json:"expires"`
}

// usedCode names the token that a code was redeemed for.
type usedCode struct {
	Schema int    `json:"v"`
	UserID string `json:"user_id"`
	Token  string `json:"token"`
}

// issued lists an OAuth token below the API token of its client.
type issued struct {
	Schema int    `json:"v"`
	UserID string `json:"user_id"`
}

// StartCode stores c and returns the code that stands for it.
func (s *Service) StartCode(ctx context.Context, c Code) (string, error) {
	code := randomHex(32)
	c.Schema, c.Expires = hub.Schema, time.Now().UTC().Add(CodeLife)
	return code, s.store.Apply(ctx, store.PutFor(s.codes.Key(hash(code)), c, CodeLife))
}

// errCode is the end of every code that is not good: an Unauthenticated error.
var errCode = hub.Errorf(hub.Unauthenticated, "This code is not valid.")

// RedeemCode gives the client that proved with the API token issuer who it is the access token for a code. accept checks
// what the client says against what the code stands for. A code ends here whatever comes of it. Of many who redeem it at once,
// at any replica, one at most gets a token; whoever comes later ends that token too, because the code has leaked (RFC 6749,
// 4.1.2). What is wrong with the code is an Unauthenticated error.
func (s *Service) RedeemCode(ctx context.Context, code string, issuer hub.Token, life time.Duration, accept func(Code) error) (hub.Token, string, error) {
	r, err := s.codes.Get(ctx, hash(code))
	if err != nil {
		return hub.Token{}, "", s.secondUse(ctx, code, err)
	}
	c := r.Value
	session, err := s.admit(ctx, c, accept)
	if err != nil {
		if ended := s.codes.Delete(ctx, r.ID, 0); ended != nil && hub.KindOf(ended) != hub.NotFound {
			return hub.Token{}, "", ended
		}
		return hub.Token{}, "", err
	}
	t := hub.Token{User: c.User, UserID: c.UserID, Scopes: c.Scopes, Session: c.Session, OAuthClient: c.Client, Issuer: issuer.ID,
		Expires: earlier(time.Now().UTC().Add(life), session.Expires)}
	t, secret, ops := s.mint(t)
	ops = append(ops, store.PutFor(s.used.Key(r.ID), usedCode{Schema: hub.Schema, UserID: t.UserID, Token: t.ID}, usedFor))
	if err := s.codes.Delete(ctx, r.ID, r.Revision, ops...); err != nil {
		return hub.Token{}, "", s.secondUse(ctx, code, err)
	}
	return t, secret, s.stillIssued(ctx, issuer, t)
}

// admit checks a code and what the client says to it. The session must still be there.
func (s *Service) admit(ctx context.Context, c Code, accept func(Code) error) (hub.Session, error) {
	if expired(c.Expires) {
		return hub.Session{}, errCode
	}
	if err := accept(c); err != nil {
		return hub.Session{}, err
	}
	return s.SessionByID(ctx, c.UserID, c.Session)
}

// secondUse is what becomes of a code that is gone: the token that it was redeemed for, if it was, ends. err is why it is
// taken for gone.
func (s *Service) secondUse(ctx context.Context, code string, err error) error {
	if kind := hub.KindOf(err); kind != hub.NotFound && kind != hub.Conflict {
		return err
	}
	r, err := s.used.Get(ctx, hash(code))
	if err == nil {
		err = s.Delete(ctx, r.Value.UserID, r.Value.Token)
	}
	if err == nil || hub.KindOf(err) == hub.NotFound {
		return errCode
	}
	return err
}

// mint makes a token and the writes that store it and list it under its owner and its client.
func (s *Service) mint(t hub.Token) (hub.Token, string, []store.Op) {
	secret := newSecret()
	t.Schema, t.ID, t.Created = hub.Schema, newTokenID(), time.Now().UTC()
	h := hash(secret)
	entry := index{Schema: hub.Schema, Hash: h, Session: t.Session, Client: t.OAuthClient, Issuer: t.Issuer, Expires: t.Expires}
	ops := []store.Op{
		store.Put(s.tokens.Key(h), t),
		store.Put(s.owners.Key(ownerID(t)+"/"+store.ID(t.ID)), entry),
	}
	if t.Issuer != "" {
		ops = append(ops, store.Put(s.issued.Key(store.ID(t.Issuer, t.ID)), issued{Schema: hub.Schema, UserID: t.UserID}))
	}
	return t, secret, ops
}

// stillIssued ends t if its client's own token ended while t was made: deleteIssued may have been too early to see t.
func (s *Service) stillIssued(ctx context.Context, issuer, t hub.Token) error {
	if issuer.ID == "" { // a public client has none
		return nil
	}
	_, err := s.owners.Get(ctx, ownerID(issuer)+"/"+store.ID(issuer.ID))
	if hub.KindOf(err) != hub.NotFound {
		return err
	}
	if err := s.Delete(ctx, t.UserID, t.ID); err != nil && hub.KindOf(err) != hub.NotFound {
		return err
	}
	return errCode
}

// deleteIssued ends the OAuth tokens that a client got with the API token id, which is gone.
func (s *Service) deleteIssued(ctx context.Context, id string) error {
	entries, err := s.issued.All(ctx, store.ID(id)+"/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		parts, ok := store.Parts(e.ID)
		if !ok || len(parts) != 2 {
			continue
		}
		if err := s.Delete(ctx, e.Value.UserID, parts[1]); err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return nil
}

// OfClient lists the unexpired OAuth tokens that a client has of a user.
func (s *Service) OfClient(ctx context.Context, userID, client string) ([]hub.Token, error) {
	all, err := s.OfUser(ctx, userID)
	var own []hub.Token
	for _, t := range all {
		if t.OAuthClient == client {
			own = append(own, t)
		}
	}
	return own, err
}

// endOAuth ends those OAuth tokens of a user that which selects by their entries.
func (s *Service) endOAuth(ctx context.Context, userID string, which func(index) bool) error {
	entries, err := s.owners.All(ctx, store.ID("user", userID)+"/")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Value.Client == "" || !which(e.Value) {
			continue
		}
		if err := s.deleteEntry(ctx, e); err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return nil
}

// DeleteGrant ends the API token id of a user, as Delete does. With an OAuth token go all that its client has of the user: what
// people see and end is that the client has access.
func (s *Service) DeleteGrant(ctx context.Context, userID, id string) error {
	entry, err := s.owners.Get(ctx, store.ID("user", userID, id))
	if err != nil || entry.Value.Client == "" {
		return s.Delete(ctx, userID, id)
	}
	return s.endOAuth(ctx, userID, func(e index) bool { return e.Client == entry.Value.Client })
}

// SweepExpired removes a user's OAuth tokens that have expired. Each sign-in to a server leaves one.
func (s *Service) SweepExpired(ctx context.Context, userID string) error {
	return s.endOAuth(ctx, userID, func(e index) bool { return expired(e.Expires) })
}

// sessionLives refuses the token of a session that is over. Its end also deletes the token, but not in the same moment.
func (s *Service) sessionLives(ctx context.Context, t hub.Token) error {
	_, err := s.SessionByID(ctx, t.UserID, t.Session)
	if hub.KindOf(err) == hub.Unauthenticated {
		return hub.Errorf(hub.Unauthenticated, "Missing or invalid credentials.")
	}
	return err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
