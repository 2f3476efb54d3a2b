package api

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
)

// stream is an open progress stream.
type stream struct {
	t     *testing.T
	resp  *http.Response
	lines chan string // closed at the end of the stream
}

func (h *testHub) stream(path string, changes ...with) *stream {
	h.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(h.request("GET", path, "", changes...))
	if err != nil {
		h.t.Fatal(err)
	}
	s := &stream{t: h.t, resp: resp, lines: make(chan string, 1000)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer close(s.lines)
		in := bufio.NewReader(resp.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				if err != io.EOF && line != "" {
					h.t.Errorf("the stream ends within a line: %q, %v", line, err)
				}
				return
			}
			s.lines <- strings.TrimSuffix(line, "\n")
		}
	}()
	h.t.Cleanup(func() { _ = resp.Body.Close(); <-ended })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-cache" {
		h.t.Fatalf("progress = %d, %v", resp.StatusCode, resp.Header)
	}
	return s
}

// line is the next line, false at the end.
func (s *stream) line() (string, bool) {
	s.t.Helper()
	select {
	case line, ok := <-s.lines:
		return line, ok
	case <-time.After(storetest.Patience):
		s.t.Fatal("waited too long for a line of the stream")
		return "", false
	}
}

// event is the next event. Events are one line "data: <json>" and an empty one; between them are empty lines only.
func (s *stream) event() (hub.Event, bool) {
	s.t.Helper()
	for {
		line, ok := s.line()
		if !ok {
			return hub.Event{}, false
		}
		if line == "" {
			continue
		}
		data, found := strings.CutPrefix(line, "data: ")
		var e hub.Event
		if err := json.Unmarshal([]byte(data), &e); err != nil || !found {
			s.t.Fatalf("line %q: %v", line, err)
		}
		if blank, ok := s.line(); !ok || blank != "" {
			s.t.Fatalf("after %q comes %q, want an empty line", line, blank)
		}
		return e, true
	}
}

// rest are all further events.
func (s *stream) rest() []hub.Event {
	s.t.Helper()
	var all []hub.Event
	for {
		e, ok := s.event()
		if !ok {
			return all
		}
		all = append(all, e)
	}
}

const aliceProgress = "/hub/api/users/alice/server/progress"

func TestProgressOfAStart(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	secret := as(h.token(alice))
	h.runtime.set(func(rt *runtime) { rt.status = http.StatusBadGateway })
	if _, err := h.servers.Start(t.Context(), alice, "", nil); err != nil {
		t.Fatal(err)
	}
	early := h.stream(aliceProgress, secret)
	if first, _ := early.line(); first != "" {
		t.Errorf("the stream begins with %q, want an empty line at once", first)
	}
	var seen []hub.Event
	for len(seen) == 0 || seen[len(seen)-1].Progress < 60 { // each comes while the start is still under way
		e, ok := early.event()
		if !ok {
			t.Fatal("the stream ends before the start does")
		}
		seen = append(seen, e)
	}
	late := h.stream(aliceProgress, secret) // joins now, and hears everything from the beginning
	h.runtime.set(func(rt *runtime) { rt.status = http.StatusOK })
	seen = append(seen, early.rest()...)
	again := late.rest()
	after := h.stream(aliceProgress, secret).rest() // joins when all is over

	want := h.await("alice", "", hub.Running).Events
	for who, got := range map[string][]hub.Event{"who was there": seen, "a late joiner": again, "who comes afterwards": after} {
		if toJSON(got) != toJSON(want) {
			t.Errorf("%s hears %s, want %s", who, toJSON(got), toJSON(want))
		}
	}
	if first, last := want[0], want[len(want)-1]; first.Progress != 0 || first.Message != "Server requested" ||
		!last.Ready || last.URL != "/user/alice/" || last.Progress != 100 {
		t.Errorf("events = %s", toJSON(want))
	}
}

