package routes

// Why names what Allows goes by, for logs: "open", "owner", "share", "group", "role" (also for a scope on the service) or "admin"
// for a visitor who may, "scope" for one who is on the list and whose token does not cover the server,
// "stranger" for one who is not on the list.
func Why(r *Route, c *Claims) string {
	if c == nil || r.Open() {
		return "open"
	}
	listed := "stranger"
	switch {
	case c.UserID == r.OwnerID:
		listed = "owner"
	case contains(r.Users, c.UserID):
		listed = "share"
	case named(r, c):
		listed = "share"
	case intersects(r.Groups, c.Groups):
		listed = "group"
	}
	if Allows(r, c) {
		switch {
		case listed != "stranger":
			return listed
		case contains(c.Scopes, ScopeAccess):
			return "admin"
		}
		return "role"
	}
	if listed == "stranger" {
		return listed
	}
	return "scope"
}
