package env

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// API calls the hub's REST API through the front door with the administrator's token. path begins behind "/hub/api".
func (w *World) API(t testing.TB, method, path string, body any) (status int, answer []byte) {
	t.Helper()
	resp := w.Bearer(w.AdminToken).Do(t, method, "/hub/api"+path, http.Header{"Content-Type": {"application/json"}}, encode(t, body))
	return resp.Status, resp.Body
}

// AddUser makes a user with a password.
func (w *World) AddUser(t testing.TB, name string) { t.Helper(); w.addUser(t, name, false) }

// AddAdmin makes an administrator with a password.
func (w *World) AddAdmin(t testing.TB, name string) { t.Helper(); w.addUser(t, name, true) }

func (w *World) addUser(t testing.TB, name string, admin bool) {
	t.Helper()
	password := newSecret()
	status, body := w.API(t, http.MethodPost, "/users/"+name, map[string]any{"password": password, "admin": admin})
	if status != http.StatusCreated {
		t.Fatalf("add user %s: %d %s", name, status, body)
	}
	w.SetPassword(name, password)
}

// SetPassword tells the world the password of a user that somebody else made.
func (w *World) SetPassword(name, password string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passwords[name] = password
}

// Password is a user's password.
func (w *World) Password(name string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.passwords[name]
}

// Server is what the API says about a user's server.
type Server struct {
	Ready   bool   `json:"ready"`
	Pending string `json:"pending"`
	Stopped bool   `json:"stopped"`
	State   struct {
		PID  int   `json:"pid"`
		Port int   `json:"port"`
		Gen  int64 `json:"gen"`
	} `json:"state"`
}

// Server is the default server of a user; it is Stopped if there is none.
func (w *World) Server(t testing.TB, user string) Server {
	t.Helper()
	status, body := w.API(t, http.MethodGet, "/users/"+user+"?include_stopped_servers", nil)
	var model struct {
		Servers map[string]Server `json:"servers"`
	}
	if err := json.Unmarshal(body, &model); err != nil || status != http.StatusOK {
		t.Fatalf("server of %s: %d %s", user, status, body)
	}
	if s, ok := model.Servers[""]; ok {
		return s
	}
	return Server{Stopped: true}
}

// StartServer starts a user's server and waits until the front door has its route.
func (w *World) StartServer(t testing.TB, user string) {
	t.Helper()
	status, body := w.API(t, http.MethodPost, "/users/"+user+"/server", nil)
	if status != http.StatusCreated && status != http.StatusAccepted {
		t.Fatalf("start the server of %s: %d %s", user, status, body)
	}
	w.AwaitServer(t, user)
}

// AwaitServer waits until a user's server runs and the front door has its route.
func (w *World) AwaitServer(t testing.TB, user string) {
	t.Helper()
	Eventually(t, "server of "+user+" runs", 90*time.Second, func() error {
		if s := w.Server(t, user); !s.Ready {
			if s.Stopped {
				t.Fatalf("server of %s did not start\n%s", user, w.Hub.tail())
			}
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
	w.AwaitRoute(t, user)
}

// AwaitRoute waits until the front door knows that a user's server runs: it refuses those without credentials then.
func (w *World) AwaitRoute(t testing.TB, user string) {
	t.Helper()
	nobody := w.Anonymous()
	Eventually(t, "front door has the route of "+user, 20*time.Second, func() error {
		if resp := nobody.Get(t, "/user/"+user+"/api"); resp.Status != http.StatusForbidden {
			return fmt.Errorf("%s", resp)
		}
		return nil
	})
}

// StopServer stops a user's server and waits until it is gone.
func (w *World) StopServer(t testing.TB, user string) {
	t.Helper()
	status, body := w.API(t, http.MethodDelete, "/users/"+user+"/server", nil)
	if status != http.StatusNoContent && status != http.StatusAccepted {
		t.Fatalf("stop the server of %s: %d %s", user, status, body)
	}
	Eventually(t, "server of "+user+" is stopped", 30*time.Second, func() error {
		if s := w.Server(t, user); !s.Stopped {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
}

var requestLine = regexp.MustCompile(`msg=request method=(\S+) path=(\S+) status=(\d+)`)

// HubRequests are the requests that reached the hub so far, as "METHOD /path status".
func (w *World) HubRequests(t testing.TB) []string {
	t.Helper()
	// A request is logged after it was answered. The line of one that comes later says that those before are there.
	last := "/hub/mark-" + newSecret()[:8]
	if _, _, err := get(t.Context(), w.hub+last); err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the hub's log", 5*time.Second, func() error {
		if !strings.Contains(w.Hub.Log(), last) {
			return errors.New("it has no line for the last request")
		}
		return nil
	})
	var all []string
	for _, m := range requestLine.FindAllStringSubmatch(w.Hub.Log(), -1) {
		if path := strings.Trim(m[2], `"`); !strings.HasPrefix(path, "/hub/mark-") {
			all = append(all, m[1]+" "+path+" "+m[3])
		}
	}
	return all
}

// Count is how many of lines begin with start.
func Count(lines []string, start string) int {
	n := 0
	for _, line := range lines {
		if strings.HasPrefix(line, start) {
			n++
		}
	}
	return n
}

// Life is one line of the diary of echo servers.
type Life struct {
	Event    string    `json:"event"` // start, ready, stop, or double: another instance of this server ran already
	User     string    `json:"user"`
	Instance string    `json:"instance"`
	PID      int       `json:"pid"`
	At       time.Time `json:"at"`
}

// Lives is the diary of the echo servers of a user.
func (w *World) Lives(t testing.TB, user string) []Life {
	t.Helper()
	f, err := os.Open(filepath.Join(w.echoDir, "diary"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var all []Life
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var l Life
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("the diary: %s: %s", err, lines.Bytes())
		}
		if l.User == user {
			all = append(all, l)
		}
	}
	return all
}

// Hold makes the next echo servers of a user wait before they listen, until Release.
func (w *World) Hold(t testing.TB, user string) { t.Helper(); w.gate(t, "hold-"+user) }

// HoldStop makes the echo servers of a user wait before they end, until Release, or until somebody loses patience.
func (w *World) HoldStop(t testing.TB, user string) { t.Helper(); w.gate(t, "stay-"+user) }

func (w *World) gate(t testing.TB, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(w.echoDir, name), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Release ends Hold and HoldStop.
func (w *World) Release(t testing.TB, user string) {
	t.Helper()
	for _, gate := range []string{"hold-", "stay-"} {
		if err := os.Remove(filepath.Join(w.echoDir, gate+user)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}
