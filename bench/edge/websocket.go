package edge

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// WebSocket measures what an idle WebSocket holds in the proxy, and what a message through one costs.
func WebSocket(ctx context.Context, o Options) error {
	if err := o.check(Plain, Plugin, Embedded); err != nil {
		return err
	}
	o.inside, o.sockets = true, true
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	// A proxy has two connections for each socket, and some files besides.
	if most := int(limit.Max)/2 - 200; most < o.Count {
		o.say("%d idle sockets instead of %d: no process may have more than %d files open. Raise that with ulimit -Hn",
			most, o.Count, limit.Max)
		o.Count = most
	}
	if o.Count < 1 {
		return fmt.Errorf("--count %d: there must be one socket at least", o.Count)
	}
	return measure(ctx, &o, "websocket", webSockets)
}

func webSockets(ctx context.Context, w *world, r *report) error {
	sides, err := w.startSides(ctx)
	if err != nil {
		return err
	}
	// First of all, while no proxy has memory to spare from earlier traffic.
	for _, s := range sides {
		if err := s.idle(ctx, r); err != nil {
			return err
		}
	}
	tallies, err := takeTurns(ctx, w.opts, sides)
	if err != nil {
		return err
	}
	plain := 0.0
	for i, s := range sides {
		t := &tallies[i]
		per := micros(t.cpu, t.requests)
		r.add(figure{Side: s.name, What: "CPU per message, there and back", Value: per, Unit: "µs",
			Note: fmt.Sprintf("rounds %s, %d sockets", spread(t.rounds), w.opts.Connections)})
		if s.name == Plain {
			plain = per
		} else if plain > 0 {
			r.add(figure{Side: s.name, What: "CPU per message over plain", Value: per / plain, Goal: 1.1})
		}
	}
	return nil
}

// idleFor is how long nothing passes over a socket until it counts as idle: an editor whose user is thinking.
const idleFor = 10 * time.Second

// idle measures what open sockets without traffic hold.
func (s *side) idle(ctx context.Context, r *report) error {
	n := s.w.opts.Count
	s.w.opts.say("opening %d idle sockets through %s", n, s.name)
	before, err := s.settled(ctx)
	if err != nil {
		return err
	}
	heap, stacks, goroutines, err := s.inUse(ctx)
	if err != nil {
		return err
	}
	if err := s.open(ctx, n); err != nil {
		return err
	}
	if err := pause(ctx, idleFor); err != nil {
		return err
	}
	after, err := s.settled(ctx)
	if err != nil {
		return err
	}
	heapAfter, stacksAfter, goroutinesAfter, err := s.inUse(ctx)
	if err != nil {
		return err
	}
	per := func(growth int64) float64 { return float64(growth) / 1024 / float64(n) }
	f := figure{Side: s.name, What: "resident memory of an idle socket", Value: per(after - before), Unit: "KB",
		Note: fmt.Sprintf("%d sockets; heap %.1f KB, stacks %.1f KB, %.1f goroutines each", n, per(heapAfter-heap), per(stacksAfter-stacks),
			float64(goroutinesAfter-goroutines)/float64(n))}
	if s.name != Plain {
		f.Goal = 40
	}
	r.add(f)
	return s.open(ctx, 0)
}

// open opens n WebSockets through the side, has each carry a few messages, and closes all others of the client.
func (s *side) open(ctx context.Context, n int) error {
	o := &outcome{}
	if err := s.w.load.ask(ctx, &job{Addr: s.addr, Seconds: 0.2, Connections: n, Sockets: true}, o); err != nil {
		return err
	}
	if o.Error != "" {
		return s.failed(ctx, errText(o.Error))
	}
	return nil
}
