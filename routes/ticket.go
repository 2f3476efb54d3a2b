package routes

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// ticketStart marks a visitor ticket, so that it is never taken for an API token or an edge token.
const ticketStart = "edgehub-visitor."

// TicketLife is how long a visitor ticket is good, in seconds. Edges use one ticket for half of it, so that a
// single-user server, which remembers a visitor for 300 s, asks once for each.
const TicketLife = 900

// Ticket tells one server who visits it. An edge makes it from the edge token, without a call to the hub; the server
// presents it at /hub/api/user as it would any token. It is signed with the secret of the one route it is made for, so
// it is worth nothing anywhere else, and the server, which could forge tickets to itself, learns nothing by it.
type Ticket struct {
	Prefix  string   `json:"prefix"`
	Gen     int64    `json:"gen"`
	User    string   `json:"user"`
	UserID  string   `json:"uid,omitempty"`
	Admin   bool     `json:"admin,omitempty"`
	Groups  []string `json:"groups,omitempty"`
	Session string   `json:"session,omitempty"`
	Expires int64    `json:"exp"`
}

// IsTicket reports whether token has the shape of a visitor ticket.
func IsTicket(token string) bool { return strings.HasPrefix(token, ticketStart) }

// SignTicket makes the ticket for a visit of c to r that ends at expires (Unix seconds).
func SignTicket(r *Route, c *Claims, expires int64) (string, error) {
	payload, err := json.Marshal(Ticket{
		Prefix: r.Prefix, Gen: r.Gen, User: c.Subject, UserID: c.UserID, Admin: c.Admin, Groups: c.Groups, Session: sessionName(c), Expires: expires,
	})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	signed := ticketStart + enc.EncodeToString(payload)
	return signed + "." + enc.EncodeToString(ticketMAC(r.Secret, signed)), nil
}

// sessionName is a name for the visitor's session that does not reveal the session id to the server.
func sessionName(c *Claims) string {
	if c.Session == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("visitor session " + c.Session))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// OpenTicket checks a ticket against the route that find returns for its prefix. now is in Unix seconds.
func OpenTicket(token string, find func(prefix string) *Route, now int64) (*Ticket, error) {
	if !IsTicket(token) || len(token) > MaxTokenLen {
		return nil, ErrToken
	}
	i := strings.LastIndexByte(token, '.')
	if i < len(ticketStart) {
		return nil, ErrToken
	}
	payload, ok1 := decode64(token[len(ticketStart):i])
	mac, ok2 := decode64(token[i+1:])
	t := &Ticket{}
	if !ok1 || !ok2 || json.Unmarshal([]byte(payload), t) != nil {
		return nil, ErrToken
	}
	// The prefix is read before the signature is checked, only to find the key that checks it.
	r := find(t.Prefix)
	if r == nil || r.Auth != AuthTicket || r.Gen != t.Gen || !hmac.Equal([]byte(mac), ticketMAC(r.Secret, token[:i])) {
		return nil, ErrToken
	}
	if t.Expires <= now-Leeway {
		return nil, ErrExpired
	}
	return t, nil
}

func ticketMAC(secret, signed string) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(signed))
	return h.Sum(nil)
}

// Visitor is the answer of /hub/api/user to the bearer of a ticket, in JupyterHub's form.
type Visitor struct {
	Kind      string   `json:"kind"`
	Name      string   `json:"name"`
	Admin     bool     `json:"admin"`
	Groups    []string `json:"groups"`
	TokenID   *string  `json:"token_id"`
	SessionID *string  `json:"session_id"`
	Scopes    []string `json:"scopes"`
}

// VisitorOf is what a server may know of its visitor: who it is, and that this one server is open to them.
func VisitorOf(t *Ticket, r *Route) Visitor {
	v := Visitor{Kind: "user", Name: t.User, Admin: t.Admin, Groups: t.Groups,
		Scopes: []string{ScopeAccess + "!server=" + r.Owner + "/" + r.Server}}
	if v.Groups == nil {
		v.Groups = []string{}
	}
	if t.Session != "" {
		v.SessionID = &t.Session
	}
	return v
}
