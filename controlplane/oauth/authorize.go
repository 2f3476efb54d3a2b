package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/controlplane/web"
)

// authorize is where clients send browsers. Who is not signed in does that first.
func (p *provider) authorize(w http.ResponseWriter, r *http.Request) error {
	return p.visit(w, r, func(caller *account.Caller, req *request, scopes []string) error {
		ask, err := p.needsConsent(r.Context(), caller, req.client, scopes)
		if err != nil {
			return err
		}
		if ask {
			return p.Pages.Consent(w, r, caller, consent(r, req.client, caller, scopes))
		}
		return p.grant(w, r, caller, req, scopes)
	})
}

// answer takes the form of the consent page. All is checked again: between page and answer anything may have changed, and
// what the form says only narrows it down.
func (p *provider) answer(w http.ResponseWriter, r *http.Request) error {
	return p.visit(w, r, func(caller *account.Caller, req *request, scopes []string) error {
		if r.PostForm.Has("deny") {
			return p.leave(w, r, req, wrong("access_denied", "The user did not agree."))
		}
		agreed := r.PostForm["scopes"]
		required := req.client.required(*caller.User)
		scopes = slices.DeleteFunc(scopes, func(s string) bool { return !slices.Contains(required, s) && !slices.Contains(agreed, s) })
		if len(scopes) == 0 {
			scopes = required
		}
		return p.grant(w, r, caller, req, scopes)
	})
}

// visit checks who comes with which request, and calls next with the scopes that the client gets if the caller agrees.
func (p *provider) visit(w http.ResponseWriter, r *http.Request, next func(*account.Caller, *request, []string) error) error {
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" {
		return hub.Errorf(hub.Forbidden, "This page can only be opened in a window of its own.")
	}
	caller, err := p.caller(r)
	if err != nil {
		return err
	}
	if caller == nil {
		return p.toLogin(w, r)
	}
	if r.Method != http.MethodGet {
		if err := p.checkForm(r, caller); err != nil {
			return err
		}
	}
	req, q, err := p.read(r.Context(), r.URL.RawQuery)
	if err != nil {
		return err
	}
	admitted, err := p.admits(r.Context(), caller, req.client)
	if err != nil {
		return err
	}
	if !admitted {
		return hub.Errorf(hub.Forbidden, "You do not have permission to access %s", req.client.what)
	}
	if err := p.complete(req, q); err != nil {
		return p.leave(w, r, req, err)
	}
	scopes, err := p.grantable(r.Context(), caller, req)
	if err != nil {
		return p.leave(w, r, req, err)
	}
	return next(caller, req, scopes)
}

// caller is who is signed in, nil if nobody is. API tokens do not count: it takes a person to agree.
func (p *provider) caller(r *http.Request) (*account.Caller, error) {
	secret, err := web.Cookie(r, web.SessionCookie)
	if secret == "" || err != nil {
		return nil, err
	}
	c, err := p.Accounts.BySession(r.Context(), secret)
	if hub.KindOf(err) == hub.Unauthenticated {
		return nil, nil
	}
	return c, err
}

func (p *provider) checkForm(r *http.Request, caller *account.Caller) error {
	if err := p.XSRF.Check(r, caller.Session.ID); err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil { // XSRF.Check does not if a header has the token
		return hub.WithCause(hub.Errorf(hub.Invalid, "The form cannot be read."), err)
	}
	return nil
}

func (p *provider) toLogin(w http.ResponseWriter, r *http.Request) error {
	next := web.SafeNext(authorizePath + "?" + r.URL.RawQuery)
	if next == "" || len(r.URL.RawQuery) > maxQuery {
		return hub.Errorf(hub.Invalid, "The address of this sign-in is malformed or longer than %d bytes. Go back to the program and try again.", maxQuery)
	}
	redirect(w, http.StatusFound, web.WithNext(web.Base(r), "/hub/login", next))
	return nil
}

// leave sends the browser back with an error of the client's request. Errors of ours stay here.
func (p *provider) leave(w http.ResponseWriter, r *http.Request, req *request, err error) error {
	var protocol *protocolError
	if !errors.As(err, &protocol) {
		return err
	}
	p.Log.Info("authorization refused", "client", hub.Clip(req.client.id), "error", protocol.Code, "description", protocol.Description)
	p.sendBack(w, r, req, url.Values{"error": {protocol.Code}, "error_description": {protocol.Description}})
	return nil
}

// sendBack answers a form with 303, so that no browser posts the form again where it goes.
func (p *provider) sendBack(w http.ResponseWriter, r *http.Request, req *request, answer url.Values) {
	status := http.StatusFound
	if r.Method == http.MethodPost {
		status = http.StatusSeeOther
	}
	to := req.back(p.issuer(r), answer)
	if rest, ok := web.Base(r).Cut(to); ok {
		to = rest // web.Below puts the base in front
	} else if strings.HasPrefix(to, "/") {
		to = p.origin(r) + to
	}
	redirect(w, status, to)
}

func redirect(w http.ResponseWriter, status int, to string) {
	w.Header().Set("Location", to)
	w.WriteHeader(status)
}

// grant sends the browser back with a code.
func (p *provider) grant(w http.ResponseWriter, r *http.Request, caller *account.Caller, req *request, scopes []string) error {
	if !p.codes.Take(caller.Session.ID) {
		return hub.Errorf(hub.Exhausted, "Too many sign-ins to programs in a row. Try again shortly.")
	}
	code, err := p.Tokens.StartCode(r.Context(), token.Code{Client: req.client.id, Redirect: req.client.redirect, Named: req.redirect != "",
		Challenge: req.challenge, User: caller.User.Name, UserID: caller.User.ID, Session: caller.Session.ID, Scopes: scopes})
	if err != nil {
		return err
	}
	p.Log.Info("authorized", "user", caller.User.Name, "client", req.client.id)
	web.SetSessionID(w, r, caller.Session.ID)
	p.sendBack(w, r, req, url.Values{"code": {code}})
	return nil
}

// consent is what to ask of the caller. What every client gets goes without saying.
func consent(r *http.Request, c *client, caller *account.Caller, scopes []string) hub.Consent {
	ask := hub.Consent{Client: c.name, Redirect: c.redirect, Action: web.Base(r).Path(authorizePath) + "?" + r.URL.RawQuery, Scopes: scopes}
	required := c.required(*caller.User)
	for _, scope := range scopes {
		if !slices.Contains(required, scope) {
			text, on := access.Describe(scope)
			ask.Asks = append(ask.Asks, hub.ConsentAsk{Text: text, On: on})
		}
	}
	return ask
}
