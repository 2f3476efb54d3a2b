package pages

import (
	"net/http"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/web"
)

func TestWhatNoPageHas(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b, nobody := s.signedIn(s.user("alice", false, "")), s.browser()
	nobody.do("POST", "/hub/nothing", nil).wantText(403, "_xsrf")
	nobody.do("OPTIONS", "/hub/login", nil).want(405)
	nobody.do("OPTIONS", "/hub", nil).want(405)
	nobody.get("/hub/user-redirect").want(404)
	b.post("/hub/home").want(405)
	b.post("/hub/nothing").want(404)
	b.with("Sec-Fetch-Site", "cross-site").post("/hub/home").want(403)
	nobody.get("/services/x?a=b").wantTo(301, "/services/x/?a=b")
	nobody.get("/user/alice?a=b").wantTo(301, "/user/alice/?a=b")
	nobody.get("/services/").wantTo(302, "/hub/services/")
	b.get("/hub/user/alice").want(424)
	if v := nobody.get("/favicon.ico").want(200); v.header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("the favicon is of type %q", v.header.Get("Content-Type"))
	}
	for _, v := range []visited{nobody.get("/"), nobody.get("/hub"), nobody.get("/hub/home")} {
		if got := v.header; got.Get("Content-Type") != "text/html" || got.Get("Access-Control-Allow-Headers") != "accept, content-type, authorization" {
			t.Errorf("%s: %v", v.what, got)
		}
	}
}

func TestReportsOfBrowsers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.signedIn(s.user("alice", false, ""))
	report := func(cookie *http.Cookie, body string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/hub/security/csp-report", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/csp-report")
		r.Header.Set("Sec-Fetch-Dest", "report")
		if cookie != nil {
			r.AddCookie(cookie)
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	const good = `{"csp-report": {"document-uri": "https://hub.example/user/alice/lab", "violated-directive": "script-src", "blocked-uri": "inline"}}`
	session := b.jar[web.SessionCookie]
	for body, want := range map[string]int{good: 200, "{}": 200, "nonsense": 400, strings.Repeat(" ", maxReport) + good: 413} {
		if got := report(session, body); got != want {
			t.Errorf("a report of %d bytes: %d, want %d", len(body), got, want)
		}
	}
	if got := report(nil, good); got != 403 {
		t.Errorf("a report of nobody: %d, want 403", got)
	}
}
