package plugin

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/edgehub/edgehub/routes"
)

// Headers that tell a program behind a route with routes.AuthHeaders who its visitor is. Values are percent-encoded, groups
// separated by commas. A visitor cannot send them: dropForged removes the whole namespace. A program that others than edges
// can reach believes only the ticket: "edgehub-visitor.PAYLOAD.MAC", where MAC is the HMAC-SHA256 of what is before its dot
// with the route's secret, and PAYLOAD is JSON with user, uid, admin, groups and exp, both in base64url without padding.
const (
	userHeader    = "X-Edgehub-User"
	serviceHeader = "X-Edgehub-Service" // in place of the user's, so that no service passes for a user of its name
	idHeader      = "X-Edgehub-User-Id" // never used again, unlike the name
	groupsHeader  = "X-Edgehub-Groups"
	adminHeader   = "X-Edgehub-Admin"
	ticketHeader  = "X-Edgehub-Ticket"
)

// present gives the program behind a route the credential that it understands, in the headers of the forwarded request.
func present(h http.Header, route *routes.Route, c *routes.Claims, bearer string) {
	if route.Auth != routes.AuthHeaders {
		h["Authorization"] = []string{"token " + bearer}
		return
	}
	name := userHeader
	if strings.HasPrefix(c.UserID, routes.ServiceID) {
		name = serviceHeader
	}
	groups := make([]string, 0, len(c.Groups))
	for _, g := range c.Groups {
		groups = append(groups, url.PathEscape(g))
	}
	h[name] = []string{url.PathEscape(c.Subject)}
	h[idHeader] = []string{url.PathEscape(c.UserID)}
	h[groupsHeader] = []string{strings.Join(groups, ",")}
	h[adminHeader] = []string{strconv.FormatBool(c.Admin)}
	h[ticketHeader] = []string{bearer}
}
