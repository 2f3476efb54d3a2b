package local

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn/spawntest"
	"golang.org/x/sys/unix"
)

func TestServerHoldsTheLock(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, testOptions(t))
	start(t, s, specFor(t, s, 1))
	dir := filepath.Join(s.opt.Dir, "srv")
	if lock, err := tryLock(dir); lock != nil || err != nil {
		t.Fatalf("the lock of a live server could be taken: %v", err)
	}
	if err := unix.Kill(recordOf(t, s, "srv").PID, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if got := waitGone(t, s, "srv").Reason; got != "was killed by signal 9 (SIGKILL)" {
		t.Errorf("reason is %q", got)
	}
	lock, err := tryLock(dir)
	if lock == nil || err != nil {
		t.Fatalf("the lock of a dead server could not be taken: %v", err)
	}
	lock.Close()
}

// TestShimsAreExclusive goes around the hub's own look at the record: eight shims get their orders at once.
func TestShimsAreExclusive(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, testOptions(t))
	spec, seen := specFor(t, s, 0), t.TempDir()
	dir := filepath.Join(s.opt.Dir, "srv")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	spec.Env = spawntest.ProgramEnv("srv", seen)
	for spec.Gen = 1; spec.Gen <= 5; spec.Gen++ {
		var made atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			o, err := s.order(t.Context(), dir, spec)
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				_, err := s.launch(t.Context(), o)
				switch {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, errHeld):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := made.Load(); n != 1 || len(livePrograms(t, s.opt.Dir, "srv")) != 1 {
			t.Fatalf("%d shims became a server, want 1", n)
		}
		stop(t, s, spec.Gen, 5*time.Second)
	}
	if overlaps := spawntest.Overlaps(seen); overlaps != "" {
		t.Error(overlaps)
	}
}

// TestLateShims have orders that were right when they were given.
func TestLateShims(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, testOptions(t))
	spec := specFor(t, s, 5)
	dir := filepath.Join(s.opt.Dir, "srv")
	late := func(gen int64) error {
		spec.Gen = gen
		o, err := s.order(t.Context(), dir, spec)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.launch(t.Context(), o)
		return err
	}
	start(t, s, spec)
	wantKind(t, late(4), hub.Conflict, "A newer start")
	stop(t, s, 6, 5*time.Second)
	wantKind(t, late(4), hub.Conflict, "stopped")
	wantKind(t, late(6), hub.Conflict, "stopped")

	// A live process that let go of the lock is in the way all the same.
	r := recordOf(t, s, "srv")
	var err error
	if r.process, err = processOf(os.Getpid()); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(filepath.Join(dir, recordFile), r); err != nil {
		t.Fatal(err)
	}
	if err := late(7); !errors.Is(err, errHeld) {
		t.Errorf("error is %v, want %v", err, errHeld)
	}
	if err := os.Remove(filepath.Join(dir, recordFile)); err != nil { // or the clean-up would end this test
		t.Fatal(err)
	}
}

func TestProgramThatCannotBeExecuted(t *testing.T) {
	t.Parallel()
	opt := testOptions(t)
	path := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(path, []byte("neither binary nor script"), 0o700); err != nil {
		t.Fatal(err)
	}
	opt.Command = []string{path}
	s := newSpawner(t, opt)
	_, err := s.Start(t.Context(), specFor(t, s, 1))
	wantKind(t, err, hub.Unavailable, "The server program cannot be executed: server")
	waitGone(t, s, "srv")
}

func TestLockHeldByAStranger(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, testOptions(t))
	dir := filepath.Join(s.opt.Dir, "srv")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := tryLock(dir)
	if err != nil || lock == nil {
		t.Fatal(lock, err)
	}
	defer lock.Close() // before the clean-up
	spec := specFor(t, s, 1)
	began := time.Now()
	_, err = s.Start(t.Context(), spec)
	wantKind(t, err, hub.Unavailable, "A process of the previous server has not ended yet.")
	if took := time.Since(began); took < lockPatience || took > 3*lockPatience {
		t.Errorf("gave up after %v", took)
	}
}

func TestWrongShim(t *testing.T) {
	t.Parallel()
	opt := testOptions(t)
	opt.Exe = "/bin/false"
	s := newSpawner(t, opt)
	if _, err := s.Start(t.Context(), specFor(t, s, 1)); err == nil || hub.KindOf(err) != hub.Internal {
		t.Errorf("error is %v, want an internal one", err)
	}
}
