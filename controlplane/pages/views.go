package pages

import (
	"net/http"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// hubPrefix is the hub's own place, in front of the pages and beside them the API.
const hubPrefix = "/hub/"

// Page is what every page shows and every view embeds. Paths in views are those of a hub at "/"; templates put them through
// "link", which knows the base.
type Page struct {
	// Title replaces the page's own in the browser's tab; usually empty.
	Title string
	// User is the signed-in user, "" when nobody is. It is shown on every page: whoever planted another session in this
	// browser is found out (threat T49).
	User string
	// Admin marks the signed-in user as an administrator.
	Admin bool
	// ShowTokens and ShowAdmin say which pages the navigation leads to besides home.
	ShowTokens, ShowAdmin bool
	// XSRF is the token that forms and scripts send back.
	XSRF string
	// HubVersion is for the footer.
	HubVersion string
}

func (p Page) token() string { return p.XSRF }

// JHData is window.jhdata, by JupyterHub's names.
func (p Page) JHData(base routes.Base) map[string]any {
	return map[string]any{
		"base_url":     base.Path(hubPrefix),
		"prefix":       base.Path("/"),
		"user":         p.User,
		"admin_access": p.Admin,
		"options_form": false,
		"xsrf_token":   p.XSRF,
	}
}

// ServerRef says which server a page is about.
type ServerRef struct {
	// Owner is the user whose server it is.
	Owner string
	// ServerName is empty for the default server.
	ServerName string
}

// Subject is the server as the subject of a sentence, in the eyes of viewer: "Your server", "bob’s server “lab”".
func (s ServerRef) Subject(viewer string) string {
	out := s.Owner + "’s server"
	if s.Owner == viewer {
		out = "Your server"
	}
	if s.ServerName != "" {
		out += " “" + s.ServerName + "”"
	}
	return out
}

func (s ServerRef) path(action string) string {
	p := hubPrefix + action + "/" + routes.EscapeSegment(s.Owner)
	if s.ServerName != "" {
		p += "/" + routes.EscapeSegment(s.ServerName)
	}
	return p
}

// StopURL takes the POST that stops the server.
func (s ServerRef) StopURL() string { return s.path("stop") }

// PendingURL is the server's progress page.
func (s ServerRef) PendingURL() string { return s.path("spawn-pending") }

// SpawnURL takes the POST that starts the server and then goes to ?next=, or to the server without it.
func (s ServerRef) SpawnURL() string { return s.path("spawn") }

// LoginView is the sign-in form.
type LoginView struct {
	Page
	// Next is where to go afterwards: checked by the handler, a path, or empty.
	Next string
	// Username prefills the form.
	Username string
	// Error says why the last try failed.
	Error string
	// Methods are the login providers, Passwords says whether the form is shown.
	Methods   []MethodView
	Passwords bool
}

// LogoutView asks whether to sign out, for those who GET /hub/logout: a GET changes nothing (threat T55).
type LogoutView struct {
	Page
	// Leave is where the browser goes to be signed out at the login provider too; usually empty.
	Leave string
}

// HomeView is the page of the signed-in user.
type HomeView struct {
	Page
	Server ServerView
}

// ServerView is one server on the home page.
type ServerView struct {
	ServerRef
	// URL is where the server answers when it runs.
	URL string
	// State is the record's; stopped with a Failure shows as failed.
	State   hub.State
	Failure string
	// LastActivity is not shown when it is zero.
	LastActivity time.Time
}

// Failed reports whether the last start failed.
func (v ServerView) Failed() bool { return v.stopped() && v.Failure != "" }

func (v ServerView) stopped() bool { return v.State == hub.Stopped || v.State == "" }

// Status is the state's name for style sheets and scripts: one of stopped, starting, running, stopping, failed.
func (v ServerView) Status() string {
	switch {
	case v.Failed():
		return "failed"
	case v.State == hub.Starting, v.State == hub.Running, v.State == hub.Stopping:
		return string(v.State)
	default:
		return string(hub.Stopped)
	}
}

// Label is Status for people.
func (v ServerView) Label() string {
	return map[string]string{
		"stopped": "Stopped", "starting": "Starting", "running": "Running", "stopping": "Stopping", "failed": "Failed",
	}[v.Status()]
}

// CanStart says whether the home page offers to start the server.
func (v ServerView) CanStart() bool { return v.stopped() }

// CanOpen says whether it links to the server.
func (v ServerView) CanOpen() bool { return v.State == hub.Running }

// CanWatch says whether it links to the progress of a start.
func (v ServerView) CanWatch() bool { return v.State == hub.Starting }

// CanStop says whether it offers to stop the server. Stopping a start in progress cancels it.
func (v ServerView) CanStop() bool { return v.State == hub.Running || v.State == hub.Starting }

// PendingView follows a start.
type PendingView struct {
	Page
	ServerRef
	// ServerURL is where to go when the server is ready and Next is empty.
	ServerURL string
	// ProgressURL is the stream of JupyterHub's progress events; the script adds ?_xsrf=.
	ProgressURL string
	// Next is where to go when the server is ready: checked by the handler.
	Next string
	// Events that are known already; the stream replays them, and browsers without scripts see them on each reload.
	Events []EventView
}

// EventView is one step of a start.
type EventView struct {
	Progress int
	Message  string
}

// Last is the newest event.
func (v PendingView) Last() EventView {
	if len(v.Events) == 0 {
		return EventView{Message: "Server requested"}
	}
	return v.Events[len(v.Events)-1]
}

// StopPendingView waits for a server to stop, by asking for its own address again until the handler shows another page.
type StopPendingView struct {
	Page
	ServerRef
}

// NotRunningView answers for a server that is not running: status 424.
type NotRunningView struct {
	Page
	ServerRef
	// Next is where to go after the start: checked by the handler.
	Next string
	// Failure says why the last start failed, if it did.
	Failure string
	// CanStart shows the button.
	CanStart bool
}

// ErrorView says what went wrong and what to do next.
type ErrorView struct {
	Page
	Status int
	// Title is the heading and the tab's title; empty means that of the status. It hides Page.Title.
	Title string
	// Message is a complete sentence for the reader, without internals.
	Message string
	// RequestID is what to tell the administrator.
	RequestID string
	// Next comes back after signing in, on pages that offer it; checked by the handler, may be empty.
	Next string
	// Retry is a link that tries again, on pages where that may help; may be empty.
	Retry string
}

// Heading is Title, or words for the status.
func (v ErrorView) Heading() string {
	if v.Title != "" {
		return v.Title
	}
	switch v.Status {
	case http.StatusUnauthorized:
		return "Please sign in"
	case http.StatusForbidden:
		return "You cannot do that here"
	case http.StatusNotFound:
		return "There is nothing here"
	case http.StatusTooManyRequests:
		return "Too many requests"
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return "Not available right now"
	}
	if v.Status >= 500 || http.StatusText(v.Status) == "" {
		return "Something went wrong"
	}
	return http.StatusText(v.Status)
}

// AcceptShareView asks whether to accept what a share code offers.
type AcceptShareView struct {
	Page
	Owner, Server string
	Scopes        []string
	Code          string
	Next          string // where to go then; empty for the server
}
