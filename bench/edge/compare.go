package edge

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/edgehub/edgehub/bench/proc"
)

// warmUp precedes every round of a side, so that nothing of the turns of the others is in it.
const warmUp = 300 * time.Millisecond

// Compare measures all sides in turn and prints the result.
func Compare(ctx context.Context, o Options) error {
	if err := o.check(Sides...); err != nil {
		return err
	}
	o.inside = o.inside || o.Profile != ""
	if o.profileTime == 0 {
		o.profileTime = 10 * time.Second
	}
	var all []*Result
	err := inWorld(ctx, &o, func(ctx context.Context, w *world) error {
		sides, err := w.startSides(ctx)
		if err != nil {
			return err
		}
		all, err = compare(ctx, &o, sides)
		return err
	})
	if err != nil {
		return err
	}
	return o.printResults(all)
}

// startSides starts the sides that were asked for.
func (w *world) startSides(ctx context.Context) ([]*side, error) {
	sides := []*side{}
	for _, name := range Sides {
		if !w.opts.wants(name) || name == CHP && w.opts.chp == "" {
			continue
		}
		s, err := w.startSide(ctx, name)
		if err != nil {
			return nil, err
		}
		sides = append(sides, s)
	}
	return sides, nil
}

// compare runs the rounds and sums them up.
func compare(ctx context.Context, o *Options, sides []*side) ([]*Result, error) {
	tallies, err := takeTurns(ctx, o, sides)
	if err != nil {
		return nil, err
	}
	all := make([]*Result, len(sides))
	for i, s := range sides {
		memory, err := s.memory()
		if err != nil {
			return nil, s.failed(ctx, err)
		}
		all[i] = tallies[i].result(s, memory)
	}
	compareWithPlain(all)
	return all, profile(ctx, o, sides)
}

// takeTurns runs the rounds.
func takeTurns(ctx context.Context, o *Options, sides []*side) ([]tally, error) {
	tallies := make([]tally, len(sides))
	for round := range rounds {
		o.say("round %d of %d", round+1, rounds)
		for i, s := range sides {
			if err := s.turn(ctx, &tallies[i]); err != nil {
				return nil, err
			}
		}
	}
	return tallies, nil
}

// turn is one round of one side.
func (s *side) turn(ctx context.Context, t *tally) error {
	if _, err := s.drive(ctx, warmUp); err != nil {
		return err
	}
	cpu, auth, err := s.cpu()
	if err != nil {
		return s.failed(ctx, err)
	}
	o, err := s.drive(ctx, s.w.opts.round())
	if err != nil {
		return err
	}
	cpuAfter, authAfter, err := s.cpu()
	if err != nil {
		return s.failed(ctx, err)
	}
	t.add(o, cpuAfter-cpu, authAfter-auth)
	return nil
}

// drive has the client send requests to a side for a while.
func (s *side) drive(ctx context.Context, d time.Duration) (*outcome, error) {
	o := &outcome{}
	j := &job{Addr: s.addr, Seconds: d.Seconds(), Connections: s.w.opts.Connections, Sockets: s.w.opts.sockets}
	if err := s.w.load.ask(ctx, j, o); err != nil {
		return nil, err
	}
	if o.Error != "" {
		return nil, s.failed(ctx, fmt.Errorf("wrong answer: %s", o.Error))
	}
	return o, nil
}

// cpu is the processor time of the proxy, and of the auth service if there is one.
func (s *side) cpu() (proxy, auth time.Duration, err error) {
	if s.proxy == nil {
		return 0, 0, nil
	}
	if s.auth != nil {
		if auth, err = proc.CPUTime(s.auth.cmd.Process.Pid); err != nil {
			return 0, 0, err
		}
	}
	proxy, err = proc.CPUTime(s.proxy.cmd.Process.Pid)
	return proxy, auth, err
}

func (s *side) memory() (int64, error) {
	if s.proxy == nil {
		return 0, nil
	}
	return proc.RSS(s.proxy.cmd.Process.Pid)
}

// profile runs each proxy once more, under load, and saves its profiles.
func profile(ctx context.Context, o *Options, sides []*side) error {
	if o.Profile == "" {
		return nil
	}
	if err := os.MkdirAll(o.Profile, 0o755); err != nil {
		return err
	}
	for _, s := range sides {
		if s.inside == "" {
			continue
		}
		if err := s.profile(ctx); err != nil {
			return err
		}
	}
	return nil
}
