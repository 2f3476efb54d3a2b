package edge

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Result is what was measured of one side.
type Result struct {
	Side              string  `json:"side"`
	Routes            int     `json:"routes"`
	RequestsPerSecond float64 `json:"requests_per_s"`
	// CPU is the processor time of the proxy process alone, user and system; 0 for direct, which has none.
	CPU float64 `json:"cpu_us_per_request"`
	P50 float64 `json:"p50_ms"`
	P99 float64 `json:"p99_ms"`
	// RSS is the proxy's resident memory after the last round.
	RSS float64 `json:"rss_mb"`
	// CPURounds is CPU of each round: how far they differ is how far the figures can be trusted.
	CPURounds []float64 `json:"cpu_us_rounds,omitempty"`
	// AuthCPU is forwardauth's auth service, which CPU leaves out.
	AuthCPU float64 `json:"auth_cpu_us_per_request,omitempty"`
	// CPURatio and RateRatio compare with the side plain; they are left out without it.
	CPURatio  float64 `json:"cpu_over_plain,omitempty"`
	RateRatio float64 `json:"requests_over_plain,omitempty"`
}

// tally collects the rounds of one side.
type tally struct {
	requests  int
	cpu, auth time.Duration
	rates     []float64 // requests per second, of each round
	rounds    []float64 // CPU per request in microseconds, of each round
	latencies []int     // in microseconds, of all rounds
}

func (t *tally) add(o *outcome, cpu, auth time.Duration) {
	n := len(o.Latencies)
	t.requests += n
	t.cpu += cpu
	t.auth += auth
	t.rates = append(t.rates, float64(n)/o.Elapsed)
	t.rounds = append(t.rounds, micros(cpu, n))
	t.latencies = append(t.latencies, o.Latencies...)
}

// result sums up: throughput is the median round's, latencies and processor time are those of all requests.
func (t *tally) result(s *side, memory int64) *Result {
	slices.Sort(t.latencies)
	slices.Sort(t.rates)
	r := &Result{Side: s.name, Routes: s.routes(), RequestsPerSecond: t.rates[len(t.rates)/2],
		P50: percentile(t.latencies, 50) / 1000, P99: percentile(t.latencies, 99) / 1000}
	if s.proxy != nil {
		r.CPU, r.CPURounds, r.RSS = micros(t.cpu, t.requests), t.rounds, float64(memory)/(1<<20)
		r.AuthCPU = micros(t.auth, t.requests)
	}
	return r
}

func micros(d time.Duration, n int) float64 {
	return float64(d.Nanoseconds()) / 1000 / float64(max(n, 1))
}

// percentile is the smallest value that is not below p percent of the sorted values; 0 of none.
func percentile(sorted []int, p int) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[max(0, (len(sorted)*p+99)/100-1)])
}

// compareWithPlain fills in the ratios.
func compareWithPlain(all []*Result) {
	plain := find(all, Plain)
	if plain == nil {
		return
	}
	for _, r := range all {
		r.CPURatio, r.RateRatio = r.CPU/plain.CPU, r.RequestsPerSecond/plain.RequestsPerSecond
	}
}

func find(all []*Result, side string) *Result {
	for _, r := range all {
		if r.Side == side {
			return r
		}
	}
	return nil
}

func (o *Options) printResults(all []*Result) error {
	if o.JSON {
		return printJSON(o.Out, all)
	}
	return printText(o.Out, all)
}

func printJSON(out io.Writer, all []*Result) error {
	enc := json.NewEncoder(out)
	for _, r := range all {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// printText prints a table and how far the goals are met.
func printText(out io.Writer, all []*Result) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "side\troutes\trequests/s\tp50 ms\tp99 ms\tCPU µs/request\tlowest..highest round\t"+
		"memory MB\tCPU/plain\trequests/plain\t")
	for _, r := range all {
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.2f\t%.2f\t%s\t%s\t%s\t%s\t%s\t\n", r.Side, r.Routes, r.RequestsPerSecond, r.P50, r.P99,
			orDash("%.1f", r.CPU), spread(r.CPURounds), orDash("%.0f", r.RSS), orDash("%.2f", r.CPURatio), orDash("%.2f", r.RateRatio))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if r := find(all, ForwardAuth); r != nil {
		fmt.Fprintf(out, "\nforwardauth: Traefik's own time; its auth service takes %.1f µs more\n", r.AuthCPU)
	}
	printGoals(out, all)
	return nil
}

// orDash is a dash for what was not measured.
func orDash(format string, v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

func spread(rounds []float64) string {
	if len(rounds) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f..%.1f", slices.Min(rounds), slices.Max(rounds))
}

// printGoals prints the ratios that we hold ourselves to, where both sides were measured.
func printGoals(out io.Writer, all []*Result) {
	for _, g := range []struct {
		side, over string
		atMost     float64
	}{{Plugin, Plain, 1.25}, {Plugin, ForwardAuth, 0.5}, {Embedded, Plain, 0.8}} {
		a, b := find(all, g.side), find(all, g.over)
		if a != nil && b != nil {
			fmt.Fprintln(out, goal(fmt.Sprintf("CPU of %s over %s", g.side, g.over), "", a.CPU/b.CPU, g.atMost))
		}
	}
}

// goal is one line that sets a figure beside its goal.
func goal(what, unit string, got, atMost float64) string {
	verdict := "met"
	if got > atMost {
		verdict = "MISSED"
	}
	return fmt.Sprintf("%s: %.3g%s, goal at most %g%s: %s", what, got, unit, atMost, unit, verdict)
}
