package pages

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// sample is one page in one of its states.
type sample struct {
	name string
	page string
	view any
}

func samples() []sample {
	p := Page{Title: "Tab", User: "alice", Admin: true, ShowTokens: true, ShowAdmin: true, XSRF: "token", HubVersion: "1.2.3"}
	anyone := Page{Title: "Tab", XSRF: "token", HubVersion: "1.2.3"}
	mine := ServerRef{Owner: "alice"}
	bobs := ServerRef{Owner: "bob", ServerName: "lab2"}
	home := func(s hub.State, failure string) HomeView {
		return HomeView{Page: p, Server: ServerView{
			ServerRef: mine, URL: "/user/alice/", State: s, Failure: failure, LastActivity: time.Unix(1e9, 0),
		}}
	}
	at := time.Unix(1e9, 0)
	tokens := TokenView{Page: p, CanManage: true, Form: TokenForm{Lives: lives(0)},
		Tokens: []TokenRow{{ID: "a2", Created: at},
			{ID: "a1", Note: "ci", Server: "alice/", Scopes: scopeViews([]string{"read:users", "inherit"}), Created: at, LastUsed: at, Expires: at}},
		Clients: []ClientRow{{ID: "service-x", Name: "The service x", Token: "a3", Count: 2, Scopes: scopeViews([]string{"read:users"}), Created: at, LastUsed: at}},
		Sessions: []SessionRow{{ID: "s1", Current: true, Browser: "Firefox on Linux", Agent: "Mozilla", Address: "10.0.0.1", Created: at, LastUsed: at},
			{ID: "s2", Browser: "Unknown browser", Created: at}}}
	all := AdminServer{MayStart: true, MayStop: true, MayOpen: true}
	lab := all
	all.ServerView, lab.ServerView = ServerView{ServerRef: ServerRef{Owner: "bob"}, URL: "/user/bob/", State: hub.Running},
		ServerView{ServerRef: bobs, URL: "/user/bob/lab2/", State: hub.Stopped, Failure: "No room."}
	bob := UserRow{Name: "bob", Admin: true, LastActivity: at, Servers: []AdminServer{all, lab}, More: 3}
	methods := []MethodView{{hub.LoginMethod{Name: "school", Label: "Example School"}}, {hub.LoginMethod{Name: "lab", Label: "Lab"}}}
	return []sample{
		{"login", LoginPage, LoginView{Page: anyone, Passwords: true}},
		{"login again", LoginPage, LoginView{Page: p, Passwords: true}},
		{"login refused", LoginPage, LoginView{Page: anyone, Next: "/hub/home", Username: "alice", Error: "No.", Passwords: true, Methods: methods}},
		{"login without passwords", LoginPage, LoginView{Page: anyone, Next: "/hub/home", Methods: methods}},
		{"logout", LogoutPage, LogoutView{Page: p}},
		{"logout there too", LogoutPage, LogoutView{Page: anyone, Leave: "https://op.test/end"}},
		{"logout of nobody", LogoutPage, LogoutView{Page: anyone}},
		{"home stopped", HomePage, home(hub.Stopped, "")},
		{"home starting", HomePage, home(hub.Starting, "")},
		{"home running", HomePage, home(hub.Running, "")},
		{"home stopping", HomePage, home(hub.Stopping, "")},
		{"home failed", HomePage, home(hub.Stopped, "No room.")},
		{"home of a new user", HomePage, HomeView{Page: p, Server: ServerView{ServerRef: mine}}},
		{"home with a named server", HomePage, HomeView{Page: p, Server: ServerView{ServerRef: bobs}}},
		{"pending", PendingPage, PendingView{Page: p, ServerRef: mine, ServerURL: "/user/alice/", ProgressURL: "/hub/api/p"}},
		{"pending with events", PendingPage, PendingView{
			Page: p, ServerRef: bobs, ServerURL: "/user/bob/lab2/", ProgressURL: "/hub/api/p", Next: "/user/bob/lab2/lab",
			Events: []EventView{{0, "Server requested"}, {50, "Pulling"}},
		}},
		{"stop pending", StopPendingPage, StopPendingView{Page: p, ServerRef: bobs}},
		{"not running", NotRunningPage, NotRunningView{Page: p, ServerRef: mine, Next: "/user/alice/lab", CanStart: true}},
		{"not running, failed", NotRunningPage, NotRunningView{Page: p, ServerRef: mine, Failure: "No room.", CanStart: true}},
		{"not running, not mine", NotRunningPage, NotRunningView{Page: p, ServerRef: bobs}},
		{"tokens", TokenPage, tokens},
		{"tokens, a new one", TokenPage, TokenView{Page: p, CanManage: true, Secret: "0123456789abcdef", Sessions: tokens.Sessions[:1]}},
		{"tokens, refused", TokenPage, TokenView{Page: p, CanManage: true, Error: "No.", Form: TokenForm{Note: "ci", Scopes: "all", ExpiresIn: "3600", Lives: []LifeView{{"3600", "1 hour"}}}}},
		{"tokens, to look at", TokenPage, TokenView{Page: p, Tokens: tokens.Tokens, Clients: tokens.Clients, Sessions: tokens.Sessions}},
		{"tokens, none of them", TokenPage, TokenView{Page: Page{Title: "Tab", User: "alice", XSRF: "token"}, CanManage: true}},
		{"users", AdminPage, AdminView{Page: p, Filter: UserFilter{Name: "a", State: "active", Sort: "name", Cursor: "c", Offset: 50}, CanAdd: true, CanGroups: true,
			Users: []UserRow{bob}, PageOf: PageOf{From: 51, To: 52, Total: 99, FirstURL: "/hub/admin", PreviousURL: "/hub/admin", NextURL: "/hub/admin?offset=50"}}},
		{"no users", AdminPage, AdminView{Page: p, PageOf: PageOf{From: 1}}},
		{"add users", AddUsersPage, AddUsersView{Page: p, MayAdmin: true, Passwords: true, Names: "bob\ncarol", NewAdmin: true, Error: "No."}},
		{"add users again", AddUsersPage, AddUsersView{Page: p, Done: "Done."}},
		{"a user", AdminUserPage, AdminUserView{Page: p, Account: bob, Groups: []GroupRef{{"staff"}}, Roles: []RoleRef{{"user"}}, Created: time.Unix(1e9, 0),
			Form: UserForm{Name: "bobby", Admin: true}, Error: "No.", MayChange: true, MayDelete: true}},
		{"a user to look at", AdminUserPage, AdminUserView{Page: p, Account: UserRow{Name: "carol"}}},
		{"groups", GroupsPage, GroupsView{Page: p, Names: []GroupRef{{"staff"}}, NewName: "x", Error: "No.", MayCreate: true,
			PageOf: PageOf{From: 1, To: 1, Total: 99, FirstURL: "/hub/admin/groups", PreviousURL: "/hub/admin/groups", NextURL: "/hub/admin/groups?offset=50"}}},
		{"no groups", GroupsPage, GroupsView{Page: p, PageOf: PageOf{From: 1}}},
		{"a group", GroupPage, GroupView{Page: p, GroupRef: GroupRef{"staff"}, Members: []MemberRef{{"bob"}}, NewMembers: "carol", Error: "No.", MaySee: true, MayChange: true,
			MayDelete: true, PageOf: PageOf{From: 1, To: 1, Total: 99, FirstURL: "/hub/admin/group/staff", PreviousURL: "/hub/admin", NextURL: "/hub/admin/group/staff?offset=50"}}},
		{"a group, nothing of it", GroupPage, GroupView{Page: p, GroupRef: GroupRef{"staff"}}},
		{"error", ErrorPage, ErrorView{Page: p, Status: 404, Message: "No such user.", RequestID: "r1"}},
		{"error for nobody", ErrorPage, ErrorView{Status: 503, Title: "Busy", Next: "/hub/home", Retry: "/hub/home"}},
		{"empty error", ErrorPage, ErrorView{}},
	}
}

