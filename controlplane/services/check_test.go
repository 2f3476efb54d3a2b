package services_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/services"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
)

// lines is a log that tests read.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.buf.String(), text)
}

func (l *lines) await(t *testing.T, text string, n int) {
	t.Helper()
	for end := time.Now().Add(storetest.Patience); l.count(text) < n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q is not %d times in the log:\n%s", text, n, l.buf.String())
		}
	}
}

// checker runs replicas that look at the urls of services, and nothing else.
func checker(t *testing.T, w *world, every time.Duration, specs ...services.Spec) *lines {
	t.Helper()
	var raw []account.ServiceSpec
	for _, s := range specs {
		raw = append(raw, s.ServiceSpec)
	}
	if err := w.acc.SyncServices(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	log := &lines{}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, replica := range []string{"r1", "r2"} {
		r := services.New(services.Options{Store: w.st, Accounts: w.acc, Log: slog.New(slog.NewTextHandler(log, nil)), Replica: replica, CheckEvery: every})
		all.Go(func() { r.Run(ctx) })
	}
	t.Cleanup(func() { cancel(); all.Wait() })
	return log
}

func external(name, url string) services.Spec {
	return services.Spec{ServiceSpec: account.ServiceSpec{Service: hub.Service{Name: name, URL: url}}}
}

// TestURLsAreLookedAt has a service that goes and comes. It is said once each time, by one of two replicas.
func TestURLsAreLookedAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	log := checker(t, w, 5*time.Millisecond, external("flaky", "http://"+address), external("dead", "http://127.0.0.1:1"), external("without", ""))
	log.await(t, `a service does not answer" service=dead url=http://127.0.0.1:1`, 1)
	for n := 1; n <= 2; n++ {
		_ = l.Close()
		log.await(t, `a service does not answer" service=flaky`, n)
		if l, err = net.Listen("tcp", address); err != nil {
			t.Fatal(err)
		}
		log.await(t, `a service answers again" service=flaky`, n)
	}
	_ = l.Close()
	if n := log.count("service=dead"); n != 1 || log.count("service=without") != 0 {
		t.Errorf("what is dead was told %d times, want once", n)
	}
}

// TestNoLooking is service_check_interval: 0.
func TestNoLooking(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	off := checker(t, w, 0, external("dead", "http://127.0.0.1:1"))
	checker(t, w, 5*time.Millisecond, external("dead", "http://127.0.0.1:1")).await(t, "does not answer", 1)
	if off.count("does not answer") != 0 {
		t.Error("it was looked at")
	}
}
