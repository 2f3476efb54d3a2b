package edge

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// profile saves SIDE.cpu.pprof, taken while the client is at work, and SIDE.heap.pprof and SIDE.allocs.pprof after that.
func (s *side) profile(ctx context.Context) error {
	o := s.w.opts
	o.say("profiling %s", s.name)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		_, err := s.drive(ctx, o.profileTime+time.Second)
		return err
	})
	group.Go(func() error {
		return s.save(ctx, fmt.Sprintf("profile?seconds=%d", int(o.profileTime.Seconds())), filepath.Join(o.Profile, s.name+".cpu.pprof"))
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := s.save(context.WithoutCancel(ctx), "allocs", filepath.Join(o.Profile, s.name+".allocs.pprof")); err != nil {
		return err
	}
	return s.save(context.WithoutCancel(ctx), "heap?gc=1", filepath.Join(o.Profile, s.name+".heap.pprof"))
}

// save writes one of the proxy's profiles to a file.
func (s *side) save(ctx context.Context, name, file string) error {
	body, err := s.look(ctx, name)
	if err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o644)
}

// look reads a page below the proxy's /debug/pprof/.
func (s *side) look(ctx context.Context, name string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.inside+"/debug/pprof/"+name, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, s.failed(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, s.failed(ctx, fmt.Errorf("profile %s: %s", name, resp.Status))
	}
	return io.ReadAll(resp.Body)
}
