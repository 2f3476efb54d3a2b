// Package login is the hub as a relying party of OpenID Connect: it sends browsers to a provider, takes them back, finds out
// who they are, and decides whether they may sign in and what they are here. It starts no sessions and writes no pages.
//
// A sign-in has two requests, which any two replicas may get:
//
//	Start   the browser gets a secret in a cookie and goes to the provider, with a state that only this hub can open
//	Finish  the provider sends it back; state, cookie and provider must fit together, once
//
// Invariant: nothing about a sign-in is remembered between the two but what the browser carries, sealed; and a user belongs
// to one identity (issuer and subject), whatever names and addresses providers tell.
package login

import (
	"crypto/cipher"
	"log/slog"
	"slices"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Options are what the sign-in works with.
type Options struct {
	Providers []Provider
	// HubURL is the hub's pages as browsers see them, with a slash at the end: https://hub.example.org/hub/.
	HubURL   string
	Accounts *account.Accounts
	Store    *store.Store
	// MAC makes keys that only the hub's replicas have.
	MAC func(purpose, data string) []byte
	Log *slog.Logger
}

// Login are the login providers of a hub.
type Login struct {
	opts    Options
	clients []*client
	seal    cipher.AEAD
	spent   store.Table[spentLogin]
}

// New returns the providers, which Check has accepted. It asks none of them anything yet.
func New(opts Options) (*Login, error) {
	seal, err := newSeal(opts.MAC("login state", ""))
	if err != nil {
		return nil, err
	}
	l := &Login{opts: opts, seal: seal, spent: store.NewTable[spentLogin](opts.Store, store.SpentLogins, "sign-in")}
	transport := newTransport()
	for i, p := range opts.Providers {
		c, err := newClient(p, transport)
		if err != nil {
			return nil, err
		}
		c.callback = opts.HubURL + CallbackPath
		if i > 0 {
			c.callback += "/" + p.Name
		}
		c.adopt = p.AdoptUsers == nil && len(opts.Providers) == 1 || p.AdoptUsers != nil && *p.AdoptUsers
		l.clients = append(l.clients, c)
		opts.Log.Info("login provider", "name", p.Name, "issuer", p.Issuer, "callback", c.callback)
	}
	return l, nil
}

// Close ends the connections to providers that nobody uses at the moment.
func (l *Login) Close() {
	for _, c := range l.clients {
		c.http.CloseIdleConnections()
	}
}

// CallbackPath is where the first provider sends browsers back to, below HubURL, as in JupyterHub. Each further one has the
// same with its name at the end, so that no answer of one can be taken for another's.
const CallbackPath = "oauth_callback"

// Methods are the providers in the operator's order.
func (l *Login) Methods() []hub.LoginMethod {
	all := make([]hub.LoginMethod, len(l.clients))
	for i, c := range l.clients {
		all[i] = hub.LoginMethod{Name: c.Name, Label: c.label()}
	}
	return all
}

// Auto reports whether people go to the one provider without being asked.
func (l *Login) Auto() bool { return len(l.clients) == 1 && l.clients[0].AutoLogin }

// client is the provider of a name; the first has the empty one too.
func (l *Login) client(name string) (*client, error) {
	i := slices.IndexFunc(l.clients, func(c *client) bool { return c.Name == name })
	if name == "" && len(l.clients) > 0 {
		i = 0
	}
	if i < 0 {
		return nil, hub.Errorf(hub.NotFound, "There is no such way to sign in.")
	}
	return l.clients[i], nil
}

// returning is the provider whose callback address ends with name.
func (l *Login) returning(name string) (*client, error) {
	if len(l.clients) > 0 && name == l.clients[0].Name {
		name = "-" // its address is without
	}
	return l.client(name)
}

func (c *client) label() string {
	if c.DisplayName != "" {
		return c.DisplayName
	}
	return c.Name
}
