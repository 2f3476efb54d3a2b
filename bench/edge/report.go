package edge

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
)

// figure is one result of the measurements that are no comparison of requests.
type figure struct {
	Bench  string  `json:"bench"`
	Side   string  `json:"side"`
	Routes int     `json:"routes"`
	What   string  `json:"what"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	// Goal is the most that we allow; 0 where the figure stands beside others only.
	Goal float64 `json:"goal,omitempty"`
	Note string  `json:"note,omitempty"`
}

// report collects the figures of one measurement.
type report struct {
	opts    *Options
	bench   string
	figures []figure
}

func (r *report) add(f figure) {
	f.Bench = r.bench
	if f.Routes == 0 {
		f.Routes = r.opts.Routes
	}
	r.figures = append(r.figures, f)
}

// delays adds p50 and p99 of sorted delays in microseconds, with their goals in milliseconds.
func (r *report) delays(f figure, sorted []int, goal50, goal99 float64) {
	what := f.What
	for _, p := range []struct {
		percent int
		goal    float64
	}{{50, goal50}, {99, goal99}} {
		f.What, f.Value, f.Unit, f.Goal = fmt.Sprintf("%s, p%d", what, p.percent), percentile(sorted, p.percent)/1000, "ms", p.goal
		r.add(f)
	}
}

// print prints what was measured, with each goal beside its result.
func (r *report) print() error {
	if r.opts.JSON {
		enc := json.NewEncoder(r.opts.Out)
		for _, f := range r.figures {
			if err := enc.Encode(f); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(r.opts.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "side\troutes\twhat\tresult\tgoal\t\t")
	for _, f := range r.figures {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s %s\t%s\t%s\t\n", f.Side, f.Routes, f.What, short(f.Value), f.Unit, f.verdict(), f.Note)
	}
	return t.Flush()
}

// short is a figure for people: three digits, or all of a larger whole number.
func short(v float64) string {
	if v >= 1000 || v <= -1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// verdict is the goal and whether it is met.
func (f *figure) verdict() string {
	switch {
	case f.Goal == 0:
		return ""
	case f.Value > f.Goal:
		return fmt.Sprintf("<= %g MISSED", f.Goal)
	}
	return fmt.Sprintf("<= %g met", f.Goal)
}

// measure runs a measurement in a world of its own and prints its report.
func measure(ctx context.Context, o *Options, bench string, f func(context.Context, *world, *report) error) error {
	r := &report{opts: o, bench: bench}
	if err := inWorld(ctx, o, func(ctx context.Context, w *world) error { return f(ctx, w, r) }); err != nil {
		return err
	}
	return r.print()
}

// inWorld runs f in a world of its own.
func inWorld(ctx context.Context, o *Options, f func(context.Context, *world) error) error {
	// Everything that was started ends with this context.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if err := o.findPrograms(ctx); err != nil {
		return err
	}
	w, err := newWorld(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	return f(ctx, w)
}
