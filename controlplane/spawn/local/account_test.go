package local

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn/spawntest"
	"golang.org/x/sys/unix"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// openTempDir is a folder that other users can go through, unlike that of the testing package.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "edgehub") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestSystemUser(t *testing.T) {
	t.Parallel()
	needRoot(t)
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	base := openTempDir(t)
	opt := shellOptions(t, `id -u; id -G; echo opened >>/dev/stderr; mkdir -p deeper && touch deeper/mine && echo wrote; cat "$0" || echo locked; exec sleep 600`)
	opt.Command[3] = filepath.Join(opt.Dir, "srv", recordFile) // $0: must not be readable
	opt.SystemUser, opt.WorkDir = "nobody", filepath.Join(base, "{username}", "work")
	s := newSpawner(t, opt)
	start(t, s, specFor(t, s, 1))
	awaitLog(t, s, "locked")
	log := s.LogTail("srv", 20)
	if !strings.HasPrefix(log, nobody.Uid+"\n"+nobody.Gid+"\nopened\nwrote\n") {
		t.Errorf("the server says\n%s", log)
	}
	env := environOf(t, recordOf(t, s, "srv").PID)
	if env["USER"] != "nobody" || env["HOME"] != filepath.Join(base, "alice", "work") { // nobody has no home
		t.Errorf("USER is %q, HOME %q", env["USER"], env["HOME"])
	}
	info, err := os.Stat(filepath.Join(base, "alice"))
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; strconv.Itoa(int(uid)) != nobody.Uid || info.Mode().Perm() != 0o700 {
		t.Errorf("the work folder belongs to %d with mode %v", uid, info.Mode())
	}
}

func TestSystemUsersThatMayNot(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for hubUser, message := range map[hub.UserName]string{
		"no-such-user": `There is no system user "no-such-user"`,
		"root":         "is root",
		"0":            `There is no system user "0"`, // getent takes it for root
		"65534":        `There is no system user "65534"`,
	} {
		opt := testOptions(t)
		opt.SystemUser = "{username}"
		s := newSpawner(t, opt)
		spec := specFor(t, s, 1)
		spec.User = hubUser
		_, err := s.Start(t.Context(), spec)
		wantKind(t, err, hub.Invalid, message)
	}
}

// A user must not be able to lead root by a link in his own folder.
func TestWorkDirIsMadeAsTheUser(t *testing.T) {
	t.Parallel()
	needRoot(t)
	base := openTempDir(t)
	secret := filepath.Join(base, "secret")
	opt := testOptions(t)
	opt.Command = []string{"/bin/sleep", "600"}
	opt.SystemUser, opt.WorkDir = "nobody", filepath.Join(base, "{username}", "work", "new")
	if err := os.Mkdir(secret, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := makeFor(filepath.Join(base, "alice"), &credential{UID: 65534, GID: 65534}); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(base, "alice", "work")); err != nil {
		t.Fatal(err)
	}
	s := newSpawner(t, opt)
	_, err := s.Start(t.Context(), specFor(t, s, 1))
	wantKind(t, err, hub.Unavailable, "The work folder of the server cannot be used.")
	if left, err := os.ReadDir(secret); err != nil || len(left) > 0 {
		t.Errorf("root's folder holds %v, %v", left, err)
	}
}

// TestListensAsSystemUser asks who listens for another user's server with all rights of root, and with those of root in a container.
func TestListensAsSystemUser(t *testing.T) {
	t.Parallel()
	needRoot(t)
	base := openTempDir(t)
	if err := os.Chmod(base, 0o777); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(testOptions(t).Command[0])
	if err == nil {
		err = os.WriteFile(filepath.Join(base, "program"), program, 0o755) // where nobody can execute it
	}
	if err != nil {
		t.Fatal(err)
	}
	for script, want := range map[string]bool{`exec "$0"`: true, "exec sleep 600": false} {
		opt := shellOptions(t, script)
		opt.Command[3] = filepath.Join(base, "program")
		opt.SystemUser, opt.WorkDir = "nobody", filepath.Join(base, "work")
		s := newSpawner(t, opt)
		spec := specFor(t, s, 1)
		spec.Env = spawntest.ProgramEnv("srv", base)
		inst := start(t, s, spec)
		if !want {
			occupy(t, strings.TrimPrefix(inst.URL, "http://"))
		} else {
			awaitJupyter(t, s, inst.URL+spec.Prefix+"api")
		}
		if got := listens(t, s, inst); got != want {
			t.Errorf("with all rights, %q listens: %v, want %v", script, got, want)
		}
		withoutPtrace(t, func() {
			if got, err := s.Listens(t.Context(), "srv", &inst); err != nil || got != want {
				t.Errorf("without CAP_SYS_PTRACE, %q listens: %v, %v, want %v", script, got, err, want)
			}
		})
	}
}

// withoutPtrace calls f on a thread that lacks CAP_SYS_PTRACE, as all of a container do.
func withoutPtrace(t *testing.T, f func()) {
	t.Helper()
	ended := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		err := unix.Capget(&header, &sets[0])
		sets[0].Effective &^= 1 << unix.CAP_SYS_PTRACE
		if err = errors.Join(err, unix.Capset(&header, &sets[0])); err == nil {
			f()
		}
		ended <- err
	}()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
