// Package pure calls the pure functions of routes with text in and text out, so that the same file can be compiled and
// interpreted and the two compared: Yaegi 0.16.1 runs some correct Go quietly differently.
package pure

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/edgehub/edgehub/routes"
)

// Path describes what routes makes of a path, given a table with some prefixes.
func Path(prefixes []string, path string) string {
	table := routes.NewTable()
	for _, p := range prefixes {
		table.Put(routes.RouteID(p), &routes.Record{Route: &routes.Route{Prefix: p}})
	}
	segments, slash, err := routes.Split(path)
	out := fmt.Sprintf("%q %v %v", segments, slash, err)
	m, err := table.Lookup(path)
	if m != nil {
		out += fmt.Sprint(" ", m.ID, m.Slash, table.Holds(m), routes.PrefixOf(m.ID))
	}
	if m != nil && m.Record != nil {
		out += " " + m.Record.Route.Prefix
	}
	key := routes.EscapeKey(path)
	back, ok := routes.UnescapeKey(path)
	return out + fmt.Sprintf(" %v %v %v %q %q %v", err, routes.CheckPrefix(path), routes.CleanSegment(strings.Trim(path, "/")), key, back, ok)
}

// Verify describes what routes makes of a token.
func Verify(token, keys string, now int64) string {
	m := map[string]*routes.Key{}
	if err := json.Unmarshal([]byte(keys), &m); err != nil {
		return err.Error()
	}
	c, err := routes.VerifyToken(token, m, now)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%q %q %q %q %q %v %q %q %d %d", c.Issuer, c.Subject, c.UserID, c.Session, c.Token, c.Admin, c.Groups, c.Scopes, c.IssuedAt, c.Expires)
}

// Allows decides about claims and a route, both in JSON.
func Allows(route, claims string) string {
	r, c := &routes.Route{}, &routes.Claims{}
	err1 := json.Unmarshal([]byte(route), r)
	err2 := json.Unmarshal([]byte(claims), c)
	if err1 != nil || err2 != nil {
		return "bad input"
	}
	return fmt.Sprint(routes.Allows(r, c))
}

// Record describes what routes makes of a record of each kind.
func Record(key, value string) string {
	r, err := routes.ParseRoute(key, []byte(value))
	out := fmt.Sprint(err)
	if err == nil {
		out += fmt.Sprintf(" %q %q %q %q %q %q %d", r.Prefix, r.Target, r.Auth, r.Secret, r.Users, r.Groups, r.Gen)
	}
	k, err := routes.ParseKey(key, []byte(value))
	out += fmt.Sprint(" ", err)
	if err == nil {
		out += fmt.Sprintf(" %q %q %x %d", k.ID, k.Hub, k.Public, k.NotAfter)
	}
	h, err := routes.ParseHub([]byte(value))
	out += fmt.Sprint(" ", err)
	if err == nil {
		out += " " + h.URL
	}
	s, err := routes.ParseStarting(key, []byte(value))
	out += fmt.Sprint(" ", err)
	if err == nil {
		out += fmt.Sprintf(" %q %q %d %v", s.Prefix, s.OwnerID, s.Hold, routes.AllowsWaiting(s, &routes.Claims{UserID: "u1", Scopes: []string{routes.ScopeInherit}}))
	}
	return out + fmt.Sprint(" ", routes.ParseRevocation([]byte(value)).Before)
}

// Ticket makes a ticket, opens it at another moment for another route, and describes the visitor.
func Ticket(signer, reader, claims string, expires, now int64) string {
	a, b, c := &routes.Route{}, &routes.Route{}, &routes.Claims{}
	err1 := json.Unmarshal([]byte(signer), a)
	err2 := json.Unmarshal([]byte(reader), b)
	err3 := json.Unmarshal([]byte(claims), c)
	if err1 != nil || err2 != nil || err3 != nil {
		return "bad input"
	}
	ticket, err := routes.SignTicket(a, c, expires)
	if err != nil {
		return err.Error()
	}
	t, err := routes.OpenTicket(ticket, func(prefix string) *routes.Route {
		if prefix == b.Prefix {
			return b
		}
		return nil
	}, now)
	if err != nil {
		return ticket + " " + err.Error()
	}
	v, err := json.Marshal(routes.VisitorOf(t, b))
	return ticket + " " + string(v) + fmt.Sprint(err)
}
