// Package hub is the vocabulary of the control plane: users, servers, tokens, sessions, errors and the contract that a
// Spawner keeps. It holds types and small pure functions, imports only the standard library, and does no I/O.
//
// Invariant: a value of a named type (UserName, ServerName) has been checked by its parser; a plain string has not.
package hub

import (
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Schema is the version written into every record.
const Schema = 1

// Version is the JupyterHub version whose API this hub speaks. Clients parse it (X-JupyterHub-Version), and single-user
// servers warn when its major number is not theirs.
const Version = "6.1.1"

// UserName is a normalised user name: lower case, free of what could confuse a path (see ParseUserName).
type UserName string

// ServerName is the name of one of a user's servers; the default server has the empty name.
type ServerName string

var reservedUsers = map[string]bool{"hub": true, "api": true, "user": true, "services": true}

// ParseUserName normalises (lower-cases, as JupyterHub does) and checks a user name. It refuses names that are empty, longer
// than 128 bytes, end with a dot, do not start with a letter, a digit or "_", or hold anything but ASCII letters, digits and
// "._-@+". Forms trim spaces before they ask.
func ParseUserName(s string) (UserName, error) {
	// Checked before it is lower-cased: the Kelvin sign and the dotted I become ASCII letters (threat T12).
	name := strings.ToLower(s)
	if len(s) > 128 || !userNamePattern.MatchString(s) || strings.HasSuffix(s, ".") || reservedUsers[name] {
		return "", Errorf(Invalid, "Invalid username: %s", Clip(s))
	}
	return UserName(name), nil
}

// ASCII only: two accepted names must never look alike or fold into one (threat T12).
var userNamePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@+-]*$`)

// ParseServerName checks the name of a named server by JupyterHub 6's rule: 1 to 30 of a-z, 0-9 and single hyphens,
// first a letter, last not a hyphen. The empty name is the default server. Names that would hide a page of the default
// server (lab, api, tree ...) are refused.
func ParseServerName(s string) (ServerName, error) {
	if s == "" {
		return "", nil
	}
	if len(s) > 30 || !serverNamePattern.MatchString(s) || strings.Contains(s, "--") || reservedServers[s] {
		return "", Errorf(Invalid, "Invalid server_name: '%s'", Clip(s))
	}
	return ServerName(s), nil
}

var serverNamePattern = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)

var reservedServers = map[string]bool{
	"api": true, "lab": true, "tree": true, "doc": true, "notebooks": true, "edit": true, "files": true, "static": true,
	"terminals": true, "view": true, "nbconvert": true, "proxy": true, "login": true, "logout": true, "metrics": true,
	"oauth": true, "kernelspecs": true, "lsp": true, "consoles": true, "rstudio": true, "vscode": true, "custom": true,
}

// Clip shortens untrusted text for messages and logs to 32 runes and replaces what cannot be printed (CVE-2026-54338).
func Clip(s string) string {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "?")
	}
	out := make([]rune, 0, 33)
	for _, c := range s {
		if len(out) == 32 {
			out = append(out, '…')
			break
		}
		if !unicode.IsPrint(c) { // control characters, and those that turn the direction of what follows
			c = '?'
		}
		out = append(out, c)
	}
	return string(out)
}

// User is a person who may sign in. Its key in the store is its name.
type User struct {
	Schema int `json:"v"`
	// ID is random and never used again; rights are bound to it, not to the name.
	ID   string   `json:"id"`
	Name UserName `json:"name"`
	// Admin gives the role admin.
	Admin  bool     `json:"admin,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// Roles were given to this user one by one: the id of each by its name. See Role for the others.
	Roles map[string]string `json:"roles,omitempty"`
	// Password is an argon2id hash in PHC form, or empty when the user has none and cannot sign in with one.
	Password string `json:"password,omitempty"`
	// Identity is who the user is at a login provider, nil for who never signed in through one.
	Identity     *Identity `json:"identity,omitempty"`
	Created      time.Time `json:"created"`
	LastActivity time.Time `json:"last_activity,omitzero"`
	// TokensAfter is the Unix time at which the user's rights last changed. Edge tokens issued at or before it are revoked,
	// so a new one is issued after it, whatever a replica's clock says.
	TokensAfter int64 `json:"tokens_after,omitempty"`
	// Number counts users in the order of their creation, from 1, and is never used again. Zero: from an older release.
	Number int64 `json:"number,omitempty"`
	// Servers are the states of the user's servers that are not stopped.
	Servers map[ServerName]State `json:"servers,omitempty"`
}

// Session is one browser that signed in. Its key in the store is a hash of the secret in its cookie.
type Session struct {
	Schema  int       `json:"v"`
	ID      string    `json:"id"` // the sid of its edge tokens
	User    UserName  `json:"user"`
	UserID  string    `json:"user_id"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	// Epoch is the hub's when the session began: an emergency rotation of the signing key begins a new one.
	Epoch int64 `json:"epoch,omitempty"`
	// LastActivity is written at most once a minute. Agent and Address are what the browser and the edge said then, for people
	// to recognise their browsers by.
	LastActivity time.Time `json:"last_activity,omitzero"`
	Agent        string    `json:"agent,omitempty"`
	Address      string    `json:"address,omitempty"`
}

// Token is an API token. Its key in the store is a hash of its secret; tokens-by-owner keys index it.
type Token struct {
	Schema int    `json:"v"`
	ID     string `json:"id"` // "a" and a random number, as clients expect
	// Exactly one of User and Service is the owner. UserID is the owner's id when it is a user.
	User    UserName `json:"user,omitempty"`
	UserID  string   `json:"user_id,omitempty"`
	Service string   `json:"service,omitempty"`
	// Server is "alice/" for the token that alice's default server got at its start, else empty.
	Server string `json:"server,omitempty"`
	Note   string `json:"note,omitempty"`
	// Scopes as they were asked for; what they are worth is computed at each use (package access).
	Scopes  []string `json:"scopes"`
	Session string   `json:"session,omitempty"`
	// OAuthClient is the id of the client that an OAuth access token was issued to, and Issuer the id of the API token with
	// which that client proved who it is. The token ends with its Session and with its Issuer.
	OAuthClient  string    `json:"oauth_client,omitempty"`
	Issuer       string    `json:"issuer,omitempty"`
	Created      time.Time `json:"created"`
	Expires      time.Time `json:"expires,omitzero"`
	LastActivity time.Time `json:"last_activity,omitzero"`
}
