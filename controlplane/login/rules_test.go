package login

import (
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		change func(*Provider)
		want   string
	}{
		{"nothing wrong", func(*Provider) {}, ""},
		{"administrators only", func(p *Provider) { p.AllowAll, p.AdminUsers = false, []string{"root"} }, ""},
		{"a name for addresses", func(p *Provider) { p.Name = "My School" }, "a-z, 0-9 and hyphens"},
		{"no issuer", func(p *Provider) { p.Issuer = "" }, "https://HOST/PATH"},
		{"an issuer without TLS", func(p *Provider) { p.Issuer = "http://op.example.org" }, "use https://"},
		{"an issuer that looks like this machine", func(p *Provider) { p.Issuer = "http://localhost.example.org" }, "use https://"},
		{"no client", func(p *Provider) { p.ClientID = "" }, "client_id"},
		{"a parameter of ours", func(p *Provider) { p.AuthorizeParams = map[string]string{"state": "x"} }, "remove it"},
		{"nobody allowed", func(p *Provider) { p.AllowAll = false }, "nobody may sign in"},
		{"groups from nowhere", func(p *Provider) { p.AllowedGroups = []string{"x"} }, "groups_claim"},
		{"a bad pattern", func(p *Provider) { p.GroupsClaim, p.GroupsPattern = "g", "(" }, "regular expression"},
		{"a name that nobody can have", func(p *Provider) { p.BlockedUsers = []string{"a/b"} }, "cannot be a user name"},
		{"a mapped name that nobody can have", func(p *Provider) { p.UsernameMap = map[string]string{"any thing": ""} }, "cannot be a user name"},
		{"a prefix that nobody can have", func(p *Provider) { p.UsernamePrefix = "/" }, "no user name can begin"},
		{"many domains without any", func(p *Provider) {
			p.UsernameClaim, p.EmailDomains, p.StripDomain = "email", []string{"a.org", "b.org"}, true
		}, "exactly one"},
		{"a domain", func(p *Provider) { p.EmailDomains = []string{"@a.org"} }, "is no domain"},
	} {
		p := Provider{Name: "op", Issuer: "https://op.example.org", ClientID: "hub", AllowAll: true}
		c.change(&p)
		err := Check([]Provider{p}, "https://hub.test/")
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || hub.KindOf(err) != hub.Invalid) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
	p := Provider{Name: "op", Issuer: "http://127.0.0.1:5556", ClientID: "hub", AllowAll: true}
	auto := p
	auto.AutoLogin, auto.Name = true, "auto"
	for what, err := range map[string]error{
		"two of one name":        Check([]Provider{p, p}, "https://hub.test/"),
		"no public URL":          Check([]Provider{p}, ""),
		"several without asking": Check([]Provider{p, auto}, "https://hub.test/"),
	} {
		if hub.KindOf(err) != hub.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := Check(nil, ""); err != nil {
		t.Errorf("no providers at all: %v", err)
	}
}

