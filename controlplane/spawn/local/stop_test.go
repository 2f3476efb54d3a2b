package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"golang.org/x/sys/unix"
)

// awaitLog waits until the server has written a line.
func awaitLog(t *testing.T, s *Spawner, line string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(s.LogTail("srv", 20), line); _ = pause(t.Context()) {
		if time.Now().After(end) {
			t.Fatalf("the server does not say %q but %q", line, s.LogTail("srv", 20))
		}
	}
}

func stop(t *testing.T, s *Spawner, gen int64, grace time.Duration) {
	t.Helper()
	if err := s.Stop(t.Context(), "srv", gen, nil, grace); err != nil {
		t.Fatal(err)
	}
	if left := livePrograms(t, s.opt.Dir, "srv"); len(left) > 0 {
		t.Fatalf("left after Stop: %+v", left)
	}
}

func TestStopKillsWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, shellOptions(t, `trap "" TERM; echo deaf; while :; do sleep 60; done`))
	start(t, s, specFor(t, s, 1))
	awaitLog(t, s, "deaf")
	stop(t, s, 1, 100*time.Millisecond)
	if got := waitGone(t, s, "srv").Reason; got != "was killed by signal 9 (SIGKILL)" {
		t.Errorf("reason is %q", got)
	}
}

func TestStopIsGentle(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, shellOptions(t, `trap "echo bye; exit 7" TERM; echo up; while :; do sleep 0.02; done`))
	start(t, s, specFor(t, s, 1))
	awaitLog(t, s, "up")
	stop(t, s, 1, 20*time.Second)
	if got := waitGone(t, s, "srv").Reason; got != "exited with code 7" {
		t.Errorf("reason is %q", got)
	}
	awaitLog(t, s, "bye")
}

func TestStopWakesWhatWasHalted(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, shellOptions(t, `trap "exit 7" TERM; echo up; while :; do sleep 0.02; done`))
	start(t, s, specFor(t, s, 1))
	awaitLog(t, s, "up")
	if err := unix.Kill(recordOf(t, s, "srv").PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stop(t, s, 1, 20*time.Second)
}

// The daemon has its own session, like a kernel, and inherits the lock, unlike one.
const withDaemon = `setsid sleep 600 & echo up; `

func TestStopEndsDaemons(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, shellOptions(t, withDaemon+"wait"))
	start(t, s, specFor(t, s, 1))
	awaitLog(t, s, "up")
	stop(t, s, 1, 20*time.Second)
}

func TestStartEndsDaemonsOfTheOneBefore(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, shellOptions(t, withDaemon))
	spec := specFor(t, s, 1)
	start(t, s, spec)
	waitGone(t, s, "srv")
	spec.Gen = 2
	start(t, s, spec)
}

func TestStopIsInterruptible(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, shellOptions(t, `trap "" TERM; echo deaf; while :; do sleep 60; done`))
	inst := start(t, s, specFor(t, s, 1))
	awaitLog(t, s, "deaf")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx, "srv", 1, &inst, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	if status, err := s.Poll(t.Context(), "srv", &inst); err != nil || !status.Running {
		t.Errorf("Poll gives %+v, %v, want running", status, err)
	}
}

func TestStoppedGenerationIsOver(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, testOptions(t))
	spec := specFor(t, s, 3)
	stop(t, s, 3, 0) // before it even started
	_, err := s.Start(t.Context(), spec)
	wantKind(t, err, hub.Conflict, "This start of the server was stopped.")
	spec.Gen = 4
	start(t, s, spec)
	stop(t, s, 4, time.Second)
	spec.Gen = 2
	_, err = s.Start(t.Context(), spec)
	wantKind(t, err, hub.Conflict, "stopped")
}

func TestInstanceWithoutRecordIsFoundByItsState(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, testOptions(t))
	inst := start(t, s, specFor(t, s, 1))
	if err := os.Remove(filepath.Join(s.opt.Dir, "srv", recordFile)); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Poll(t.Context(), "srv", &inst); err != nil || !status.Running || status.Gen != 1 {
		t.Errorf("Poll gives %+v, %v, want running", status, err)
	}
	if err := s.Stop(t.Context(), "srv", 1, &inst, time.Second); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Poll(t.Context(), "srv", &inst); err != nil || status.Running {
		t.Errorf("Poll gives %+v, %v, want not running", status, err)
	}
}

func TestUnreadableIsNotGone(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, testOptions(t))
	dir := filepath.Join(s.opt.Dir, "srv")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, recordFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Poll(t.Context(), "srv", nil); err == nil {
		t.Errorf("Poll gives %+v, want an error", status)
	}
	if err := os.RemoveAll(s.opt.Dir); err != nil {
		t.Fatal(err)
	}
	if status, err := s.Poll(t.Context(), "srv", nil); err == nil {
		t.Errorf("without its folder, Poll gives %+v, want an error", status)
	}
}
