package pages

import (
	"net/http"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// acceptShareForm shows what a share code is for. Nothing happens before the form is sent: a link of another site can open this.
func (p *Pages) acceptShareForm(v visit) error {
	code := v.r.URL.Query().Get("code")
	if code == "" {
		return hub.Errorf(hub.Invalid, "The address has no code. Open the whole link that you were sent.")
	}
	c, s, err := p.Accounts.ShareCode(v.r.Context(), code)
	if err != nil {
		return err
	}
	if s.Owner.ID == v.User.ID {
		return hub.Errorf(hub.Forbidden, "This is your own server, which you need not accept.")
	}
	return p.render.Render(v.w, http.StatusOK, AcceptSharePage, AcceptShareView{Page: p.page(v.w, v.r, v.Caller), Owner: string(s.Owner.Name),
		Server: string(s.Name), Scopes: c.Scopes, Code: code, Next: web.Next(v.r)})
}

// acceptShare makes the share of a code, and leads to the server.
func (p *Pages) acceptShare(v visit) error {
	s, err := p.Accounts.Exchange(v.r.Context(), v.r.PostFormValue("code"), *v.User)
	if err != nil {
		if hub.KindOf(err) == hub.NotFound {
			err = hub.Errorf(hub.Invalid, "%s", hub.MessageOf(err))
		}
		return err
	}
	p.Servers.Reshare(v.r.Context(), s.Owner.Name)
	if next := web.Next(v.r); next != "" {
		return redirect(v.w, next)
	}
	return redirect(v.w, p.sharedServer(s))
}

// sharedServer is where the server of a share is: a path of this host, or with hosts of users an address.
func (p *Pages) sharedServer(s account.SharedServer) string {
	prefix := routes.UserPrefix(string(s.Owner.Name), string(s.Name))
	if p.Hosts != nil {
		return p.Hosts.Address(prefix)
	}
	return prefix
}
