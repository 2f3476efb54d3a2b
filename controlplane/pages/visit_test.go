package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
	"github.com/edgehub/edgehub/routes"
)

func newSiteWithHosts(t *testing.T) *site {
	t.Helper()
	hosts, err := routes.NewHosts("https://hub.example", "hub.example")
	if err != nil {
		t.Fatal(err)
	}
	st, _ := storetest.Open(t)
	return siteOver(t, st, hosts)
}

func visitURL(host, next, state string) string {
	return "/hub/edge/visit?" + url.Values{"host": {host}, "next": {next}, "state": {state}}.Encode()
}

const visitState = "0123456789abcdef0123456789abcdef"

func TestAVisitOfAUsersHost(t *testing.T) {
	t.Parallel()
	s := newSiteWithHosts(t)
	bob := s.user("bob", false, password)
	b := s.browser()
	there := visitURL("alice.hub.example", "/user/alice/lab?x=1", visitState)
	// Signing in comes first, and leads back.
	login := b.get(there).want(http.StatusFound).header.Get("Location")
	if login != "/hub/login?next="+url.QueryEscape(there) {
		t.Fatalf("without a session it leads to %q", login)
	}
	b.post(login, "username", "bob", "password", password).wantTo(http.StatusFound, there)

	to := b.get(there).want(http.StatusFound).header.Get("Location")
	back, err := url.Parse(to)
	if err != nil || !strings.HasPrefix(to, "https://alice.hub.example/.edgehub/visit?") || back.Query().Get("state") != visitState {
		t.Fatalf("it leads to %q", to)
	}
	v, err := s.tokens.RedeemVisit(t.Context(), back.Query().Get("code"), "alice.hub.example", visitState)
	session, _ := b.session()
	if err != nil || v.Next != "/user/alice/lab?x=1" || v.UserID != bob.ID || v.Session != session.ID {
		t.Errorf("the code stands for %+v, %v", v, err)
	}

	for _, away := range awayFromHere {
		to, err := url.Parse(b.get(visitURL("alice.hub.example", away, visitState)).want(http.StatusFound).header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		if v, err := s.tokens.RedeemVisit(t.Context(), to.Query().Get("code"), "alice.hub.example", visitState); err != nil || v.Next != "" {
			t.Errorf("next=%q became %q, %v", away, v.Next, err)
		}
	}
	for _, host := range []string{"", "hub.example", "evil.example", "evil.example/.hub.example", "alice.hub.example.evil.example", "a.b.hub.example",
		"alice.hub.example:8443", "alice@evil.example", "ALICE.hub.example", ".hub.example"} {
		b.get(visitURL(host, "/", visitState)).want(http.StatusNotFound)
	}
	for _, state := range []string{"", "x", visitState + "0", strings.ToUpper(visitState), strings.Repeat("/", 32)} {
		b.get(visitURL("alice.hub.example", "/", state)).want(http.StatusNotFound)
	}
	// Scripts and frames of any host get nothing.
	for _, dest := range []string{"empty", "iframe", "image", "script"} {
		b.with("Sec-Fetch-Dest", dest).get(there).want(http.StatusForbidden)
	}
}

func TestThereAreNoVisitsOnOneOrigin(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.signedIn(s.user("alice", false, "")).get(visitURL("alice.hub.example", "/", visitState)).want(http.StatusNotFound)
}

func TestPagesLeadToTheUsersHost(t *testing.T) {
	t.Parallel()
	s := newSiteWithHosts(t)
	alice := s.user("alice", false, "")
	b := s.signedIn(alice)
	const at = "https://alice.hub.example/user/alice/"
	b.get("/hub/user-redirect/lab?x=1").wantTo(http.StatusFound, "/hub/spawn/alice?next=%2Fuser%2Falice%2Flab%3Fx%3D1")
	s.running(alice, "")
	b.get("/hub/").wantTo(http.StatusFound, at)
	b.get("/hub/spawn/alice?next=%2Fuser%2Falice%2Flab%3Fx%3D1").wantTo(http.StatusFound, at+"lab?x=1")
	b.get("/hub/spawn/alice").wantTo(http.StatusFound, at)
	b.post("/hub/spawn").wantTo(http.StatusFound, at)
	b.get("/hub/user/alice/lab").wantTo(http.StatusFound, at+"lab?redirects=1")
	home := b.get("/hub/home").want(http.StatusOK)
	if !strings.Contains(home.body, `href="`+at+`"`) {
		t.Errorf("the home page does not link to %s", at)
	}
	if csp := home.header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "form-action 'self' https://*.hub.example") {
		t.Errorf("forms may not lead to users' hosts: %s", csp)
	}
	s.start(alice, "lab2")
	s.await(alice, "lab2", hub.Running)
	b.get("/hub/spawn-pending/alice/lab2").wantTo(http.StatusFound, at+"lab2/")
}
