package edge

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// starts is how often each start is measured; the median counts.
const starts = 3

// Start measures how long a side takes from the start of its process to right answers, and what the routes hold in memory.
func Start(ctx context.Context, o Options, sizes []int) error {
	if err := o.check(Plain, Plugin, Embedded); err != nil {
		return err
	}
	o.inside = true
	r := &report{opts: &o, bench: "start"}
	for _, n := range sizes {
		sized := o
		sized.Routes = n
		if err := sized.check(Plain, Plugin, Embedded); err != nil {
			return err
		}
		err := inWorld(ctx, &sized, func(ctx context.Context, w *world) error { return w.startUps(ctx, r) })
		if err != nil {
			return err
		}
	}
	return r.print()
}

// startUps measures all sides with one number of routes.
func (w *world) startUps(ctx context.Context, r *report) error {
	plain := int64(0)
	for _, name := range w.opts.Sides {
		memory, err := w.startUpsOf(ctx, name, r)
		if err != nil {
			return err
		}
		f := figure{Side: name, Routes: w.opts.Routes, What: "resident memory", Value: megabytes(memory), Unit: "MB"}
		r.add(f)
		switch {
		case name == Plain:
			plain = memory
		case name == Plugin && plain > 0:
			f.What, f.Value = "resident memory over plain", megabytes(memory-plain)
			if w.opts.Routes <= 100000 {
				f.Goal = 150
			}
			r.add(f)
		}
	}
	return nil
}

func megabytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// startUpsOf measures one side and returns its memory when it is ready and has settled.
func (w *world) startUpsOf(ctx context.Context, name string, r *report) (memory int64, err error) {
	var process, routes []int
	for range starts {
		s, live, ready, err := w.timeStart(ctx, name)
		if err != nil {
			return 0, err
		}
		process, routes = append(process, int(ready.Microseconds())), append(routes, int((ready-live).Microseconds()))
		if memory, err = s.settled(ctx); err != nil {
			return 0, err
		}
		s.stop()
	}
	slices.Sort(process)
	slices.Sort(routes)
	f := figure{Side: name, Routes: w.opts.Routes, What: "process start to right answer", Value: percentile(process, 50) / 1e6, Unit: "s"}
	if name == Embedded {
		f.Goal = startGoal(w.opts.Routes)
	}
	r.add(f)
	if name == Plugin {
		r.add(figure{Side: name, Routes: w.opts.Routes, What: "first answer of the plugin to right answer", Value: percentile(routes, 50) / 1e6,
			Unit: "s", Goal: startGoal(w.opts.Routes), Note: "without Traefik's own start"})
	}
	return memory, nil
}

// startGoal is the most seconds until the routes are served.
func startGoal(routes int) float64 {
	if routes <= 10000 {
		return 1
	}
	return 5
}

// timeStart starts a side. live is when it gave its first answer that is not Traefik's "no such router", ready when it gave
// the right one, both since its process was started.
func (w *world) timeStart(ctx context.Context, name string) (s *side, live, ready time.Duration, err error) {
	user := userName(w.opts.Routes - 1)
	token, err := w.token(user, "session-"+user)
	if err != nil {
		return nil, 0, 0, err
	}
	get := []byte(request(user, token, paths[0]))
	begin := time.Now()
	if s, err = w.launch(ctx, name); err != nil {
		return nil, 0, 0, err
	}
	for time.Since(begin) < giveUp && !s.proxy.ended() {
		status := ask(s.addr, get)
		if live == 0 && status != 0 && status != http.StatusNotFound {
			live = time.Since(begin)
		}
		if status == http.StatusOK {
			return s, live, time.Since(begin), nil
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return nil, 0, 0, err
		}
	}
	return nil, 0, 0, s.failed(ctx, fmt.Errorf("not ready after %s", time.Since(begin)))
}

// ask sends one request over a connection of its own. The status is 0 when nobody answers.
func ask(addr string, request []byte) int {
	c, err := dial(addr)
	if err != nil {
		return 0
	}
	defer func() { _ = c.conn.Close() }()
	status, _, err := c.fetch(request)
	if err != nil {
		return 0
	}
	return status
}
