package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
)

const (
	noCredentials = "Missing or invalid credentials."
	noAccess      = "No access to resources or resources not found"
	hubRoute      = `"/":{"routespec":"/","target":"http://127.0.0.1:8081","data":{"hub":true}}`
)

func badGroup(name string) string {
	return "Invalid group name: '" + name + `'. It has 1 to 128 bytes that can be printed, none of them one of / \ % ! ? #.`
}

// userJSON is the model of a user who has no server, as somebody sees it who may see all.
func userJSON(name string, admin bool, roles, lastActivity string) string {
	return fmt.Sprintf(`{"kind":"user","name":%q,"user_info":null,"admin":%t,"roles":%s,"groups":[],"server":null,"pending":null,
		"created":"<time>","last_activity":%s,"auth_state":null,"servers":{}}`, name, admin, roles, lastActivity)
}

// serverJSON is the model of a server of alice.
func serverJSON(name, url, progress string, running bool, options string) string {
	started := "null"
	if running {
		started = `"<time>"`
	}
	return fmt.Sprintf(`{"name":%[1]q,"display_name":%[1]q,"full_name":"alice/%[1]s","last_activity":"<time>","started":%[2]s,
		"pending":null,"ready":%[3]t,"stopped":%[4]t,"url":%[5]q,"user_options":%[6]s,"progress_url":%[7]q,
		"full_url":null,"full_progress_url":null}`, name, started, running, !running, url, options, progress)
}

func badDisplay(name string) string {
	return "Invalid display_name: '" + name + "'. It has 1 to 255 printable characters, with single spaces between words."
}

func groupJSON(name, users, properties string) string {
	return fmt.Sprintf(`{"kind":"group","name":%q,"users":%s,"properties":%s,"roles":[]}`, name, users, properties)
}

func tokenJSON(user, scopes, note, expires, used string) string {
	return fmt.Sprintf(`{"id":"<token id>","kind":"api_token","roles":[],"scopes":%s,"created":"<time>","last_activity":%s,
		"expires_at":%s,"note":%q,"session_id":null,"oauth_client":"JupyterHub","user":%q}`, scopes, used, expires, note, user)
}

// dash is a route by hand for alice and the group staff.
const (
	dash           = `{"prefix":"/dash/","target":"http://127.0.0.1:8050","auth":"headers","users":["alice"],"groups":["staff"],"created":"<time>"}`
	dashWithSecret = `{"prefix":"/dash/","target":"http://127.0.0.1:8050","auth":"headers","users":["alice"],"groups":["staff"],"created":"<time>","secret":"<secret>"}`
	aliceWithTeam  = `{"server":{"user":{"name":"alice"},"name":"","url":"/user/alice/","full_url":null,"ready":false},"scopes":["access:servers!server=alice/"],"user":null,"group":{"name":"team"},"kind":"group","created_at":"<time>"}`
	statsService   = `{"kind":"service","name":"stats","admin":false,"roles":[],"url":"http://127.0.0.1:9","prefix":"/services/stats/","command":[],"pid":0,"info":{},"display":true}`
	badTarget      = "The target must be http://HOST:PORT or https://HOST:PORT, without a path."
	badSecret      = "The secret must have 16 to 256 letters, digits and signs, without spaces."
)

func badPrefix(prefix string) string {
	return prefix + " cannot be a prefix: it needs one to three path segments in their plain spelling, as in /dashboard/ or /services/stats/."
}

func keyJSON(state, until string) string {
	return fmt.Sprintf(`{"id":"<text>","state":%q,"active_from":"<time>","accepted_until":%s}`, state, until)
}

// step is one request with what it answers: JSON if body is a pattern, JupyterHub's error if message is given, else nothing.
type step struct {
	who     string
	request string
	send    string
	status  int
	body    string
	message string
}

