package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/web"
	"github.com/edgehub/edgehub/routes"
)

// below is what a handler makes of a request to a hub below base.
func below(base routes.Base, target string, h http.HandlerFunc) *http.Response {
	w := httptest.NewRecorder()
	web.Below(base, h).ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w.Result()
}

func TestBelowCutsTheBaseOffRequests(t *testing.T) {
	t.Parallel()
	const base = "/@/space%20word/"
	for target, want := range map[string]string{
		"/@/space%20word/": "/", "/@/space%20word/hub/a%20b%2Fc?x=%2F": "/hub/a%20b%2Fc?x=%2F", "/%40/space%20word/hub/": "/hub/",
		"/": "", "/hub/login": "", "/@/space%20word": "", "/@/space%20wordy/hub/": "", "/x/@/space%20word/": "", "/@/Space%20word/hub/": "",
	} {
		got := ""
		resp := below(base, target, func(_ http.ResponseWriter, r *http.Request) {
			got = r.URL.RequestURI()
			if plain, _ := url.PathUnescape(r.URL.EscapedPath()); plain != r.URL.Path || web.Base(r) != base {
				t.Errorf("%s: path %q, base %q", target, r.URL.Path, web.Base(r))
			}
		})
		if got != want || (want == "") != (resp.StatusCode == http.StatusNotFound) {
			t.Errorf("%s: handled as %q, %d; want %q", target, got, resp.StatusCode, want)
		}
	}
}

func TestBelowPutsTheBaseBeforeLocations(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"/hub/home": "/teaching/hub/home", "/": "/teaching/", "/teaching/x": "/teaching/teaching/x", "https://alice.test/teaching/user/": "https://alice.test/teaching/user/",
		"//evil.test/": "//evil.test/", "": "",
	} {
		resp := below("/teaching/", "/teaching/x", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(http.StatusFound)
			w.WriteHeader(http.StatusFound) // changes nothing
		})
		if got := resp.Header.Get("Location"); got != want {
			t.Errorf("to %q: %q, want %q", to, got, want)
		}
	}
	mux := http.NewServeMux() // it redirects by itself
	mux.HandleFunc("/hub/static/", http.NotFound)
	if got := below("/teaching/", "/teaching/hub/static", mux.ServeHTTP).Header.Get("Location"); got != "/teaching/hub/static/" {
		t.Errorf("the mux redirects to %q", got)
	}
}

func TestCookiesBelowABase(t *testing.T) {
	t.Parallel()
	x := web.XSRF{MAC: func(_, data string) []byte { return []byte(data) }}
	suffix := routes.Base("/teaching/").CookieSuffix()
	resp := below("/teaching/", "/teaching/hub/", func(w http.ResponseWriter, r *http.Request) {
		web.SetCookie(w, r, web.SessionCookie, "s", 1)
		x.Token(w, r, "")
		r.Header.Set("Cookie", web.SessionCookie+"=other; "+web.SessionCookie+suffix+"=own; _xsrf=t")
		if got, err := web.Cookie(r, web.SessionCookie); got != "own" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		x.Forget(w, r)
	})
	got := resp.Cookies()
	if len(got) != 3 || got[0].Name != "edgehub-session"+suffix || got[0].Path != "/" || got[1].Path != "/teaching/hub/" ||
		got[2].Path != "/teaching/hub/" || got[2].Name != "_xsrf" || got[2].MaxAge >= 0 {
		t.Errorf("cookies %v", got)
	}
}

func TestNextBelowABase(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/teaching/user/alice/lab?x=1#y": "/user/alice/lab?x=1#y", "/teaching/": "/", "/user/alice/": "", "/research/hub/": "", "/teaching": "",
		"/teaching//evil.test/": "", "https://evil.test/teaching/": "", "//teaching/": "", "": "",
	} {
		below("/teaching/", "/teaching/hub/login?"+url.Values{"next": {next}}.Encode(), func(_ http.ResponseWriter, r *http.Request) {
			got := web.Next(r)
			if got != want {
				t.Errorf("next %q: %q, want %q", next, got, want)
			}
			if again := web.WithNext(web.Base(r), "/hub/x", got); got != "" && !strings.HasSuffix(again, "?next="+url.QueryEscape(next)) {
				t.Errorf("next %q goes on as %q", next, again)
			}
		})
	}
}
