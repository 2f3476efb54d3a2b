package local

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// account is who runs a server, and where.
type account struct {
	name, home, shell string
	workDir           string
	cred              *credential // nil: as the hub itself
}

// credential is what the shim becomes before it executes the server.
type credential struct {
	UID    int   `json:"uid"`
	GID    int   `json:"gid"`
	Groups []int `json:"groups"`
}

func (a account) root() bool {
	if a.cred != nil {
		return a.cred.UID == 0
	}
	return os.Geteuid() == 0
}

// account finds out who runs the server of spec, and makes sure that its work folder can be there.
func (s *Spawner) account(ctx context.Context, spec hub.Spec) (account, error) {
	fill := strings.NewReplacer("{username}", string(spec.User), "{servername}", string(spec.Server))
	a := account{name: string(spec.User), shell: cmp.Or(os.Getenv("SHELL"), "/bin/sh")}
	if s.opt.SystemUser != "" {
		var err error
		if a, err = systemAccount(ctx, fill.Replace(s.opt.SystemUser)); err != nil {
			return account{}, err
		}
	}
	a.workDir = a.home
	if s.opt.WorkDir != "" {
		a.workDir = filepath.Clean(fill.Replace(s.opt.WorkDir))
		if err := makeRoot(s.opt.WorkDir, fill, a.cred); err != nil {
			return account{}, hub.WithCause(hub.Errorf(hub.Unavailable, "The work folder of the server cannot be created."), err)
		}
	}
	if info, err := os.Stat(a.home); a.home == "" || err != nil || !info.IsDir() {
		a.home = a.workDir // Jupyter cannot start without a home
	}
	return a, nil
}

// makeRoot creates the work folder down to the first part of its pattern that has a placeholder, and gives that part to
// the user. What is deeper the shim creates as the user: there the user could put a link under root's feet.
func makeRoot(pattern string, fill *strings.Replacer, cred *credential) error {
	path := "/"
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		path = filepath.Join(path, fill.Replace(part))
		if !strings.Contains(part, "{") {
			continue
		}
		return makeFor(path, cred)
	}
	return nil
}

// makeFor creates a folder and gives it away, both at once: a crash in between must not leave root's.
func makeFor(path string, cred *credential) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	if cred != nil {
		if err := os.Lchown(temp, cred.UID, cred.GID); err != nil {
			return err
		}
	}
	err = os.Rename(temp, path)
	if _, statErr := os.Lstat(path); statErr == nil { // maybe another start of this user's was faster
		return nil
	}
	return err
}

// systemAccount asks getent and id, which know LDAP and the like; a static binary does not.
func systemAccount(ctx context.Context, name string) (account, error) {
	missing := hub.Errorf(hub.Invalid, "There is no system user %q on this machine to run the server.", hub.Clip(name))
	line, err := exec.CommandContext(ctx, "getent", "passwd", "--", name).Output()
	if err != nil {
		return account{}, hub.WithCause(missing, err)
	}
	fields := strings.Split(strings.TrimSuffix(string(line), "\n"), ":")
	// getent takes a number for a user id, so a hub user "0" would be root.
	if len(fields) != 7 || fields[0] != name {
		return account{}, missing
	}
	uid, err1 := strconv.Atoi(fields[2])
	gid, err2 := strconv.Atoi(fields[3])
	groups, err3 := groupsOf(ctx, name)
	if err := errors.Join(err1, err2, err3); err != nil {
		return account{}, hub.WithCause(missing, err)
	}
	if uid == 0 {
		return account{}, hub.Errorf(hub.Invalid, "The system user %q is root and may not run servers.", hub.Clip(name))
	}
	return account{name: name, home: fields[5], shell: cmp.Or(fields[6], "/bin/sh"), cred: &credential{uid, gid, groups}}, nil
}

func groupsOf(ctx context.Context, name string) ([]int, error) {
	out, err := exec.CommandContext(ctx, "id", "-G", "--", name).Output()
	if err != nil {
		return nil, err
	}
	var groups []int
	for field := range bytes.FieldsSeq(out) {
		gid, err := strconv.Atoi(string(field))
		if err != nil {
			return nil, err
		}
		groups = append(groups, gid)
	}
	return groups, nil
}
