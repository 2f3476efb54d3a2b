package env

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

const (
	// patience is how long a page may take for what it is asked. A machine of two cores that starts a Jupyter, a Traefik
	// and a browser at once needs a good part of it.
	patience = 60 * time.Second
	// callTime bounds one question to the browser, which a page that is going away may leave without an answer.
	callTime = 10 * time.Second
	// lookAgain is the pause between two looks at a page.
	lookAgain = 25 * time.Millisecond
)

// Browser is one tab of a real Chromium with a fresh profile, and a person in front of it: it clicks where something is
// visible, types key by key, and waits for what is on the screen. Whatever does not come fails the test and leaves a
// picture and the HTML of the page among the artefacts.
//
// It is for the test's own goroutine.
type Browser struct {
	t   testing.TB
	ctx context.Context
	// dir is for pictures; profile has everything that the browser stores.
	dir, profile string

	// shots is how many pictures there are, kept whether the one of the failure is among them.
	shots int
	kept  bool

	mu       sync.Mutex
	page     string
	messages []Message
	traffic  Traffic
}

// Message is a line of the browser's console that says that something is wrong: console.error, an exception that nobody
// caught, a refusal by the Content-Security-Policy, a resource that did not load.
type Message struct {
	// Page is the address of the document that was open, URL what the message is about.
	Page, URL string
	Text      string
}

// String is the message in one line.
func (m Message) String() string { return fmt.Sprintf("%s: %s (%s)", m.Page, m.Text, m.URL) }

// about reports whether m belongs to an address whose path starts with prefix.
func (m Message) about(prefix string) bool {
	return strings.HasPrefix(pathOf(m.Page), prefix) || strings.HasPrefix(pathOf(m.URL), prefix)
}

func pathOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Path
}

// Traffic is what a browser sent: the addresses of its requests, and its WebSockets.
type Traffic struct {
	Requests []string
	Sockets  []Socket
}

// Socket is a WebSocket and how many messages went either way.
type Socket struct {
	URL        string
	Sent, Seen int

	id network.RequestID
}

// Below is the part of the traffic that went to paths that start with prefix.
func (t Traffic) Below(prefix string) Traffic {
	var part Traffic
	for _, address := range t.Requests {
		if strings.HasPrefix(pathOf(address), prefix) {
			part.Requests = append(part.Requests, address)
		}
	}
	for _, s := range t.Sockets {
		if strings.HasPrefix(pathOf(s.URL), prefix) {
			part.Sockets = append(part.Sockets, s)
		}
	}
	return part
}

// Messages counts the messages on all WebSockets.
func (t Traffic) Messages() (sent, seen int) {
	for _, s := range t.Sockets {
		sent += s.Sent
		seen += s.Seen
	}
	return sent, seen
}

// OpenBrowser starts a browser that ends with the test. Its pictures are among the test's artefacts. With hosts it finds every
// name below localhost at that address.
func OpenBrowser(t testing.TB, hosts ...string) *Browser {
	t.Helper()
	program := Peer(t, Chromium)
	profile, err := os.MkdirTemp("", "edgehub-profile") //nolint:usetesting // t.TempDir fails the test when a last file appears during removal
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) }) // best effort
	b := &Browser{t: t, dir: ArtifactDir(t), profile: profile}
	b.tidy()
	// The test's own context ends before its cleanup, in which the last picture is taken.
	alloc, stopAlloc := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), chromiumOptions(program, profile, hosts)...)
	t.Cleanup(stopAlloc)
	ctx, stop := chromedp.NewContext(alloc, chromedp.WithListener(b.listen), chromedp.WithErrorf(func(string, ...any) {}))
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	b.ctx = ctx
	t.Cleanup(b.close)
	b.sit()
	return b
}

// sit makes the tab one at which somebody sits.
func (b *Browser) sit() {
	b.t.Helper()
	b.Size(1280, 800, false)
	// A window that somebody sits at, who wants no animations: pictures show no half of one.
	b.do("take a seat", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		if err != nil {
			return err
		}
		calm := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}}
		_, err = cdp.Call(ctx, t, emulation.SetEmulatedMedia, calm)
		return err
	}))
}

func chromiumOptions(program, profile string, hosts []string) []chromedp.ExecAllocatorOption {
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(program), chromedp.UserDataDir(profile)}
	for _, flag := range []string{
		"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "no-default-browser-check",
		"disable-background-networking", "disable-component-update", "disable-sync", "disable-default-apps",
		"disable-extensions", "disable-breakpad", "disable-dev-shm-usage", "hide-scrollbars", "mute-audio",
		// A page in a window that nobody looks at would be slowed down.
		"disable-background-timer-throttling", "disable-backgrounding-occluded-windows", "disable-renderer-backgrounding",
	} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	for _, address := range hosts {
		opts = append(opts, chromedp.Flag("host-resolver-rules", "MAP *.localhost "+address))
	}
	return append(opts, chromedp.Flag("lang", "en-GB"), chromedp.Flag("force-color-profile", "srgb"))
}

