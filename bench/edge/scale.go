package edge

import (
	"context"
	"fmt"
)

// Scale compares the edge's own sides with different numbers of routes: the work for a request should not depend on them.
func Scale(ctx context.Context, o Options, sizes []int) error {
	if err := o.check(Plugin, Embedded); err != nil {
		return err
	}
	var all []*Result
	err := inWorlds(ctx, o, sizes, nil, func(ctx context.Context, worlds []*world) error {
		var sides []*side
		for _, w := range worlds {
			some, err := w.startSides(ctx)
			if err != nil {
				return err
			}
			sides = append(sides, some...)
		}
		var err error
		all, err = compare(ctx, &o, sides)
		return err
	})
	if err != nil {
		return err
	}
	if err := o.printResults(all); err != nil || o.JSON {
		return err
	}
	for _, name := range o.Sides {
		_, _ = fmt.Fprintln(o.Out, goal("CPU of "+name+", most over least", "", spreadOf(all, name), 1.1))
	}
	return nil
}

// inWorlds runs f in one world for each size, all there at the same time so that their rounds can be interleaved.
func inWorlds(ctx context.Context, o Options, sizes []int, worlds []*world, f func(context.Context, []*world) error) error {
	if len(sizes) == 0 {
		return f(ctx, worlds)
	}
	o.Routes = sizes[0]
	if err := o.check(o.Sides...); err != nil {
		return err
	}
	return inWorld(ctx, &o, func(ctx context.Context, w *world) error { return inWorlds(ctx, o, sizes[1:], append(worlds, w), f) })
}

// spreadOf is the largest processor time of a side over its smallest.
func spreadOf(all []*Result, side string) float64 {
	least, most := 0.0, 0.0
	for _, r := range all {
		if r.Side != side {
			continue
		}
		if least == 0 || r.CPU < least {
			least = r.CPU
		}
		most = max(most, r.CPU)
	}
	return most / least
}
