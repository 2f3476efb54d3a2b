package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/edgehub/edgehub/test/env"
)

// TestStory is the main job: a person signs in, starts a Jupyter, works in it, stops it and leaves. It happens in a real
// Chromium, in front of `edgehub up`, and once more on a telephone's screen with nothing but a keyboard.
func TestStory(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		s := newStory(t, e)
		if t.Run("mouse", s.withMouse) {
			t.Run("keyboard", s.withKeyboard)
		}
	})
}

// story is a hub with its administrator, who is also its only user.
type story struct {
	*env.World
	password string
	// lab says whether the machine's Jupyter has JupyterLab. Debian's has not.
	lab bool
	// held is a file: while it is there, no server goes on from "started" to "answers".
	held string
}

func newStory(t *testing.T, e env.Edge) *story {
	t.Helper()
	env.Peer(t, env.Chromium)
	bin := env.Peer(t, env.Jupyter)
	_, err := os.Stat(filepath.Join(bin, "jupyter-lab"))
	s := &story{lab: err == nil, held: filepath.Join(t.TempDir(), "held")}
	path := s.gate(t, bin) + string(os.PathListSeparator) + bin + string(os.PathListSeparator) + os.Getenv("PATH")
	s.World = env.Up(t, env.Options{Edge: e, Jupyter: true, Config: fmt.Sprintf("spawner: {environment: {PATH: %q}}", path)})
	password, err := os.ReadFile(filepath.Join(s.Data, "admin-password"))
	if err != nil {
		t.Fatal(err)
	}
	s.password = strings.TrimSpace(string(password))
	return s
}

