package access

import "strings"

// descriptions say what the holder of a scope is able to do.
var descriptions = map[string]string{
	NoScope:               "know who you are",
	Inherit:               "do everything that you can do",
	Self:                  "do everything with your own account and servers",
	"admin-ui":            "open the administrators’ page",
	"admin:users":         "create, change and delete users",
	"admin:auth_state":    "read what sign-ins with other providers left behind",
	"users":               "read and list users and report their activity",
	"delete:users":        "delete users",
	"list:users":          "list users",
	"read:users":          "read users with their groups and activity",
	"read:users:name":     "read names of users",
	"read:users:groups":   "read the groups of users",
	"read:users:activity": "see when users were active",
	"users:activity":      "report activity of users",
	"read:roles":          "read who has which role",
	"read:roles:users":    "read the roles of users",
	"read:roles:services": "read the roles of services",
	"read:roles:groups":   "read the roles of groups",
	"admin:servers":       "control servers and read their internal state",
	"admin:server_state":  "read the internal state of servers",
	"servers":             "start, stop and read servers",
	"read:servers":        "see servers and whether they run",
	"start:servers":       "start servers",
	"delete:servers":      "stop and remove servers",
	"tokens":              "create, read and delete API tokens",
	"read:tokens":         "see which API tokens there are",
	"admin:groups":        "create, change and delete groups",
	"groups":              "read groups and change who is in them",
	"list:groups":         "list groups",
	"read:groups":         "read groups with who is in them",
	"read:groups:name":    "read names of groups",
	"delete:groups":       "delete groups",
	"admin:services":      "create, change and delete services",
	"list:services":       "list services",
	"read:services":       "read services",
	"read:services:name":  "read names of services",
	"read:hub":            "read which versions the hub consists of",
	"access:servers":      "open servers, with all the files and programs in them",
	"access:services":     "open services",
	"shares":              "share servers with others and end that",
	"read:shares":         "see with whom servers are shared",
	"users:shares":        "read the shares that users have, and leave them",
	"groups:shares":       "read the shares that groups have, and leave them",
	"read:users:shares":   "read the shares that users have",
	"read:groups:shares":  "read the shares that groups have",
	"proxy":               "change which address leads to which program",
	"shutdown":            "shut the hub down",
	"read:metrics":        "read the hub's metrics",
}

// Describe says in words what the holder of a scope is able to do, and what it is limited to, empty for no limit. A scope
// without words, like a custom one, is described by its name.
func Describe(scope string) (text, on string) {
	p, err := Parse(scope)
	if err != nil {
		return scope, ""
	}
	text, ok := descriptions[p.Name]
	if !ok {
		text = p.Name
	}
	switch {
	case p.FilterKind == "":
		return text, ""
	case p.Short():
		return text, map[string]string{FilterUser: "yourself", FilterServer: "its own server", FilterService: "itself"}[p.FilterKind]
	case p.FilterKind == FilterServer:
		user, server, _ := strings.Cut(p.FilterValue, "/")
		if server == "" {
			return text, "the server of " + user
		}
		return text, "the server " + server + " of " + user
	}
	return text, "the " + p.FilterKind + " " + p.FilterValue
}