func newRenderer(t testing.TB) *Renderer {
	t.Helper()
	r, err := NewRenderer("", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func render(t testing.TB, r *Renderer, page string, view any) *html.Node {
	t.Helper()
	w := httptest.NewRecorder()
	if err := r.Render(w, http.StatusOK, page, view); err != nil {
		t.Fatalf("render %s: %v", page, err)
	}
	doc, err := html.ParseWithOptions(w.Body, html.ParseOptionEnableScripting(false)) // to see into noscript
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func elements(doc *html.Node, names ...string) []*html.Node {
	var out []*html.Node
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && (len(names) == 0 || slices.Contains(names, n.Data)) {
			out = append(out, n)
		}
	}
	return out
}

func attr(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

func TestEveryPageIsSoundHTML(t *testing.T) {
	t.Parallel()
	r := newRenderer(t)
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			doc := render(t, r, s.page, s.view)
			checkSkeleton(t, doc)
			checkNothingInline(t, doc)
			checkForms(t, doc)
		})
	}
}

func checkSkeleton(t *testing.T, doc *html.Node) {
	t.Helper()
	for _, name := range []string{"h1", "main", "title"} {
		if found := elements(doc, name); len(found) != 1 || text(found[0]) == "" {
			t.Errorf("%d elements %s, want one with text", len(found), name)
		}
	}
	if lang, _ := attr(elements(doc, "html")[0], "lang"); lang != "en" {
		t.Errorf("lang = %q, want en", lang)
	}
	if title := text(elements(doc, "title")[0]); strings.HasPrefix(title, "·") {
		t.Errorf("title %q has no name", title)
	}
	viewport := slices.ContainsFunc(elements(doc, "meta"), func(n *html.Node) bool {
		name, _ := attr(n, "name")
		return name == "viewport"
	})
	if !viewport {
		t.Error("no viewport")
	}
	seen := map[string]bool{}
	for _, n := range elements(doc) {
		if id, ok := attr(n, "id"); ok {
			if seen[id] {
				t.Errorf("id %q occurs twice", id)
			}
			seen[id] = true
		}
	}
	for _, n := range elements(doc) {
		for _, key := range []string{"for", "aria-labelledby", "aria-describedby"} {
			if id, ok := attr(n, key); ok && !seen[id] {
				t.Errorf("<%s %s=%q> refers to nothing", n.Data, key, id)
			}
		}
	}
}

