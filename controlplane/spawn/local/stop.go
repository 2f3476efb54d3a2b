package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"golang.org/x/sys/unix"
)

// killPatience is how long the kernel may take to end what it was told to kill.
const killPatience = 10 * time.Second

// Stop ends the process of a name and all its descendants (see hub.Spawner), and notes that generations up to gen are
// over, so that a start which is still under way fails. An instance with a newer generation is left alone; that is not
// an error. SIGTERM comes first because Jupyter asks back on SIGINT.
func (s *Spawner) Stop(ctx context.Context, name string, gen int64, inst *hub.Instance, grace time.Duration) error {
	dir, err := s.folder(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	end := time.Now().Add(grace + killPatience + lockPatience)
	for {
		done, err := s.stopOnce(ctx, dir, gen, inst, grace)
		if err == nil && !done {
			err = pause(ctx)
		}
		if err == nil && !done && time.Now().After(end) {
			err = errHeld
		}
		if err != nil {
			return fmt.Errorf("stop %s generation %d: %w", name, gen, err)
		}
		if done {
			return nil
		}
	}
}

// stopOnce ends what is recorded. It reports false if another process has the lock: a shim that has not recorded itself
// yet, most likely.
func (s *Spawner) stopOnce(ctx context.Context, dir string, gen int64, inst *hub.Instance, grace time.Duration) (bool, error) {
	r, err := s.find(dir, inst)
	if err != nil || r.Gen > gen {
		return true, err
	}
	if err := terminate(ctx, r.process, grace); err != nil {
		return false, err
	}
	if err := sweep(ctx, dir, gen); err != nil {
		return false, err
	}
	return noteOver(dir, gen)
}

// noteOver writes that generations up to gen are over. It reports false if the lock is taken or an instance lives.
func noteOver(dir string, gen int64) (bool, error) {
	lock, err := tryLock(dir)
	if err != nil || lock == nil {
		return false, err
	}
	defer lock.Close()
	r, err := readRecord(dir)
	if err != nil || r.Gen > gen || r.Over >= gen {
		return true, err
	}
	if live, err := r.alive(); err != nil || live {
		return false, err
	}
	r.Over = gen
	return true, writeJSON(filepath.Join(dir, recordFile), r)
}

// terminate ends a process and its group: asks, waits for grace, kills. It returns nil when the process is gone.
func terminate(ctx context.Context, p process, grace time.Duration) error {
	h, err := openLiving(p)
	if err != nil || h == nil {
		return err
	}
	defer h.close()
	// A process that somebody halted must run to see that it shall end.
	if err := errors.Join(h.signalGroup(unix.SIGTERM), h.signalGroup(unix.SIGCONT)); err != nil {
		return err
	}
	ended, err := h.waitFor(ctx, grace)
	if err != nil {
		return err
	}
	if err := h.signalGroup(unix.SIGKILL); err != nil || ended { // what is left of the group goes too
		return err
	}
	if ended, err = h.waitFor(ctx, killPatience); err == nil && !ended {
		err = fmt.Errorf("process %d does not end though it was killed", p.PID)
	}
	return err
}
