package hub

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
)

// Result is one figure.
type Result struct {
	Side string `json:"side"`
	// Users is how many there are.
	Users int `json:"users"`
	// Tokens is how many API tokens there are, where that matters.
	Tokens int    `json:"tokens,omitempty"`
	What   string `json:"what"`
	// RequestsPerSecond is what the client saw, CPU the processor time of a request in the hub and its database.
	RequestsPerSecond float64 `json:"requests_per_s,omitempty"`
	CPU               float64 `json:"cpu_us_per_request,omitempty"`
	// Value is the figure where it is not about requests.
	Value float64 `json:"value,omitempty"`
	Unit  string  `json:"unit,omitempty"`
	// Over compares with the same figure of JupyterHub: how many times as many requests for the same processor time.
	Over float64 `json:"requests_per_cpu_over_jupyterhub,omitempty"`
	Goal string  `json:"goal,omitempty"`
	Met  bool    `json:"met,omitempty"`
}

// Names of figures that others are compared with.
const (
	whoami    = "whoami"
	oneUser   = "one user"
	firstPage = "first page of 100 users"
	lastPage  = "last page of 100 users"
	ready     = "start to ready"
	memory    = "resident memory"
	perUser   = "etcd per user"
)

// atLeast is how many times JupyterHub's requests we want for the same processor time.
var atLeast = map[string]float64{whoami: 20, oneUser: 20, firstPage: 10, lastPage: 10}

// compare fills in the comparisons and goals.
func compare(all []*Result) {
	for _, r := range all {
		if r.Side != Edgehub {
			continue
		}
		r.compareWithJupyterHub(all)
		switch r.What {
		case lastPage:
			if first := find(all, Edgehub, r.Users, firstPage); first != nil && r.Goal == "" {
				r.goal(fmt.Sprintf("CPU <= 1.5 x %.1f µs", first.CPU), r.CPU <= 1.5*first.CPU)
			}
		case ready:
			r.goal("<= 1 s", r.Value <= 1)
		case perUser:
			r.goal("<= 2048 bytes", r.Value <= 2048)
		}
	}
}

// compareWithJupyterHub takes JupyterHub's figure for as many users, or for the most that it was measured with: that flatters it.
func (r *Result) compareWithJupyterHub(all []*Result) {
	var other *Result
	for _, j := range all {
		if j.Side == JupyterHub && j.What == r.What && j.Users <= r.Users && j.CPU > 0 {
			other = j
		}
	}
	if other == nil || r.CPU == 0 {
		return
	}
	r.Over = other.CPU / r.CPU
	if least := atLeast[r.What]; least > 0 {
		r.goal(fmt.Sprintf(">= %g x", least), r.Over >= least)
	}
}

func (r *Result) goal(text string, met bool) { r.Goal, r.Met = text, met }

func find(all []*Result, side string, users int, what string) *Result {
	for _, r := range all {
		if r.Side == side && r.Users == users && r.What == what {
			return r
		}
	}
	return nil
}

func (o *Options) print(all []*Result) error {
	if o.JSON {
		enc := json.NewEncoder(o.Out)
		enc.SetEscapeHTML(false)
		for _, r := range all {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(o.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "side\tusers\twhat\trequests/s\tCPU µs/request\tvalue\tx JupyterHub\tgoal\t")
	for _, r := range all {
		what := r.What
		if r.Tokens > 0 {
			what = fmt.Sprintf("%s, one of %d", what, r.Tokens)
		}
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Side, r.Users, what, orDash("%.0f", r.RequestsPerSecond), orDash("%.1f", r.CPU),
			orDash("%.4g "+r.Unit, r.Value), orDash("%.1f", r.Over), r.verdict())
	}
	return t.Flush()
}

func (r *Result) verdict() string {
	switch {
	case r.Goal == "":
		return ""
	case r.Met:
		return r.Goal + " met"
	}
	return r.Goal + " MISSED"
}

// orDash is a dash for what was not measured.
func orDash(format string, v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}
