package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// stopTime is how long `edgehub up` may take to end, with servers to stop and connections to close.
const stopTime = 20 * time.Second

// TestUp is the life of a hub on one machine: it says where it is and how to sign in, ends in an orderly way on Ctrl-C and on
// SIGTERM with nothing left behind, and has everything that was stored when it starts again.
func TestUp(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := env.Up(t, env.Options{Edge: e, Jupyter: true})
		signIn(t, w)
		w.AddUser(t, "alice")
		w.StartServer(t, "alice")
		alice := w.Login(t, "alice")
		token := w.Bearer(alice.Token(t).Secret)
		const notebook = `{"type": "file", "format": "text", "content": "kept"}`
		saved := alice.Do(t, http.MethodPut, "/user/alice/api/contents/notes.txt", http.Header{"Content-Type": {"application/json"}}, strings.NewReader(notebook))
		if saved.Status != http.StatusCreated {
			t.Fatalf("save a file: %s", saved)
		}
		alice.Kernel(t, "alice") // its WebSocket stays open
		goesDown(t, w, syscall.SIGINT)

		w.Hub.Start()
		signIn(t, w)
		w.StartServer(t, "alice")
		for who, c := range map[string]*env.Client{"a new session": w.Login(t, "alice"), "the session of before": alice, "the token of before": token} {
			if resp := c.Get(t, "/user/alice/api/contents/notes.txt"); resp.Status != http.StatusOK || !strings.Contains(string(resp.Body), `"kept"`) {
				t.Errorf("%s reads the file of before: %s", who, resp)
			}
		}
		goesDown(t, w, syscall.SIGTERM)
	})
}

var announced = regexp.MustCompile(`edgehub is ready\.\n\n  URL:       (\S+)\n  User:      (\S+)\n  Password:  (\S+) `)

// signIn does what the operator does who reads the terminal.
func signIn(t *testing.T, w *env.World) {
	t.Helper()
	var found []string
	env.Eventually(t, "the announcement", 10*time.Second, func() error {
		if found = announced.FindStringSubmatch(w.Hub.Log()); found == nil {
			return errors.New("there is none")
		}
		return nil
	})
	if want := w.URL("/"); found[1] != want {
		t.Errorf("announced the URL %s, want %s", found[1], want)
	}
	w.SetPassword(found[2], found[3])
	if resp := w.Login(t, found[2]).Page(t, "/hub/home"); resp.Status != http.StatusOK {
		t.Errorf("home page of %s: %s", found[2], resp)
	}
}

// goesDown ends `edgehub up` while a server starts, and looks what is left.
func goesDown(t *testing.T, w *env.World, sig syscall.Signal) {
	t.Helper()
	name := strings.ToLower(sig.String()[:4])
	w.AddUser(t, name)
	answer := ask(t, w, http.MethodPost, name)
	env.Eventually(t, "another start", 20*time.Second, func() error {
		if s := w.Server(t, name); s.Stopped {
			return errors.New("there is none")
		}
		return nil
	})
	took := w.Hub.StopWith(sig)
	answer.Wait()
	t.Logf("%s: down after %s", sig, took.Round(time.Millisecond))
	if took > stopTime {
		t.Errorf("%s: down after %s, want %s at most", sig, took, stopTime)
	}
	if code := w.Hub.ExitCode(); code != 0 {
		t.Errorf("%s: exit code %d, want 0", sig, code)
	}
	nothingLeft(t, w.Data, w.Addr())
}

// nothingLeft fails the test if there are processes of a data folder, or a listener at its address.
func nothingLeft(t *testing.T, data, addr string) {
	t.Helper()
	if stray := env.Processes(t, data); len(stray) > 0 {
		t.Errorf("these processes are left:\n%s", env.Describe(stray))
	}
	if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		_ = conn.Close()
		t.Errorf("somebody listens at %s", addr)
	}
}

// TestUpKeepsServers shows that servers may outlive the hub that started them, if the operator wants that.
func TestUpKeepsServers(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := env.Up(t, env.Options{Edge: e, Args: []string{"--cleanup-servers=false"}})
		w.AddUser(t, "alice")
		w.StartServer(t, "alice")
		alice := w.Login(t, "alice")
		before := alice.Get(t, "/user/alice/x").Report(t)
		w.Hub.Stop()
		if left := env.Processes(t, w.Data); len(left) != 1 || left[0] != before.PID {
			t.Errorf("these processes are left, want %d alone:\n%s", before.PID, env.Describe(left))
		}
		w.Hub.Start()
		w.AwaitRoute(t, "alice")
		if after := alice.Get(t, "/user/alice/x").Report(t); after.Instance != before.Instance || after.PID != before.PID {
			t.Errorf("alice's server is now %d, want %d", after.PID, before.PID)
		}
	})
}

// TestUpSupervises shows that a Traefik that dies is started again, and that the servers do not notice.
func TestUpSupervises(t *testing.T) {
	w := env.Up(t, env.Options{Edge: env.Traefik})
	w.AddUser(t, "alice")
	w.StartServer(t, "alice")
	alice := w.Login(t, "alice")
	id := instance(t, alice, "alice")
	for range 3 {
		killed := 0
		for _, pid := range env.Processes(t, w.Data+"/traefik/") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			killed++
		}
		if killed != 1 {
			t.Fatalf("%d processes of Traefik, want 1", killed)
		}
		took := env.Eventually(t, "Traefik is there again", 20*time.Second, func() error {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			return visit(ctx, alice, "/user/alice/x", id)
		})
		t.Logf("away for %s", took.Round(time.Millisecond))
	}
}

// TestUpServerEnds shows what the user sees when a server ends by itself, and that it can be started again.
func TestUpServerEnds(t *testing.T) {
	w := env.Up(t, env.Options{})
	w.AddUser(t, "alice")
	w.StartServer(t, "alice")
	alice := w.Login(t, "alice")
	first := alice.Get(t, "/user/alice/x").Report(t)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	env.Eventually(t, "the hub notices", 10*time.Second, func() error {
		if s := w.Server(t, "alice"); !s.Stopped {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
	home := alice.Page(t, "/hub/home")
	if !strings.Contains(string(home.Body), "ended by itself") {
		t.Errorf("the home page does not say what happened: %s", home.Body)
	}
	w.StartServer(t, "alice")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := visit(ctx, alice, "/user/alice/x", `"user":"alice"`); err != nil {
		t.Error(err)
	}
}
