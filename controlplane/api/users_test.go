package api

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// JupyterHub's table of which scope reveals which field.
func TestFieldsOfAUserFollowTheScopes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, alice := h.user("root", true), h.user("alice", false, "g")
	h.running(alice, "")
	h.running(alice, "srv")
	all := "kind name user_info admin roles groups server pending created last_activity"
	for scopes, want := range map[string]string{
		"read:users":                all,
		"read:users:name":           "kind name user_info admin",
		"read:users:groups":         "kind name groups",
		"read:users:activity":       "kind name last_activity",
		"read:roles:users":          "kind name roles admin",
		"read:servers":              "kind name user_info admin servers",
		"read:users!user=alice":     all,
		"read:users!group=g":        all,
		"read:users:groups!group=g": "kind name groups",
		"read:users:groups read:servers!server=alice/srv": "kind name groups servers",
		"read:users read:servers":                         all + " servers",
		"read:users:name read:users:activity":             "kind name user_info admin last_activity",
		"admin:users":                                     all + " auth_state",
		"admin:auth_state read:users:name":                "kind name user_info admin auth_state",
		"read:users!user=alice read:users:name":           all,
	} {
		var model map[string]any
		h.do("GET", "/hub/api/users/alice", "", as(h.token(root, strings.Fields(scopes)...))).want(200).into(&model)
		got, expect := slices.Sorted(maps.Keys(model)), strings.Fields(want)
		slices.Sort(expect)
		if !slices.Equal(got, expect) {
			t.Errorf("%s reveals %q, want %q", scopes, got, expect)
		}
		if strings.Contains(want, "groups") && fmt.Sprint(model["groups"]) != "[g]" ||
			strings.Contains(want, " server ") && model["server"] != "/user/alice/" || model["name"] != "alice" || model["kind"] != "user" {
			t.Errorf("%s shows %v", scopes, model)
		}
	}
}

// servers of a user by name, as a holder of scopes sees them.
func serversSeen(h *testHub, query string, secret string) map[string]map[string]any {
	h.t.Helper()
	var model struct {
		Servers map[string]map[string]any `json:"servers"`
	}
	h.do("GET", "/hub/api/users/alice"+query, "", as(secret)).want(200).into(&model)
	return model.Servers
}

func TestServersOfAUserFollowTheScopes(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root, alice := h.user("root", true), h.user("alice", false)
	for _, name := range []hub.ServerName{"", "one", "two"} {
		h.running(alice, name)
	}
	if _, err := h.servers.Stop(t.Context(), alice.Name, "two"); err != nil {
		t.Fatal(err)
	}
	h.await("alice", "two", hub.Stopped)
	for _, test := range []struct{ scopes, query, want string }{
		{"read:servers", "", " one"},
		{"read:servers", "?include_stopped_servers", " one two"},
		{"read:servers", "?include_stopped_servers=", " one two"},
		{"read:servers", "?include_stopped_servers=1", " one two"},
		{"read:servers", "?include_stopped_servers=0", " one"},
		{"read:servers", "?include_stopped_servers=false", " one"},
		{"read:servers!user=alice", "", " one"},
		{"read:users:name read:servers!server=alice/one", "", "one"},
		{"read:users:name read:servers!server=alice/two", "?include_stopped_servers", "two"},
		{"read:users:name read:servers!server=alice/ read:servers!server=alice/two", "?include_stopped_servers", " two"},
	} {
		seen := serversSeen(h, test.query, h.token(root, strings.Fields(test.scopes)...))
		if got := strings.Join(slices.Sorted(maps.Keys(seen)), " "); got != test.want {
			t.Errorf("%s with %q shows servers %q, want %q", test.scopes, test.query, got, test.want)
		}
	}
	h.do("GET", "/hub/api/users/alice", "", as(h.token(root, "read:servers!server=alice/one"))).wantError(404, noAccess)
	for scopes, want := range map[string]string{
		"read:servers": "<nil>", "read:servers admin:server_state": "map[pid:1001]", "read:servers admin:server_state!server=alice/one": "<nil>",
	} {
		if got := fmt.Sprint(serversSeen(h, "", h.token(root, strings.Fields(scopes)...))[""]["state"]); got != want {
			t.Errorf("%s shows state %s, want %s", scopes, got, want)
		}
	}
}

