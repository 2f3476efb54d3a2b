package local

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// testOptions run this test binary as the server.
func testOptions(t *testing.T) Options {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{Dir: filepath.Join(t.TempDir(), "servers"), Command: []string{exe}}
}

// shellOptions run a shell script as the server.
func shellOptions(t *testing.T, script string, args ...string) Options {
	t.Helper()
	return Options{Dir: filepath.Join(t.TempDir(), "servers"), Command: append([]string{"/bin/sh", "-c", script, "sh"}, args...)}
}

func newSpawner(t *testing.T, opt Options) *Spawner {
	t.Helper()
	s, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// specFor makes a spec and stops what comes of it.
func specFor(t *testing.T, s *Spawner, gen int64) hub.Spec {
	t.Helper()
	t.Cleanup(func() {
		if err := s.Stop(context.Background(), "srv", 1<<40, nil, 0); err != nil {
			t.Error(err)
		}
	})
	return hub.Spec{Name: "srv", Gen: gen, User: "alice", Server: "lab2", Prefix: "/user/alice/lab2/",
		Secret: "a-secret-of-the-server-4711", Env: map[string]string{"JUPYTERHUB_API_TOKEN": "the-token-of-the-server-0815"}}
}

func start(t *testing.T, s *Spawner, spec hub.Spec) hub.Instance {
	t.Helper()
	inst, err := s.Start(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return inst
}

// waitGone waits for a server that ends by itself.
func waitGone(t *testing.T, s *Spawner, name string) hub.Status {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); _ = pause(t.Context()) {
		status, err := s.Poll(t.Context(), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !status.Running {
			return status
		}
	}
	t.Fatalf("%s still runs; its log:\n%s", name, s.LogTail(name, 20))
	return hub.Status{}
}

// livePrograms looks at the machine, not at records: processes with the environment of an instance.
func livePrograms(t *testing.T, dir, name string) []process {
	t.Helper()
	found, err := descendants(filepath.Join(dir, name), 1<<62)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func wantKind(t *testing.T, err error, kind hub.Kind, message string) {
	t.Helper()
	if hub.KindOf(err) != kind || !bytes.Contains([]byte(hub.MessageOf(err)), []byte(message)) {
		t.Fatalf("error is %v (%v), want %v with a message like %q", err, hub.KindOf(err), kind, message)
	}
}

func recordOf(t *testing.T, s *Spawner, name string) record {
	t.Helper()
	r, err := readRecord(filepath.Join(s.opt.Dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func environOf(t *testing.T, pid int) map[string]string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for entry := range bytes.SplitSeq(bytes.TrimRight(data, "\x00"), []byte{0}) {
		name, value, _ := bytes.Cut(entry, []byte("="))
		env[string(name)] = string(value)
	}
	return env
}