// The story of two users and an administrator touches every route, with the answers of JupyterHub.
func TestEveryEndpoint(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	secrets := map[string]string{"root": h.token(h.user("root", true)), "alice": h.token(h.user("alice", false)), "nobody": ""}
	const plain, admin = `["user"]`, `["admin","user"]`
	alice := userJSON("alice", false, plain, `"<time>"`)
	running := serverJSON("", "/user/alice/", "/hub/api/users/alice/server/progress", true, `{"profile":"big"}`)
	lab := serverJSON("srv", "/user/alice/srv/", "/hub/api/users/alice/servers/srv/progress", true, `{}`)
	made := strings.NewReplacer(`"last_activity":"<time>"`, `"last_activity":null`, `"display_name":"made"`, `"display_name":"Made by hand"`).Replace(
		serverJSON("made", "/user/alice/made/", "/hub/api/users/alice/servers/made/progress", false, `{"a":1}`))
	narrow := `["read:servers!user=alice","read:users:groups!user=alice","read:users:name!user=alice"]`
	withToken := func(model string) string { return strings.TrimSuffix(model, "}") + `,"token":"<secret>"}` }

	seen := map[string]bool{}
	for i, s := range []step{
		{"nobody", "GET /hub/api", "", 200, `{"version":"` + hub.Version + `"}`, ""},
		{"nobody", "GET /hub/api/", "", 200, `{"version":"` + hub.Version + `"}`, ""},
		{"nobody", "GET /hub/api/health", "", 200, "", ""},
		{"root", "GET /hub/api/info", "", 200, fmt.Sprintf(`{"version":%[1]q,"python":"","sys_executable":"",
			"spawner":{"class":"edgehub","version":%[1]q},"authenticator":{"class":"edgehub","version":%[1]q}}`, hub.Version), ""},
		{"alice", "GET /hub/api/info", "", 403, "", "Action is not authorized with current scopes; requires any of [read:hub]"},
		{"nobody", "GET /hub/api/info", "", 403, "", noCredentials},
		{"nobody", "GET /hub/api/user", "", 403, "", noCredentials},
		{"nobody", "GET /hub/api/authorizations/token/" + secrets["alice"], "", 403, "", noCredentials},
		{"alice", "GET /hub/api/authorizations/token/none", "", 404, "", "No such token."},
		{"root", "POST /hub/api/authorizations/token", "", 404, "", "This is gone since JupyterHub 2.0. Use /hub/api/users/:user/tokens instead."},

		// The end of the replica. What it really does is in shutdown_test.go.
		{"alice", "POST /hub/api/shutdown", "", 403, "", "Action is not authorized with current scopes; requires any of [shutdown]"},
		{"root", "POST /hub/api/shutdown", `{"servers":"x"}`, 400, "", "servers has the wrong type: got a JSON string."},
		{"root", "POST /hub/api/shutdown", `{"server":true}`, 400, "", "Unknown key 'server': known are [proxy, servers]."},

		// Groups.
		{"root", "GET /hub/api/groups", "", 200, "[]", ""},
		{"alice", "GET /hub/api/groups", "", 403, "", "Action is not authorized with current scopes; requires any of [list:groups]"},
		{"root", "POST /hub/api/groups", `{"groups":["staff","class"],"users":["alice"]}`, 201,
			"[" + groupJSON("staff", `["alice"]`, "{}") + "," + groupJSON("class", `["alice"]`, "{}") + "]", ""},
		{"root", "POST /hub/api/groups", `{"groups":["new","staff"]}`, 409, "", "Group staff already exists"},
		{"root", "POST /hub/api/groups", "", 400, "", "Must specify at least one group to create"},
		{"root", "POST /hub/api/groups", `{"groups":["new"],"users":["nobody"]}`, 400, "", "No such user: nobody"},
		{"root", "POST /hub/api/groups", `{"groups":["a/b"]}`, 400, "", badGroup("a/b")},
		{"root", "GET /hub/api/groups/new", "", 404, "", "No such group: new"},
		{"root", "POST /hub/api/groups/new", "", 201, groupJSON("new", "[]", "{}"), ""},
		{"root", "POST /hub/api/groups/new", "", 409, "", "Group new already exists"},
		{"root", "POST /hub/api/groups/other", `{"user":["alice"]}`, 400, "", "Unknown key 'user': known are [users, properties]."},
		{"root", "DELETE /hub/api/groups/new", "", 204, "", ""},
		{"root", "DELETE /hub/api/groups/new", "", 404, "", "No such group: new"},
		{"root", "POST /hub/api/groups/staff/users", `{"users":["root"]}`, 200, groupJSON("staff", `["alice","root"]`, "{}"), ""},
		{"root", "POST /hub/api/groups/staff/users", `{"users":["nobody"]}`, 400, "", "No such user: nobody"},
		{"root", "POST /hub/api/groups/staff/users", "", 400, "", "Must specify users to add"},
		{"root", "POST /hub/api/groups/staff/users", `{"users":"root"}`, 400, "", "users has the wrong type: got a JSON string."},
		{"root", "DELETE /hub/api/groups/staff/users", `{"users":["alice","root"]}`, 200, groupJSON("staff", "[]", "{}"), ""},
		{"root", "DELETE /hub/api/groups/staff/users", "", 400, "", "Must specify users to remove"},
		{"root", "PUT /hub/api/groups/staff/properties", `{"cpu":2}`, 200, groupJSON("staff", "[]", `{"cpu":2}`), ""},
		{"root", "PUT /hub/api/groups/staff/properties", `[]`, 400, "", "Must specify properties as a JSON object"},
		{"root", "PUT /hub/api/groups/none/properties", `{}`, 404, "", "No such group: none"},
		{"root", "GET /hub/api/groups/staff", "", 200, groupJSON("staff", "[]", `{"cpu":2}`), ""},
		{"root", "DELETE /hub/api/groups/staff", "", 204, "", ""},
		{"root", "DELETE /hub/api/groups/class", "", 204, "", ""},

		// Unknown paths and methods.
		{"root", "GET /hub/api/nothing", "", 404, "", "Not Found"},
		{"root", "GET /hub/api/users/alice/nothing", "", 404, "", "Not Found"},
		{"root", "PUT /hub/api/users", "", 405, "", "Method Not Allowed"},
		{"root", "POST /hub/api/shares/alice", `{"user":"root"}`, 405, "", "Method Not Allowed"}, // it would be redirected to the default server's
		{"root", "DELETE /hub/api/shares/alice", "", 405, "", "Method Not Allowed"},
		{"root", "DELETE /hub/api/share-codes/alice", "", 405, "", "Method Not Allowed"},
		{"root", "GET /hub/api/users/alice/shared/root", "", 404, "", "Not Found"},
		{"root", "POST /hub/api/users/Alice", "", 400, "", "Invalid username: Alice. Names of users are in lower case: alice"},
		{"root", "POST /hub/api/users/Alicia", "", 400, "", "Invalid username: Alicia. Names of users are in lower case: alicia"},
		{"root", "PATCH /hub/api/users/alice", "", 400, "", "The body must be a JSON object that says what to change."},
		{"root", "PATCH /hub/api/users/alice", "null", 400, "", "The body must be a JSON object that says what to change."},
		{"alice", "POST /hub/api/users/alice/tokens", `{"scopes":["self"],"roles":["token"]}`, 400, "", "Give scopes or roles, not both."},
		{"root", "PUT /hub/api/users/alice", "", 405, "", "Method Not Allowed"},
		{"root", "DELETE /hub/api/health", "", 405, "", "Method Not Allowed"},
		{"root", "POST /hub/api/", "", 405, "", "Method Not Allowed"},

		// Users.
		{"root", "GET /hub/api/users", "", 200, "[" + userJSON("root", true, admin, `"<time>"`) + "," + alice + "]", ""},
		{"alice", "GET /hub/api/users", "", 403, "", "Action is not authorized with current scopes; requires any of [list:users]"},
		{"root", "GET /hub/api/users?state=bogus", "", 400, "", "Unrecognized state filter: 'bogus'"},
		{"root", "GET /hub/api/users?limit=x", "", 400, "", "Invalid argument type, offset and limit must be integers"},
		{"root", "POST /hub/api/users", `{"usernames":["Bob","carol","alice"]}`, 201,
			"[" + userJSON("bob", false, plain, "null") + "," + userJSON("carol", false, plain, "null") + "]", ""},
		{"root", "POST /hub/api/users", `{"usernames":["bob","alice"]}`, 409, "", "All 2 users already exist"},
		{"root", "POST /hub/api/users", `{"usernames":[]}`, 400, "", "Must specify at least one user to create"},
		{"root", "POST /hub/api/users", "", 400, "", "Must specify at least one user to create"},
		{"root", "POST /hub/api/users", `{"usernames":["ok","not ok"]}`, 400, "", "Invalid username: not ok"},
		{"root", "POST /hub/api/users", `{"usernames":["a/b","hub"]}`, 400, "", "Invalid usernames: a/b, hub"},
		{"root", "POST /hub/api/users", `{"usernames":"bob"}`, 400, "", "usernames has the wrong type: got a JSON string."},
		{"root", "POST /hub/api/users", `{"usernames"`, 400, "", "Invalid JSON in body of request"},
		{"root", "GET /hub/api/users/alice", "", 200, alice, ""},
		{"root", "GET /hub/api/users/nobody", "", 404, "", "No such user: nobody"},
		{"alice", "GET /hub/api/users/bob", "", 404, "", noAccess},
		{"alice", "GET /hub/api/users/nobody", "", 404, "", noAccess},
		{"root", "POST /hub/api/users/dave", `{"admin":true}`, 201, userJSON("dave", true, admin, "null"), ""},
		{"root", "POST /hub/api/users/dave", "", 409, "", "User dave already exists"},
		{"root", "POST /hub/api/users/not%20ok", "", 400, "", "Invalid username: not ok"},
		{"root", "POST /hub/api/users/erin", `{"admin":"yes"}`, 400, "", "admin has the wrong type: got a JSON string."},
		{"root", "POST /hub/api/users/erin", `{"password":"short"}`, 400, "", "A password must have 8 to 1024 characters."},
		{"root", "PATCH /hub/api/users/dave", `{"admin":false,"groups":["g"]}`, 200,
			strings.Replace(userJSON("dave", false, plain, "null"), `"groups":[]`, `"groups":["g"]`, 1), ""},
		{"root", "PATCH /hub/api/users/dave", `{"nam":"david"}`, 400, "", "Invalid JSON keys: nam can not be changed here"},
		{"root", "PATCH /hub/api/users/dave", `{"name":"a b"}`, 400, "", "Invalid username: a b"},
		{"root", "PATCH /hub/api/users/dave", `{"name":"alice"}`, 400, "", "User alice already exists, username must be unique"},
		{"root", "PATCH /hub/api/users/dave", `{"name":"David"}`, 200,
			strings.Replace(userJSON("david", false, plain, "null"), `"groups":[]`, `"groups":["g"]`, 1), ""},
		{"root", "GET /hub/api/users/dave", "", 404, "", "No such user: dave"},
		{"root", "PATCH /hub/api/users/david", `{"name":"dave","groups":[]}`, 200, userJSON("dave", false, plain, "null"), ""},
		{"root", "PATCH /hub/api/users/dave", `{"admin":1}`, 400, "", "admin has the wrong type"},
		{"root", "PATCH /hub/api/users/nobody", `{}`, 404, "", "No such user: nobody"},
		{"alice", "PATCH /hub/api/users/alice", `{"admin":true}`, 403, "",
			"Action is not authorized with current scopes; requires any of [admin:users]"},
		{"root", "DELETE /hub/api/users/dave/identity", "", 204, "", ""},
		{"root", "DELETE /hub/api/users/dave", "", 204, "", ""},
		{"root", "DELETE /hub/api/users/dave", "", 404, "", "No such user: dave"},
		{"root", "DELETE /hub/api/users/root", "", 400, "", "Cannot delete yourself!"},

		// Tokens.
		{"alice", "POST /hub/api/users/alice/tokens", `{"note":"for scripts","expires_in":3600,"scopes":["read:servers!user=alice"]}`, 201,
			withToken(tokenJSON("alice", narrow, "for scripts", `"<time>"`, "null")), ""},
		{"root", "POST /hub/api/users/bob/tokens", `{"scopes":["list:users"]}`, 400, "",
			"Not assigning requested scopes list:users, read:users:name: bob does not have them."},
		{"alice", "POST /hub/api/users/alice/tokens", `{"scopes":["nope"]}`, 400, "", `scope "nope" does not exist`},
		{"alice", "POST /hub/api/users/alice/tokens", `{"roles":["nope"]}`, 400, "", "No such role: nope"},
		{"alice", "POST /hub/api/users/alice/tokens", `{"expires_in":-1}`, 400, "",
			"expires_in must be a positive number of seconds, at most ten years."},
		{"alice", "POST /hub/api/users/alice/tokens", `{"expires_in":"1"}`, 400, "", "expires_in has the wrong type: got a JSON string."},
		{"alice", "POST /hub/api/users/bob/tokens", "", 403, "", "You cannot make tokens for this user."},
		{"nobody", "POST /hub/api/users/bob/tokens", "", 403, "", noCredentials},
		{"alice", "GET /hub/api/users/alice/tokens/a0", "", 404, "", "No such token a0 for user alice"},
		{"alice", "DELETE /hub/api/users/alice/tokens/a0", "", 404, "", "No such token a0 for user alice"},

		// Servers.
		{"alice", "GET /hub/api/users/alice/server/progress", "", 400, "", "alice is not starting"},
		{"alice", "GET /hub/api/users/alice/servers/srv", "", 404, "", "alice has no server named 'srv'"},
		{"alice", "GET /hub/api/users/alice/servers/srv/progress", "", 404, "", "alice has no server named 'srv'"},
		{"alice", "DELETE /hub/api/users/alice/servers/srv", "", 404, "", "alice has no server named 'srv'"},
		{"alice", "POST /hub/api/users/alice/servers/Not-OK", "", 400, "", "Invalid server_name: 'Not-OK'"},
		{"alice", "POST /hub/api/users/alice/server", `{"user_options":[1]}`, 400, "", "user_options must be an object"},
		{"alice", "POST /hub/api/users/alice/server", `[1]`, 400, "", "The body has the wrong type: got a JSON array."},
		{"alice", "POST /hub/api/users/bob/server", "", 404, "", noAccess},
		{"root", "POST /hub/api/users/nobody/server", "", 404, "", "No such user: nobody"},
		{"alice", "POST /hub/api/users/alice/server", `{"profile":"big"}`, 201, "", ""},
		{"alice", "POST /hub/api/users/alice/server", "", 400, "", "alice is already running"},
		{"alice", "GET /hub/api/users/alice/server", "", 200, running, ""},
		{"root", "GET /hub/api/users/alice/server", "", 200, strings.TrimSuffix(running, "}") + `,"state":{"pid":1001}}`, ""},
		{"alice", "GET /hub/api/users/alice/servers/", "", 200, running, ""},
		{"alice", "POST /hub/api/users/alice/servers/", "", 400, "", "alice is already running"},
		{"alice", "PUT /hub/api/users/alice/server", "", 409, "", "User alice already has a default server"},
		{"alice", "PUT /hub/api/users/alice/servers/", "", 409, "", "User alice already has a default server"},
		{"alice", "PATCH /hub/api/users/alice/server", `{"user_options":{}}`, 400, "", "alice is active. Please stop it before modifying it."},
		{"alice", "PATCH /hub/api/users/alice/servers/", `{"user_options":{}}`, 400, "", "alice is active. Please stop it before modifying it."},
		{"alice", "DELETE /hub/api/users/alice/servers/", `{"remove":true}`, 400, "", "Cannot delete the default server"},
		{"alice", "DELETE /hub/api/users/alice/server", `{"remove":"yes"}`, 400, "", "remove must be true or false"},
		{"alice", "DELETE /hub/api/users/alice/server", `{"remove"`, 400, "", "Invalid JSON in body of request"},

		// Named servers.
		{"alice", "PUT /hub/api/users/alice/servers/made", `{"display_name":"Made by hand","user_options":{"a":1}}`, 201, made, ""},
		{"alice", "PUT /hub/api/users/alice/servers/made", "", 409, "", "User alice already has server 'made'"},
		{"alice", "PUT /hub/api/users/alice/servers/Not-OK", "", 400, "", "Invalid server_name: 'Not-OK'"},
		{"alice", "PUT /hub/api/users/alice/servers/x", `{"display_name":5}`, 400, "", "display_name must be a string"},
		{"alice", "PUT /hub/api/users/alice/servers/x", `{"display_name":null}`, 400, "", "display_name must be a string"},
		{"alice", "PUT /hub/api/users/alice/servers/x", `{"display_name":" x"}`, 400, "", badDisplay(" x")},
		{"alice", "PUT /hub/api/users/alice/servers/x", "{\"display_name\":\"a\xff\"}", 400, "", "Invalid JSON in body of request: it is not UTF-8"},
		{"alice", "PUT /hub/api/users/alice/servers/x", `{"user_options":"small"}`, 400, "", "user_options must be an object"},
		{"alice", "PUT /hub/api/users/alice/servers/x", `[]`, 400, "", "The body has the wrong type: got a JSON array."},
		{"root", "PUT /hub/api/users/nobody/servers/x", "", 404, "", "No such user: nobody"},
		{"alice", "PUT /hub/api/users/bob/servers/x", "", 404, "", noAccess},
		{"alice", "GET /hub/api/users/alice/servers/made", "", 200, made, ""},
		{"alice", "GET /hub/api/users/alice/servers/x", "", 404, "", "alice has no server named 'x'"},
		{"alice", "PATCH /hub/api/users/alice/servers/made", `{"name":null,"display_name":""}`, 200, made, ""},
		{"alice", "PATCH /hub/api/users/alice/servers/made", `{"display_name":"Other","user_options":{}}`, 200,
			strings.NewReplacer("Made by hand", "Other", `{"a":1}`, `{}`).Replace(made), ""},
		{"alice", "PATCH /hub/api/users/alice/servers/made", "", 400, "", "Must specify at least one field to modify: name, display_name or user_options."},
		{"alice", "PATCH /hub/api/users/alice/servers/made", `{"color":1}`, 400, "",
			"Invalid JSON keys: color can not be changed here; name, display_name and user_options can"},
		{"alice", "PATCH /hub/api/users/alice/servers/made", `{"user_options":null}`, 400, "", "user_options must be an object"},
		{"alice", "PATCH /hub/api/users/alice/servers/made", `{"display_name":"two  spaces"}`, 400, "", badDisplay("two  spaces")},
		{"alice", "PATCH /hub/api/users/alice/servers/made", `{"name":7}`, 400, "", "name must be a string"},
		{"alice", "PATCH /hub/api/users/alice/servers/made", `{"name":"lab"}`, 400, "", "Invalid server_name: 'lab'"},
		{"alice", "PATCH /hub/api/users/alice/servers/made", `{"name":""}`, 409, "", "User alice already has a default server"},
		{"alice", "PATCH /hub/api/users/alice/servers/made", `{"name":"made"}`, 409, "", "User alice already has server 'made'"},
		{"alice", "PATCH /hub/api/users/alice/servers/x", `{"name":"y"}`, 404, "", "alice has no server named 'x'"},
		{"alice", "DELETE /hub/api/users/alice/servers/made", `{"remove":null}`, 204, "", ""},
		{"alice", "DELETE /hub/api/users/alice/servers/made", `{"remove":true}`, 204, "", ""},
		{"alice", "DELETE /hub/api/users/alice/servers/made", `{"remove":true}`, 404, "", "alice has no server named 'made'"},
		{"alice", "POST /hub/api/users/alice/servers/srv", "", 201, "", ""},
		{"alice", "POST /hub/api/users/alice/servers/srv", "", 400, "", "alice:srv is already running"},
		{"alice", "GET /hub/api/users/alice/servers/srv", "", 200, lab, ""},
		{"alice", "POST /hub/api/users/alice/activity", `{"servers":{"srv":{"last_activity":"2020-01-01T00:00:00Z"}}}`, 200, "", ""},
		{"alice", "POST /hub/api/users/alice/activity", `{}`, 400, "", "body must contain at least one of `last_activity` or `servers`"},
		{"alice", "POST /hub/api/users/alice/activity", `{"servers":{"zz":{"last_activity":"2020-01-01T00:00:00Z"}}}`, 400, "",
			"No such server 'zz' for user alice"},
		{"root", "POST /hub/api/users/alice/admin-access", "", 403, "",
			"admin access to user servers disabled: visit the server with the scope access:servers instead."},
		{"alice", "POST /hub/api/users/bob/activity", `{"last_activity":"2020-01-01T00:00:00Z"}`, 404, "", noAccess},
		{"alice", "DELETE /hub/api/users/alice/servers/srv", "", 204, "", ""},
		{"alice", "DELETE /hub/api/users/alice/server", "", 204, "", ""},
		{"alice", "DELETE /hub/api/users/alice/servers/", "", 204, "", ""},
		{"alice", "GET /hub/api/users/alice/server", "", 200,
			serverJSON("", "/user/alice/", "/hub/api/users/alice/server/progress", false, `{"profile":"big"}`), ""},
		{"alice", "GET /hub/api/users/alice/server/progress", "", 400, "", "alice is not starting"},

		// Routes by hand, and what JupyterHub shows of its proxy.
		// Shares.
		{"alice", "POST /hub/api/shares/alice/", `{"group":"team"}`, 403, "", "Action is not authorized with current scopes; requires any of [shares]"},
		{"root", "PATCH /hub/api/shares/alice/", `{"group":"team"}`, 200, `{}`, ""},
		{"root", "POST /hub/api/shares/alice/", `{"group":"team"}`, 400, "", "No such group: team"},
		{"root", "POST /hub/api/groups/team", "", 201, `{"kind":"group","name":"team","users":[],"properties":{},"roles":[]}`, ""},
		{"root", "POST /hub/api/shares/alice/", `{"group":"team"}`, 200, aliceWithTeam, ""},
		{"root", "GET /hub/api/shares/alice", "", 200, `{"items":[` + aliceWithTeam + `],"_pagination":{"offset":0,"limit":200,"total":1,"next":null}}`, ""},
		{"root", "GET /hub/api/shares/alice/", "", 200, `{"items":[` + aliceWithTeam + `],"_pagination":{"offset":0,"limit":200,"total":1,"next":null}}`, ""},
		{"root", "GET /hub/api/groups/team/shared", "", 200, `{"items":[` + aliceWithTeam + `],"_pagination":{"offset":0,"limit":200,"total":1,"next":null}}`, ""},
		{"root", "GET /hub/api/groups/team/shared/alice/", "", 200, aliceWithTeam, ""},
		{"root", "DELETE /hub/api/groups/team/shared/alice/", "", 204, "", ""},
		{"root", "PATCH /hub/api/shares/alice/", `{"group":"team"}`, 200, `{}`, ""},
		{"root", "DELETE /hub/api/shares/alice/", "", 204, "", ""},
		{"root", "DELETE /hub/api/groups/team", "", 204, "", ""},
		{"alice", "GET /hub/api/users/alice/shared", "", 200, `{"items":[],"_pagination":{"offset":0,"limit":200,"total":0,"next":null}}`, ""},
		{"alice", "GET /hub/api/users/alice/shared/alice/", "", 404, "", "No such share."},
		{"alice", "DELETE /hub/api/users/alice/shared/alice/", "", 404, "", "No such share."},
		{"root", "POST /hub/api/share-codes/alice/", `{"expires_in":1}`, 400, "", "expires_in must be a number of seconds from 60 to 31536000."},
		{"root", "GET /hub/api/share-codes/alice", "", 200, `{"items":[],"_pagination":{"offset":0,"limit":200,"total":0,"next":null}}`, ""},
		{"root", "GET /hub/api/share-codes/alice/", "", 200, `{"items":[],"_pagination":{"offset":0,"limit":200,"total":0,"next":null}}`, ""},
		{"root", "DELETE /hub/api/share-codes/alice/", "", 204, "", ""},
		{"root", "GET /hub/api/shares/alice/none", "", 404, "", "No such server: alice/none"},
		{"root", "POST /hub/api/shares/alice/none", `{"group":"team"}`, 404, "", "No such server: alice/none"},
		{"root", "PATCH /hub/api/shares/alice/none", `{"group":"team"}`, 404, "", "No such server: alice/none"},
		{"root", "DELETE /hub/api/shares/alice/none", "", 404, "", "No such server: alice/none"},
		{"root", "GET /hub/api/groups/team/shared/alice/none", "", 404, "", "No such server: alice/none"},
		{"root", "DELETE /hub/api/groups/team/shared/alice/none", "", 404, "", "No such server: alice/none"},
		{"alice", "GET /hub/api/users/alice/shared/alice/none", "", 404, "", "No such server: alice/none"},
		{"alice", "DELETE /hub/api/users/alice/shared/alice/none", "", 404, "", "No such server: alice/none"},
		{"root", "GET /hub/api/share-codes/alice/none", "", 404, "", "No such server: alice/none"},
		{"root", "POST /hub/api/share-codes/alice/none", `{}`, 404, "", "No such server: alice/none"},
		{"root", "DELETE /hub/api/share-codes/alice/none", "", 404, "", "No such server: alice/none"},

		// Services.
		{"alice", "GET /hub/api/services", "", 403, "", "Action is not authorized with current scopes; requires any of [list:services]"},
		{"root", "POST /hub/api/services/stats", `{"url":"http://127.0.0.1:9"}`, 201, statsService, ""},
		{"root", "POST /hub/api/services/stats", `{}`, 409, "", "Service stats already exists"},
		{"root", "GET /hub/api/services/stats", "", 200, statsService, ""},
		{"root", "GET /hub/api/proxy", "", 200, `{` + hubRoute + `,"/services/stats/":{"routespec":"/services/stats/","target":"http://127.0.0.1:9","data":{"service":"stats","last_activity":null}}}`, ""},
		{"root", "DELETE /hub/api/services/stats", "", 200, "", ""},
		{"root", "DELETE /hub/api/services/stats", "", 404, "", "No such service: stats"},
		{"root", "GET /hub/api/services", "", 200, `{}`, ""},

		{"root", "GET /hub/api/routes", "", 200, `[]`, ""},
		{"alice", "GET /hub/api/routes", "", 403, "", "Action is not authorized with current scopes; requires any of [proxy]"},
		{"root", "PUT /hub/api/routes/dash", `{"target":"http://127.0.0.1:8050","users":["Alice","alice"],"groups":["staff"]}`, 201, dashWithSecret, ""},
		{"root", "PUT /hub/api/routes/dash/", `{"target":"http://127.0.0.1:8050","users":["alice"],"groups":["staff"]}`, 200, dashWithSecret, ""},
		{"root", "GET /hub/api/routes/dash/", "", 200, dash, ""},
		{"root", "GET /hub/api/routes", "", 200, "[" + dash + "]", ""},
		{"root", "GET /hub/api/routes/other/", "", 404, "", "No such route: /other/"},
		{"root", "PUT /hub/api/routes/hub/x", `{"target":"http://h"}`, 400, "", "The prefix /hub/x/ belongs to the hub."},
		{"root", "PUT /hub/api/routes/", `{"target":"http://h"}`, 400, "", "The prefix / belongs to the hub."},
		{"root", "PUT /hub/api/routes/user/alice/", `{"target":"http://h"}`, 400, "", "The prefix /user/alice/ belongs to users' servers."},
		{"root", "PUT /hub/api/routes/a/b/c/d/", `{"target":"http://h"}`, 400, "", badPrefix("/a/b/c/d/")},
		{"root", "PUT /hub/api/routes/d%61sh/", `{"target":"http://h"}`, 400, "", badPrefix("/d%61sh/")},
		{"root", "PUT /hub/api/routes/a%3Fb/", `{"target":"http://h"}`, 400, "", badPrefix("/a%3Fb/")},
		{"root", "PUT /hub/api/routes/x/", `{"target":"127.0.0.1:8050"}`, 400, "", badTarget},
		{"root", "PUT /hub/api/routes/x/", `{"target":"http://h/path"}`, 400, "", badTarget},
		{"root", "PUT /hub/api/routes/x/", ``, 400, "", badTarget},
		{"root", "PUT /hub/api/routes/x/", `{"target":"http://h","users":["nobody"]}`, 400, "", "No such user: nobody"},
		{"root", "PUT /hub/api/routes/x/", `{"target":"http://h","users":["not ok"]}`, 400, "", "Invalid username: not ok"},
		{"root", "PUT /hub/api/routes/x/", `{"target":"http://h","groups":[""]}`, 400, "", badGroup("")},
		{"root", "PUT /hub/api/routes/x/", `{"target":"http://h","auth":"ticket"}`, 400, "", "Unknown auth 'ticket': use headers, secret, pass or none."},
		{"root", "PUT /hub/api/routes/x/", `{"target":"http://h","auth":"secret"}`, 400, "", badSecret},
		{"root", "PUT /hub/api/routes/x/", `{"target":"http://h","secret":"0123456789abcde\n"}`, 400, "", badSecret},
		{"root", "PUT /hub/api/routes/x/", `{"target":"http://h","auth":"none","users":["alice"]}`, 400, "",
			"With auth none everybody may visit, so there is no list and no secret. Use headers to protect a program that does not sign people in itself."},
		{"root", "GET /hub/api/proxy", "", 200, `{` + hubRoute + `,"/dash/":{"routespec":"/dash/","target":"http://127.0.0.1:8050","data":{"extra":true,"last_activity":null}}}`, ""},
		{"alice", "GET /hub/api/proxy", "", 403, "", "Action is not authorized with current scopes; requires any of [proxy]"},
		{"root", "GET /hub/api/proxy?limit=1", "", 200, `{` + hubRoute + `}`, ""},
		{"root", "POST /hub/api/proxy", "", 200, "", ""},
		{"root", "PATCH /hub/api/proxy", `{"api_url":"http://127.0.0.1:1"}`, 400, "",
			"There is no proxy that the hub must know: front doors find their routes in etcd. Start another one with the same etcd."},
		{"root", "DELETE /hub/api/routes/dash/", "", 204, "", ""},
		{"root", "DELETE /hub/api/routes/dash/", "", 404, "", "No such route: /dash/"},
		{"root", "DELETE /hub/api/routes/user/alice/", "", 400, "", "The prefix /user/alice/ belongs to users' servers."},

		// Signing keys.
		{"root", "GET /hub/api/keys", "", 200, "[" + keyJSON("active", "null") + "]", ""},
		{"root", "POST /hub/api/keys/rotate", "", 200, "[" + keyJSON("active", `"<time>"`) + "," + keyJSON("next", "null") + "]", ""},
		{"root", "POST /hub/api/keys/rotate", `{"emergency":false}`, 200, "[" + keyJSON("active", `"<time>"`) + "," + keyJSON("next", "null") + "]", ""},
		{"root", "POST /hub/api/keys/rotate", `{"emergency":"yes"}`, 400, "", "emergency has the wrong type: got a JSON string."},
		{"root", "POST /hub/api/keys/rotate", `{"emergenci":true}`, 400, "", "Unknown key 'emergenci': known are [emergency]."},
		{"alice", "POST /hub/api/keys/rotate", `{"emergency":true}`, 403, "", "Action is not authorized with current scopes; requires any of [admin:users]"},
		{"root", "POST /hub/api/keys/rotate", `{"emergency":true}`, 200, "[" + keyJSON("active", "null") + "]", ""},

		// Edges.
		{"nobody", "POST /hub/api/edge/exchange", `{"token":"` + secrets["alice"] + `"}`, 200, `{"edge_token":"<text>","expires_in":3600}`, ""},
		{"nobody", "POST /hub/api/edge/exchange", `{"token":"00000000000000000000000000000000"}`, 403, "", noCredentials},
		{"nobody", "POST /hub/api/edge/exchange", `{}`, 400, "", "The body must have a token."},
		{"nobody", "POST /hub/api/edge/renew", `{"token":"x"}`, 403, "", "The edge token is not valid."},
		{"nobody", "POST /hub/api/edge/renew", "", 400, "", "The body must have a token."},
		{"nobody", "POST /hub/api/edge/redeem", `{"code":"x","host":"alice.hub.example.org","state":"y"}`, 403, "", "This code is not valid."},
		{"nobody", "POST /hub/api/edge/redeem", `{"code":"x"}`, 400, "", "The body must have a code, its host and its state."},
		{"nobody", "POST /hub/api/edge/exchange", `{"token":"x","host":"alice.hub.example.org"}`, 400, "", "This is not a user's host."},
		{"nobody", "POST /hub/api/edge/activity", `{"activity":[{"prefix":"/user/alice/","gen":1,"at":1,"mac":"x"}]}`, 200, `{"accepted":0,"ignored":1}`, ""},
		{"nobody", "POST /hub/api/edge/activity", "", 400, "", "The body must have activity."},
	} {
		method, path, _ := strings.Cut(s.request, " ")
		a := h.do(method, path, s.send, as(secrets[s.who]))
		a.what = fmt.Sprintf("step %d: %s as %s with %s", i, s.request, s.who, s.send)
		switch {
		case s.message != "":
			a.wantError(s.status, s.message)
		case s.body != "":
			a.wantJSON(s.status, s.body)
		default:
			if a.want(s.status); a.body != "" {
				t.Errorf("%s has a body: %s", a.what, a.body)
			}
		}
		for name, want := range map[string]string{
			"X-Jupyterhub-Version": hub.Version, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", a.what, name, got, want)
			}
		}
		if (method == "POST" || s.status == 202) && strings.Contains(path, "/server") && s.status < 300 && a.header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s has content type %q", a.what, a.header.Get("Content-Type"))
		}
		wantCORS := ""
		if s.request == "GET /hub/api" || s.request == "GET /hub/api/" {
			wantCORS = "*"
		}
		if cors := a.header.Get("Access-Control-Allow-Origin"); cors != wantCORS {
			t.Errorf("%s allows origin %q", a.what, cors)
		}
		seen[routeOf(h, method, path)] = true
	}
	elsewhere := map[string]bool{"GET /hub/api/metrics": true, "GET /hub/api/openapi.json": true, "GET /hub/api/docs": true, // see metrics_test.go, openapi_test.go
		"DELETE /hub/api/users/{user}/identity": true} // see identity_test.go
	for _, rt := range (&API{Options: h.opts}).table() {
		if !seen[rt.pattern] && !strings.Contains(rt.pattern, "/tokens") && !elsewhere[rt.pattern] && !ofRights(rt.pattern) {
			t.Errorf("the story has no request for %s", rt.pattern)
		}
	}
}