func checkNothingInline(t *testing.T, doc *html.Node) {
	t.Helper()
	for _, n := range elements(doc) {
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("<%s> has the attribute %s", n.Data, a.Key)
			}
		}
		switch n.Data {
		case "style", "base", "iframe", "object":
			t.Errorf("there is a <%s>", n.Data)
		case "script":
			src, ok := attr(n, "src")
			kind, _ := attr(n, "type")
			if kind != "application/json" && (!ok || !strings.HasPrefix(src, staticPrefix) || text(n) != "") {
				t.Errorf("inline or foreign script: src %q", src)
			}
		case "img":
			if _, ok := attr(n, "alt"); !ok {
				t.Error("<img> without alt")
			}
		}
	}
}

func checkForms(t *testing.T, doc *html.Node) {
	t.Helper()
	labels := map[string]bool{}
	for _, n := range elements(doc, "label") {
		id, _ := attr(n, "for")
		labels[id] = text(n) != ""
	}
	for _, n := range elements(doc, "input", "select", "textarea") {
		kind, _ := attr(n, "type")
		if id, _ := attr(n, "id"); kind != "hidden" && !labels[id] {
			t.Errorf("input %q has no label", id)
		}
	}
	for _, form := range elements(doc, "form") {
		action, _ := attr(form, "action")
		if role, _ := attr(form, "role"); role == "search" {
			if method, _ := attr(form, "method"); method != "get" || strings.Contains(action, "?") || len(named(form, "_xsrf")) > 0 {
				t.Errorf("form %s has method %q, want a search that leaves no XSRF token in addresses", action, method)
			}
			continue
		}
		if method, _ := attr(form, "method"); method != "post" {
			t.Errorf("form %s has method %q: only POST changes things", action, method)
		}
		if token := named(form, "_xsrf"); len(token) != 1 || token[0] != "token" {
			t.Errorf("form %s does not send the XSRF token", action)
		}
	}
	for _, n := range elements(doc, "a", "button") {
		if text(n) == "" {
			t.Errorf("<%s> has no text", n.Data)
		}
	}
}