// gate makes a folder with a jupyterhub-singleuser that first waits until the test lets it: a start takes a second or ten,
// and the story has things to look at while it is under way. It becomes the real one.
func (s *story) gate(t *testing.T, bin string) string {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nwhile [ -e '%s' ]; do sleep 0.05; done\nexec '%s/jupyterhub-singleuser' \"$@\"\n", s.held, bin)
	if err := os.WriteFile(filepath.Join(dir, "jupyterhub-singleuser"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (s *story) hold(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(s.held, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(s.held) })
}

func (s *story) letGo(t *testing.T) {
	t.Helper()
	if err := os.Remove(s.held); err != nil {
		t.Fatal(err)
	}
}

// open starts a browser that remembers what progress pages show.
func open(t *testing.T) *env.Browser {
	t.Helper()
	b := env.OpenBrowser(t)
	b.InEachPage(recorder)
	return b
}

// withMouse is the whole story on a desk.
func (s *story) withMouse(t *testing.T) {
	b := open(t)
	s.signInAtLast(t, b)
	before := len(s.hubRequests(t))
	b.ForgetTraffic()
	s.start(t, b)
	t.Logf("Jupyter took %d requests to load", len(b.Traffic().Below("/user/").Requests))

	loaded := len(s.hubRequests(t))
	b.ForgetTraffic()
	if s.lab {
		s.notebook(t, b)
	} else {
		s.kernel(t, b)
	}
	s.checkTraffic(t, b.Traffic())
	b.Go(s.URL("/hub/home"))
	s.checkHub(t, before, loaded)

	s.stop(t, b)
	s.visitStopped(t, b)
	s.startThere(t, b)
	s.leave(t, b)
	s.checkConsole(t, b)
}

// signInAtLast signs in with a wrong password first.
func (s *story) signInAtLast(t *testing.T, b *env.Browser) {
	t.Helper()
	b.Go(s.URL("/"))
	b.WaitPath("/hub/login")
	b.Wait("the focus in the form", focused("username_input"))
	b.Shot("login")
	fits(t, b)

	b.Click("#username_input")
	b.Type("admin")
	b.Click("#password_input")
	b.Type("not " + s.password)
	b.Click("#login_submit")
	b.WaitSeen("#login-error")
	b.Shot("wrong-password")
	if got := b.Text("#login-error"); got != "Invalid username or password" {
		t.Errorf("a wrong password shows %q", got)
	}
	if got := env.Eval[string](b, "username_input.value + '|' + password_input.value"); got != "admin|" {
		t.Errorf("after a wrong password the form has %q, want the name and no password", got)
	}

	b.Click("#password_input")
	b.Type(s.password)
	b.Click("#login_submit")
	b.WaitPath("/hub/home")
}

// start starts the server from the home page and follows it until Jupyter can be used.
func (s *story) start(t *testing.T, b *env.Browser) {
	t.Helper()
	b.Wait("a stopped server", status("stopped"))
	b.Shot("home-stopped")
	fits(t, b)
	s.hold(t)
	b.Click("#start")
	s.follow(t, b)
	b.Shot("jupyter")
}

// follow watches the progress page to its end. The server is held until the events before have been seen.
func (s *story) follow(t *testing.T, b *env.Browser) {
	t.Helper()
	b.WaitPath("/hub/spawn-pending/admin")
	const waiting = "Waiting for the server to answer..."
	b.Wait("the last event before the server answers",
		fmt.Sprintf("document.getElementById('progress-message').textContent === %q && document.getElementById('progress-bar').value === 60", waiting))
	b.Shot("progress")
	fits(t, b)
	if got := b.Text("h1"); got != "Your server is starting" {
		t.Errorf("the progress page is headed %q", got)
	}
	s.letGo(t)
	s.awaitJupyter(b)

	seen := env.Eval[shown](b, "JSON.parse(sessionStorage.getItem('shown'))")
	t.Logf("the progress page showed %v %q", seen.Bars, seen.Lines)
	if n := len(seen.Bars); n < 2 || !slices.IsSorted(seen.Bars) || seen.Bars[n-1] != 100 {
		t.Errorf("the progress bar showed %v, want it to move, and never backwards, to 100", seen.Bars)
	}
	if want := s.events(t); !slices.Equal(seen.Lines, want) {
		t.Errorf("the progress page showed\n%q, but the events of the start are\n%q", seen.Lines, want)
	}
}

// awaitJupyter waits until JupyterLab, or the page of a Jupyter without it, can be used.
func (s *story) awaitJupyter(b *env.Browser) {
	if s.lab {
		b.Wait("JupyterLab", "location.pathname.startsWith('/user/admin/lab') && "+env.Seen("#main .jp-Launcher, #main .jp-Notebook"))
		return
	}
	b.Wait("Jupyter's classic page", "location.pathname.startsWith('/user/admin/tree') && "+env.Seen("#notebook_list"))
}

// shown is what recorder has seen.
type shown struct {
	Bars  []float64 `json:"bars"`
	Lines []string  `json:"lines"`
}

// recorder notes what a progress page shows at each change, for after it has gone: its address is replaced by the server's.
const recorder = `
if (location.pathname.startsWith("/hub/spawn-pending/")) {
	const shown = {bars: [], lines: []};
	new MutationObserver(() => {
		const bar = document.getElementById("progress-bar");
		if (!bar) {
			return;
		}
		if (shown.bars.at(-1) !== bar.value) {
			shown.bars.push(bar.value);
		}
		shown.lines = [...document.querySelectorAll("#progress-log li")].map((line) => line.textContent);
		sessionStorage.setItem("shown", JSON.stringify(shown));
	}).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
}`

// events are the messages of the last start, as the hub's API streams them.
func (s *story) events(t *testing.T) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL("/hub/api/users/admin/server/progress"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "token "+s.AdminToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var messages []string
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var event struct{ Message string }
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		messages = append(messages, event.Message)
	}
	return messages
}

// notebook makes a notebook, types a cell into it, runs it and saves it.
func (s *story) notebook(t *testing.T, b *env.Browser) {
	t.Helper()
	cell(t, b, kernels)
	b.Shot("forty-two")
	b.Press("s", chromedp.ModifierCtrl)
	const saved = `!document.querySelector('.jp-mod-dirty')`
	b.Wait("the question for a name", saved+" || "+env.Seen(".jp-Dialog input"))
	b.Press(kb.Enter)
	b.Wait("the notebook to be saved", saved)
	if text, err := os.ReadFile(filepath.Join(s.Data, "home", "admin", "Untitled.ipynb")); err != nil || !strings.Contains(string(text), `"42\n"`) {
		t.Errorf("the saved notebook is %q (%v), want it to have the output", text, err)
	}
}

