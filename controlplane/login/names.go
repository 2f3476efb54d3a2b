package login

import "github.com/edgehub/edgehub/controlplane/hub"

// parseNames puts the user names of the rules into the form that user names have here.
func (c *client) parseNames() error {
	lists, names, err := c.userNames()
	c.allow, c.blocked, c.admins, c.names = lists[0], lists[1], lists[2], names
	return err
}

// userNames are the names in p's rules, allowed, blocked and admin users, and its map.
func (p *Provider) userNames() (lists [3][]hub.UserName, mapped map[string]hub.UserName, err error) {
	for i, list := range [3][]string{p.AllowedUsers, p.BlockedUsers, p.AdminUsers} {
		for _, raw := range list {
			name, err := p.userNameOf(raw)
			if err != nil {
				return lists, nil, err
			}
			lists[i] = append(lists[i], name)
		}
	}
	mapped = map[string]hub.UserName{}
	for from, to := range p.UsernameMap {
		if mapped[from], err = p.userNameOf(to); err != nil {
			return lists, nil, err
		}
	}
	return lists, mapped, nil
}

func (p *Provider) userNameOf(raw string) (hub.UserName, error) {
	name, err := hub.ParseUserName(raw)
	if err != nil {
		return "", p.mistake("%q cannot be a user name", raw)
	}
	return name, nil
}