func TestUserModelFollowsTheDefaultServer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	secret := h.token(alice)
	want := func(server, pending any, ready, stopped bool) {
		t.Helper()
		var model struct {
			Server  any                    `json:"server"`
			Pending any                    `json:"pending"`
			Servers map[string]serverState `json:"servers"`
		}
		h.do("GET", "/hub/api/users/alice?include_stopped_servers", "", as(secret)).want(200).into(&model)
		s := model.Servers[""]
		if model.Server != server || model.Pending != pending || s.Pending != pending || s.Ready != ready || s.Stopped != stopped {
			t.Errorf("user model = %+v, want server %v, pending %v, ready %t, stopped %t", model, server, pending, ready, stopped)
		}
	}
	h.runtime.set(func(rt *runtime) { rt.status = http.StatusBadGateway })
	if _, err := h.servers.Start(t.Context(), alice, "", nil); err != nil {
		t.Fatal(err)
	}
	want(nil, "spawn", false, false)
	h.runtime.set(func(rt *runtime) { rt.status = http.StatusOK })
	h.await("alice", "", hub.Running)
	want("/user/alice/", nil, true, false)
	gate := make(chan struct{})
	h.runtime.set(func(rt *runtime) { rt.stop = gate })
	if _, err := h.servers.Stop(t.Context(), alice.Name, ""); err != nil {
		t.Fatal(err)
	}
	want(nil, "stop", false, false)
	close(gate)
	h.await("alice", "", hub.Stopped)
	want(nil, nil, false, true)
}

type serverState struct {
	Pending any  `json:"pending"`
	Ready   bool `json:"ready"`
	Stopped bool `json:"stopped"`
}

