package services_test

import (
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/services"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
)

// asNobody is a service of another system user that writes down who it is.
func asNobody(dir string) services.Spec {
	spec := theSpec(dir)
	spec.SystemUser = "nobody"
	spec.Command = []string{"/bin/sh", "-c", `echo "to $0" > /dev/stderr
		echo "$(id -u):$(id -g):$(id -G):$HOME:$USER:$LOGNAME:$PWD:$MORE" > "$1/who.new" && mv "$1/who.new" "$1/who"; exec sleep 1000`, "stderr", dir}
	return spec
}

// TestAnotherSystemUser runs a service as nobody, which takes root, as CI is.
func TestAnotherSystemUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may run programs as others; TestSystemUsersThatCannotBe has what others hear")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	if err := errors.Join(os.Chmod(filepath.Dir(w.dir), 0o755), os.Chmod(w.dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	stop := w.run("r1", asNobody(w.dir))
	var who []byte
	for end := time.Now().Add(storetest.Patience); len(who) == 0; time.Sleep(20 * time.Millisecond) {
		if who, err = os.ReadFile(filepath.Join(w.dir, "who")); err != nil && time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(w.data, "r1", "svc", "server.log"))
			t.Fatalf("it has not said who it is: %v\n%s", err, log)
		}
	}
	got := strings.Split(strings.TrimSpace(string(who)), ":")
	home := nobody.HomeDir
	want := []string{nobody.Uid, nobody.Gid, nobody.Gid, home, "nobody", "nobody", "/", "yes"}
	if info, err := os.Stat(home); err == nil && info.IsDir() {
		want[6] = home
	}
	if len(got) != len(want) {
		t.Fatalf("it is %q", got)
	}
	for i, what := range []string{"uid", "gid", "groups", "HOME", "USER", "LOGNAME", "folder", "MORE"} {
		if got[i] != want[i] {
			t.Errorf("%s is %q, want %q", what, got[i], want[i])
		}
	}
	if log, err := os.ReadFile(filepath.Join(w.data, "r1", "svc", "server.log")); err != nil || string(log) != "to stderr\n" {
		t.Errorf("its log is %q, %v", log, err)
	}
	run := w.awaitRun(func(run hub.ServiceRun) bool { return run.PID > 0 })
	stop()
	if alive(run.PID) {
		t.Error("it runs on")
	}
}

func TestWhatIsSetWins(t *testing.T) {
	t.Parallel()
	spec := theSpec(t.TempDir())
	env, dir, err := spec.Account()
	if here, _ := os.Getwd(); err != nil || dir != here || env["HOME"] == "" {
		t.Errorf("with nothing set: %v in %s, %v", env, dir, err)
	}
	spec.Dir = t.TempDir()
	if _, dir, err := spec.Account(); err != nil || dir != spec.Dir {
		t.Errorf("with cwd %s: %s, %v", spec.Dir, dir, err)
	}
	spec.Dir = filepath.Join(spec.Dir, "missing")
	if _, _, err := spec.Account(); err == nil || !strings.Contains(err.Error(), spec.Dir) {
		t.Errorf("with a cwd that is not there: %v", err)
	}
}

func TestSystemUsersThatCannotBe(t *testing.T) {
	t.Parallel()
	spec := theSpec(t.TempDir())
	spec.SystemUser = "no-such-user"
	want := "Service svc is to run as system user no-such-user, whom this machine does not have in /etc/passwd."
	if os.Geteuid() != 0 {
		want = "Service svc is to run as system user no-such-user, which needs a hub that runs as root."
	}
	if err := services.CheckSpecs([]services.Spec{spec}); hub.KindOf(err) != hub.Invalid || hub.MessageOf(err) != want {
		t.Errorf("%v, want %s", err, want)
	}
}
