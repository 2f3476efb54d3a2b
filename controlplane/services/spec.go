package services

import (
	"cmp"
	"os"
	"path/filepath"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// CheckSpecs refuses services that cannot work together, or not at all. Errors are Invalid and say what to do.
func CheckSpecs(specs []Spec) error {
	names, clients := map[string]bool{}, map[string]string{}
	for _, s := range specs {
		if err := s.check(); err != nil {
			return err
		}
		if names[s.Name] {
			return hub.Errorf(hub.Invalid, "Two services have the name %s. Rename one.", s.Name)
		}
		names[s.Name] = true
		id := cmp.Or(s.ClientID, hub.ServiceClientID+s.Name)
		if other := clients[id]; other != "" {
			return hub.Errorf(hub.Invalid, "The services %s and %s have the same oauth_client_id. Change one.", other, s.Name)
		}
		clients[id] = s.Name
	}
	return nil
}

func (s *Spec) check() error {
	if err := account.CheckService(&s.Service); err != nil {
		return err
	}
	if !s.Managed() && (len(s.Environment) > 0 || s.Dir != "" || s.SystemUser != "") {
		return hub.Errorf(hub.Invalid, "Service %s has no command, so the hub does not run it: environment, cwd and user have no effect. Remove them, or set command.", s.Name)
	}
	if s.Managed() && s.Command[0] == "" {
		return hub.Errorf(hub.Invalid, "The command of service %s begins with an empty word.", s.Name)
	}
	if s.Dir != "" && !filepath.IsAbs(s.Dir) {
		return hub.Errorf(hub.Invalid, "The cwd of service %s must be an absolute path: %s", s.Name, s.Dir)
	}
	if s.SystemUser != "" && os.Geteuid() != 0 {
		return hub.Errorf(hub.Invalid, "Service %s is to run as system user %s, which needs a hub that runs as root.", s.Name, s.SystemUser)
	}
	if s.SystemUser != "" {
		_, err := s.lookup()
		return err
	}
	return nil
}
