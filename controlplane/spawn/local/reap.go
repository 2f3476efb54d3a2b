package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// reap waits for our child in the background and writes down how it ended, for every replica to read.
func (s *Spawner) reap(cmd *exec.Cmd, dir string) error {
	p, err1 := processOf(cmd.Process.Pid)
	h, err2 := openProcess(cmd.Process.Pid)
	if err := errors.Join(err1, err2); err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	done := make(chan struct{})
	s.setMine(p, done)
	s.reaper.Go(func() {
		defer h.close()
		if h.wait(s.ctx) != nil {
			return // closing: init reaps it
		}
		_ = cmd.Wait() // what it says is in ProcessState
		noteExit(dir, p, cmd.ProcessState)
		s.setMine(p, nil)
		close(done)
	})
	return nil
}

func (s *Spawner) setMine(p process, done chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done == nil {
		delete(s.mine, p)
		return
	}
	s.mine[p] = done
}

// exit is how a process ended.
type exit struct {
	process
	Reason string `json:"reason"`
}

// noteExit is best effort: without it the reason is only less exact. Shims that gave up are not noted.
func noteExit(dir string, p process, ps *os.ProcessState) {
	r, err := readRecord(dir)
	if err != nil || r.process != p {
		return
	}
	_ = writeJSON(filepath.Join(dir, exitFile), exit{p, reasonOf(ps)})
}

func reasonOf(ps *os.ProcessState) string {
	ws, ok := ps.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return fmt.Sprintf("was killed by signal %d (%s)", ws.Signal(), unix.SignalName(ws.Signal()))
	}
	return fmt.Sprintf("exited with code %d", ps.ExitCode())
}
