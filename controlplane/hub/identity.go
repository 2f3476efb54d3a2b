package hub

import "strings"

// Identity is who somebody is at a login provider. The pair is never used again for another person; names and e-mail
// addresses are. A user is bound to the first one that signs in by the user's name.
type Identity struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
}

// LoginMethod is a login provider as the sign-in page shows it.
type LoginMethod struct {
	// Name is the provider's in addresses, Label its name for people.
	Name, Label string
}

// Bind makes the identity the user's. A user who has another one, or who signs in with a password, is somebody else: that is
// a Conflict error, and so the first identity stays for ever.
func (u *User) Bind(id Identity) error {
	switch {
	case u.Identity != nil && *u.Identity == id:
		return nil
	case u.Identity != nil, u.Password != "":
		return Errorf(Conflict, "The user name %s belongs to somebody else here.", u.Name)
	}
	u.Identity = &id
	return nil
}

// ParseLoginName checks the name of a login provider: letters, digits and hyphens in lower case, as it is part of addresses.
func ParseLoginName(s string) (string, error) {
	if s == "" || len(s) > 30 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return "", Errorf(Invalid, "%q is no name of a login provider. Use up to 30 of a-z, 0-9 and hyphens.", Clip(s))
	}
	return s, nil
}