func TestListOfUsersIsFiltered(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.token(h.user("root", true))
	alice, bob := h.user("alice", false), h.user("bob", false)
	h.user("carol", false)
	h.running(alice, "srv")
	h.runtime.set(func(rt *runtime) { rt.status = http.StatusBadGateway })
	if _, err := h.servers.Start(t.Context(), bob, "", nil); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"":                           "root alice bob carol",
		"?state=active":              "alice bob",
		"?state=ready":               "alice",
		"?state=inactive":            "root carol",
		"?name_filter=RO":            "root carol",
		"?name_filter=zz":            "",
		"?name_filter=b&state=ready": "",
		"?offset=1&limit=2":          "alice bob",
		"?offset=9":                  "",
		"?limit=0":                   "root",
		"?limit=-2":                  "root alice",
		"?offset=9223372036854775807&limit=9223372036854775807": "",
	} {
		var users []struct{ Name string }
		h.do("GET", "/hub/api/users"+query, "", as(root)).want(200).into(&users)
		var names []string
		for _, u := range users {
			names = append(names, u.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("GET /users%s lists %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"?offset=x", "?limit=1.5", "?limit=", "?offset=99999999999999999999"} {
		h.do("GET", "/hub/api/users"+query, "", as(root)).wantError(400, "Invalid argument type, offset and limit must be integers")
	}
}

// page is JupyterHub's envelope.
type page struct {
	Items      []struct{ Name string } `json:"items"`
	Pagination struct {
		Offset, Limit, Total int
		Next                 *struct {
			Offset, Limit int
			URL           string
		}
	} `json:"_pagination"`
}

var paginated = header("Accept", "application/json, Application/JupyterHub-Pagination+JSON")

func TestPages(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := as(h.token(h.user("root", true)))
	var names []string
	for i := range 55 {
		names = append(names, fmt.Sprintf("user%02d", i))
	}
	h.do("POST", "/hub/api/users", toJSON(map[string]any{"usernames": names}), root).want(201)
	names = append([]string{"root"}, names...)

	var p page
	first := h.do("GET", "/hub/api/users", "", root, paginated).want(200).into(&p)
	if len(p.Items) != 50 || p.Pagination.Limit != 50 || p.Pagination.Total != 56 || p.Pagination.Next == nil {
		t.Errorf("the first page has %d users and %+v", len(p.Items), p.Pagination)
	}
	if ct := first.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("content type %q", ct)
	}
	if bare := h.do("GET", "/hub/api/users", "", root).want(200); !strings.HasPrefix(bare.body, "[") {
		t.Errorf("without the media type the list is %s", bare.body)
	}

	// Following next, as idle-culler does, visits everybody once and keeps the rest of the query.
	var seen []string
	next := h.url + "/hub/api/users?limit=13&include_stopped_servers=1&name_filter="
	for next != "" {
		u, err := url.Parse(next)
		if err != nil || "http://"+u.Host != h.url || u.Query().Get("include_stopped_servers") != "1" {
			t.Fatalf("next = %q, %v", next, err)
		}
		p = page{}
		h.do("GET", strings.TrimPrefix(next, h.url), "", root, paginated).want(200).into(&p)
		if p.Pagination.Offset != len(seen) || p.Pagination.Limit != 13 || p.Pagination.Total != 56 {
			t.Errorf("page of %s = %+v", next, p.Pagination)
		}
		for _, u := range p.Items {
			seen = append(seen, u.Name)
		}
		next = ""
		if p.Pagination.Next != nil {
			next = p.Pagination.Next.URL
		}
	}
	if !slices.Equal(seen, names) {
		t.Errorf("the pages have %q, want %q", seen, names)
	}

	p = page{}
	h.do("GET", "/hub/api/users?limit=1", "", root, paginated, header("X-Forwarded-Proto", "https")).into(&p)
	if p.Pagination.Next == nil || !strings.HasPrefix(p.Pagination.Next.URL, "https://"+strings.TrimPrefix(h.url, "http://")+"/hub/api/users?") {
		t.Errorf("behind TLS next is %+v", p.Pagination.Next)
	}
	p = page{}
	h.do("GET", "/hub/api/users?offset=9223372036854775807&limit=100000", "", root, paginated).want(200).into(&p)
	if len(p.Items) != 0 || p.Pagination.Limit != 200 || p.Pagination.Next != nil {
		t.Errorf("past the end: %+v", p)
	}
}

func TestPagesCountOnlyWhatTheCallerMaySee(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	root := h.user("root", true)
	h.user("alice", false, "g")
	h.user("bob", false, "g")
	h.user("carol", false, "h")
	var p page
	h.do("GET", "/hub/api/users?limit=1", "", as(h.token(root, "list:users!group=g")), paginated).want(200).into(&p)
	if p.Pagination.Total != 2 || len(p.Items) != 1 || p.Items[0].Name != "alice" {
		t.Errorf("page = %+v", p)
	}
}

func TestWhoami(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false, "g")
	h.running(alice, "")
	tok, secret, err := h.tokens.Issue(t.Context(), hubToken(alice, "", "access:servers!user=alice"))
	if err != nil {
		t.Fatal(err)
	}
	h.do("GET", "/hub/api/user", "", as(secret)).wantJSON(200, fmt.Sprintf(`{"kind":"user","name":"alice","admin":false,"groups":["g"],
		"user_info":null,"token_id":%q,"session_id":null,
		"scopes":["access:servers!user=alice","read:users:groups!user=alice","read:users:name!user=alice"]}`, tok.ID))

	var full map[string]any
	h.do("GET", "/hub/api/user", "", as(h.token(alice))).want(200).into(&full)
	if full["server"] != "/user/alice/" || full["servers"] == nil || full["created"] == nil {
		t.Errorf("a full token sees %v", full)
	}
	b := h.browser(alice)
	h.do("GET", "/hub/api/user", "", b.session).want(200).into(&full)
	if full["token_id"] != nil || full["session_id"] == nil || full["session_id"] == "" {
		t.Errorf("a browser sees %v", full)
	}

	var service map[string]any
	h.do("GET", "/hub/api/user", "", as(h.service())).want(200).into(&service)
	if service["kind"] != "service" || service["name"] != "automation" || service["admin"] != true || service["token_id"] == nil {
		t.Errorf("a service sees %v", service)
	}
}

