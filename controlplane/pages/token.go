package pages

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// tokenPage shows the visitor's tokens, clients and sessions.
func (p *Pages) tokenPage(v visit) error {
	return p.showTokens(v, http.StatusOK, TokenView{})
}

// showTokens is the page about tokens, with the form and the messages in view.
func (p *Pages) showTokens(v visit, status int, view TokenView) error {
	view.Page, view.Form.Lives = p.page(v.w, v.r, v.Caller), lives(p.MaxTokenLife)
	view.CanManage = v.Scopes.Allows("tokens", self(v.Caller))
	if view.ShowTokens {
		if err := p.fillTokens(v, &view); err != nil {
			return err
		}
	}
	return p.render.Render(v.w, status, TokenPage, view)
}

func (p *Pages) fillTokens(v visit, view *TokenView) error {
	tokens, err := p.Tokens.OfUser(v.r.Context(), v.User.ID)
	if err != nil {
		return err
	}
	slices.SortStableFunc(tokens, func(x, y hub.Token) int { return lastUse(y).Compare(lastUse(x)) })
	for _, t := range tokens {
		if t.OAuthClient == "" {
			view.Tokens = append(view.Tokens, TokenRow{ID: t.ID, Note: t.Note, Server: t.Server, Scopes: scopeViews(t.Scopes),
				Created: t.Created, LastUsed: t.LastActivity, Expires: t.Expires})
		}
	}
	view.Clients = clientRows(tokens)
	sessions, err := p.Tokens.OfUserSessions(v.r.Context(), v.User.ID)
	for _, s := range sessions {
		view.Sessions = append(view.Sessions, SessionRow{ID: s.ID, Current: s.ID == v.Session.ID, Browser: browserName(s.Agent), Agent: s.Agent,
			Address: s.Address, Created: s.Created, LastUsed: s.LastActivity})
	}
	slices.SortStableFunc(view.Sessions, func(x, y SessionRow) int {
		switch {
		case x.Current:
			return -1
		case y.Current:
			return 1
		}
		return y.LastUsed.Compare(x.LastUsed)
	})
	return err
}

func lastUse(t hub.Token) time.Time {
	if t.LastActivity.IsZero() {
		return t.Created
	}
	return t.LastActivity
}

// clientRows groups OAuth tokens, those used last first, by their clients.
func clientRows(tokens []hub.Token) []ClientRow {
	var rows []ClientRow
	at := map[string]int{}
	for _, t := range tokens {
		if t.OAuthClient == "" {
			continue
		}
		i, known := at[t.OAuthClient]
		if !known {
			i = len(rows)
			at[t.OAuthClient] = i
			rows = append(rows, ClientRow{ID: t.OAuthClient, Name: clientName(t.OAuthClient), Token: t.ID, Created: t.Created})
		}
		row := &rows[i]
		row.Count++
		if t.Created.Before(row.Created) {
			row.Created = t.Created
		}
		if t.LastActivity.After(row.LastUsed) {
			row.LastUsed = t.LastActivity
		}
		for _, s := range scopeViews(t.Scopes) {
			if !slices.Contains(row.Scopes, s) {
				row.Scopes = append(row.Scopes, s)
			}
		}
	}
	return rows
}

// createToken makes a token and shows it in the answer itself: nothing but this answer ever holds the secret, no address and no
// cookie.
func (p *Pages) createToken(v visit) error {
	if !v.Scopes.Allows("tokens", self(v.Caller)) {
		return hub.Errorf(hub.Forbidden, "You may not make tokens. Ask your administrator for the scope tokens.")
	}
	form := TokenForm{Note: strings.TrimSpace(v.r.PostFormValue("note")), Scopes: v.r.PostFormValue("scopes"), ExpiresIn: v.r.PostFormValue("expires_in")}
	body := map[string]any{"note": cmp.Or(form.Note, "Requested via token page")}
	if scopes := strings.FieldsFunc(form.Scopes, func(c rune) bool { return c == ',' || c <= ' ' }); len(scopes) > 0 {
		body["scopes"] = scopes
	}
	if form.ExpiresIn != "" {
		seconds, err := strconv.ParseInt(form.ExpiresIn, 10, 64)
		if err != nil {
			return p.showTokens(v, http.StatusBadRequest, TokenView{Form: form, Error: "Choose one of the times in the list."})
		}
		body["expires_in"] = seconds
	}
	var made struct{ Token string }
	err := p.call(v, http.MethodPost, userPath(v.User.Name)+"/tokens", body, &made)
	if status, message := refusal(err); message != "" {
		return p.showTokens(v, status, TokenView{Form: form, Error: message})
	}
	if err != nil {
		return err
	}
	return p.showTokens(v, http.StatusOK, TokenView{Secret: made.Token})
}

// revokeToken ends a token, or, with one of an OAuth client, all that the client has.
func (p *Pages) revokeToken(v visit) error {
	return p.end(v, "tokens", v.r.PostFormValue("token"))
}

// signOutSession signs another browser of the visitor out.
func (p *Pages) signOutSession(v visit) error {
	return p.end(v, "sessions", v.r.PostFormValue("session"))
}

// end ends a token or a session of the visitor. One that is gone already is what the visitor wanted.
func (p *Pages) end(v visit, what, id string) error {
	if id == "" {
		return hub.Errorf(hub.Invalid, "Choose which of your %s to end, on the page about them.", what)
	}
	err := p.call(v, http.MethodDelete, userPath(v.User.Name)+"/"+what+"/"+url.PathEscape(id), nil, nil)
	if err != nil && web.Status(err) != http.StatusNotFound {
		return err
	}
	return redirect(v.w, "/hub/token")
}

// signOutOthers signs all other browsers of the visitor out.
func (p *Pages) signOutOthers(v visit) error {
	sessions, err := p.Tokens.OfUserSessions(v.r.Context(), v.User.ID)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		if s.ID == v.Session.ID {
			continue
		}
		if err := p.call(v, http.MethodDelete, userPath(v.User.Name)+"/sessions/"+s.ID, nil, nil); err != nil && web.Status(err) != http.StatusNotFound {
			return err
		}
	}
	return redirect(v.w, "/hub/token")
}

// userPath is a user's place in the API.
func userPath(name hub.UserName) string {
	return "/hub/api/users/" + routes.EscapeSegment(string(name))
}

// refusal is why the API refused what was filled into a form, for the page that shows the form again, and its status. The message
// is empty for any other error.
func refusal(err error) (status int, message string) {
	var coded *web.StatusError
	if errors.As(err, &coded) && coded.Code < http.StatusInternalServerError {
		return coded.Code, coded.Message
	}
	return 0, ""
}
