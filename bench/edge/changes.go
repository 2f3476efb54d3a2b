package edge

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Changes measures how long after etcd has acknowledged a changed route the first request is answered by the new server.
func Changes(ctx context.Context, o Options) error {
	if err := o.check(Plugin, Embedded, EtcdProvider); err != nil {
		return err
	}
	if o.Rate < 1 {
		return fmt.Errorf("--rate must be at least 1")
	}
	return measure(ctx, &o, "routes", changes)
}

func changes(ctx context.Context, w *world, r *report) error {
	_, other, err := w.startPart(ctx, "backend", "two")
	if err != nil {
		return err
	}
	for _, name := range w.opts.Sides {
		err := w.changesOf(ctx, name, other, r)
		if name == EtcdProvider && err != nil && ctx.Err() == nil {
			w.opts.say("left out: %s (%s)", name, err)
			err = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// changesOf measures one side, which runs alone.
func (w *world) changesOf(ctx context.Context, name, other string, r *report) error {
	s, err := w.startSide(ctx, name)
	if err != nil {
		return err
	}
	defer s.stop()
	w.opts.say("changing routes of %s", name)
	c := &changer{side: s, targets: map[string]string{"one": w.backend, "two": other}}
	begin := time.Now()
	if err := c.run(ctx); err != nil {
		return err
	}
	took := time.Since(begin).Seconds() // until the last change was seen
	slices.Sort(c.delays)
	note := fmt.Sprintf("%d changes, %.0f/s", len(c.delays), float64(len(c.delays))/took)
	f := figure{Side: name, Routes: s.routes(), What: "acknowledged change to right answer", Note: note}
	if name == EtcdProvider {
		r.delays(f, c.delays, 0, 0)
		return nil
	}
	r.delays(f, c.delays, 5, 50)
	return nil
}

// changer changes routes at a steady rate. Each active user has a worker, so that no route changes before its last
// change was seen; when all of them wait, the rate falls.
type changer struct {
	side    *side
	targets map[string]string // addresses of the user servers by name

	mu     sync.Mutex
	delays []int // in microseconds
}

func (c *changer) run(ctx context.Context) error {
	o := c.side.w.opts
	group, ctx := errgroup.WithContext(ctx)
	due := make(chan bool)
	group.Go(func() error {
		defer close(due)
		end := time.After(time.Duration(o.Seconds * float64(time.Second)))
		tick := time.NewTicker(time.Second / time.Duration(o.Rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-end:
				return nil
			case <-tick.C:
			}
			select {
			case due <- true:
			case <-time.After(time.Second):
			}
		}
	})
	for i := range o.Users {
		group.Go(func() error { return c.work(ctx, c.side.user(i), due) })
	}
	return group.Wait()
}

// work moves the server of one user to and fro.
func (c *changer) work(ctx context.Context, user string, due <-chan bool) error {
	token, err := c.side.w.token(user, "session-"+user)
	if err != nil {
		return err
	}
	conn, err := dial(c.side.addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.conn.Close() }()
	names := []string{"two", "one"}
	for turn := 0; ; turn++ {
		if _, ok := <-due; !ok {
			return nil
		}
		d, err := c.change(ctx, conn, user, request(user, token, paths[0]), names[turn%2])
		if err != nil {
			return c.side.failed(ctx, err)
		}
		c.mu.Lock()
		c.delays = append(c.delays, int(d.Microseconds()))
		c.mu.Unlock()
	}
}

func (c *changer) change(ctx context.Context, conn *conn, user, request, name string) (time.Duration, error) {
	if err := c.side.putTarget(ctx, user, c.targets[name]); err != nil {
		return 0, err
	}
	acknowledged := time.Now()
	mark := []byte(`"server":"` + name + `"`)
	return awaitAnswer(ctx, conn, request, acknowledged, func(status int, text []byte) bool {
		return status == http.StatusOK && bytes.Contains(text, mark)
	})
}
