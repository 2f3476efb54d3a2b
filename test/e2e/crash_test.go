package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/edgehub/edgehub/test/env"
)

// takeover is how long the work of a hub that was killed may lie around: its lease, an election, and a round of comparing.
const takeover = 60 * time.Second

// TestCrash kills the hub with -9 while one server runs, others start and one stops. Nobody who uses the running one notices;
// those that start run in the end, or have failed with a reason; the one that stops is gone; and there are never two of one.
func TestCrash(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := echo(t, env.Options{Edge: e}, "alice")
		alice := w.Login(t, "alice")
		id := instance(t, alice, "alice")
		requests, socket := visits(t, alice, "/user/alice/x", id), talk(t, alice.WebSocket(t, "/user/alice/ws"))
		for round := range 2 {
			t.Run(fmt.Sprint("round ", round), func(t *testing.T) { crash(t, w, fmt.Sprint(round)) })
		}
		n, err := requests.end()
		if err != nil || n < 1000 {
			t.Errorf("%d requests of alice went well (want 1000 and more), then: %v", n, err)
		}
		if n, err := socket.end(); err != nil || n < 1000 {
			t.Errorf("%d messages of alice went well (want 1000 and more), then: %v", n, err)
		}
		if lives := w.Lives(t, "alice"); len(lives) != 2 {
			t.Errorf("alice's server was started again: %+v", lives)
		}
	})
}

// crash brings servers into every state that the hub can leave one in, kills the hub, starts it again, and looks what became
// of them.
func crash(t *testing.T, w *env.World, round string) {
	name := func(kind string) []string { return []string{kind + round + "a", kind + round + "b"} }
	held, ready, asked, leaving := name("held"), name("ready"), name("asked"), name("leaving")
	for _, user := range slices.Concat(held, ready, asked, leaving) {
		w.AddUser(t, user)
	}
	for _, user := range leaving {
		w.StartServer(t, user)
		w.HoldStop(t, user)
	}
	// The processes of these are there and do not answer.
	for _, user := range slices.Concat(held, ready) {
		w.Hold(t, user)
	}
	answers := ask(t, w, http.MethodPost, slices.Concat(held, ready)...)
	for _, user := range slices.Concat(held, ready) {
		processMade(t, w, user)
	}
	// These are in the middle of something when the hub dies: about to get a route, to get a process, to be stopped.
	for _, user := range ready {
		w.Release(t, user)
	}
	stops, starts := ask(t, w, http.MethodDelete, leaving...), ask(t, w, http.MethodPost, asked...)
	for _, user := range slices.Concat(asked, leaving) {
		env.Eventually(t, "the hub has noted what shall become of "+user, 20*time.Second, func() error {
			if s := w.Server(t, user); s.Pending == "" && !s.Ready {
				return fmt.Errorf("it is %+v", s)
			}
			return nil
		})
	}
	w.Hub.Kill()
	answers.Wait()
	stops.Wait()
	starts.Wait()
	w.Release(t, held[0])
	w.Hub.Start()
	for _, user := range slices.Concat(held, leaving) {
		w.Release(t, user)
	}
	for _, user := range slices.Concat(held, ready, asked) {
		ends(t, w, user)
	}
	for _, user := range leaving {
		leaves(t, w, user)
	}
}

// ask sends a request about the servers of some users. The answers may die with the hub.
func ask(t *testing.T, w *env.World, method string, users ...string) *sync.WaitGroup {
	t.Helper()
	all := new(sync.WaitGroup)
	for _, user := range users {
		c := w.Bearer(w.AdminToken)
		all.Go(func() {
			_, _ = c.Try(t.Context(), method, "/hub/api/users/"+user+"/server", http.Header{"Content-Type": {"application/json"}}, nil)
		})
	}
	return all
}

// processMade waits until the process of a user's server is there.
func processMade(t *testing.T, w *env.World, user string) {
	t.Helper()
	env.Eventually(t, "the process of "+user, 20*time.Second, func() error {
		if len(w.Lives(t, user)) == 0 {
			return errors.New("it is not there")
		}
		return nil
	})
}

