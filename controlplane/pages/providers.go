package pages

import (
	"errors"
	"net/http"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

// Logins are login providers; package login has them. An empty name means the first one.
type Logins interface {
	// Methods are what the sign-in page offers. Auto reports whether it is left out.
	Methods() []hub.LoginMethod
	Auto() bool
	// Start returns the address where people sign in with a provider. Finish is about the request with which the provider
	// sends them back, and returns who they are; next is known for most errors too.
	Start(w http.ResponseWriter, r *http.Request, name, next string) (address string, err error)
	Finish(r *http.Request, name string) (user hub.User, next string, err error)
	// Leave returns the address where those of an issuer sign out there too, "" for nowhere.
	Leave(r *http.Request, issuer, back string) string
}

// MethodView is a login provider on the sign-in page.
type MethodView struct{ hub.LoginMethod }

// StartURL is where signing in with it begins.
func (m MethodView) StartURL() string { return "/hub/oauth_login/" + m.Name }

func (p *Pages) methods() []MethodView {
	if p.Logins == nil {
		return nil
	}
	var all []MethodView
	for _, m := range p.Logins.Methods() {
		all = append(all, MethodView{m})
	}
	return all
}

func (p *Pages) auto() bool { return p.Logins != nil && p.Logins.Auto() }

// oauthLogin sends the browser to a login provider.
func (p *Pages) oauthLogin(w http.ResponseWriter, r *http.Request) error {
	if p.Logins == nil {
		return hub.Errorf(hub.NotFound, "There is no such page.")
	}
	next := web.Next(r)
	to, err := p.Logins.Start(w, r, r.PathValue("provider"), next)
	if err != nil {
		return retry{err, next}
	}
	return redirect(w, to)
}

// oauthCallback takes the browser back from the provider and signs it in.
func (p *Pages) oauthCallback(w http.ResponseWriter, r *http.Request) error {
	if p.Logins == nil {
		return hub.Errorf(hub.NotFound, "There is no such page.")
	}
	// A leaked address of this page must not lead the next one anywhere.
	w.Header().Set("Referrer-Policy", "no-referrer")
	address := web.ClientNetwork(r)
	if !p.limits.callbacks.Take(address) {
		return retry{hub.Errorf(hub.Exhausted, "Too many attempts to sign in. Wait a minute and try again."), ""}
	}
	old, err := p.caller(r)
	if err != nil {
		return err
	}
	user, next, err := p.Logins.Finish(r, r.PathValue("provider"))
	if err != nil {
		return retry{err, next}
	}
	p.limits.callbacks.GiveBack(address) // those that fail count
	return p.signIn(w, r, user, old, next)
}

// retry is an error of a sign-in that may go better the next time.
type retry struct {
	error
	next string
}

// Unwrap is the error itself.
func (e retry) Unwrap() error { return e.error }

// retryOf is the address that tries again, "" if err is about nothing of the kind.
func retryOf(r *http.Request, err error) string {
	var e retry
	if !errors.As(err, &e) {
		return ""
	}
	return withNext(r, "/hub/login", e.next)
}

// signedOut is the end of signing out: the sign-in page, unless that would sign people in again at once.
func (p *Pages) signedOut(w http.ResponseWriter, r *http.Request) error {
	if !p.auto() {
		return redirect(w, "/hub/login")
	}
	return p.render.Render(w, http.StatusOK, LogoutPage, LogoutView{Page: p.page(w, r, nil)})
}

// signOutThere sends people on to sign out at their provider, if that is wanted. It is a page that does so and no redirect:
// those who come with a form must not be led to another site, says our Content-Security-Policy.
func (p *Pages) signOutThere(w http.ResponseWriter, r *http.Request, c *account.Caller) error {
	if p.Logins != nil && c.User.Identity != nil {
		if to := p.Logins.Leave(r, c.User.Identity.Issuer, "logout"); to != "" {
			return p.render.Render(w, http.StatusOK, LogoutPage, LogoutView{Page: p.page(w, r, nil), Leave: to})
		}
	}
	return p.signedOut(w, r)
}

// limits keep guessing slow.
type limits struct{ names, addresses, callbacks *web.Limiter }

// newLimits lets ten wrong passwords of a name through, and then one in twenty seconds. Many people share an address.
func newLimits() limits {
	const size = 50_000
	return limits{
		names:     web.NewLimiter(10, 20*time.Second, size),
		addresses: web.NewLimiter(100, 2*time.Second, size),
		callbacks: web.NewLimiter(200, time.Second, size),
	}
}

func (l limits) take(name, address string) bool {
	if !l.addresses.Take(address) {
		return false
	}
	if !l.names.Take(name) {
		l.addresses.GiveBack(address)
		return false
	}
	return true
}

func (l limits) giveBack(name, address string) {
	l.names.GiveBack(name)
	l.addresses.GiveBack(address)
}

// tooMany shows the form again: status 429.
func (p *Pages) tooMany(w http.ResponseWriter, r *http.Request, old *account.Caller, view LoginView) error {
	view.Page = p.page(w, r, old)
	web.SetRetryAfter(w, http.StatusTooManyRequests)
	return p.render.Render(w, http.StatusTooManyRequests, LoginPage, view)
}
