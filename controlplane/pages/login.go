package pages

import (
	"net/http"
	"strings"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/audit"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
)

// loginForm shows the sign-in form. Who is signed in gets a fresh edge token and goes on: this is where edges send browsers
// whose edge token has run out.
func (p *Pages) loginForm(w http.ResponseWriter, r *http.Request) error {
	next := web.Next(r)
	c, err := p.caller(r)
	if err != nil {
		return err
	}
	if c != nil {
		return p.enter(w, r, c, next)
	}
	if p.auto() && !r.URL.Query().Has("form") {
		return redirect(w, withNext(r, "/hub/oauth_login", next))
	}
	view := LoginView{Page: p.page(w, r, nil), Next: next, Username: r.URL.Query().Get("username"), Methods: p.methods(), Passwords: !p.NoPasswords}
	return p.render.Render(w, http.StatusOK, LoginPage, view)
}

// login checks name and password, and starts a new session. Wrong ones and a stale form are 403, as in JupyterHub.
func (p *Pages) login(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, web.MaxBody)
	if p.NoPasswords {
		return hub.Errorf(hub.Forbidden, "Passwords are not used here. Choose another way to sign in.")
	}
	next := web.Next(r)
	view := LoginView{Next: next, Username: strings.TrimSpace(r.PostFormValue("username")), Methods: p.methods(), Passwords: true}
	old, err := p.caller(r)
	if err != nil {
		return err
	}
	if p.XSRF.Check(r, sessionID(old)) != nil {
		view.Error = "Login form invalid or expired. Try again."
		return p.refuseLogin(w, r, old, view)
	}
	name, address := strings.ToLower(view.Username), web.ClientNetwork(r)
	if len(name) > 128 {
		name = "" // nobody's
	}
	if !p.limits.take(name, address) {
		view.Error = "Too many attempts to sign in. Wait a minute and try again."
		return p.tooMany(w, r, old, view)
	}
	u, err := p.Accounts.Authenticate(r.Context(), view.Username, r.PostFormValue("password"))
	if hub.KindOf(err) == hub.Unauthenticated {
		p.Log.Info("sign-in refused", "user", hub.Clip(view.Username))
		p.Audit.AddOf(r, audit.Record{Actor: view.Username, Kind: "user", Action: audit.SignIn, Status: http.StatusForbidden})
		view.Error = "Invalid username or password"
		return p.refuseLogin(w, r, old, view)
	}
	p.limits.giveBack(name, address) // wrong passwords count
	if err != nil {
		return err
	}
	return p.signIn(w, r, u, old, next)
}

// signIn starts a new session of u, ends the one that the browser had, and sends the browser on.
func (p *Pages) signIn(w http.ResponseWriter, r *http.Request, u hub.User, old *account.Caller, next string) error {
	if old != nil {
		if err := p.Tokens.EndSession(r.Context(), old.Session.UserID, old.Session.ID); err != nil {
			return err
		}
	}
	session, secret, err := p.Tokens.StartSession(r.Context(), u)
	if err != nil {
		return err
	}
	p.Log.Info("signed in", "user", u.Name)
	web.SetCookie(w, r, web.SessionCookie, secret, int(token.SessionLife.Seconds()))
	if err := p.Accounts.Active(r.Context(), u.Name); err != nil {
		return err
	}
	c, err := p.Accounts.OfSession(r.Context(), session)
	if err != nil {
		return err
	}
	p.Tokens.UseSession(r.Context(), session, r.UserAgent(), web.ClientAddress(r))
	p.note(r, c, audit.SignIn)
	return p.enter(w, r, c, next)
}

// note keeps a record of a sign-in or sign-out.
func (p *Pages) note(r *http.Request, c *account.Caller, action string) {
	rec := audit.Of(c, action, "")
	rec.Status = http.StatusOK
	p.Audit.AddOf(r, rec)
}

func sessionID(c *account.Caller) string {
	if c == nil {
		return ""
	}
	return c.Session.ID
}

// refuseLogin shows the form again, for whoever is signed in: its XSRF token must fit the session that the next try comes with.
func (p *Pages) refuseLogin(w http.ResponseWriter, r *http.Request, old *account.Caller, view LoginView) error {
	view.Page = p.page(w, r, old)
	return p.render.Render(w, http.StatusForbidden, LoginPage, view)
}

// enter gives a signed-in browser the edge token of now and sends it on. A page of the hub for the new session gets a
// new XSRF token by itself.
func (p *Pages) enter(w http.ResponseWriter, r *http.Request, c *account.Caller, next string) error {
	edgeToken, life, err := p.Accounts.EdgeToken(r.Context(), c, "")
	if err != nil {
		return err
	}
	web.SetCookie(w, r, web.EdgeCookie, edgeToken, int(life.Seconds()))
	if next == "" {
		next = "/hub/"
	}
	return redirect(w, next)
}

// logoutForm asks before it signs out, because a link of another site can open it.
func (p *Pages) logoutForm(w http.ResponseWriter, r *http.Request) error {
	c, err := p.caller(r)
	if err != nil {
		return err
	}
	if c == nil {
		p.forget(w, r)
		return p.signedOut(w, r)
	}
	return p.render.Render(w, http.StatusOK, LogoutPage, LogoutView{Page: p.page(w, r, c)})
}

// logout ends the session: from then on edges refuse its tokens and cut its WebSockets.
func (p *Pages) logout(w http.ResponseWriter, r *http.Request) error {
	c, err := p.caller(r)
	if err != nil {
		return err
	}
	if c != nil {
		if err := p.XSRF.Check(r, c.Session.ID); err != nil {
			return err
		}
		if err := p.Tokens.EndSession(r.Context(), c.Session.UserID, c.Session.ID); err != nil {
			return err
		}
		p.Log.Info("signed out", "user", c.User.Name)
		p.note(r, c, audit.SignOut)
	}
	p.forget(w, r)
	if c != nil {
		return p.signOutThere(w, r, c)
	}
	return p.signedOut(w, r)
}

// forget deletes our cookies in the browser, those that it sent: a form of another site, which comes without them, must sign
// nobody out (threat T55).
func (p *Pages) forget(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{web.SessionCookie, web.EdgeCookie} {
		if len(r.CookiesNamed(web.CookieName(r, name))) > 0 {
			web.SetCookie(w, r, name, "", -1)
		}
	}
	web.ForgetSessionID(w, r)
	p.XSRF.Forget(w, r)
}