// routeOf is the pattern that a request goes to.
func routeOf(h *testHub, method, path string) string {
	mux := http.NewServeMux()
	for _, rt := range (&API{Options: h.opts}).table() {
		mux.HandleFunc(rt.pattern, func(http.ResponseWriter, *http.Request) {})
	}
	r, _ := http.NewRequest(method, h.url+path, nil)
	_, pattern := mux.Handler(r)
	return pattern
}

func TestWritesOfTheTableAreThere(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := as(h.token(h.user("root", true)))
	h.do("POST", "/hub/api/users/bob", `{"password":"correct horse"}`, root).want(201)
	if _, err := h.accounts.Authenticate(t.Context(), "bob", "correct horse"); err != nil {
		t.Errorf("the new user cannot sign in: %v", err)
	}
	h.do("PATCH", "/hub/api/users/bob", `{"password":"battery staple"}`, root).want(200)
	if _, err := h.accounts.Authenticate(t.Context(), "bob", "battery staple"); err != nil {
		t.Errorf("the new password does not work: %v", err)
	}
	if _, err := h.accounts.Authenticate(t.Context(), "bob", "correct horse"); err == nil {
		t.Error("the old password works")
	}
}

func TestDeleteUserStopsItsServersAndEndsItsTokens(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, bob := as(h.token(h.user("root", true))), h.user("bob", false)
	secret := h.token(bob)
	h.running(bob, "")
	h.running(bob, "srv")
	h.do("DELETE", "/hub/api/users/bob", "", root).want(204)
	h.runtime.set(func(rt *runtime) {
		if len(rt.live) != 0 {
			t.Errorf("instances are left: %v", rt.live)
		}
	})
	h.do("GET", "/hub/api/user", "", as(secret)).wantError(403, noCredentials)

	again := h.user("bob", false)
	h.do("GET", "/hub/api/user", "", as(secret)).wantError(403, noCredentials)
	if servers, err := h.servers.OfUser(t.Context(), again.Name); err != nil || len(servers) != 0 {
		t.Errorf("the new bob has the old one's servers: %v, %v", servers, err)
	}
}