// named are the values of the inputs of a name.
func named(form *html.Node, name string) []string {
	var values []string
	for _, n := range elements(form, "input") {
		if got, _ := attr(n, "name"); got == name {
			value, _ := attr(n, "value")
			values = append(values, value)
		}
	}
	return values
}

// The ids and values that scripts and browser tests written for JupyterHub look for.
func TestPagesKeepTheContractOfIDs(t *testing.T) {
	t.Parallel()
	r := newRenderer(t)
	tests := map[string][]string{
		"login":             {"login-main", "login_submit", "username_input", "password_input"},
		"home stopped":      {"start", "logout"},
		"home running":      {"open", "stop", "logout"},
		"pending":           {"progress-bar", "progress-message", "progress-log"},
		"stop pending":      {"refresh"},
		"not running":       {"start"},
		"tokens":            {"request-token-form", "token-note", "token-expiration-seconds", "token-scopes", "api-tokens-table"},
		"tokens, a new one": {"token-area", "token-result"},
	}
	for _, s := range samples() {
		doc := render(t, r, s.page, s.view)
		shown := map[string]bool{}
		for _, n := range elements(doc) {
			if id, ok := attr(n, "id"); ok {
				shown[id] = isShown(n)
			}
		}
		for _, id := range tests[s.name] {
			if !shown[id] {
				t.Errorf("%s: no visible #%s", s.name, id)
			}
		}
	}
}

func isShown(n *html.Node) bool {
	for ; n != nil; n = n.Parent {
		if _, hidden := attr(n, "hidden"); hidden {
			return false
		}
	}
	return true
}

