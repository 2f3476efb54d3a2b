package login

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// emailClaim is the one claim that is no good unless another one, email_verified, says so.
const emailClaim = "email"

// claims are what a provider says of a person.
type claims map[string]any

func (p claims) text(name string) string {
	s, _ := p[name].(string)
	return s
}

// find is the claim of that name, or the one within others that the name's parts lead to. A name as it stands comes first:
// some have dots, being addresses.
func (p claims) find(name string) (any, bool) {
	if v, ok := p[name]; ok {
		return v, true
	}
	var at any = map[string]any(p)
	for part := range strings.SplitSeq(name, ".") {
		object, ok := at.(map[string]any)
		if !ok {
			return nil, false
		}
		if at, ok = object[part]; !ok {
			return nil, false
		}
	}
	return at, true
}

// lacks reports whether a claim that c needs is missing.
func (c *client) lacks(person claims) bool {
	for _, name := range []string{c.UsernameClaim, c.GroupsClaim} {
		if _, ok := person.find(name); !ok && name != "" {
			return true
		}
	}
	_, ok := person[emailClaim]
	return !ok && len(c.EmailDomains) > 0
}

// userName is the name of a person here.
func (c *client) userName(person claims) (hub.UserName, error) {
	value, _ := person.find(c.UsernameClaim)
	name, _ := value.(string)
	if name == "" {
		return "", c.wrong(fmt.Errorf("there is no claim %s, which username_claim names, or it is no text", c.UsernameClaim))
	}
	if c.UsernameClaim == emailClaim || len(c.EmailDomains) > 0 {
		if err := c.checkEmail(person); err != nil {
			return "", err
		}
	}
	if c.StripDomain {
		name, _, _ = strings.Cut(name, "@")
	}
	normal, err := hub.ParseUserName(name)
	for _, from := range []string{name, string(normal)} {
		if mapped, ok := c.names[from]; ok {
			return mapped, nil
		}
	}
	if err == nil {
		normal, err = hub.ParseUserName(c.UsernamePrefix + string(normal))
	}
	if err != nil {
		return "", refused("Your name at %s, %s, cannot be a user name here. Ask your administrator.", c.label(), hub.Clip(name))
	}
	return normal, nil
}

// checkEmail refuses addresses that the provider has not verified, and those of other domains.
func (c *client) checkEmail(person claims) error {
	address := person.text(emailClaim)
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" || strings.Contains(domain, "@") {
		return refused("%s does not know a usable e-mail address of yours.", c.label())
	}
	if !c.TrustEmail && !verified(person["email_verified"]) {
		return refused("Your e-mail address is not verified at %s. Verify it there and try again.", c.label())
	}
	same := func(d string) bool { return strings.EqualFold(d, domain) }
	if len(c.EmailDomains) > 0 && !slices.ContainsFunc(c.EmailDomains, same) {
		return refused("You are not allowed to sign in here with an e-mail address of %s.", hub.Clip(domain))
	}
	return nil
}

// verified also knows the text that some providers send.
func verified(v any) bool { return v == true || v == "true" }

// groups are those of the person's groups that can be groups here, in the order of names. A provider that says nothing of
// them says that there are none: many do it that way.
func (c *client) groups(person claims) ([]string, error) {
	value, ok := person.find(c.GroupsClaim)
	if !ok || value == nil {
		return nil, nil
	}
	if one, ok := value.(string); ok {
		value = []any{one}
	}
	list, ok := value.([]any)
	if !ok {
		return nil, c.wrong(fmt.Errorf("claim %s is no list of groups", c.GroupsClaim))
	}
	var groups []string
	for _, item := range list {
		name, ok := item.(string)
		if !ok {
			return nil, c.wrong(errors.New("a group is no text"))
		}
		if name = strings.TrimPrefix(name, "/"); c.keep.MatchString(name) && groupName(name) {
			groups = append(groups, name)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}

// groupName reports whether a group can have that name here.
func groupName(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsAny(s, `/\%!?#`) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
}
