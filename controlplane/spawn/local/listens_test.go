package local

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn/spawntest"
)

func listens(t *testing.T, s *Spawner, inst hub.Instance) bool {
	t.Helper()
	own, err := s.Listens(t.Context(), "srv", &inst)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

func occupy(t *testing.T, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestStrangersAreNotTheServer has a server that does not listen yet, and others who have its port.
func TestStrangersAreNotTheServer(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, shellOptions(t, "sleep 600"))
	inst := start(t, s, specFor(t, s, 1))
	if listens(t, s, inst) {
		t.Error("nobody listens, and it counts as the server")
	}
	gen := int64(1)
	for _, host := range []string{"127.0.0.1", "0.0.0.0", ""} {
		var l net.Listener
		for l == nil { // another program may have the port at another address: then not all addresses are free
			gen++
			inst = start(t, s, specFor(t, s, gen))
			_, port, _ := strings.Cut(strings.TrimPrefix(inst.URL, "http://"), ":")
			l, _ = net.Listen("tcp", host+":"+port)
			if l == nil && gen > 50 {
				t.Fatalf("no port is free at %q", host)
			}
		}
		if listens(t, s, inst) {
			t.Errorf("who listens at %s counts as the server", l.Addr())
		}
		l.Close()
	}
	stop(t, s, gen, time.Second)
	if listens(t, s, inst) {
		t.Error("a server that is gone listens")
	}
}

// TestServersListen shows that a server is known as the one who listens, whether its program itself does or one that it started.
func TestServersListen(t *testing.T) {
	t.Parallel()
	exe := testOptions(t).Command[0]
	for name, command := range map[string][]string{
		"itself":        {exe},
		"child":         {"/bin/sh", "-c", `"$0" & wait`, exe},
		"other session": {"/bin/sh", "-c", `setsid "$0" & wait`, exe},
		"orphan":        {"/bin/sh", "-c", `("$0" &); while :; do sleep 1; done`, exe},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpawner(t, Options{Dir: filepath.Join(t.TempDir(), "servers"), Command: command})
			inst := startProgram(t, s)
			// At another address of the machine anybody may listen.
			occupy(t, strings.Replace(strings.TrimPrefix(inst.URL, "http://"), "127.0.0.1", "127.0.0.2", 1))
			if !listens(t, s, inst) {
				t.Error("the server listens, and it counts as a stranger")
			}
		})
	}
}

// startProgram starts a spawntest.Program and waits until it answers.
func startProgram(t *testing.T, s *Spawner) hub.Instance {
	t.Helper()
	spec := specFor(t, s, 1)
	for name, value := range spawntest.ProgramEnv("srv", t.TempDir()) {
		spec.Env[name] = value
	}
	inst := start(t, s, spec)
	awaitJupyter(t, s, inst.URL+spec.Prefix+"api")
	return inst
}

func TestUserOfAProcess(t *testing.T) {
	t.Parallel()
	l := occupy(t, "127.0.0.1:0")
	found, err := listeners(l.Addr().(*net.TCPAddr).Port)
	if err != nil || len(found) != 1 {
		t.Fatalf("listeners: %+v, %v, want one", found, err)
	}
	if got := userOf(os.Getpid()); got != found[0].user || !opened(os.Getpid(), found[0]) {
		t.Errorf("this process is of user %s, its socket is %+v", got, found[0])
	}
}
