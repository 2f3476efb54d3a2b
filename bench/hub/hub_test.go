package hub

import (
	"bytes"
	"strings"
	"testing"
)

func TestGoalsCompareWithAsManyUsersOrFewer(t *testing.T) {
	t.Parallel()
	all := []*Result{
		{Side: Edgehub, Users: 1000, What: whoami, CPU: 50},
		{Side: Edgehub, Users: 1000, What: firstPage, CPU: 1000},
		{Side: Edgehub, Users: 1000000, What: firstPage, CPU: 1000},
		{Side: Edgehub, Users: 1000000, What: lastPage, CPU: 1600},
		{Side: Edgehub, Users: 1000, What: ready, Value: 0.5, Unit: "s"},
		{Side: JupyterHub, Users: 1000, What: whoami, CPU: 1000},
		{Side: JupyterHub, Users: 1000, What: firstPage, CPU: 9000},
		{Side: JupyterHub, Users: 10000, What: firstPage, CPU: 20000},
	}
	compare(all)
	for i, want := range []struct {
		over float64
		met  bool
	}{{20, true}, {9, false}, {20, true}, {0, false}, {0, true}} {
		if r := all[i]; r.Over != want.over || r.Met != want.met || r.Goal == "" {
			t.Errorf("%+v, want %+v", *r, want)
		}
	}
	var out bytes.Buffer
	if err := (&Options{Out: &out}).print(all); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">= 20 x met", ">= 10 x MISSED", "CPU <= 1.5 x 1000.0 µs MISSED", "0.5 s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}

func TestOptionsAreCheckedBeforeAnythingStarts(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Options){
		"--users":       func(o *Options) { o.Users = nil },
		"--tokens":      func(o *Options) { o.Tokens = []int{0} },
		"--seconds":     func(o *Options) { o.Seconds = 0 },
		"--connections": func(o *Options) { o.Connections = 0 },
		`side "x"`:      func(o *Options) { o.Sides = []string{"x"} },
	} {
		o := Defaults()
		change(&o)
		if err := Measure(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
