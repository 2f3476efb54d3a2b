package local

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// Poll says whether the process of a name lives (see hub.Spawner). The reason of an end is exact if a hub was there to
// see it.
func (s *Spawner) Poll(ctx context.Context, name string, inst *hub.Instance) (hub.Status, error) {
	dir, err := s.folder(name)
	if err != nil {
		return hub.Status{}, err
	}
	if _, err := os.Stat(s.opt.Dir); err != nil {
		return hub.Status{}, fmt.Errorf("poll %s: %w", name, err) // not mounted, maybe: nothing is known
	}
	r, err := s.find(dir, inst)
	if err != nil {
		return hub.Status{}, fmt.Errorf("poll %s: %w", name, err)
	}
	live, err := r.alive()
	if err != nil {
		return hub.Status{}, fmt.Errorf("poll %s: %w", name, err)
	}
	if live {
		return hub.Status{Running: true, Gen: r.Gen}, nil
	}
	return hub.Status{Reason: s.reason(ctx, dir, r.process)}, nil
}

// find gives the record of a folder, or what the caller knows if somebody deleted it.
func (s *Spawner) find(dir string, inst *hub.Instance) (record, error) {
	r, err := readRecord(dir)
	if err != nil || r.PID != 0 || inst == nil || len(inst.State) == 0 {
		return r, err
	}
	var st state
	if err := json.Unmarshal(inst.State, &st); err != nil {
		return r, err
	}
	if st.Gen > r.Over {
		r.process, r.Gen, r.Port, r.URL, r.Auth = st.process, st.Gen, st.Port, inst.URL, inst.Auth
	}
	return r, nil
}

// reason says how a process ended, for the user.
func (s *Spawner) reason(ctx context.Context, dir string, p process) string {
	if p.PID == 0 {
		return "was not started"
	}
	s.mu.Lock()
	done := s.mine[p]
	s.mu.Unlock()
	if done != nil { // it was reaped a moment ago, or will be in one
		select {
		case <-done:
		case <-ctx.Done():
		case <-s.ctx.Done():
		}
	}
	var e exit
	if readJSON(filepath.Join(dir, exitFile), &e) == nil && e.process == p {
		return e.Reason
	}
	if boot, err := bootID(); err == nil && boot != p.Boot {
		return "ended when the machine was restarted"
	}
	return "ended"
}