func TestHomeShowsTheControlsOfTheState(t *testing.T) {
	t.Parallel()
	r := newRenderer(t)
	tests := []struct {
		state   hub.State
		failure string
		status  string
		want    []string
	}{
		{"", "", "stopped", []string{"start"}},
		{hub.Stopped, "", "stopped", []string{"start"}},
		{hub.Stopped, "No room.", "failed", []string{"start"}},
		{hub.Starting, "old", "starting", []string{"watch", "stop"}},
		{hub.Running, "old", "running", []string{"open", "stop"}},
		{hub.Stopping, "", "stopping", nil},
	}
	for _, tt := range tests {
		view := HomeView{Page: Page{User: "alice"}, Server: ServerView{
			ServerRef: ServerRef{Owner: "alice"}, URL: "/user/alice/", State: tt.state, Failure: tt.failure,
		}}
		doc := render(t, r, HomePage, view)
		var got []string
		for _, n := range elements(doc, "a", "button") {
			id, _ := attr(n, "id")
			if id != "" && id != "logout" && isShown(n) {
				got = append(got, id)
			}
			// The script shows controls by the same words.
			if words, ok := attr(n, "data-show"); ok && isShown(n) != slices.Contains(strings.Fields(words), tt.status) {
				t.Errorf("state %q: #%s is visible: %t, but its data-show is %q", tt.state, id, isShown(n), words)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("state %q, failure %q: controls %v, want %v", tt.state, tt.failure, got, tt.want)
		}
		if got := view.Server.Status(); got != tt.status {
			t.Errorf("state %q, failure %q: status %q, want %q", tt.state, tt.failure, got, tt.status)
		}
	}
}

func TestURLsOfAServer(t *testing.T) {
	t.Parallel()
	s := ServerRef{Owner: "a b/ü@x", ServerName: "lab"}
	link, below := linker("/"), linker("/teaching/")
	tests := map[string]string{
		s.SpawnURL():                            "/hub/spawn/a%20b%2F%C3%BC@x/lab",
		link(s.SpawnURL(), "/user/a/?b=c&d=#e"): "/hub/spawn/a%20b%2F%C3%BC@x/lab?next=%2Fuser%2Fa%2F%3Fb%3Dc%26d%3D%23e",
		s.StopURL():                             "/hub/stop/a%20b%2F%C3%BC@x/lab",
		ServerRef{Owner: "al"}.PendingURL():     "/hub/spawn-pending/al",
		link("/hub/login", ""):                  "/hub/login",
		link("/hub/login", "/hub/"):             "/hub/login?next=%2Fhub%2F",
		below("/hub/login"):                     "/teaching/hub/login",
		below("/hub/login", "/hub/"):            "/teaching/hub/login?next=%2Fteaching%2Fhub%2F",
		below("https://al.test/teaching/user/"): "https://al.test/teaching/user/",
		ServerRef{Owner: "al"}.Subject("al"):    "Your server",
		s.Subject("al"):                         "a b/ü@x’s server “lab”",
	}
	for got, want := range tests {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	// The template must not escape what is escaped.
	doc := render(t, newRenderer(t), NotRunningPage, NotRunningView{ServerRef: s, Next: "/a?b", CanStart: true})
	for _, form := range elements(doc, "form") {
		if action, _ := attr(form, "action"); action != link(s.SpawnURL(), "/a?b") {
			t.Errorf("form action %s, want %s", action, link(s.SpawnURL(), "/a?b"))
		}
	}
}

func TestRenderSetsHeaders(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	if err := newRenderer(t).Render(w, http.StatusFailedDependency, NotRunningPage, NotRunningView{}); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusFailedDependency {
		t.Errorf("status %d, want 424", w.Code)
	}
	if got := w.Header().Get("Content-Length"); got != strconv.Itoa(w.Body.Len()) {
		t.Errorf("Content-Length %s, body has %d", got, w.Body.Len())
	}
	for key, want := range map[string]string{
		"Content-Type":               "text/html; charset=utf-8",
		"Content-Security-Policy":    "frame-ancestors 'none'",
		"Cross-Origin-Opener-Policy": "same-origin",
		"X-Content-Type-Options":     "nosniff",
		"Referrer-Policy":            "same-origin",
		"Cache-Control":              "no-store",
	} {
		if got := w.Header().Get(key); !strings.Contains(got, want) {
			t.Errorf("%s = %q, want %q in it", key, got, want)
		}
	}
	if csp := w.Header().Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") {
		t.Errorf("the policy allows something unsafe: %s", csp)
	}
}

func TestFailedRenderWritesNothing(t *testing.T) {
	t.Parallel()
	r := newRenderer(t)
	tests := map[string]struct {
		page string
		view any
	}{
		"unknown page":    {"nonsense", LoginView{}},
		"view of another": {HomePage, LoginView{}},
	}
	for name, tt := range tests {
		w := httptest.NewRecorder()
		err := r.Render(w, http.StatusOK, tt.page, tt.view)
		if err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%s: error %v, %d bytes, headers %v; want an error and nothing written", name, err, w.Body.Len(), w.Header())
		}
	}
}

// payloads are tries to break out of text, attributes, URLs, JSON and scripts.
var payloads = []string{
	`<script>alert(1)</script>`,
	`"><script>alert(1)</script>`,
	`'><img src=x onerror=alert(1)>`,
	`"><svg/onload=alert(1)>`,
	`</script><script>alert(1)</script>`,
	`</title><script>alert(1)</script>`,
	`</textarea><img src=x onerror=alert(1)>`,
	`</noscript><img src=x onerror=alert(1)>`,
	`</style><script>alert(1)</script>`,
	`<!--<script>`,
	`--><script>alert(1)</script>`,
	`<![CDATA[<script>alert(1)</script>]]>`,
	`" onmouseover="alert(1)`,
	`' onmouseover='alert(1)`,
	` onfocus=alert(1) autofocus tabindex=1 `,
	"` onfocus=alert(1) `",
	`" style="background:url(//evil.example)`,
	`" autofocus onfocus=alert(1) x="`,
	`javascript:alert(1)`,
	`JaVaScRiPt:alert(1)`,
	" \tjavascript:alert(1)",
	"java\tscript:alert(1)",
	"java\nscript:alert(1)",
	"\x01javascript:alert(1)",
	`javascript&colon;alert(1)`,
	`&#106;avascript:alert(1)`,
	`javascript://%0aalert(1)`,
	`vbscript:msgbox(1)`,
	`data:text/html,<script>alert(1)</script>`,
	`data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==`,
	`<a href=javascript:alert(1)>x</a>`,
	`<base href=//evil.example/>`,
	`<meta http-equiv=refresh content="0;url=//evil.example">`,
	`<form action=//evil.example><input name=password>`,
	`"formaction="javascript:alert(1)`,
	`<iframe srcdoc="<script>alert(1)</script>">`,
	`<math><mi xlink:href="javascript:alert(1)">`,
	`{{.XSRF}}{{7*7}}${7*7}`,
	`\u003cscript\u003ealert(1)\u003c/script\u003e`,
	`\x3cscript\x3ealert(1)`,
	`";alert(1);//`,
	`'-alert(1)-'`,
	`\";alert(1)//`,
	"\u2028alert(1)\u2029",
	"+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
	"\xc0\xbcscript\xc0\xbealert(1)",
	"\x00<script>alert(1)</script>",
	"\ufeff<script\x0c>alert(1)</script\x0b>",
	"a\r\nSet-Cookie: x=y\r\n\r\n<script>alert(1)</script>",
	strings.Repeat(`<b a="`, 500),
}

