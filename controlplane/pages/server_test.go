package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
)

const noAccess = "No access to resources or resources not found"

func TestPagesOfAServerThatIsNotRunning(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	nobody, b := s.browser(), s.signedIn(alice)
	gone := func(path string) string {
		return "JupyterHub server no longer running at " + path + ". Restart the server at http://hub.example/hub/spawn/alice"
	}

	page := b.get("/hub/user/alice/lab/tree/a%20b?x=1").wantText(http.StatusFailedDependency, "Your server is not running")
	if got := page.actions(); len(got) != 1 || got[0] != "/hub/spawn/alice?next=%2Fuser%2Falice%2Flab%2Ftree%2Fa%2520b" {
		t.Errorf("the page's form goes to %q", got)
	}
	b.with("Accept", "application/json").get("/hub/user/alice/lab").wantJSON(424, gone("/user/alice/lab"))
	b.with("Accept", "").get("/hub/user/alice/lab").wantJSON(424, gone("/user/alice/lab"))
	b.get("/hub/user/alice/api/kernels").wantJSON(424, gone("/user/alice/api/kernels"))
	b.get("/hub/user/alice/api").wantJSON(424, gone("/user/alice/api"))
	b.do("POST", "/hub/user/alice/lab", url.Values{}).wantJSON(424, gone("/user/alice/lab"))
	nobody.with("Accept", "application/json").get("/hub/user/alice/lab").wantJSON(403, "Missing or invalid credentials.")

	// What edges pass on as it is: programs get their answer at once, people go to the hub.
	nobody.with("Accept", "application/json").get("/user/alice/api/kernels?x=1").wantJSON(424, gone("/user/alice/api/kernels"))
	nobody.do("POST", "/user/alice/api/kernels", nil).wantJSON(424, gone("/user/alice/api/kernels"))
	b.with("X-Forwarded-Proto", "https", "Accept", "application/json").get("/user/alice/lab").
		wantJSON(424, strings.Replace(gone("/user/alice/lab"), "http:", "https:", 1))
	b.get("/user/alice/lab").wantTo(http.StatusFound, "/hub/user/alice/lab")

	// API tokens are as good as a session here, and always a program's.
	_, secret, err := s.tokens.Issue(t.Context(), hub.Token{User: alice.Name, UserID: alice.ID, Scopes: []string{"inherit"}})
	if err != nil {
		t.Fatal(err)
	}
	nobody.with("Authorization", "token "+secret).get("/hub/user/alice/lab").wantJSON(424, gone("/user/alice/lab"))
	nobody.with("Authorization", "token nope", "Accept", "application/json").get("/hub/user/alice/lab").
		wantJSON(403, "Missing or invalid credentials.")
	nobody.with("Authorization", "token nope").get("/hub/user/alice/lab").want(http.StatusFound)
	_, narrow, err := s.tokens.Issue(t.Context(), hub.Token{User: alice.Name, UserID: alice.ID, Scopes: []string{"read:users!user=alice"}})
	if err != nil {
		t.Fatal(err)
	}
	nobody.with("Authorization", "token "+narrow).get("/hub/user/alice/lab").want(http.StatusNotFound)
	if s.state(alice, "") != hub.Stopped {
		t.Error("a look at the page started the server")
	}
}

func TestServersOfOthers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice, bob := s.user("alice", false, ""), s.user("bob", false, "")
	root := s.user("root", true, "")
	s.running(bob, "srv")
	a := s.signedIn(alice)
	for _, path := range []string{"/hub/user/%s/lab", "/hub/user/%s/srv/lab", "/hub/spawn/%s", "/hub/spawn/%s/srv", "/hub/spawn-pending/%s", "/hub/spawn-pending/%s/srv"} {
		a.get(fmt.Sprintf(path, "bob")).wantText(404, noAccess)
		a.get(fmt.Sprintf(path, "nobody")).wantText(404, noAccess) // the same, whether or not there is such a user
	}
	for _, path := range []string{"/hub/spawn/bob", "/hub/spawn/bob/srv", "/hub/stop/bob", "/hub/stop/bob/srv", "/hub/stop/nobody"} {
		a.post(path).wantText(404, noAccess)
	}
	if s.state(bob, "srv") != hub.Running || s.state(bob, "") != hub.Stopped {
		t.Error("somebody else's request changed the server")
	}

	r := s.signedIn(root)
	r.get("/hub/user/bob/lab").wantText(http.StatusFailedDependency, "bob’s server is not running")
	r.get("/hub/spawn/nobody").wantText(404, noAccess)
	r.post("/hub/spawn/bob").want(http.StatusFound)
	s.await(bob, "", hub.Running)
	r.post("/hub/stop/bob").wantTo(http.StatusFound, "/hub/home")
	s.await(bob, "", hub.Stopped)
}