func TestDeleteUserWhoseServerDoesNotEnd(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, bob := as(h.token(h.user("root", true))), h.user("bob", false)
	h.running(bob, "")
	gate := make(chan struct{})
	h.runtime.set(func(rt *runtime) { rt.stop = gate })
	start := time.Now()
	h.do("DELETE", "/hub/api/users/bob", "", root).wantError(400, "bob's server is in the process of stopping, please wait.")
	if took := time.Since(start); took < slowStop {
		t.Errorf("gave up after %s", took)
	}
	close(gate)
	h.await("bob", "", hub.Stopped)
	h.do("DELETE", "/hub/api/users/bob", "", root).want(204)
}

func TestTimesHaveSixDigitsOrNone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		nanos int
		want  any
	}{
		{0, "2026-11-23T11:06:40Z"}, {999, "2026-11-23T11:06:40Z"}, {35_244_000, "2026-11-23T11:06:40.035244Z"},
		{500_000_000, "2026-11-23T11:06:40.500000Z"}, {1000, "2026-11-23T11:06:40.000001Z"},
	} {
		at := time.Date(2026, 11, 23, 12, 6, 40, test.nanos, time.FixedZone("", 3600))
		if got := timestamp(at); got != test.want {
			t.Errorf("timestamp(%s) = %v, want %v", at, got, test.want)
		}
	}
	if got := timestamp(time.Time{}); got != nil {
		t.Errorf("timestamp of no time = %v", got)
	}
}