// FuzzNoTextBecomesMarkup puts a text into every string that a sample shows: the page must keep its elements and
// attributes, and no URL may become executable. Without -fuzz it walks the payloads.
func FuzzNoTextBecomesMarkup(f *testing.F) {
	for _, p := range payloads {
		f.Add(p)
	}
	r := newRenderer(f)
	all := samples()
	shapes := make([]string, len(all))
	for i, s := range all {
		view, _ := fill(s.view, "harmless")
		shapes[i] = shape(render(f, r, s.page, view))
	}
	f.Fuzz(func(t *testing.T, payload string) {
		if payload == "" {
			return
		}
		for i, s := range all {
			view, _ := fill(s.view, payload)
			doc := render(t, r, s.page, view)
			if got := shape(doc); got != shapes[i] {
				t.Fatalf("%s: %q changes the page\n got %s\nwant %s", s.name, payload, got, shapes[i])
			}
			checkURLs(t, doc, s.name, payload)
			checkData(t, doc)
		}
	})
}

// The fuzz test leaves empty strings alone, to keep the sample's branch of the template: so each must be set somewhere.
func TestSamplesSetEveryString(t *testing.T) {
	t.Parallel()
	set := map[string]map[string]bool{}
	for _, s := range samples() {
		if set[s.page] == nil {
			set[s.page] = map[string]bool{}
		}
		_, fields := fill(s.view, "x")
		for name, filled := range fields {
			set[s.page][name] = set[s.page][name] || filled
		}
	}
	for page, fields := range set {
		for name, filled := range fields {
			if !filled {
				t.Errorf("no sample of %s sets %s", page, name)
			}
		}
	}
}

// fill returns a copy of view with text in place of each string that is not empty, and which strings were set. States
// are not text.
func fill(view any, text string) (any, map[string]bool) {
	v := reflect.New(reflect.TypeOf(view)).Elem()
	v.Set(reflect.ValueOf(view))
	fields := map[string]bool{}
	fillStruct(v, "", text, fields)
	return v.Interface(), fields
}

func fillStruct(v reflect.Value, path, text string, fields map[string]bool) {
	for i := range v.NumField() {
		name, field := path+"."+v.Type().Field(i).Name, v.Field(i)
		switch {
		case field.Type() == reflect.TypeFor[string]():
			fields[name] = field.Len() > 0
			if field.Len() > 0 {
				field.SetString(text)
			}
		case field.Kind() == reflect.Slice:
			own := reflect.MakeSlice(field.Type(), field.Len(), field.Len())
			reflect.Copy(own, field)
			field.Set(own)
			for j := range own.Len() {
				fillStruct(own.Index(j), name, text, fields)
			}
		case field.Kind() == reflect.Struct && field.Type() != reflect.TypeFor[time.Time]():
			fillStruct(field, name, text, fields)
		}
	}
}

