package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/edgehub/edgehub/test/env"
)

// providers is a hub with two login providers beside passwords: "school", where people have passwords and are known by their
// address, and "lab", which tells groups and where headers say who somebody is.
type providers struct {
	*env.World
	school, lab *env.Dex
}

func newProviders(t *testing.T) *providers {
	t.Helper()
	p := &providers{school: env.NewDex(t), lab: env.NewDex(t)}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(env.DexSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.World = env.New(t, env.Options{Public: true, Config: fmt.Sprintf(`
login:
  - name: school
    display_name: Example School
    issuer: %[1]s
    client_id: hub
    client_secret_file: %[3]s
    username_claim: email
    email_domains: [example.org]
    strip_domain: true
    adopt_users: true
    allowed_users: [alice, bob, mallory]
    blocked_users: [Mallory]
  - name: lab
    issuer: %[2]s
    client_id: hub
    client_secret_file: %[3]s
    scopes: [profile, email, groups]
    authorize_params: {connector_id: proxy}
    groups_claim: groups
    groups_pattern: ^(staff|ops|physics)$
    allowed_groups: [staff]
    admin_groups: [ops]
`, p.school.Issuer, p.lab.Issuer, secret)})
	p.school.Serve(p.URL("/hub/oauth_callback"), "alice@example.org", "bob@example.org", "carol@example.org", "mallory@example.org", "eve@evil.example")
	p.lab.Serve(p.URL("/hub/oauth_callback/lab"))
	return p
}

// follow is a browser that goes where it is sent, at most until an address that starts with stop. person are its headers at
// the provider lab. It returns the last answer and its address.
func (p *providers) follow(t *testing.T, c *env.Client, address, stop string, person http.Header) (*env.Response, string) {
	t.Helper()
	for range 12 {
		if stop != "" && strings.HasPrefix(address, stop) {
			return nil, address
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(address, p.lab.Issuer) {
			req.Header = person.Clone()
		}
		req.Header.Set("Accept", "text/html")
		resp, err := c.HTTP.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		to, err := resp.Location()
		if err != nil {
			return &env.Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, address
		}
		address = to.String()
	}
	t.Fatalf("no end of redirects, the last to %s", address)
	return nil, ""
}

// callback is the address with which lab sends a person back to the hub, and the browser that signs in.
func (p *providers) callback(t *testing.T, person http.Header) (*env.Client, string) {
	t.Helper()
	c := p.Anonymous()
	_, at := p.follow(t, c, p.URL("/hub/oauth_login/lab?next=%2Fhub%2Fhome"), p.URL("/hub/oauth_callback/lab"), person)
	return c, at
}

// user is what the API says of a user.
func (p *providers) user(t *testing.T, name string) (status int, groups string, admin bool) {
	t.Helper()
	status, body := p.API(t, http.MethodGet, "/users/"+name, nil)
	var model struct {
		Groups []string `json:"groups"`
		Admin  bool     `json:"admin"`
	}
	(&env.Response{Body: body}).JSON(t, &model)
	return status, strings.Join(model.Groups, " "), model.Admin
}

func refusal(t *testing.T, what string, resp *env.Response, status int, text string) {
	t.Helper()
	if resp.Status != status || !strings.Contains(string(resp.Body), text) {
		t.Errorf("%s: %d %s\nwant %d and %q", what, resp.Status, resp.Body, status, text)
	}
	if !strings.Contains(string(resp.Body), "Try again") {
		t.Errorf("%s: nothing on the page tries again", what)
	}
}

func TestLoginProviders(t *testing.T) {
	t.Parallel()
	p := newProviders(t)
	t.Run("browser", p.inBrowser)
	t.Run("groups", p.groups)
	t.Run("names belong to one identity", p.identities)
	t.Run("callbacks", p.callbacks)
	t.Run("replicas", p.replicas)
	t.Run("down", p.down)
}

// inBrowser is a person who signs in with the keyboard, mistypes, and comes to the page that was asked for.
func (p *providers) inBrowser(t *testing.T) {
	b := env.OpenBrowser(t)
	at := func(path string) {
		t.Helper()
		b.Wait("the hub's page "+path, fmt.Sprintf("location.origin === %q && location.pathname === %q && document.readyState === 'complete'", p.URL(""), path))
	}
	enter := func(email, password string) {
		t.Helper()
		if b.WaitSeen("#login, a[href*='/dex/auth/local']"); !b.Sees("#login") { // it has another way in, too
			b.Click("a[href*='/dex/auth/local']")
		}
		b.Click("#login")
		b.Press("a", chromedp.ModifierCtrl)
		b.Type(email)
		b.Click("#password")
		b.Type(password)
		b.Press(kb.Enter)
	}
	b.Go(p.URL("/hub/spawn"))
	at("/hub/login")
	b.Shot("login")
	b.Size(390, 780, true)
	b.Shot("login-phone")
	b.Size(1280, 800, false)
	for range 3 { // past "Skip to content" and the logo
		b.Press(kb.Tab)
	}
	if got := env.Eval[string](b, "document.activeElement.id"); got != "login-school" {
		t.Errorf("the third stop of the Tab key is %q", got)
	}
	b.Press(kb.Enter)
	enter("alice@example.org", "wrong")
	b.WaitSeen("#login-error")
	enter("alice@example.org", env.DexPassword)
	b.Wait("a page of the hub", fmt.Sprintf("location.origin === %q && !!document.querySelector('.who')", p.URL("")))
	if got := b.Text(".who b"); got != "alice" {
		t.Errorf("signed in as %q", got)
	}
	if got := b.Path(); got == "/hub/home" {
		t.Error("not where it wanted to go")
	}
	b.Go(p.URL("/hub/home"))
	b.Click("#logout")
	at("/hub/login")

	for _, c := range []struct{ email, want string }{
		{"carol@example.org", "You are not allowed to sign in here, carol. Ask your administrator to let you in."},
		{"mallory@example.org", "You are not allowed to sign in here, mallory."},
		{"eve@evil.example", "You are not allowed to sign in here with an e-mail address of evil.example."},
	} {
		b.Go(p.URL("/hub/login"))
		b.Click("#login-school")
		enter(c.email, env.DexPassword)
		at("/hub/oauth_callback")
		b.Wait(c.want, fmt.Sprintf("document.body.innerText.includes(%q)", c.want))
		b.Shot("refused")
	}
	b.Click("main .button.primary")
	at("/hub/login")
	if status, _, _ := p.user(t, "carol"); status != http.StatusNotFound {
		t.Errorf("carol was made a user: %d", status)
	}
	for _, m := range b.Messages("/hub") {
		if !strings.Contains(m.Text, "403") {
			t.Errorf("console: %s", m)
		}
	}
}

// groups are what the provider says at each sign-in: who is let in, who is an administrator, and who is so no more.
func (p *providers) groups(t *testing.T) {
	for _, step := range []struct {
		groups string
		status int
		want   string
		admin  bool
	}{
		{"physics", http.StatusForbidden, "", false},
		{"staff,physics,others", http.StatusOK, "physics staff", false},
		{"staff,ops", http.StatusOK, "ops staff", true},
		{"staff", http.StatusOK, "staff", false},
		{"", http.StatusForbidden, "staff", false}, // not signed in, so nothing is known anew
	} {
		c := p.Anonymous()
		resp, at := p.follow(t, c, p.URL("/hub/oauth_login/lab?next=%2Fhub%2Fhome"), "", p.lab.Person("7", "Grace", step.groups))
		if resp.Status != step.status || step.status == http.StatusOK && at != p.URL("/hub/home") {
			t.Fatalf("groups %q: at %s: %s", step.groups, at, resp)
		}
		if step.want == "" {
			continue
		}
		if status, groups, admin := p.user(t, "grace"); status != http.StatusOK || groups != step.want || admin != step.admin {
			t.Errorf("groups %q: %d, groups %q, admin %t", step.groups, status, groups, admin)
		}
	}
}

// identities: a name is whose it was first, and neither another provider nor another person at this one gets it.
func (p *providers) identities(t *testing.T) {
	p.AddUser(t, "heidi") // with a password
	if status, body := p.API(t, http.MethodPost, "/users/ivan", nil); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	for _, c := range []struct{ what, id, name string }{
		{"another provider's alice", "1", "alice"},
		{"in capitals", "1", "ALICE"},
		{"another person of that name at the same provider", "8", "grace"},
		{"a user with a password", "9", "heidi"},
		{"a user that somebody made, by a provider that may not adopt", "10", "ivan"},
	} {
		resp, _ := p.follow(t, p.Anonymous(), p.URL("/hub/oauth_login/lab"), "", p.lab.Person(c.id, c.name, "staff"))
		refusal(t, c.what, resp, http.StatusForbidden, "belongs to somebody else here")
	}
	resp, _ := p.follow(t, p.Anonymous(), p.URL("/hub/oauth_login/lab"), "", p.lab.Person("11", "Kilgore Trout", "staff"))
	refusal(t, "a name with a space", resp, http.StatusForbidden, "cannot be a user name here")
	p.Login(t, "heidi")
}

// callbacks: the address with which a provider sends a browser back is good once, in that browser, for that provider.
func (p *providers) callbacks(t *testing.T) {
	const stale, used = "does not belong to this browser", "has been used already"
	judy := p.lab.Person("20", "judy", "staff")

	c, at := p.callback(t, judy)
	resp, _ := p.follow(t, p.Anonymous(), at, "", nil)
	refusal(t, "in a browser that did not start it", resp, http.StatusBadRequest, stale)
	victim, _ := p.callback(t, judy)
	resp, _ = p.follow(t, victim, at, "", nil)
	refusal(t, "in a browser that started another", resp, http.StatusBadRequest, stale)
	resp, _ = p.follow(t, c, strings.Replace(at, "/oauth_callback/lab", "/oauth_callback", 1), "", nil)
	refusal(t, "at another provider's address", resp, http.StatusBadRequest, stale)
	resp, _ = p.follow(t, c, strings.Replace(at, "state=", "state=A", 1), "", nil)
	refusal(t, "with a changed state", resp, http.StatusBadRequest, stale)
	resp, _ = p.follow(t, c, at+"&iss="+url.QueryEscape(p.school.Issuer), "", nil)
	refusal(t, "with another issuer", resp, http.StatusBadRequest, stale)
	if resp, end := p.follow(t, c, at, "", nil); resp.Status != http.StatusOK || end != p.URL("/hub/home") {
		t.Fatalf("in its own browser: at %s: %s", end, resp)
	}
	resp, _ = p.follow(t, c, at, "", nil)
	refusal(t, "once more", resp, http.StatusBadRequest, used)

	for code, want := range map[string]struct {
		status int
		text   string
	}{
		"error=access_denied&error_description=Call%20555": {http.StatusForbidden, "lab did not sign you in"},
		"error=temporarily_unavailable":                    {http.StatusServiceUnavailable, "lab does not answer"},
		"error=invalid_scope":                              {http.StatusBadGateway, "cannot use"},
		"code=forged":                                      {http.StatusBadRequest, "did not accept this sign-in"},
		"":                                                 {http.StatusBadGateway, "cannot use"},
	} {
		c, at := p.callback(t, judy)
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		u.RawQuery = "state=" + u.Query().Get("state") + "&" + code
		resp, _ := p.follow(t, c, u.String(), "", nil)
		refusal(t, code, resp, want.status, want.text)
		if strings.Contains(string(resp.Body), "555") {
			t.Errorf("%s: the page shows what anybody could have written", code)
		}
	}
	resp, _ = p.follow(t, p.Anonymous(), p.URL("/hub/oauth_login/lab?next=%2F%2Fevil.example%2F"), "", p.lab.Person("20", "judy", "staff"))
	if resp.Status != http.StatusOK {
		t.Errorf("with a foreign place to go to: %s", resp)
	}
}

// replicas: the one that a browser starts at need not be the one that it comes back to.
func (p *providers) replicas(t *testing.T) {
	replica, other := p.AddHub(t)
	defer replica.Stop()
	c, at := p.callback(t, p.lab.Person("30", "kim", "staff"))
	elsewhere := strings.Replace(at, p.URL(""), other, 1)
	resp, _ := p.follow(t, c, elsewhere, other+"/hub/home", nil)
	if resp != nil {
		t.Fatalf("started at one replica, back at another: %s", resp)
	}
	resp, _ = p.follow(t, c, at, "", nil)
	refusal(t, "used at one replica, once more at another", resp, http.StatusBadRequest, "has been used already")
	if c.Cookie("edgehub-session") == "" {
		t.Error("no session")
	}
	if home := c.Page(t, "/hub/home"); home.Status != http.StatusOK || !strings.Contains(string(home.Body), "Hello, kim") {
		t.Errorf("home: %s", home)
	}
}

// down: without a provider the hub goes on, and says so to who wants to use it; when it is back, nothing has to be restarted.
func (p *providers) down(t *testing.T) {
	p.lab.Stop()
	p.Hub.Stop()
	p.Hub.Start() // it knows nothing of the provider
	env.Eventually(t, "the front door has found the hub", 20*time.Second, func() error {
		if resp := p.Anonymous().Get(t, "/hub/health"); resp.Status != http.StatusOK {
			return fmt.Errorf("%s", resp)
		}
		return nil
	})
	resp := p.Anonymous().Page(t, "/hub/oauth_login/lab?next=%2Fhub%2Fhome")
	refusal(t, "start", resp, http.StatusServiceUnavailable, "lab does not answer at the moment")
	if !strings.Contains(string(resp.Body), `href="/hub/login?next=%2Fhub%2Fhome"`) || resp.Header.Get("Retry-After") == "" {
		t.Errorf("the page does not say how to go on: %s", resp)
	}
	p.AddUser(t, "lena")
	p.Login(t, "lena")
	p.lab.Start()
	env.Eventually(t, "lab is used again", 20*time.Second, func() error {
		resp, at := p.follow(t, p.Anonymous(), p.URL("/hub/oauth_login/lab?next=%2Fhub%2Fhome"), "", p.lab.Person("40", "max", "staff"))
		if resp.Status != http.StatusOK || at != p.URL("/hub/home") {
			return fmt.Errorf("%s: %s", at, resp)
		}
		return nil
	})
}
