package pages

import (
	"fmt"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// TokenView is the page with a person's API tokens, the programs that they let in, and the browsers in which they are signed in.
type TokenView struct {
	Page
	// CanManage says that the person may make and end tokens.
	CanManage bool
	// Form has what was filled in, Error why it was refused.
	Form  TokenForm
	Error string
	// Secret is a token that was just made. It is shown this once.
	Secret  string
	Tokens  []TokenRow
	Clients []ClientRow
	// Sessions begin with the browser that looks, then come those that were used last.
	Sessions []SessionRow
}

// Others reports whether there is another session than the one that looks.
func (v TokenView) Others() bool {
	return len(v.Sessions) > 1 || len(v.Sessions) == 1 && !v.Sessions[0].Current
}

// TokenForm asks for a token.
type TokenForm struct {
	Note, Scopes string
	// ExpiresIn is one of Lives, in seconds, or empty for the longest.
	ExpiresIn string
	Lives     []LifeView
}

// LifeView is a choice of how long a token lives.
type LifeView struct {
	Seconds string
	Label   string
}

// lives are the choices of JupyterHub and two more, without those that are longer than the hub's longest. The last one is the default.
func lives(longest time.Duration) []LifeView {
	var all []LifeView
	for _, l := range []struct {
		hours int
		label string
	}{{1, "1 hour"}, {24, "1 day"}, {7 * 24, "1 week"}, {30 * 24, "30 days"}, {365 * 24, "1 year"}} {
		if life := time.Duration(l.hours) * time.Hour; longest == 0 || life < longest {
			all = append(all, LifeView{Seconds: fmt.Sprint(int(life.Seconds())), Label: l.label})
		}
	}
	if longest == 0 {
		return append(all, LifeView{Label: "Never"})
	}
	return append(all, LifeView{Label: "The longest here: " + words(longest)})
}

// words is a time in the largest unit that leaves no fraction.
func words(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if d%unit.length == 0 {
			return fmt.Sprintf("%d %s", d/unit.length, unit.name)
		}
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}

// TokenRow is one API token.
type TokenRow struct {
	ID, Note string
	// Server is "alice/" if the token is that of a server that runs.
	Server string
	Scopes []ScopeView
	Created,
	// LastUsed and Expires are not shown when they are zero.
	LastUsed, Expires time.Time
}

// ScopeView is one scope, with what it lets its holder do.
type ScopeView struct{ Name, Text string }

func scopeViews(scopes []string) []ScopeView {
	var all []ScopeView
	for _, name := range scopes {
		text, on := access.Describe(name)
		if on != "" {
			text += " (" + on + ")"
		}
		all = append(all, ScopeView{Name: name, Text: text})
	}
	return all
}

// ClientRow is an OAuth client that the person let in. Any of its tokens stands for all of them.
type ClientRow struct {
	ID, Name string
	Token    string
	Count    int
	Scopes   []ScopeView
	// Created is when it was first let in, LastUsed may be zero.
	Created, LastUsed time.Time
}

// clientName is an OAuth client for people.
func clientName(id string) string {
	switch {
	case id == hub.CommandLineClientID:
		return "The command line (edgehub login)"
	case strings.HasPrefix(id, hub.ServiceClientID):
		return "The service " + strings.TrimPrefix(id, hub.ServiceClientID)
	case strings.HasPrefix(id, hub.ServerClientID):
		return "The server of " + strings.TrimPrefix(id, hub.ServerClientID)
	}
	return id
}

// SessionRow is a browser that is signed in.
type SessionRow struct {
	ID string
	// Current marks the browser that shows the page.
	Current bool
	// Browser is Agent in two words.
	Browser, Agent, Address string
	Created, LastUsed       time.Time
}

// browserName tells what people would call a browser by what it says of itself.
func browserName(agent string) string {
	first := func(names ...string) string {
		for _, pair := range names {
			sign, name, _ := strings.Cut(pair, "=")
			if strings.Contains(agent, sign) {
				return name
			}
		}
		return ""
	}
	// The order counts: nearly all say that they are Safari, many that they are Chrome.
	program := first("Edg/=Edge", "OPR/=Opera", "Firefox/=Firefox", "Chrome/=Chrome", "CriOS/=Chrome", "Safari/=Safari")
	system := first("Android=Android", "iPhone=iPhone", "iPad=iPad", "Windows=Windows", "Mac OS X=macOS", "CrOS=ChromeOS", "Linux=Linux")
	switch {
	case agent == "":
		return "Unknown browser"
	case program == "":
		return hub.Clip(agent)
	case system == "":
		return program
	}
	return program + " on " + system
}
