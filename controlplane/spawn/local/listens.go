package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// Listens reports whether the instance's process, or one that it started, is who listens where Instance.URL points to. Before
// the server listens, somebody else's program can have its port: an accident, or a user who waits for the requests of another.
func (s *Spawner) Listens(_ context.Context, name string, inst *hub.Instance) (bool, error) {
	dir, err := s.folder(name)
	if err != nil {
		return false, err
	}
	own, err := s.listens(dir, inst)
	if err != nil {
		err = fmt.Errorf("find out who listens for %s: %w", name, err)
	}
	return own, err
}

func (s *Spawner) listens(dir string, inst *hub.Instance) (bool, error) {
	r, err := s.find(dir, inst)
	if err != nil {
		return false, err
	}
	if live, err := r.alive(); !live {
		return false, err
	}
	found, err := listeners(r.Port)
	if err != nil || len(found) == 0 {
		return false, err
	}
	for _, l := range found { // several, if they are for different addresses or share the port
		if own, err := r.holds(l); !own {
			return false, err
		}
	}
	return true, nil
}

// holds reports whether the process or one of its family has a socket open.
func (p process) holds(l listener) (bool, error) {
	if opened(p.PID, l) {
		return true, nil
	}
	names, err := os.ReadDir("/proc")
	if err != nil {
		return false, err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err == nil && family(pid, p.PID) && opened(pid, l) {
			return true, nil
		}
	}
	return false, nil
}

// family reports whether a process is in the session that leader leads, or was started by one that is. The mark in its
// environment would not do: everybody can write one.
func family(pid, leader int) bool {
	for pid > 1 {
		st, err := readStat(pid)
		if err != nil {
			return false // gone
		}
		if st.session == leader {
			return true
		}
		pid = st.parent
	}
	return false
}

// opened reports whether one process has a socket open. To see that of other users' processes, root needs CAP_SYS_PTRACE, which
// containers lack. There the user of the socket must do: another user's program cannot have made it.
func opened(pid int, l listener) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	files, err := os.ReadDir(dir)
	for _, file := range files {
		target, unseen := os.Readlink(filepath.Join(dir, file.Name()))
		if target == l.socket {
			return true
		}
		err = errors.Join(err, unseen)
	}
	return errors.Is(err, fs.ErrPermission) && userOf(pid) == l.user
}

// userOf is the id of the user with whose rights a process works.
func userOf(pid int) string {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(data), "\nUid:")
	if ids := strings.Fields(rest); len(ids) > 1 {
		return ids[1] // real, effective, ...
	}
	return "gone"
}