// shape is the page without its texts and values.
func shape(doc *html.Node) string {
	var b strings.Builder
	for n := range doc.Descendants() {
		switch n.Type {
		case html.ElementNode:
			b.WriteString("<" + n.Data)
			for _, a := range n.Attr {
				b.WriteString(" " + a.Key)
			}
			b.WriteString(">")
		case html.CommentNode:
			b.WriteString("<!---->")
		}
	}
	return b.String()
}

func checkURLs(t *testing.T, doc *html.Node, sample, payload string) {
	t.Helper()
	for _, n := range elements(doc) {
		for _, a := range n.Attr {
			if !slices.Contains([]string{"href", "src", "action", "data-next-url", "data-progress-url"}, a.Key) {
				continue
			}
			u, err := url.Parse(a.Val)
			if err != nil || !slices.Contains([]string{"", "http", "https"}, strings.ToLower(u.Scheme)) {
				t.Fatalf("%s: %q makes <%s %s=%q>", sample, payload, n.Data, a.Key, a.Val)
			}
			if n.Data == "form" && (u.Host != "" || !strings.HasPrefix(u.Path, hubPrefix)) {
				t.Fatalf("%s: %q sends a form to %q", sample, payload, a.Val)
			}
		}
	}
}

// checkData: the data block stays JSON, whatever is in it.
func checkData(t *testing.T, doc *html.Node) {
	t.Helper()
	for _, n := range elements(doc, "script") {
		if id, _ := attr(n, "id"); id != "jhdata-json" {
			continue
		}
		var data map[string]any
		if err := json.Unmarshal([]byte(text(n)), &data); err != nil || data["base_url"] != "/hub/" {
			t.Fatalf("jhdata is %q: %v", text(n), err)
		}
	}
}

// TestEveryLinkHasTheBase looks at all pages of a hub below a base: a link that a template writes out is found here.
func TestEveryLinkHasTheBase(t *testing.T) {
	t.Parallel()
	r, err := NewRenderer("/teaching/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples() {
		for _, n := range elements(render(t, r, s.page, s.view)) {
			for _, a := range n.Attr {
				if strings.HasPrefix(a.Val, "/") && (!strings.HasPrefix(a.Val, "/teaching/") || strings.HasPrefix(a.Val, "/teaching/teaching/")) ||
					strings.Contains(a.Val, "next=") && !strings.Contains(a.Val, "next=%2Fteaching%2F") {
					t.Errorf("%s: <%s %s=%q>", s.name, n.Data, a.Key, a.Val)
				}
			}
			if id, _ := attr(n, "id"); id == "jhdata-json" && (!strings.Contains(text(n), `"base_url":"/teaching/hub/"`) || !strings.Contains(text(n), `"prefix":"/teaching/"`)) {
				t.Errorf("%s: jhdata is %s", s.name, text(n))
			}
		}
	}
}

func TestJHData(t *testing.T) {
	t.Parallel()
	name, token := `a"</script><!--`, "x&y"
	doc := render(t, newRenderer(t), HomePage, HomeView{Page: Page{User: name, XSRF: token, Admin: true}})
	for _, n := range elements(doc, "script") {
		if id, _ := attr(n, "id"); id != "jhdata-json" {
			continue
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(text(n)), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]any{
			"base_url": "/hub/", "prefix": "/", "user": name, "xsrf_token": token, "admin_access": true, "options_form": false,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("jhdata = %v, want %v", got, want)
		}
		return
	}
	t.Error("no #jhdata-json")
}

