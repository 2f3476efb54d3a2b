package services

import (
	"cmp"
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// lookup finds the system user of a service in /etc/passwd: the hub's program is static, and knows no LDAP.
func (s *Spec) lookup() (*user.User, error) {
	u, err := user.Lookup(s.SystemUser)
	if err != nil {
		return nil, hub.WithCause(hub.Errorf(hub.Invalid, "Service %s is to run as system user %s, whom this machine does not have in /etc/passwd.", s.Name, s.SystemUser), err)
	}
	return u, nil
}

// Account is what the program of a service has of the account that it runs with: variables, and the folder where it starts.
// As in JupyterHub that is the hub's own, or the home of the system user, unless cwd says otherwise.
func (s *Spec) Account() (env map[string]string, dir string, err error) {
	name, home := os.Getenv("USER"), os.Getenv("HOME")
	if s.SystemUser == "" {
		dir, err = os.Getwd()
	} else {
		u, lookupErr := s.lookup()
		if lookupErr != nil {
			return nil, "", lookupErr
		}
		name, home, dir = u.Username, u.HomeDir, u.HomeDir
		if !isFolder(dir) {
			dir = "/"
		}
	}
	if s.Dir != "" {
		dir = s.Dir
	}
	if err == nil && !isFolder(dir) {
		err = hub.Errorf(hub.Invalid, "The cwd of service %s is not there: %s", s.Name, dir)
	}
	return map[string]string{"USER": name, "LOGNAME": name, "HOME": cmp.Or(home, dir)}, dir, err
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// credential is what a keeper gives its service.
func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	names, err3 := u.GroupIds()
	cred := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, g := range names {
		if id, err := strconv.ParseUint(g, 10, 32); err == nil {
			cred.Groups = append(cred.Groups, uint32(id))
		}
	}
	return cred, errors.Join(err1, err2, err3)
}
