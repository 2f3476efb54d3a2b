package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// sizes counts the entries of reports.
type sizes struct {
	mu  sync.Mutex
	all []int
}

func (z *sizes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := struct{ Activity []routes.Activity }{}
	err := json.NewDecoder(r.Body).Decode(&in)
	z.mu.Lock()
	defer z.mu.Unlock()
	z.all = append(z.all, len(in.Activity))
	if err != nil || len(z.all) == 2 { // the second is lost
		w.WriteHeader(http.StatusBadGateway)
	}
}

func TestActivityIsReportedInBoundedParts(t *testing.T) {
	t.Parallel()
	got := &sizes{}
	hub := httptest.NewServer(got)
	t.Cleanup(hub.Close)
	set, err := (&Config{Etcd: []string{"http://127.0.0.1:1"}, Hub: []string{hub.URL}}).check()
	if err != nil {
		t.Fatal(err)
	}
	s := newShared(set)
	t.Cleanup(s.control.transport.CloseIdleConnections)
	v := newView()
	all := []*routes.Route{}
	for i := range 2500 {
		r := edgetest.Route(fmt.Sprintf("u%d", i), "http://127.0.0.1:1")
		v.table.Put(routes.RouteID(r.Prefix), &routes.Record{Revision: 1, Route: r})
		all = append(all, r)
	}
	s.state.install(v)
	for round := range int64(3) {
		for _, r := range all {
			s.activity.note(r, 1000+round)
		}
	}
	s.activity.report(context.Background())
	if n := len(s.activity.used); n != 1500 {
		t.Errorf("after a report whose second part was lost %d routes are to be reported, want 1500", n)
	}
	s.activity.report(context.Background())
	if want := []int{1000, 1000, 1000, 500}; !slices.Equal(got.all, want) || len(s.activity.used) != 0 {
		t.Errorf("reports of %v entries, want %v; %d routes are left", got.all, want, len(s.activity.used))
	}
	s.activity.report(context.Background())
	if len(got.all) != 4 {
		t.Error("a report of nothing")
	}
}

func TestAnEdgeThatStopsReportsOnceMore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		interval string
		want     int
	}{{"1h", 1}, {"0", 0}} {
		w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
		w.PutRoute(edgetest.Route("alice", edgetest.Server(t, "alice").URL))
		w.Start(makeEdge, func(o *edgetest.Options) { o.ActivityInterval = test.interval })
		r := w.Request(http.MethodPut, "/user/alice/api/contents/x", "Authorization", "token "+w.TokenOf("alice"))
		if a := w.Do(r); a.Status != http.StatusOK {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		w.Edge.(*Edge).Close()
		if n := len(w.Hub.Activity("/user/alice/")); n != test.want {
			t.Errorf("with interval %s an edge that stops made %d reports, want %d", test.interval, n, test.want)
		}
	}
}

func TestActivityInterval(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{"": "1m0s", "0": "0s", "5m": "5m0s", "100ms": "100ms", "1ms": "", "-1s": "", "60": "", "soon": ""} {
		set, err := (&Config{Etcd: []string{"http://127.0.0.1:1"}, ActivityInterval: raw}).check()
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "option activityInterval") {
				t.Errorf("interval %q: %v, want an error that names the option", raw, err)
			}
			continue
		}
		if err != nil || set.activityEvery.String() != want {
			t.Errorf("interval %q: %v, %v; want %s", raw, set, err, want)
		}
	}
}