// leaves waits until a server that was about to be stopped is gone.
func leaves(t *testing.T, w *env.World, user string) {
	t.Helper()
	env.Eventually(t, "the end of "+user, takeover, func() error {
		if s := w.Server(t, user); !s.Stopped {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
	if left := alive(w.Lives(t, user)); len(left) > 0 {
		t.Errorf("%s: stopped, but there are processes: %v", user, left)
	}
	if resp := w.Bearer(w.AdminToken).Get(t, "/user/"+user+"/x"); resp.Status != http.StatusFailedDependency {
		t.Errorf("at the address of the stopped server of %s: %s, want 424", user, resp)
	}
}

// ends waits for the end of a start: the server runs and answers, or it has failed and says why.
func ends(t *testing.T, w *env.World, user string) {
	t.Helper()
	took := env.Eventually(t, "end of the start of "+user, takeover, func() error {
		if s := w.Server(t, user); s.Pending != "" || !s.Ready && !s.Stopped {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
	starts, pid := 0, 0
	for _, life := range w.Lives(t, user) {
		switch life.Event {
		case "start":
			starts++
			pid = life.PID
		case "double":
			t.Errorf("there were two servers of %s at once: %+v", user, w.Lives(t, user))
		}
	}
	s := w.Server(t, user)
	if s.Ready {
		w.AwaitRoute(t, user)
		if report := w.Bearer(w.AdminToken).Get(t, "/user/"+user+"/x").Report(t); report.User != user || report.PID != pid {
			t.Errorf("%+v answers for %s, want process %d", report, user, pid)
		}
		t.Logf("%s runs %s after the restart, %d start(s)", user, took.Round(time.Millisecond), starts)
		return
	}
	reason := lastEvent(t, w, user)
	if !reason.Failed || reason.Message == "" {
		t.Errorf("%s: stopped without a reason: %+v", user, reason)
	}
	if left := alive(w.Lives(t, user)); len(left) > 0 {
		t.Errorf("%s: stopped, but there are processes: %v", user, left)
	}
	t.Logf("%s failed %s after the restart: %s", user, took.Round(time.Millisecond), reason.Message)
}

// event is the last line of a start's progress.
type event struct {
	Failed  bool   `json:"failed"`
	Message string `json:"message"`
}

func lastEvent(t *testing.T, w *env.World, user string) event {
	t.Helper()
	resp := w.Bearer(w.AdminToken).Get(t, "/hub/api/users/"+user+"/server/progress")
	var last event
	for line := range payloads(resp.Body) {
		if err := json.Unmarshal(line, &last); err != nil {
			t.Fatalf("progress of %s: %s: %s", user, err, resp)
		}
	}
	return last
}

// alive are the processes of a diary that have not ended.
func alive(lives []env.Life) []int {
	var left []int
	for _, life := range lives {
		if life.Event == "start" && syscall.Kill(life.PID, 0) == nil {
			left = append(left, life.PID)
		}
	}
	return left
}

// TestCrashUp kills `edgehub up` with -9. The next one on the same data has the users with their passwords, and goes on with
// the servers that run.
func TestCrashUp(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		w := env.Up(t, env.Options{Edge: e})
		w.AddUser(t, "alice")
		w.StartServer(t, "alice")
		alice := w.Login(t, "alice")
		token := alice.Token(t)
		before := alice.Get(t, "/user/alice/x").Report(t)
		w.AddUser(t, "bob")
		w.Hold(t, "bob")
		answer := ask(t, w, http.MethodPost, "bob")
		processMade(t, w, "bob")
		password, err := os.ReadFile(filepath.Join(w.Data, "admin-password"))
		if err != nil {
			t.Fatal(err)
		}
		w.Hub.Kill()
		answer.Wait()
		w.Release(t, "bob")
		w.Hub.Start()
		w.AwaitRoute(t, "alice")
		after := alice.Get(t, "/user/alice/x").Report(t)
		if after.PID != before.PID || after.Instance != before.Instance {
			t.Errorf("alice's server is process %d, instance %s; before the crash it was %d, %s", after.PID, after.Instance, before.PID, before.Instance)
		}
		if resp := w.Bearer(token.Secret).Get(t, "/user/alice/x"); resp.Status != http.StatusOK {
			t.Errorf("alice's API token after the crash: %s", resp)
		}
		talk(t, w.Login(t, "alice").WebSocket(t, "/user/alice/ws")).mustGoOn(t, "a WebSocket of alice")
		ends(t, w, "bob")
		if again, err := os.ReadFile(filepath.Join(w.Data, "admin-password")); err != nil || string(again) != string(password) {
			t.Errorf("the administrator's password is %q (%v), it was %q", again, err, password)
		}
		if stray := others(env.Processes(t, w.Data), w.Hub.PID()); e == env.Embedded && len(stray) != 2 {
			t.Errorf("these processes are left besides two servers:\n%s", env.Describe(stray))
		}
	})
}

func others(pids []int, but int) []int {
	var left []int
	for _, pid := range pids {
		if pid != but {
			left = append(left, pid)
		}
	}
	return left
}
