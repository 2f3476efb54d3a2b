package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(3, time.Minute, 100)
		take := func(want bool) {
			t.Helper()
			if got := l.Take("a"); got != want {
				t.Errorf("at %s: %t, want %t", time.Now().Format(time.TimeOnly), got, want)
			}
		}
		for range 3 {
			take(true)
		}
		take(false)
		if !l.Take("b") || l.Take("c", "a") || !l.Take("c") || !l.Take("c") || !l.Take("c") {
			t.Error("one key's limit is not its own, or a refusal used something of another key")
		}
		time.Sleep(59 * time.Second)
		take(false)
		time.Sleep(time.Second)
		take(true)
		take(false)
		l.GiveBack("a")
		take(true)
		take(false)
		time.Sleep(time.Hour)
		for range 3 {
			take(true)
		}
		take(false)
		l.GiveBack("never taken")
		l.GiveBack("never taken")
		for range 3 {
			l.Take("never taken")
		}
		if l.Take("never taken") {
			t.Error("giving back made more than there is")
		}
	})
}

func TestLimiterHasABoundAndKeepsTheBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter(10, time.Minute, 64)
		for range 10 {
			l.Take("victim")
		}
		for i := range 10_000 {
			l.Take(fmt.Sprint(i))
			if len(l.full) > 64 {
				t.Fatalf("it remembers %d", len(l.full))
			}
		}
		if l.Take("victim") {
			t.Error("others made it forget who had used all")
		}
		time.Sleep(time.Hour)
		l.Take("late")
		if len(l.full) != 1 {
			t.Errorf("it remembers %d who may do everything", len(l.full)-1)
		}
	})
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		remote string
		chain  []string
		want   string
	}{
		{"192.0.2.7:1234", nil, "192.0.2.7"},
		{"@", nil, "@"},
		{"127.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1"},
		{"127.0.0.1:1", []string{"6.6.6.6, 198.51.100.1"}, "198.51.100.1"},
		{"127.0.0.1:1", []string{"6.6.6.6", "7.7.7.7,198.51.100.1"}, "198.51.100.1"},
		{"[2001:db8:1:2:3:4:5:6]:1", nil, "2001:db8:1:2::/64"},
		{"[::ffff:192.0.2.7]:1", nil, "192.0.2.7"},
		{"[fe80::1%eth0]:1", nil, "fe80::/64"},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr = c.remote
		r.Header["X-Forwarded-For"] = c.chain
		if got := ClientNetwork(r); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.remote, c.chain, got, c.want)
		}
	}
}
