package plugin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"path"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/edgehub/edgehub/plugin/edgetest"
)

// machine is a server at an address that it leaves without a word.
type machine struct {
	address  string
	listener net.Listener
}

// boot starts a machine whose server says its name. Requests for a path that ends with /together are answered when there are keptOpen
// of them, which leaves as many open connections.
func boot(t *testing.T, address, name string) *machine {
	t.Helper()
	config := &net.ListenConfig{}
	config.SetMultipathTCP(false)
	listener, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var together sync.WaitGroup
	together.Add(keptOpen)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Base(r.URL.Path) == "together" {
			together.Done()
			together.Wait()
		}
		_, _ = io.WriteString(w, name)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return &machine{address: listener.Addr().String(), listener: listener}
}

// vanish takes the machine off the network. Another one may have its address then.
func (m *machine) vanish(t *testing.T) {
	t.Helper()
	vanish(t, m.address)
	m.listener.Close()
}

// ask sends a GET through the edge and returns what the server behind it says, or an error after some seconds.
func ask(w *edgetest.World, user, path string) (string, error) {
	r := w.Request("GET", path)
	if user != "" {
		r.Header.Set("Authorization", "token "+w.TokenOf(user))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	resp, err := http.DefaultTransport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// askTogether leaves keptOpen connections to the first machine.
func askTogether(t *testing.T, w *edgetest.World, user, path string) {
	t.Helper()
	var all sync.WaitGroup
	for range keptOpen {
		all.Go(func() { wantAnswer(t, w, user, path, "first") })
	}
	all.Wait()
}

func wantAnswer(t *testing.T, w *edgetest.World, user, path, want string) {
	t.Helper()
	if got, err := ask(w, user, path); got != want {
		t.Errorf("%s says %q, %v, want %q", path, got, err, want)
	}
}

const keptOpen = 3 // connections

// TestC24AnotherServerAtTheSameAddress has the machine of a server vanish, and the server start again on another machine that has its
// address. No visitor may wait for the first one.
func TestC24AnotherServerAtTheSameAddress(t *testing.T) {
	notShort(t)
	w, s := startWorld(t, edgetest.SharedEtcd(t), edgetest.SharedEtcd(t).Endpoint)
	first := boot(t, "127.0.0.1:0", "first")
	route := edgetest.Route("bob", "http://"+first.address)
	w.PutRoute(route)
	eventually(t, "bob is there", func() bool { return w.Get("", "/user/bob/x").Status == http.StatusForbidden })
	askTogether(t, w, "bob", "/user/bob/together")
	if n := len(descriptors(t, unix.Getpeername, first.address)); n != keptOpen {
		t.Fatalf("%d connections are open, want %d", n, keptOpen)
	}
	first.vanish(t)
	boot(t, first.address, "second")
	route.Gen++
	w.PutRoute(route)
	eventually(t, "the second server has a route", func() bool { r := s.state.routeOf(route.Prefix); return r != nil && r.Gen == route.Gen })
	for range keptOpen {
		wantAnswer(t, w, "bob", "/user/bob/x", "second")
	}
}

// TestC24AnotherHubAtTheSameAddress does the same to the control plane. A call of the edge's own that is not answered tells it.
func TestC24AnotherHubAtTheSameAddress(t *testing.T) {
	notShort(t)
	first := boot(t, "127.0.0.1:0", "first")
	w := edgetest.NewWorld(t, edgetest.SharedEtcd(t))
	var s *shared
	w.Start(func(t testing.TB, o edgetest.Options) http.Handler {
		o.Hub = []string{"http://" + first.address}
		h := makeEdge(t, o)
		s = h.(*Edge).shared
		return h
	})
	askTogether(t, w, "", "/hub/together")
	first.vanish(t)
	boot(t, first.address, "second")
	if _, status := s.control.edgeToken("/hub/api/edge/exchange", "a token"); status != 0 {
		t.Errorf("a hub that has vanished answers %d", status)
	}
	for range keptOpen {
		wantAnswer(t, w, "", "/hub/home", "second")
	}
}
