package web_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/web"
)

func TestSafeNextKeepsPathsOfOurs(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/":                                     "/",
		"/hub/home":                             "/hub/home",
		"/user/alice/lab/tree/a%20b.ipynb?x=1":  "/user/alice/lab/tree/a%20b.ipynb?x=1",
		"/user/alice/?next=%2Fx&y=http://z#top": "/user/alice/?next=%2Fx&y=http://z#top",
		"/a b":                                  "/a%20b",
		"/ä":                                    "/%C3%A4",
		"/a:b@c":                                "/a:b@c",
		"/a//b":                                 "/a//b",
		"/user/a/..%2f..%2f/e":                  "/user/a/..%2f..%2f/e", // stays here, and StrictPath refuses it
		"/%09/e":                                "/%09/e",
		"/%5ce":                                 "/%5ce",
		"/%2f/e":                                "/%2f/e",
		"/?":                                    "/",
	} {
		if got := web.SafeNext(in); got != want {
			t.Errorf("SafeNext(%q): got %q, want %q", in, got, want)
		}
	}
}

// hostile holds threat T61 and the list of 0.5.
var hostile = []string{
	"", " ", "e", "e/", "?x", "#x", ".", "..", "./", "../",
	"//e", "///e", "////e", "//e/%2f..", "//", "///", "//hub@e", "//e:80/", "/\\e", "\\\\e", "\\/e", "\\e", "/\\/e", "/a\\b", "/x\\..\\e",
	"/\t/e", "/\t//e", "\t//e", "/\n/e", "/\r\n/e", "/\x00/e", "/\x0b/e", "/a\r\nSet-Cookie: x=1", "/a\nb", "/\x7f", " //e", " /e", "\u00a0//e", "\u3000/e",
	"https:e", "https:/e", "https://e", "HTTPS://e", "http://hub@e", "http:\\\\e", "https:\\e", "ht\ntps://e", "hub.test//e", "HOST//e",
	"javascript:alert(1)", "JavaScript:alert(1)", "java\tscript:alert(1)", "\x01javascript:alert(1)", "data:text/html,x", "vbscript:x", "blob:x", "mailto:a@b", "x:",
	"/%", "/%zz", "/a%2", "/%2fe\"", "/%2F/e<",
	"/" + strings.Repeat("a", 2048),
}

func TestSafeNextRefusesOtherPlaces(t *testing.T) {
	t.Parallel()
	for _, in := range hostile {
		if got := web.SafeNext(in); got != "" {
			t.Errorf("SafeNext(%q): got %q, want it refused", in, got)
		}
	}
}

// hostOf is the host that a browser goes to when a page of hub.test redirects to location, or "" for another scheme. It
// follows the URL standard's parser as far as that decides about scheme and host.
func hostOf(location string) string {
	s := strings.TrimFunc(location, func(c rune) bool { return c <= 0x20 })
	s = strings.Map(func(c rune) rune {
		switch c {
		case '\t', '\n', '\r':
			return -1
		case '\\':
			return '/' // also in queries, where it means nothing for the host
		}
		return c
	}, s)
	if i := strings.IndexByte(s, ':'); i > 0 && isScheme(s[:i]) {
		scheme, rest := strings.ToLower(s[:i]), s[i+1:]
		switch {
		case scheme == "https" && !strings.HasPrefix(rest, "//"):
			s = rest // relative to the page, when the schemes are equal
		case scheme == "http", scheme == "https":
			s = "//" + strings.TrimLeft(rest, "/")
		default:
			return ""
		}
	}
	if !strings.HasPrefix(s, "//") {
		return "hub.test"
	}
	host := strings.TrimLeft(s, "/")
	if i := strings.IndexAny(host, "/?#"); i >= 0 {
		host = host[:i]
	}
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	return host
}

func isScheme(s string) bool {
	for i, c := range strings.ToLower(s) {
		if !('a' <= c && c <= 'z' || i > 0 && ('0' <= c && c <= '9' || strings.ContainsRune("+-.", c))) {
			return false
		}
	}
	return true
}

// TestHostOf checks the referee.
func TestHostOf(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]string{
		"/x": "hub.test", "x": "hub.test", "//e": "e", "/\\e": "e", "/\t/e": "e", "https:e": "hub.test", "https:/e": "hub.test", "http:e": "e", "https://e/x": "e",
		" //e": "e", "javascript:x": "", "//a@e:1/": "e:1", "///e": "e", "/a:b": "hub.test", "?x": "hub.test",
	} {
		if got := hostOf(location); got != want {
			t.Errorf("hostOf(%q): got %q, want %q", location, got, want)
		}
	}
}

func FuzzSafeNext(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Add("/user/alice/?a=b#c")
	f.Add("/.//e")
	f.Add("/x/..//e")
	f.Add("/#//e")
	f.Add("/?//e\u0085")
	f.Fuzz(func(t *testing.T, in string) {
		got := web.SafeNext(in)
		if got == "" {
			return
		}
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest("GET", "/hub/login", nil), got, http.StatusFound)
		for what, location := range map[string]string{"result": got, "Location": w.Header().Get("Location")} {
			if host := hostOf(location); host != "hub.test" || location[0] != '/' {
				t.Errorf("SafeNext(%q): %s %q leads to %q", in, what, location, host)
			}
			if u, err := url.Parse(location); err != nil || u.Host != "" || u.Scheme != "" {
				t.Errorf("SafeNext(%q): %s %q is %+v, %v for Go", in, what, location, u, err)
			}
		}
		if strings.ContainsAny(got, "\r\n\t\x00\\") {
			t.Errorf("SafeNext(%q): %q has control characters or backslashes", in, got)
		}
		if again := web.SafeNext(got); again != got && len(got) <= 2048 {
			t.Errorf("SafeNext(%q) = %q, but SafeNext of that is %q", in, got, again)
		}
	})
}
