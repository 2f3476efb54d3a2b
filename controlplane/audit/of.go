package audit

import "github.com/edgehub/edgehub/controlplane/account"

// Of is the record of a caller who does action to what path names.
func Of(c *account.Caller, action, path string) Record {
	r := Record{Actor: c.Name(), Kind: "user", Action: action, Path: path}
	if c.User == nil {
		r.Kind = "service"
	}
	if c.Token != nil {
		r.Token = c.Token.ID
	}
	if c.Session != nil {
		r.Session = c.Session.ID
	}
	return r
}
