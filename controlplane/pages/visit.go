package pages

import (
	"net/url"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// address is where browsers find a path of the hub: on a user's host if it is below /user/NAME/ and users have hosts. What is
// no whole address gets the base when it leaves, as a Location or a link.
func (p *Pages) address(path string) string {
	if p.Hosts == nil || routes.UserOf(path) == "" {
		return path
	}
	return p.Hosts.Address(path)
}

// edgeVisit sends a signed-in browser back to the user's host that it came from, with a code for which the edge there gets an
// edge token. It changes nothing and gives nothing to whoever made the browser come here: the code is good only for the
// browser that has the state on that host.
func (p *Pages) edgeVisit(v visit) error {
	q := v.r.URL.Query()
	host, state := q.Get("host"), q.Get("state")
	if p.Hosts == nil || !p.Hosts.IsUsers(host) || len(state) != 32 || strings.Trim(state, "0123456789abcdef") != "" {
		return hub.Errorf(hub.NotFound, "There is no such page.")
	}
	code, err := p.Tokens.StartVisit(v.r.Context(), *v.Session, host, state, web.Next(v.r))
	if err != nil {
		return err
	}
	return redirect(v.w, p.Hosts.Scheme+"://"+host+p.Base.Path("/.edgehub/visit")+"?"+url.Values{"code": {code}, "state": {state}}.Encode())
}
