package account

import "github.com/edgehub/edgehub/controlplane/audit"

// Record is what an audit record says of the caller who does action to what path names.
func (c *Caller) Record(action, path string) audit.Record {
	r := audit.Record{Actor: c.Name(), Kind: "user", Action: action, Path: path}
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
