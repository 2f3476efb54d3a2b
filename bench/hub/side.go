package hub

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/edgehub/edgehub/bench/proc"
)

// readyTime bounds the start of a hub with all its users.
const readyTime = 5 * time.Minute

// side is a hub that runs, with its database.
type side struct {
	name   string
	origin string
	// token is an administrator's.
	token string
	// hub is the hub's process, parts are all whose processor time counts.
	hub   *proc.Process
	parts []*proc.Process
	// command makes the hub's process anew.
	command func() *exec.Cmd
	log     string
}

// start starts the hub and returns how long it took until it answered.
func (s *side) start(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	p, err := proc.Start(ctx, s.log, s.command())
	if err != nil {
		return 0, err
	}
	if s.hub != nil {
		s.parts = s.parts[:len(s.parts)-1]
	}
	s.hub, s.parts = p, append(s.parts, p)
	err = p.Await(ctx, readyTime, func() error {
		resp, err := http.Get(s.origin + "/hub/health")
		if err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	})
	return time.Since(begin), err
}

// restart is start after the end of the one that runs.
func (s *side) restart(ctx context.Context) (time.Duration, error) {
	s.hub.Kill()
	return s.start(ctx)
}

// cpu is what all parts have used so far.
func (s *side) cpu() (time.Duration, error) {
	var all time.Duration
	for _, p := range s.parts {
		used, err := proc.CPUTime(p.PID())
		if err != nil {
			return 0, err
		}
		all += used
	}
	return all, nil
}

// stop ends all parts.
func (s *side) stop() {
	for _, p := range s.parts {
		p.Kill()
	}
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func write(dir, name, text string) (string, error) {
	file := filepath.Join(dir, name)
	return file, os.WriteFile(file, []byte(text), 0o600)
}
