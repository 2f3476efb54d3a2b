package oauth

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// client is a server or a service as an OAuth client.
type client struct {
	id string
	// redirect is the one address that browsers are sent back to: a path of the hub's origin, or an http URL.
	redirect string
	// what is the client in JupyterHub's words, name the same for people.
	what, name string
	// server is set for a server, service for a service.
	server    *hub.Server
	service   string
	allowed   []string
	noConfirm bool
	// public says that the client has no secret, so that only PKCE and the person's consent keep others from posing as it.
	public bool
}

// owner fills in the short forms of scopes that the client asks of user.
func (c *client) owner(user hub.User) access.Owner {
	o := access.Owner{User: string(user.Name), Groups: user.Groups, Service: c.service}
	if c.server != nil {
		o.Server = c.server.FullName()
	}
	return o
}

// ofUser reports whether the client is one of the user's own servers.
func (c *client) ofUser(user hub.User) bool { return c.server != nil && c.server.UserID == user.ID }

// errClient is what everybody hears of a client that is not there, or has another redirect URI: an Invalid error.
var errClient = hub.Errorf(hub.Invalid, "The program that sent you here is not known to the hub, or wants you back at an address that is not "+
	"registered for it. If it is a server that was just restarted, open its page again.")

// find returns the client of an authorization request, or errClient. redirect may be empty: the client's own.
func (p *provider) find(ctx context.Context, id, redirect string) (*client, error) {
	var all []*client
	var err error
	switch {
	case id == hub.CommandLineClientID:
		all = []*client{commandLine(redirect)}
	case strings.HasPrefix(id, hub.ServerClientID):
		all, err = p.findServers(ctx, id, redirect)
	case strings.HasPrefix(id, hub.ServiceClientID):
		all, err = p.findServices(ctx, id)
	}
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(c *client) bool { return redirect != "" && c.redirect != redirect })
	if len(all) != 1 || !redirectable(all[0].redirect) {
		return nil, errClient
	}
	return all[0], nil
}

// maxNames bounds how many servers may share a client id.
const maxNames = 16

// findServers looks up the servers that have a client id. Which of its dashes separates the names of user and server only
// the records tell, or the redirect URI.
func (p *provider) findServers(ctx context.Context, id, redirect string) ([]*client, error) {
	var found []*client
	names := serversOf(id)
	if len(names) > maxNames {
		return nil, nil
	}
	for _, name := range names {
		if redirect != "" && p.Servers.Callback(&name) != redirect {
			continue
		}
		s, err := p.Servers.Get(ctx, name.User, name.Name)
		if err != nil {
			return nil, err
		}
		if s.Active() && s.TokenID != "" {
			found = append(found, p.ofServer(s))
		}
	}
	return found, nil
}

// serversOf are the servers that may have this client id.
func serversOf(id string) []hub.Server {
	rest := strings.TrimPrefix(id, hub.ServerClientID)
	var all []hub.Server
	for i := range len(rest) + 1 {
		user, server := rest, ""
		if i < len(rest) {
			if rest[i] != '-' || i == len(rest)-1 {
				continue
			}
			user, server = rest[:i], rest[i+1:]
		}
		plain, err := url.QueryUnescape(user)
		if err != nil {
			continue
		}
		name, err1 := hub.ParseUserName(plain)
		serverName, err2 := hub.ParseServerName(server)
		if s := (hub.Server{User: name, Name: serverName}); err1 == nil && err2 == nil && s.ClientID() == id {
			all = append(all, s)
		}
	}
	return all
}

func (p *provider) ofServer(s hub.Server) *client {
	name := string(s.User) + "’s server"
	if s.Name != "" {
		name += " “" + string(s.Name) + "”"
	}
	return &client{id: s.ClientID(), redirect: p.Servers.Callback(&s), what: "Server at " + routes.UserPrefix(string(s.User), string(s.Name)),
		name: name, server: &s, allowed: p.Servers.ClientScopes()}
}

func (p *provider) findServices(ctx context.Context, id string) ([]*client, error) {
	r, err := p.services.Get(ctx, store.ID(strings.TrimPrefix(id, hub.ServiceClientID)))
	if err != nil && hub.KindOf(err) != hub.NotFound {
		return nil, err
	}
	if c := ofService(r.Value); err == nil && c.id == id {
		return []*client{c}, nil
	}
	all, err := p.services.All(ctx, "") // one with an id of its own
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if c := ofService(r.Value); c.id == id {
			return []*client{c}, nil
		}
	}
	return nil, nil
}

func ofService(s hub.Service) *client {
	id := s.ClientID
	if id == "" {
		id = hub.ServiceClientID + s.Name
	}
	return &client{id: id, redirect: s.RedirectURI, what: "Service " + s.Name, name: "The service " + s.Name, service: s.Name,
		allowed: s.AllowedScopes, noConfirm: s.NoConfirm}
}

// redirectable reports whether browsers can be sent to a registered address: a path of the hub's own origin, or a URL of http
// or https. Never one that a browser takes for a script, or for another host than it seems.
func redirectable(redirect string) bool {
	u, err := url.Parse(redirect)
	if err != nil || u.Fragment != "" || u.User != nil || strings.ContainsAny(redirect, "\\ \t\r\n") {
		return false
	}
	if u.Scheme == "" && u.Host == "" {
		return strings.HasPrefix(u.Path, "/") && !strings.HasPrefix(redirect, "//")
	}
	return (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// byCredential returns the client that presents an API token as its secret, with that token. Anything else is an
// Unauthenticated error.
func (p *provider) byCredential(ctx context.Context, id, secret string) (*client, hub.Token, error) {
	refused := hub.Errorf(hub.Unauthenticated, "Unknown client, or wrong secret.")
	t, err := p.Tokens.Find(ctx, secret)
	if err != nil {
		return nil, t, err
	}
	var c *client
	switch {
	case t.Service != "":
		r, err := p.services.Get(ctx, store.ID(t.Service))
		if err != nil && hub.KindOf(err) != hub.NotFound {
			return nil, t, err
		}
		if err == nil {
			c = ofService(r.Value)
		}
	case t.Server != "":
		user, name, _ := strings.Cut(t.Server, "/")
		s, err := p.Servers.Get(ctx, hub.UserName(user), hub.ServerName(name))
		if err != nil {
			return nil, t, err
		}
		if s.TokenID == t.ID && s.UserID == t.UserID {
			c = p.ofServer(s)
		}
	}
	if c == nil || c.id != id {
		return nil, t, refused
	}
	return c, t, nil
}