// tidy removes what an earlier run of the test has left.
func (b *Browser) tidy() {
	old, _ := filepath.Glob(filepath.Join(b.dir, "[0-9][0-9]-*")) // the pattern is good
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			b.t.Fatal(err)
		}
	}
}

// close ends the browser, and kills what has not ended by then. What a failed test had on its screen is kept.
func (b *Browser) close() {
	if b.t.Failed() {
		b.keep()
	}
	ending, cancel := context.WithTimeout(b.ctx, callTime)
	defer cancel()
	if err := chromedp.Cancel(ending); err != nil && !errors.Is(err, context.Canceled) {
		b.t.Logf("end the browser: %v", err)
	}
	for _, pid := range Processes(b.t, b.profile) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already, then
	}
}

// Fatalf fails the test and keeps what is on the screen.
func (b *Browser) Fatalf(format string, args ...any) {
	b.t.Helper()
	b.keep()
	b.t.Fatalf("at %s: %s\non the screen: %s", b.Path(), fmt.Sprintf(format, args...), b.text())
}

// keep writes picture, HTML and console of the page where the test failed, as well as it can.
func (b *Browser) keep() {
	if b.kept {
		return
	}
	b.kept = true
	const name = "failed"
	b.Shot(name)
	if html, err := eval[string](b, "document.documentElement.outerHTML"); err == nil {
		b.write(b.fileName(name, ".html"), []byte(html))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines strings.Builder
	for _, m := range b.messages {
		fmt.Fprintln(&lines, m)
	}
	b.write(b.fileName(name, ".console"), []byte(lines.String()))
}

// text is the beginning of what can be read on the page.
func (b *Browser) text() string {
	text, err := eval[string](b, "document.title + ' | ' + document.body.innerText.replace(/\\s+/g, ' ').slice(0, 400)")
	if err != nil {
		return err.Error()
	}
	return text
}

// Shot keeps a picture of what is on the screen. The names of pictures sort in the order they were taken.
func (b *Browser) Shot(name string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, callTime)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Logf("no picture %s: %v", name, err)
		return
	}
	b.shots++
	b.write(b.fileName(name, ".png"), png)
}

func (b *Browser) fileName(name, ext string) string {
	return fmt.Sprintf("%02d-%s%s", b.shots, name, ext)
}

func (b *Browser) write(name string, data []byte) {
	if err := os.WriteFile(filepath.Join(b.dir, name), data, 0o600); err != nil {
		b.t.Logf("keep %s: %v", name, err)
	}
}

// Size makes the screen that large. A phone has no mouse, and its browser obeys the page's viewport.
func (b *Browser) Size(width, height int64, phone bool) {
	b.t.Helper()
	opts := []chromedp.EmulateViewportOption{func(p *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		p.ScreenWidth, p.ScreenHeight = width, height
	}}
	if phone {
		opts = append(opts, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait, chromedp.EmulateScale(2))
	}
	b.do("change the size of the screen", chromedp.EmulateViewport(width, height, opts...))
}

// InEachPage runs a script in every document from now on, before the page's own.
func (b *Browser) InEachPage(script string) {
	b.t.Helper()
	b.do("add a script", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	}))
}

// Go types an address into the address bar, and returns the status of the document that was loaded.
func (b *Browser) Go(address string) int {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	resp, err := chromedp.Run(ctx, chromedp.NavigateResponse(address))
	if err != nil {
		b.Fatalf("open %s: %v", address, err)
	}
	if resp == nil {
		return 0
	}
	return int(resp.Status)
}

// Path is the path of the page that is open.
func (b *Browser) Path() string {
	path, err := eval[string](b, "location.pathname")
	if err != nil {
		return "?"
	}
	return path
}

// Wait waits until a JavaScript expression is true of the page, or of one that replaces it. what completes the sentence
// "waiting for ...".
func (b *Browser) Wait(what, expression string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		ok, err := eval[bool](b, "Boolean("+expression+")")
		if ok {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("waited %s in vain for %s: %s (%v)", patience, what, expression, err)
		}
		select {
		case <-b.ctx.Done():
			b.t.Fatalf("the browser ended while waiting for %s: %v", what, context.Cause(b.ctx))
		case <-time.After(lookAgain):
		}
	}
}

// WaitPath waits until the page at path has been loaded.
func (b *Browser) WaitPath(path string) {
	b.t.Helper()
	b.Wait("the page "+path, fmt.Sprintf("location.pathname === %q && document.readyState === 'complete'", path))
}

// WaitSeen waits until an element can be seen.
func (b *Browser) WaitSeen(selector string) {
	b.t.Helper()
	b.Wait(selector, Seen(selector))
}

// Sees reports whether an element can be seen now.
func (b *Browser) Sees(selector string) bool {
	b.t.Helper()
	return Eval[bool](b, Seen(selector))
}