// cell opens a notebook from JupyterLab's launcher and runs a cell in it. kernels is where the server's kernels are.
func cell(t *testing.T, b *env.Browser, kernels string) {
	t.Helper()
	b.Click(launcher)
	// A new notebook says "idle" for a moment before it has its content, let alone a kernel.
	env.Eventually(t, "the kernel's first message", time.Minute, func() error {
		if _, seen := b.Traffic().Below(kernels).Messages(); seen == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	b.WaitSeen(`.jp-Notebook-ExecutionIndicator[data-status="idle"]`)
	b.Click(`.jp-Notebook .jp-Cell .cm-content`)
	b.Type("print(6*7)")
	b.Wait("the typed cell", `document.querySelector('.jp-Notebook .jp-Cell .cm-content').innerText.trim() === 'print(6*7)'`)
	b.Press(kb.Enter, chromedp.ModifierShift)
	b.Wait("the output of the cell", fortyTwo)
}

// kernels is where Jupyter's kernels and their WebSockets are.
const kernels = "/user/admin/api/kernels/"

// fortyTwo is true of a notebook with the output of its cell.
const fortyTwo = `[...document.querySelectorAll('.jp-Notebook .jp-OutputArea-output')].some(e => e.innerText.trim() === '42')`

const launcher = `.jp-LauncherCard[data-category="Notebook"]`

// kernel runs the same cell from a script of the page, over the same kind of WebSocket.
func (s *story) kernel(t *testing.T, b *env.Browser) {
	t.Helper()
	kernelAnswers(t, b, "/user/admin/")
}

// kernelAnswers runs a cell in a new kernel of the server at a path of the page's origin.
func kernelAnswers(t *testing.T, b *env.Browser, server string) {
	t.Helper()
	env.Eval[bool](b, fmt.Sprintf(`(() => {
		const server = %q;
		window.said = "";
		const id = () => Math.random().toString(16).slice(2);
		const run = async () => {
			const made = await fetch(server + "api/kernels", {method: "POST", body: "{}", headers: {"Content-Type": "application/json"}});
			if (!made.ok) {
				throw new Error(made.status + " " + await made.text());
			}
			const kernel = (await made.json()).id;
			const session = id();
			const socket = new WebSocket(location.origin.replace(/^http/, "ws") + server + "api/kernels/" + kernel + "/channels?session_id=" + session);
			socket.onerror = () => window.said = "the WebSocket failed";
			socket.onclose = (event) => window.said ||= "the WebSocket was closed: " + event.code;
			socket.onmessage = (event) => {
				const message = JSON.parse(event.data);
				if (message.msg_type === "stream") {
					window.said = message.content.text;
				}
			};
			socket.onopen = () => socket.send(JSON.stringify({
				channel: "shell",
				header: {msg_id: id(), session, username: "", date: new Date().toISOString(), msg_type: "execute_request", version: "5.3"},
				parent_header: {}, metadata: {}, buffers: [],
				content: {code: "print(6*7)", silent: false, store_history: false, user_expressions: {}, allow_stdin: false, stop_on_error: true},
			}));
		};
		run().catch((error) => window.said = String(error));
		return true;
	})()`, server))
	b.Wait("the kernel's answer", "window.said")
	if got := env.Eval[string](b, "window.said"); got != "42\n" {
		t.Errorf("the kernel answered %q, want 42", got)
	}
}

// checkTraffic checks that the browser worked through the front door, over HTTP and a kernel's WebSocket.
func (s *story) checkTraffic(t *testing.T, sent env.Traffic) {
	t.Helper()
	requests := len(sent.Below("/user/admin/").Requests)
	out, in := sent.Below(kernels).Messages()
	t.Logf("the cell took %d requests to the server, and %d messages to the kernel and %d from it", requests, out, in)
	if requests == 0 || out == 0 || in < 2 {
		t.Errorf("want requests to the server and messages to and from its kernel, got %+v", sent)
	}
	for _, socket := range sent.Sockets {
		if !strings.HasPrefix(socket.URL, "ws://"+s.Addr()+"/user/admin/") {
			t.Errorf("a WebSocket to %s, past the server", socket.URL)
		}
	}
}

// checkHub checks that the front door decided by itself, without a word from the hub, what the browser asked of Jupyter: while
// it loaded, from the hub's request number before on, and while it worked, from number loaded on until the person came home.
func (s *story) checkHub(t *testing.T, before, loaded int) {
	t.Helper()
	all := s.hubRequests(t)
	working := all[loaded:]
	home := slices.Index(working, "GET /hub/home")
	if home < 0 {
		t.Fatalf("the hub's log does not show the visit of the home page: %q", working)
	}
	for _, request := range working[:home] {
		// Jupyter itself reports its activity now and then, and so does the front door.
		if request != "POST /hub/api/users/admin/activity" && request != "POST /hub/api/edge/activity" {
			t.Errorf("while the cell ran, the hub was asked %s", request)
		}
	}
	// Before that the hub had a start to do. But it decided nothing: except, perhaps, that the browser was faster than the
	// front door's watch, and is to try again.
	decision := regexp.MustCompile(`^\S+ (/hub/user/admin/.|/hub/api/user$|/hub/api/edge/(exchange|renew)$)`)
	for _, request := range all[before:loaded] {
		if decision.MatchString(request) {
			t.Errorf("while Jupyter loaded, the hub was asked %s", request)
		}
	}
}

var requestLine = regexp.MustCompile(`(?m)msg=request method=(\S+) path=(\S+) `)

// hubRequests are the requests that the hub has answered, as its log tells.
func (s *story) hubRequests(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, m := range requestLine.FindAllStringSubmatch(s.Hub.Log(), -1) {
		list = append(list, m[1]+" "+m[2])
	}
	return list
}

// stop stops the server from the home page.
func (s *story) stop(t *testing.T, b *env.Browser) {
	t.Helper()
	b.WaitPath("/hub/home")
	b.Wait("a running server", status("running"))
	b.Shot("home-running")
	fits(t, b)
	b.Click("#stop")
	b.Wait("a stopped server", status("stopped"))
	b.WaitSeen("#start")
	b.Shot("home-stopped-again")
	if got := b.Text("#server-label"); got != "Stopped" {
		t.Errorf("the home page says %q of a stopped server", got)
	}
}

// visitStopped opens the address of the server that is no longer there.
func (s *story) visitStopped(t *testing.T, b *env.Browser) {
	t.Helper()
	before := len(s.hubRequests(t))
	if status := b.Go(s.URL("/user/admin/lab")); status != http.StatusFailedDependency {
		t.Errorf("the address of a stopped server answers %d, want 424", status)
	}
	b.WaitPath("/hub/user/admin/lab")
	b.Shot("not-running")
	fits(t, b)
	if got := b.Text("h1"); got != "Your server is not running" {
		t.Errorf("the page of a stopped server is headed %q", got)
	}
	b.WaitSeen("#start")
	// The same log that showed nothing while the cell ran does show what the hub is asked.
	if since := s.hubRequests(t)[before:]; !slices.Contains(since, "GET /hub/user/admin/lab") {
		t.Errorf("the hub's log has no request for /hub/user/admin/lab, but %q", since)
	}
}

// startThere starts the server from the page that visitStopped leads to, which leads on to where the visitor wanted to go.
func (s *story) startThere(t *testing.T, b *env.Browser) {
	t.Helper()
	b.Click("#start")
	b.WaitPath("/user/admin/lab")
	b.Go(s.URL("/hub/home"))
	s.stop(t, b)
}

// leave signs out.
func (s *story) leave(t *testing.T, b *env.Browser) {
	t.Helper()
	b.Click("#logout")
	b.WaitPath("/hub/login")
	b.Shot("signed-out")
	s.visitSignedOut(t, b)
}

// visitSignedOut opens the old address without a session.
func (s *story) visitSignedOut(t *testing.T, b *env.Browser) {
	t.Helper()
	b.Go(s.URL("/user/admin/lab"))
	b.WaitPath("/hub/login")
	b.WaitSeen("#login_submit")
	const want = "/hub/user/admin/lab" // the page of the server that is not running
	if got := env.Eval[string](b, "new URLSearchParams(location.search).get('next')"); got != want {
		t.Errorf("the sign-in page leads on to %q, want %q", got, want)
	}
}

// withKeyboard is the story on a telephone's screen, without touching it.
func (s *story) withKeyboard(t *testing.T) {
	b := open(t)
	b.Size(360, 740, true)
	b.Go(s.URL("/hub/home"))
	b.WaitPath("/hub/login")
	b.Wait("the focus in the form", focused("username_input"))
	b.Shot("login")
	fits(t, b)
	b.Type("admin" + kb.Tab)
	b.Wait("the focus", focused("password_input"))
	b.Type(s.password + kb.Tab)
	b.Wait("the focus", focused("login_submit"))
	b.Press(kb.Enter)

	b.WaitPath("/hub/home")
	b.Wait("a stopped server", status("stopped"))
	fits(t, b)
	tabTo(t, b, "start")
	b.Shot("home-stopped")
	s.hold(t)
	b.Press(kb.Enter)
	s.follow(t, b)
	if s.lab {
		b.Wait("the notebook of the day before", fortyTwo)
	}
	b.Shot("jupyter")
	s.kernel(t, b)

	b.Go(s.URL("/hub/home"))
	b.Wait("a running server", status("running"))
	fits(t, b)
	tabTo(t, b, "stop")
	b.Shot("home-running")
	b.Press(kb.Enter)
	b.Wait("a stopped server, and the focus on what comes next", status("stopped")+" && "+focused("start"))
	b.Shot("home-stopped-again")
	s.visitStopped(t, b)
	tabTo(t, b, "logout")
	b.Press(kb.Enter)
	b.WaitPath("/hub/login")
	s.visitSignedOut(t, b)
	s.checkConsole(t, b)
}

// tabTo presses Tab until the focus is on an element, and checks that its place can be seen on the way.
func tabTo(t *testing.T, b *env.Browser, id string) {
	t.Helper()
	for range 12 {
		b.Press(kb.Tab)
		at := env.Eval[string](b, `document.activeElement.id || document.activeElement.className || document.activeElement.tagName`)
		if !env.Eval[bool](b, `getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
			t.Errorf("the focus on %s cannot be seen", at)
		}
		if at == id {
			return
		}
	}
	b.Fatalf("Tab does not lead to #%s", id)
}

// checkConsole checks that hub pages left nothing in the browser's console, but for pages that are answers to a mistake.
// Then it makes a mistake of its own, to see that they would have.
func (s *story) checkConsole(t *testing.T, b *env.Browser) {
	t.Helper()
	expected := regexp.MustCompile(`status of (403 .*/hub/login\b|424 .*/hub/user/admin/lab\b)`)
	for _, m := range b.Messages("/hub/") {
		if !expected.MatchString(m.String()) {
			t.Errorf("in the browser's console: %s", m)
		}
	}
	for _, m := range b.Messages("/") {
		t.Logf("in the browser's console, of Jupyter: %s", m)
	}
	env.Eval[bool](b, `(() => {
		const script = document.createElement("script");
		script.textContent = "window.foreign = true";
		document.head.append(script);
		return true;
	})()`)
	env.Eventually(t, "a refusal of a foreign script in the console", 10*time.Second, func() error {
		for _, m := range b.Messages("/hub/") {
			if strings.Contains(m.Text, "Content Security Policy") {
				return nil
			}
		}
		return errors.New("no such message")
	})
	if env.Eval[bool](b, "'foreign' in window") {
		t.Error("a script that is not the hub's ran in a page of the hub")
	}
}

// fits checks that nothing on the page is wider than the screen.
func fits(t *testing.T, b *env.Browser) {
	t.Helper()
	got := env.Eval[struct{ Page, Layout, Screen float64 }](b,
		"({Page: document.documentElement.scrollWidth, Layout: innerWidth, Screen: screen.width})")
	// A telephone that finds the page too wide makes it smaller: then the layout is wider than the screen.
	if got.Page > got.Layout || got.Layout > got.Screen {
		t.Errorf("%s is too wide for the screen: %+v", b.Path(), got)
	}
}

// status is true of a home page that shows it.
func status(want string) string {
	return fmt.Sprintf("location.pathname === '/hub/home' && document.readyState === 'complete' && document.getElementById('server').dataset.status === %q", want)
}

func focused(id string) string { return fmt.Sprintf("document.activeElement?.id === %q", id) }
