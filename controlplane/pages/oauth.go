package pages

import (
	"net/http"
	"net/url"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// ConsentView asks whether an OAuth client may know who somebody is, and what else it wants to be allowed to do.
type ConsentView struct {
	Page
	hub.Consent
}

// ServeHTTP serves the pages.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// Consent shows the page that asks c what ask says.
func (p *Pages) Consent(w http.ResponseWriter, r *http.Request, c *account.Caller, ask hub.Consent) error {
	view := ConsentView{Page: p.page(w, r, c), Consent: ask}
	return p.render.render(w, http.StatusOK, ConsentPage, view, formTarget(ask.Redirect))
}

// WriteError shows an error as a page, to programs as JSON.
func (p *Pages) WriteError(w http.ResponseWriter, r *http.Request, status int, err error) {
	p.writeError(w, r, status, err)
}

// formTarget is what a Content-Security-Policy must name for a form after which the browser is sent to an address: its
// origin, or nothing for a path of our own.
func formTarget(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return " " + (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
}