// Seen is a JavaScript expression: whether an element can be seen.
func Seen(selector string) string {
	return fmt.Sprintf("[...document.querySelectorAll(%q)].some(e => e.checkVisibility({visibilityProperty: true}))", selector)
}

// Text is the text of an element that is there.
func (b *Browser) Text(selector string) string {
	b.t.Helper()
	return strings.TrimSpace(Eval[string](b, fmt.Sprintf("document.querySelector(%q).textContent", selector)))
}

// Click clicks an element when it can be seen. One that is replaced before the mouse is over it, as Chromium does once with all
// of them when a page has been loaded, is looked for again.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		b.WaitSeen(selector)
		err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector)))
		if err == nil {
			return
		}
		if !replaced(err) {
			b.Fatalf("click %s: %v", selector, err)
		}
	}
}

// replaced reports whether an action failed, before it did anything, because the page is not the one any more that its element
// was found on.
func replaced(err error) bool {
	var refused *cdproto.Error
	return errors.As(err, &refused) && strings.Contains(refused.Message, "Could not find node with given id")
}

// Type presses the keys of text, wherever the focus is.
func (b *Browser) Type(text string) {
	b.t.Helper()
	b.do("type", chromedp.KeyEvent(text))
}

// Press presses one key, such as kb.Enter, with modifiers.
func (b *Browser) Press(key string, modifiers ...chromedp.Modifier) {
	b.t.Helper()
	b.do("press a key", chromedp.KeyEvent(key, chromedp.KeyModifiers(modifiers...)))
}

// Eval is the value of a JavaScript expression, awaited if it is a promise.
func Eval[T any](b *Browser, expression string) T {
	b.t.Helper()
	v, err := eval[T](b, expression)
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

func eval[T any](b *Browser, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, callTime)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

func (b *Browser) do(what string, action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, action); err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

// listen notes what happens in the tab. The browser's connection waits for it.
func (b *Browser) listen(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *page.EventFrameNavigated:
		if ev.Frame.ParentID == "" {
			b.page = ev.Frame.URL
		}
	case *page.EventJavascriptDialogOpening:
		// "Leave this page?" of an editor with changes. A command cannot be sent from here.
		go func() {
			_, _ = chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}()
	case *network.EventRequestWillBeSent:
		b.traffic.Requests = append(b.traffic.Requests, ev.Request.URL)
	case *network.EventWebSocketCreated:
		b.traffic.Sockets = append(b.traffic.Sockets, Socket{URL: ev.URL, id: ev.RequestID})
	case *network.EventWebSocketFrameSent:
		b.socket(ev.RequestID).Sent++
	case *network.EventWebSocketFrameReceived:
		b.socket(ev.RequestID).Seen++
	case *runtime.EventConsoleAPICalled, *runtime.EventExceptionThrown, *cdplog.EventEntryAdded:
		b.note(ev)
	}
}

// socket is the WebSocket of an event. What is said of one that was forgotten is forgotten too.
func (b *Browser) socket(id network.RequestID) *Socket {
	for i := range b.traffic.Sockets {
		if s := &b.traffic.Sockets[i]; s.id == id {
			return s
		}
	}
	return &Socket{}
}

// note keeps what is an error of those events.
func (b *Browser) note(ev any) {
	m := Message{Page: b.page}
	switch ev := ev.(type) {
	case *runtime.EventConsoleAPICalled:
		if ev.Type != runtime.ConsoleAPICalledTypeError && ev.Type != runtime.ConsoleAPICalledTypeAssert {
			return
		}
		for _, arg := range ev.Args {
			m.Text += " " + string(arg.Value) + arg.Description
		}
	case *runtime.EventExceptionThrown:
		m.URL, m.Text = ev.ExceptionDetails.URL, ev.ExceptionDetails.Text
		if e := ev.ExceptionDetails.Exception; e != nil {
			m.Text += " " + e.Description
		}
	case *cdplog.EventEntryAdded:
		if ev.Entry.Level != cdplog.EntryLevelError {
			return
		}
		m.URL, m.Text = ev.Entry.URL, ev.Entry.Text
	}
	b.messages = append(b.messages, m)
}

// Messages returns, and forgets, the console's messages about pages whose path starts with prefix.
func (b *Browser) Messages(prefix string) []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found, rest []Message
	for _, m := range b.messages {
		if m.about(prefix) {
			found = append(found, m)
		} else {
			rest = append(rest, m)
		}
	}
	b.messages = rest
	return found
}

// Traffic is what the browser has sent since the last call of ForgetTraffic.
func (b *Browser) Traffic() Traffic {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.traffic
	t.Requests, t.Sockets = slices.Clone(t.Requests), slices.Clone(t.Sockets)
	return t
}

// ForgetTraffic starts a new count.
func (b *Browser) ForgetTraffic() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.traffic = Traffic{}
}