func TestStatic(t *testing.T) {
	t.Parallel()
	assets, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	current, err := staticURL("/", assets, "hub.css")
	if err != nil {
		t.Fatal(err)
	}
	const plain = "/hub/static/hub.css"
	etag := `"` + assets["hub.css"].hash + `"`
	tests := []struct {
		name, method, target, ifNoneMatch string
		status                            int
		cache                             string
	}{
		{"right hash", "GET", current, "", 200, "public, max-age=31536000, immutable"},
		{"hash of another release", "GET", plain + "?v=0123456789abcdef", "", 200, "no-cache"},
		{"no hash", "GET", plain, "", 200, "no-cache"},
		{"unchanged", "GET", plain, etag, 304, "no-cache"},
		{"changed", "GET", plain, `"other"`, 200, "no-cache"},
		{"head", "HEAD", plain, "", 200, "no-cache"},
		{"post", "POST", plain, "", 405, "no-cache"},
		{"unknown", "GET", "/hub/static/none.css", "", 404, "no-cache"},
		{"no listing", "GET", "/hub/static/", "", 404, "no-cache"},
		{"traversal", "GET", "/hub/static/..%2fassets.go", "", 404, "no-cache"},
		{"not ours", "GET", "/hub.css", "", 404, "no-cache"},
	}
	h := Static()
	for _, tt := range tests {
		r := httptest.NewRequest(tt.method, tt.target, nil)
		r.Header.Set("If-None-Match", tt.ifNoneMatch)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || w.Header().Get("Cache-Control") != tt.cache {
			t.Errorf("%s: %d with %q, want %d with %q", tt.name, w.Code, w.Header().Get("Cache-Control"), tt.status, tt.cache)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Content-Security-Policy") == "" {
			t.Errorf("%s: headers %v", tt.name, w.Header())
		}
		if tt.status == 200 && (w.Header().Get("ETag") != etag || w.Header().Get("Content-Type") != "text/css; charset=utf-8") {
			t.Errorf("%s: headers %v", tt.name, w.Header())
		}
		if want := assets["hub.css"].body; tt.status == 200 && tt.method == "GET" && !bytes.Equal(w.Body.Bytes(), want) {
			t.Errorf("%s: %d bytes, want %d", tt.name, w.Body.Len(), len(want))
		}
	}
}

// Pages of single-user servers show the hub's logo.
func TestLogo(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	Static().ServeHTTP(w, httptest.NewRequest("GET", "/hub/logo", nil))
	if w.Code != 200 || w.Header().Get("Content-Type") != "image/svg+xml" || !strings.Contains(w.Body.String(), "<svg") {
		t.Errorf("GET /hub/logo: %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// Scripts write text only: nothing that parses markup or code.
func TestScriptsNeverParseMarkup(t *testing.T) {
	t.Parallel()
	bad := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\("on`)
	assets, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range assets {
		if found := bad.Find(a.body); found != nil {
			t.Errorf("%s uses %s", name, found)
		}
	}
}

// WCAG 2.2 AA: 4.5 for text, 3 for the edges of controls and the focus ring.
func TestColoursHaveContrast(t *testing.T) {
	t.Parallel()
	css, err := staticFiles.ReadFile("static/hub.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllSubmatch(css, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of colours, want light and dark", len(blocks))
	}
	pairs := []struct {
		front, back string
		least       float64
	}{
		{"text", "page", 4.5},
		{"text", "surface", 4.5},
		{"muted", "page", 4.5},
		{"muted", "surface", 4.5},
		{"accent", "surface", 4.5},
		{"accent-strong", "surface", 4.5},
		{"on-accent", "accent", 4.5},
		{"on-accent", "accent-strong", 4.5},
		{"good", "surface", 4.5},
		{"warn", "surface", 4.5},
		{"warn", "warn-back", 4.5},
		{"bad", "surface", 4.5},
		{"bad", "bad-back", 4.5},
		{"edge", "surface", 3},
		{"idle", "surface", 3},
		{"focus", "surface", 3},
		{"focus", "page", 3},
		{"accent", "line", 3},
	}
	for i, scheme := range []string{"light", "dark"} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(string(blocks[i][1]), -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, p := range pairs {
			a, aok := colours[p.front]
			b, bok := colours[p.back]
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); !aok || !bok || ratio < p.least {
				t.Errorf("%s: %s on %s has contrast %.2f, want %.1f", scheme, p.front, p.back, ratio, p.least)
			}
		}
	}
}

// luminance is the relative luminance of WCAG.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	var r, g, b int
	if _, err := fmt.Sscanf(hex, "%02x%02x%02x", &r, &g, &b); err != nil {
		t.Fatal(err)
	}
	linear := func(c int) float64 {
		v := float64(c) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
}