// rules is a client that asks nobody.
func rules(t *testing.T, p Provider) *client {
	t.Helper()
	p.Name, p.Issuer, p.ClientID, p.AllowAll = "op", "https://op.test", "hub", true
	if err := Check([]Provider{p}, "https://hub.test/"); err != nil {
		t.Fatal(err)
	}
	c, err := newClient(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestUserNames(t *testing.T) {
	t.Parallel()
	mail := Provider{UsernameClaim: "email"}
	school := Provider{UsernameClaim: "email", EmailDomains: []string{"Example.org"}, StripDomain: true}
	for _, c := range []struct {
		what   string
		p      Provider
		claims claims
		want   hub.UserName // "" for refused
	}{
		{"as it is", Provider{}, claims{"preferred_username": "Alice"}, "alice"},
		{"another claim", Provider{UsernameClaim: "upn"}, claims{"upn": "alice@example.org"}, "alice@example.org"},
		{"a claim in another", Provider{UsernameClaim: "ext.login"}, claims{"ext": map[string]any{"login": "bob"}}, "bob"},
		{"mapped", Provider{UsernameMap: map[string]string{"J. Smith": "john"}, UsernamePrefix: "x-"}, claims{"preferred_username": "J. Smith"}, "john"},
		{"mapped in lower case", Provider{UsernameMap: map[string]string{"jsmith": "john"}}, claims{"preferred_username": "JSmith"}, "john"},
		{"with a prefix", Provider{UsernamePrefix: "gh-"}, claims{"preferred_username": "Bob"}, "gh-bob"},
		{"a Kelvin sign", Provider{UsernameMap: map[string]string{"kate": "root"}}, claims{"preferred_username": "\u212Aate"}, ""},
		{"a path", Provider{}, claims{"preferred_username": "../bob"}, ""},
		{"reserved", Provider{}, claims{"preferred_username": "hub"}, ""},
		{"a verified address", mail, claims{"email": "a@b.org", "email_verified": true}, "a@b.org"},
		{"verified, in words", mail, claims{"email": "a@b.org", "email_verified": "true"}, "a@b.org"},
		{"two signs in an address", mail, claims{"email": "a@b@c.org", "email_verified": true}, ""},
		{"not verified", mail, claims{"email": "a@b.org", "email_verified": false}, ""},
		{"nothing about it", mail, claims{"email": "a@b.org"}, ""},
		{"nothing about it, but trusted", Provider{UsernameClaim: "email", TrustEmail: true}, claims{"email": "a@b.org"}, "a@b.org"},
		{"of the domain", school, claims{"email": "Ann@example.ORG", "email_verified": true}, "ann"},
		{"of another domain", school, claims{"email": "ann@example.org.evil.test", "email_verified": true}, ""},
		{"of a domain below", school, claims{"email": "ann@x.example.org", "email_verified": true}, ""},
		{"two signs", school, claims{"email": "ann@evil.test@example.org", "email_verified": true}, ""},
		{"two signs, the other way", school, claims{"email": "ann@example.org@evil.test", "email_verified": true}, ""},
		{"nobody at the domain", school, claims{"email": "@example.org", "email_verified": true}, ""},
		{"a domain besides another name", Provider{EmailDomains: []string{"b.org"}}, claims{"preferred_username": "ann", "email": "x@b.org", "email_verified": true}, "ann"},
		{"that domain is another", Provider{EmailDomains: []string{"c.org"}}, claims{"preferred_username": "ann", "email": "x@b.org", "email_verified": true}, ""},
	} {
		got, err := rules(t, c.p).userName(c.claims)
		if got != c.want || (err == nil) != (c.want != "") || err != nil && hub.KindOf(err) != hub.Forbidden {
			t.Errorf("%s: %q, %v, want %q", c.what, got, err, c.want)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what   string
		p      Provider
		claims claims
		want   string // "!" for an error
	}{
		{"a list", Provider{GroupsClaim: "groups"}, claims{"groups": []any{"b", "a", "b"}}, "a b"},
		{"one", Provider{GroupsClaim: "groups"}, claims{"groups": "a"}, "a"},
		{"none", Provider{GroupsClaim: "groups"}, claims{}, ""},
		{"null", Provider{GroupsClaim: "groups"}, claims{"groups": nil}, ""},
		{"in another claim", Provider{GroupsClaim: "realm_access.roles"}, claims{"realm_access": map[string]any{"roles": []any{"a"}}}, "a"},
		{"a claim with dots", Provider{GroupsClaim: "https://x.org/groups"}, claims{"https://x.org/groups": []any{"a"}}, "a"},
		{"a path of Keycloak's", Provider{GroupsClaim: "groups"}, claims{"groups": []any{"/staff"}}, "staff"},
		{"names that no group can have", Provider{GroupsClaim: "groups"}, claims{"groups": []any{"a/b", "", "c\n", "d"}}, "d"},
		{"only some", Provider{GroupsClaim: "groups", GroupsPattern: "^hub-"}, claims{"groups": []any{"hub-a", "all"}}, "hub-a"},
		{"a number", Provider{GroupsClaim: "groups"}, claims{"groups": 7.0}, "!"},
		{"numbers", Provider{GroupsClaim: "groups"}, claims{"groups": []any{7.0}}, "!"},
	} {
		groups, err := rules(t, c.p).groups(c.claims)
		got := strings.Join(groups, " ")
		if err != nil {
			got = "!"
		}
		if got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.what, got, err, c.want)
		}
	}
}

// JupyterHub's rules.
func TestWhoMaySignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if _, err := s.accounts.Create(t.Context(), account.NewUser{Name: "old"}); err != nil {
		t.Fatal(err)
	}
	all := Provider{AllowAll: true, BlockedUsers: []string{"Bad"}, AdminUsers: []string{"root", "bad"}}
	some := Provider{AllowedUsers: []string{"Ann"}, AllowedGroups: []string{"staff"}, AdminGroups: []string{"ops"}, GroupsClaim: "g", BlockedUsers: []string{"bad"}}
	existing := Provider{AllowExistingUsers: true}
	const no, yes, admin, noAdmin = "no", "yes", "admin", "no admin"
	for _, c := range []struct {
		p      Provider
		name   hub.UserName
		groups string
		want   string
	}{
		{all, "anybody", "", yes},
		{all, "root", "", admin},
		{all, "bad", "", no},
		{some, "ann", "", noAdmin},
		{some, "anybody", "", no},
		{some, "anybody", "staff", noAdmin},
		{some, "anybody", "ops", admin},
		{some, "bad", "ops staff", no},
		{existing, "old", "", yes},
		{existing, "new", "", no},
	} {
		p := c.p
		p.Name = "op"
		client, err := newClient(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		a := &account.Arrival{Name: c.name}
		if p.GroupsClaim != "" {
			groups := strings.Fields(c.groups)
			a.Groups = &groups
		}
		a.Admin = client.admin(a)
		got := yes
		switch err := s.allowed(t.Context(), client, a); {
		case err != nil && hub.KindOf(err) == hub.Forbidden:
			got = no
		case err != nil:
			t.Fatal(err)
		case a.Admin != nil && *a.Admin:
			got = admin
		case a.Admin != nil:
			got = noAdmin
		}
		if got != c.want {
			t.Errorf("%s of %q: %s, want %s", c.name, c.groups, got, c.want)
		}
	}
}
