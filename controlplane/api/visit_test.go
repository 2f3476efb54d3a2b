package api

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

const (
	aliceAt = "alice.hub.example.org"
	state   = "0123456789abcdef0123456789abcdef"
)

// withHosts gives the API's users a host each.
func withHosts(t *testing.T) func(*Options) {
	t.Helper()
	hosts, err := routes.NewHosts("https://hub.example.org", "hub.example.org")
	if err != nil {
		t.Fatal(err)
	}
	return func(o *Options) { o.Hosts = hosts }
}

func (h *testHub) redeem(code, host, state string) answer {
	h.t.Helper()
	return h.do("POST", "/hub/api/edge/redeem", toJSON(map[string]string{"code": code, "host": host, "state": state}))
}

// visit makes a code for a session of u.
func (h *testHub) visit(u hub.User) (code string, session hub.Session) {
	h.t.Helper()
	session, _, err := h.tokens.StartSession(h.t.Context(), u)
	if err != nil {
		h.t.Fatal(err)
	}
	code, err = h.tokens.StartVisit(h.t.Context(), session, aliceAt, state, "/user/alice/lab")
	if err != nil {
		h.t.Fatal(err)
	}
	return code, session
}

func TestACodeIsRedeemedOnce(t *testing.T) {
	t.Parallel()
	h := newHub(t, withHosts(t))
	bob := h.user("bob", false)
	code, session := h.visit(bob)
	var good atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			a := h.redeem(code, aliceAt, state)
			if a.status != 200 {
				a.wantError(403, "This code is not valid.")
				return
			}
			good.Add(1)
			c := h.claims(a)
			if c.Host != aliceAt || c.Session != session.ID || c.UserID != bob.ID || !strings.Contains(a.body, `"next":"/user/alice/lab"`) {
				t.Errorf("claims %+v, answer %s", c, a.body)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 {
		t.Errorf("the code was good %d times", good.Load())
	}
}

func TestACodeIsGoodWhereItWasMadeForOnly(t *testing.T) {
	t.Parallel()
	h := newHub(t, withHosts(t))
	bob := h.user("bob", false)
	other := strings.Repeat("0", 32)
	for what, use := range map[string]func(code string) answer{
		"another host":  func(code string) answer { return h.redeem(code, "bob.hub.example.org", state) },
		"another state": func(code string) answer { return h.redeem(code, aliceAt, other) },
	} {
		code, _ := h.visit(bob)
		a := use(code)
		a.what = what
		a.wantError(403, "This code is not valid.")
		a = h.redeem(code, aliceAt, state)
		a.what = "the right place after " + what
		a.wantError(403, "This code is not valid.")
	}
	code, session := h.visit(bob)
	if err := h.tokens.EndSession(t.Context(), bob.ID, session.ID); err != nil {
		t.Fatal(err)
	}
	h.redeem(code, aliceAt, state).wantError(403, "You are not signed in.")
}

func TestEdgeTokensKeepTheirHost(t *testing.T) {
	t.Parallel()
	h := newHub(t, withHosts(t))
	alice := h.user("alice", false)
	code, _ := h.visit(alice)
	var first edgeAnswer
	h.redeem(code, aliceAt, state).want(200).into(&first)
	if c := h.claims(h.edge("renew", first.Token)); c.Host != aliceAt {
		t.Errorf("renewed: %+v", c)
	}
	secret := h.token(alice)
	exchange := func(host string) answer {
		return h.do("POST", "/hub/api/edge/exchange", toJSON(map[string]string{"token": secret, "host": host}))
	}
	if c := h.claims(exchange(aliceAt)); c.Host != aliceAt || c.Token == "" {
		t.Errorf("exchanged: %+v", c)
	}
	if c := h.claims(exchange("")); c.Host != "" {
		t.Errorf("exchanged for the hub's own host: %+v", c)
	}
	for _, host := range []string{"hub.example.org", "evil.test", "a.b.hub.example.org", "alice.hub.example.org:8443"} {
		exchange(host).wantError(400, "This is not a user's host.")
	}
}

func TestAddressesOfServersOnTheirHosts(t *testing.T) {
	t.Parallel()
	h := newHub(t, withHosts(t))
	secret := h.token(h.user("alice", false))
	h.do("POST", "/hub/api/users/alice/servers/srv", "", as(secret)).want(201)
	var got struct {
		Servers map[string]struct {
			URL             string `json:"url"`
			FullURL         string `json:"full_url"`
			ProgressURL     string `json:"progress_url"`
			FullProgressURL string `json:"full_progress_url"`
		} `json:"servers"`
	}
	h.do("GET", "/hub/api/users/alice", "", as(secret)).want(200).into(&got)
	const at, progress = "https://alice.hub.example.org/user/alice/srv/", "/hub/api/users/alice/servers/srv/progress"
	if s := got.Servers["srv"]; s.URL != at || s.FullURL != at || s.ProgressURL != progress || s.FullProgressURL != "https://hub.example.org"+progress {
		t.Errorf("server = %+v", s)
	}
}