func TestActivity(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	secret := as(h.token(h.user("root", true))) // a request of alice's would be activity
	h.running(alice, "")
	started := h.idleFor(alice, "", 3*time.Hour)
	post := func(body string) answer {
		t.Helper()
		return h.do("POST", "/hub/api/users/alice/activity", body, secret)
	}
	server := func() time.Time {
		t.Helper()
		s, err := h.servers.Get(t.Context(), "alice", "")
		if err != nil {
			t.Fatal(err)
		}
		return s.LastActivity
	}
	user := func() time.Time {
		t.Helper()
		u, err := h.accounts.Get(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		return u.LastActivity
	}
	now := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339Nano) }
	// A time in the past: the user was active then, not now.
	past := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	post(fmt.Sprintf(`{"last_activity":%q}`, past.Format("2006-01-02T15:04:05"))).want(200)
	if got := user(); !got.Equal(past) {
		t.Errorf("after a report of %s the user's last activity is %s", past, got)
	}
	post(fmt.Sprintf(`{"last_activity":%q}`, past.Add(-time.Hour).Format(time.RFC3339))).want(200)
	if got := user(); !got.Equal(past) {
		t.Errorf("the user's last activity went back to %s", got)
	}
	// Offsets.
	half := past.Add(30 * time.Minute)
	post(fmt.Sprintf(`{"last_activity":%q}`, half.In(time.FixedZone("", -7*3600)).Format("2006-01-02T15:04:05-0700"))).want(200)
	if got := user(); !got.Equal(half) {
		t.Errorf("last activity %s, want %s", got, half)
	}
	// A server's time moves forward only, and never past now.
	post(fmt.Sprintf(`{"servers":{"":{"last_activity":%q}}}`, now(-4*time.Hour))).want(200)
	if got := server(); !got.Equal(started) {
		t.Errorf("the server's last activity went back to %s", got)
	}
	post(fmt.Sprintf(`{"servers":{"":{"last_activity":%q}}}`, now(30*time.Minute))).want(200)
	if got := server(); got.After(time.Now()) || !got.After(started) {
		t.Errorf("a report from the future makes it %s", got)
	}
	before := server()
	for body, message := range map[string]string{
		`{"last_activity":"9999-01-01T00:00:00Z"}`: "Activity 9999-01-01T00:00:00Z is in the future.",
		`{"last_activity":"yesterday"}`:            "Not a time: yesterday",
		`{"servers":{"":{}}}`:                      "Not a time: ",
		`{"servers":{"":{"last_activity":""}}}`:    "Not a time: ",
		fmt.Sprintf(`{"servers":{"":{"last_activity":%q},"zz":{"last_activity":"bad"}}}`, now(0)): "Not a time: bad",
	} {
		post(body).wantError(400, message)
	}
	if got := server(); !got.Equal(before) {
		t.Errorf("a report that was refused moved the server's last activity to %s", got)
	}
	post(fmt.Sprintf(`{"last_activity":%q}`, now(60*time.Minute))).want(400)
}

// A request with a user's token is activity of the user, as in JupyterHub, but not what a server asks by itself.
func TestRequestsAreActivity(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	active := func() time.Time {
		t.Helper()
		u, err := h.accounts.Get(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		return u.LastActivity
	}
	h.do("GET", "/hub/api/user", "", as(h.ownToken(alice, ""))).want(200)
	if got := active(); !got.IsZero() {
		t.Errorf("after a request of alice's server she was active at %s", got)
	}
	var model struct {
		LastActivity time.Time `json:"last_activity"`
	}
	before, secret := time.Now(), as(h.token(alice))
	h.do("GET", "/hub/api/user", "", secret).want(200).into(&model)
	first := active()
	if first.Before(before) || first.After(time.Now()) || !model.LastActivity.Equal(first.Truncate(time.Microsecond)) {
		t.Errorf("after her request she was active at %s, and the answer says %s", first, model.LastActivity)
	}
	h.do("GET", "/hub/api/user", "", secret).want(200)
	if got := active(); !got.Equal(first) {
		t.Errorf("the next request was worth a write: %s", got)
	}
}