func TestSpawnPage(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	b := s.signedIn(alice)
	for _, path := range []string{"/hub/spawn", "/hub/spawn/alice"} {
		page := b.get(path+"?next=%2Fuser%2Falice%2Flab").wantText(http.StatusOK, "Your server is not running")
		if got := page.actions(); len(got) != 1 || got[0] != "/hub/spawn/alice?next=%2Fuser%2Falice%2Flab" {
			t.Errorf("the page's form goes to %q", got)
		}
	}
	for what, form := range map[string]url.Values{"no token": {}, "a made-up token": {"_xsrf": {"x.y"}}} {
		v := b.do("POST", "/hub/spawn", form)
		v.what += " with " + what
		v.wantText(http.StatusForbidden)
	}
	b.with("Sec-Fetch-Site", "cross-site").post("/hub/spawn").want(http.StatusForbidden)
	b.get("/hub/spawn/alice/Not-OK").wantText(http.StatusBadRequest, "Invalid server_name")
	if s.state(alice, "") != hub.Stopped {
		t.Fatal("the server was started")
	}

	s.runtime.set(func(rt *runtime) { rt.status = http.StatusBadGateway })
	b.post("/hub/spawn?next=%2Fuser%2Falice%2Flab").wantTo(http.StatusFound, "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab")
	b.post("/hub/spawn?next=%2F%2Fevil.example").wantTo(http.StatusFound, "/hub/spawn-pending/alice") // a second click
	b.get("/hub/spawn?next=%2Fuser%2Falice%2Flab").wantTo(http.StatusFound, "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab")
	b.get("/hub/user/alice/lab").wantTo(http.StatusSeeOther, "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab")
	b.with("Accept", "application/json").get("/hub/user/alice/lab").want(http.StatusFailedDependency)
	s.runtime.set(func(rt *runtime) { rt.status = http.StatusOK })
	s.await(alice, "", hub.Running)
	b.get("/hub/spawn?next=%2Fuser%2Falice%2Flab").wantTo(http.StatusFound, "/user/alice/lab")
	b.get("/hub/spawn").wantTo(http.StatusFound, "/user/alice/")
	b.post("/hub/spawn").wantTo(http.StatusFound, "/user/alice/")

	b.post("/hub/spawn/alice/srv").wantTo(http.StatusFound, "/hub/spawn-pending/alice/srv")
	s.await(alice, "srv", hub.Running)
}

func TestPendingPageFollowsTheServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	b := s.signedIn(alice)
	const path = "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab"
	b.get(path).wantText(http.StatusOK, "Your server is not running")

	s.runtime.set(func(rt *runtime) { rt.status = http.StatusBadGateway })
	s.start(alice, "")
	page := b.get(path).wantText(http.StatusOK, "Your server is starting", "Server requested")
	for _, want := range []string{`data-progress-url="/hub/api/users/alice/server/progress"`, `data-next-url="/user/alice/lab"`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if evil := b.get("/hub/spawn-pending/alice?next=%2F%2Fevil.example"); !strings.Contains(evil.body, `data-next-url="/user/alice/"`) {
		t.Errorf("the page carries another site's address on: %s", evil.body)
	}
	s.runtime.set(func(rt *runtime) { rt.status = http.StatusOK })
	s.await(alice, "", hub.Running)
	b.get(path).wantTo(http.StatusFound, "/user/alice/lab")
	b.get("/hub/spawn-pending/alice").wantTo(http.StatusFound, "/user/alice/")
	b.get("/hub/home").wantText(http.StatusOK, "Running")

	gate := make(chan struct{})
	s.runtime.set(func(rt *runtime) { rt.stop = gate })
	b.do("POST", "/hub/stop/alice", nil).want(http.StatusForbidden)
	b.post("/hub/stop/alice").wantTo(http.StatusFound, "/hub/home")
	b.get(path).wantText(http.StatusOK, "stopping")
	b.get("/hub/user/alice/lab").wantTo(http.StatusSeeOther, "/hub/spawn-pending/alice?next=%2Fuser%2Falice%2Flab")
	b.post("/hub/spawn").want(http.StatusFound)
	close(gate)
	s.await(alice, "", hub.Stopped)
	b.get(path).wantText(http.StatusOK, "Your server is not running")

	s.runtime.set(func(rt *runtime) { rt.stop, rt.fail = nil, hub.Errorf(hub.Unavailable, "The disk is <full>.") })
	s.start(alice, "")
	s.await(alice, "", hub.Stopped)
	b.get(path).wantText(http.StatusInternalServerError, "did not start", "The disk is <full>.")
	b.get("/hub/user/alice/lab").wantText(http.StatusFailedDependency, "The disk is <full>.")
	b.get("/hub/home").wantText(http.StatusOK, "Failed", "The disk is <full>.")
}

func TestServerThatRunsByNow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	s.running(alice, "")
	b := s.signedIn(alice)
	b.get("/hub/user/alice/lab?x=1").wantTo(http.StatusFound, "/user/alice/lab?redirects=1&x=1")
	b.with("Accept", "application/json").get("/hub/user/alice/api/status").wantTo(http.StatusFound, "/user/alice/api/status?redirects=1")
	for _, path := range []string{"/hub/user/alice//evil.example", "/hub/user//evil.example/"} {
		if to := b.get(path).header.Get("Location"); strings.HasPrefix(to, "//") {
			t.Errorf("GET %s leads to %q", path, to)
		}
	}
}

// A front door that does not know the route yet must not send the browser round for ever.
func TestRedirectLoopEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	s.running(alice, "")
	b := s.signedIn(alice)
	path, start := "/user/alice/lab", time.Now()
	for hop := 1; hop <= maxRedirects; hop++ {
		v := b.get("/hub" + path).want(http.StatusFound)
		path = v.header.Get("Location")
		if want := fmt.Sprintf("/user/alice/lab?redirects=%d", hop); path != want {
			t.Fatalf("hop %d leads to %q, want %q", hop, path, want)
		}
	}
	b.get("/hub"+path).wantText(http.StatusInternalServerError, "Redirect loop detected.")
	if took := time.Since(start); took < time.Second {
		t.Errorf("it took only %s: too little for a route to arrive", took)
	}
	b.get("/hub/user/alice/lab?redirects=-1").wantTo(http.StatusFound, "/user/alice/lab?redirects=0")
	b.get("/hub/user/alice/lab?redirects=x").wantTo(http.StatusFound, "/user/alice/lab?redirects=1")
	b.get("/hub/user/alice/lab?redirects=99999999999999999999").want(http.StatusInternalServerError)
}

func TestNamedServers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	alice := s.user("alice", false, "")
	s.running(alice, "")
	s.runtime.set(func(rt *runtime) { rt.status = http.StatusBadGateway })
	s.start(alice, "srv")
	b := s.signedIn(alice)
	b.get("/hub/user/alice/srv/lab").wantTo(http.StatusSeeOther, "/hub/spawn-pending/alice/srv?next=%2Fuser%2Falice%2Fsrv%2Flab")
	b.get("/hub/user/alice/lab").wantTo(http.StatusFound, "/user/alice/lab?redirects=1")
	page := b.get("/hub/spawn-pending/alice/srv").want(http.StatusOK)
	if !strings.Contains(page.body, `data-progress-url="/hub/api/users/alice/servers/srv/progress"`) {
		t.Error("the page follows another server")
	}
	b.post("/hub/stop/alice/srv").want(http.StatusFound)
	s.await(alice, "srv", hub.Stopped)
	b.get("/hub/user/alice/srv/lab").wantText(http.StatusFailedDependency, "srv")
	if s.state(alice, "") != hub.Running {
		t.Error("the default server was stopped")
	}
}
