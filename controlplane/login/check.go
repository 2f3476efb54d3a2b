package login

import (
	"net"
	"net/url"
	"regexp"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// Check refuses providers that cannot work, or that nobody could sign in with. It asks nobody: whether a provider answers is
// found out when somebody signs in.
func Check(providers []Provider, publicURL string) error {
	if len(providers) > 0 && publicURL == "" {
		return hub.Errorf(hub.Invalid, "Login providers send people back to the hub's public address. Set --public-url.")
	}
	names := map[string]bool{}
	for i := range providers {
		p := &providers[i]
		if _, err := hub.ParseLoginName(p.Name); err != nil {
			return err
		}
		if names[p.Name] {
			return hub.Errorf(hub.Invalid, "There are two login providers named %s. Give each a name of its own.", p.Name)
		}
		names[p.Name] = true
		if p.AutoLogin && len(providers) > 1 {
			return hub.Errorf(hub.Invalid, "With several login providers people have to choose. Remove auto_login of %s.", p.Name)
		}
		for _, check := range []func(*Provider) error{checkClient, checkNames, checkGroups, checkAllowed} {
			if err := check(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkClient(p *Provider) error {
	u, err := url.Parse(p.Issuer)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return p.mistake("its issuer is %q; write the address that its discovery document names, https://HOST/PATH", p.Issuer)
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return p.mistake("its issuer %q has no TLS; use https://, or http:// on this machine only", p.Issuer)
	}
	if p.ClientID == "" {
		return p.mistake("it has no client_id; register the hub at the provider")
	}
	for name := range p.AuthorizeParams {
		if ours[name] {
			return p.mistake("authorize_params has %s, which the hub sets itself; remove it", name)
		}
	}
	return nil
}

// ours are the parameters of a sign-in that no operator may change.
var ours = map[string]bool{"client_id": true, "redirect_uri": true, "response_type": true, "response_mode": true, "scope": true, "state": true,
	"nonce": true, "code_challenge": true, "code_challenge_method": true, "request": true, "request_uri": true}

// loopback reports whether a host is this machine for certain.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func checkNames(p *Provider) error {
	if p.StripDomain && (len(p.EmailDomains) != 1 || p.UsernameClaim != emailClaim) {
		return p.mistake("strip_domain needs username_claim: email and exactly one of email_domains, or two people could get one name")
	}
	for _, d := range p.EmailDomains {
		if d == "" || strings.ContainsAny(d, "@/ ") {
			return p.mistake("%q in email_domains is no domain; write example.org", d)
		}
	}
	if _, _, err := p.userNames(); err != nil {
		return err
	}
	if p.UsernamePrefix != "" {
		if _, err := hub.ParseUserName(p.UsernamePrefix + "x"); err != nil {
			return p.mistake("no user name can begin with %q", p.UsernamePrefix)
		}
	}
	return nil
}

func checkGroups(p *Provider) error {
	if p.GroupsClaim == "" && (len(p.AllowedGroups) > 0 || len(p.AdminGroups) > 0 || p.GroupsPattern != "") {
		return p.mistake("it has rules about groups but no groups_claim that says where groups are")
	}
	if _, err := regexp.Compile(p.GroupsPattern); err != nil {
		return p.mistake("groups_pattern is no regular expression")
	}
	return nil
}

func checkAllowed(p *Provider) error {
	if p.AllowAll || p.AllowExistingUsers || len(p.AllowedUsers)+len(p.AllowedGroups)+len(p.AdminUsers)+len(p.AdminGroups) > 0 {
		return nil
	}
	return p.mistake("nobody may sign in with it; set allowed_users, allowed_groups, or allow_all: true for everybody that it knows")
}

func (p *Provider) mistake(format string, args ...any) error {
	return hub.Errorf(hub.Invalid, "Login provider "+p.Name+": "+format+".", args...)
}