func TestProgressOfAStartThatFails(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	secret := as(h.token(alice))
	h.runtime.set(func(rt *runtime) { rt.status = http.StatusBadGateway })
	if _, err := h.servers.Start(t.Context(), alice, "", nil); err != nil {
		t.Fatal(err)
	}
	s := h.stream(aliceProgress, secret)
	for {
		if e, ok := s.event(); !ok || e.Progress >= 60 {
			break
		}
	}
	h.runtime.set(func(rt *runtime) { clear(rt.live) })
	events := s.rest()
	if len(events) == 0 {
		t.Fatal("no event tells of the failure")
	}
	want := hub.Event{Progress: 100, Failed: true, Message: "Spawn failed: The server ended before it was ready: exited with code 3"}
	if last := events[len(events)-1]; last != want {
		t.Errorf("last event = %s, want %s", toJSON(last), toJSON(want))
	}
	again := h.stream(aliceProgress, secret).rest()
	if last := again[len(again)-1]; last != want {
		t.Errorf("afterwards the last event is %s", toJSON(last))
	}
}

func TestProgressOfAStartThatIsCancelled(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	secret := as(h.token(alice))
	h.runtime.set(func(rt *runtime) { rt.status = http.StatusBadGateway })
	if _, err := h.servers.Start(t.Context(), alice, "", nil); err != nil {
		t.Fatal(err)
	}
	s := h.stream(aliceProgress, secret)
	h.do("DELETE", "/hub/api/users/alice/server", "", secret).want(204)
	events := s.rest()
	if last := events[len(events)-1]; last.Message != "Spawn cancelled" || !last.Failed {
		t.Errorf("last event = %s", toJSON(last))
	}
}

func TestIdleProgressStreamsAreKeptAlive(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	h.runtime.set(func(rt *runtime) { rt.status = http.StatusBadGateway })
	if _, err := h.servers.Start(t.Context(), alice, "", nil); err != nil {
		t.Fatal(err)
	}
	s := h.stream(aliceProgress, as(h.token(alice)))
	for {
		if e, ok := s.event(); !ok || e.Progress >= 60 {
			break
		}
	}
	start := time.Now()
	for range 2 {
		if line, ok := s.line(); !ok || line != "" {
			t.Fatalf("line %q, %t, want an empty one", line, ok)
		}
	}
	if waited := time.Since(start); waited > 2*keepAlive {
		t.Errorf("the stream was silent for %s", waited)
	}
	h.runtime.set(func(rt *runtime) { rt.status = http.StatusOK })
	if all := s.rest(); len(all) != 1 || !all[0].Ready {
		t.Errorf("after it come %s", toJSON(all))
	}
}

// One's own browser reads it with an EventSource, which can send no header.
func TestProgressForABrowser(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	b := h.browser(alice)
	h.running(alice, "srv")
	const path = "/hub/api/users/alice/servers/srv/progress"
	cors := header("Sec-Fetch-Mode", "cors")
	events := h.stream(path+"?_xsrf="+b.xsrf, b.session, b.page, cors).rest()
	if last := events[len(events)-1]; !last.Ready || last.URL != "/user/alice/srv/" {
		t.Errorf("last event = %s", toJSON(last))
	}
	h.do("GET", path, "", b.session, b.page, cors).wantError(403, "'_xsrf' argument missing from GET")
	h.do("GET", path, "", as(h.token(h.user("bob", false)))).wantError(404, noAccess)
}

func TestStreamsTellEveryEventOfANewStart(t *testing.T) {
	t.Parallel()
	e := &events{w: discard{}, flush: http.NewResponseController(discard{})}
	old := hub.Server{State: hub.Starting, Gen: 1, Events: []hub.Event{{Message: "a"}, {Message: "b"}, {Message: "c"}}}
	if e.tell(old) || e.sent != 3 {
		t.Errorf("after three events sent = %d", e.sent)
	}
	// The end of that start was missed.
	if e.tell(hub.Server{State: hub.Starting, Gen: 2, Events: []hub.Event{{Message: "d"}}}) || e.sent != 1 {
		t.Errorf("of a new start with one event sent = %d", e.sent)
	}
	if e.tell(old) || e.sent != 1 {
		t.Error("an older record was told")
	}
}

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
func (discard) Flush()                      {}
