package local

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn/spawntest"
)

// doomedHub starts a server and waits to be killed.
func doomedHub(args []string) {
	exe, err := os.Executable()
	if err != nil {
		panic(err)
	}
	gen, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		panic(err)
	}
	s, err := New(Options{Dir: args[0], Command: []string{exe}})
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	_, err = s.Start(context.Background(), crashSpec(args[1], gen))
	fmt.Println("started", err)
	time.Sleep(time.Minute)
}

func crashSpec(dir string, gen int64) hub.Spec {
	return hub.Spec{Name: "srv", Gen: gen, User: "alice", Prefix: "/user/alice/", Secret: "a-secret-of-the-server-4711",
		Env: spawntest.ProgramEnv("srv", dir)}
}

// TestCrash kills the hub at random moments of a start, and sometimes the shim too. The next hub must find nothing or one
// instance, and be able to go on either way.
func TestCrash(t *testing.T) {
	t.Parallel()
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	opt, seen := testOptions(t), t.TempDir()
	s := newSpawner(t, opt)
	specFor(t, s, 0)
	for gen := int64(1); gen < int64(rounds); gen++ {
		crash(t, opt.Dir, seen, gen, gen%4 == 0)
		switch gen % 3 {
		case 0: // the next hub goes on with the start
			start(t, s, crashSpec(seen, gen))
			wantOne(t, s, gen)
		case 1: // the user starts again
			gen++
			start(t, s, crashSpec(seen, gen))
			wantOne(t, s, gen)
		case 2:
			if err := s.Stop(t.Context(), "srv", gen, nil, 5*time.Second); err != nil {
				t.Fatal(err)
			}
			awaitShims(t, opt.Dir)
			if n := len(livePrograms(t, opt.Dir, "srv")); n != 0 {
				t.Fatalf("%d instances after Stop(generation %d)", n, gen)
			}
		}
	}
	if overlaps := spawntest.Overlaps(seen); overlaps != "" {
		t.Error(overlaps)
	}
}

func wantOne(t *testing.T, s *Spawner, gen int64) {
	t.Helper()
	awaitShims(t, s.opt.Dir)
	status, err := s.Poll(t.Context(), "srv", nil)
	if err != nil || !status.Running || status.Gen != gen {
		t.Fatalf("Poll gives %+v, %v, want generation %d running; log:\n%s", status, err, gen, s.LogTail("srv", 5))
	}
	if n := len(livePrograms(t, s.opt.Dir, "srv")); n != 1 {
		t.Fatalf("%d instances, want 1", n)
	}
}

// crash runs a hub until some moment within a start.
func crash(t *testing.T, dir, seen string, gen int64, shimToo bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "doomed-hub", dir, seen, strconv.FormatInt(gen, 10))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Errorf("the hub says %q, %v", line, err)
	}
	<-time.After(rand.N(80 * time.Millisecond)) // the fault, not a synchronisation
	_ = cmd.Process.Kill()
	if shimToo {
		for _, pid := range shims(t, dir) {
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
	}
	_ = cmd.Wait()
}

// awaitShims waits until no process is on its way to becoming an instance.
func awaitShims(t *testing.T, dir string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); len(shims(t, dir)) > 0; _ = pause(t.Context()) {
		if time.Now().After(end) {
			t.Fatal("shims do not end")
		}
	}
}

func shims(t *testing.T, dir string) []int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(line), "\x00spawn-exec\x00"+dir) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestShimWithoutOrder is what happens when the hub is killed while it writes.
func TestShimWithoutOrder(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, testOptions(t))
	dir := filepath.Join(s.opt.Dir, "srv")
	for _, text := range []string{"", `{"dir":"` + dir, `{"dir":"/somewhere/else"}`} {
		cmd := exec.Command("/proc/self/exe", "spawn-exec", dir)
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), `"cause"`) {
			t.Errorf("order %q: the shim says %q, %v, want a cause and a failure", text, out, err)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the shim touched %s: %v", dir, err)
	}
}

func TestProcessOfAnotherTimeIsNotAlive(t *testing.T) {
	t.Parallel()
	me, err := processOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	later, otherBoot := me, me
	later.Start++
	otherBoot.Boot = "before"
	for p, want := range maps.All(map[process]bool{me: true, later: false, otherBoot: false, {}: false}) {
		if got, err := p.alive(); got != want || err != nil {
			t.Errorf("%+v: alive = %v, %v, want %v", p, got, err, want)
		}
	}
}
