package routes

import (
	"net/url"
	"strings"
	"testing"
)

func TestParseBase(t *testing.T) {
	for raw, want := range map[string]Base{
		"": "/", "/": "/", "/teaching/": "/teaching/", "/teaching": "/teaching/", "teaching": "/teaching/", "/a/b/c/d/": "/a/b/c/d/",
		"/@/space word/": "/@/space%20word/", "/@/space%20word/": "/@/space%20word/", "/%40/space%20word": "/@/space%20word/",
		"/é/": "/%C3%A9/", "/%c3%a9/": "/%C3%A9/", "/hub/": "/hub/", "/user/": "/user/", "/T/": "/T/", "/apis/": "/apis/", "/a.b/...": "/a.b/.../",
	} {
		if got, err := ParseBase(raw); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", raw, got, err, want)
		}
		if again, err := ParseBase(string(want)); again != want || err != nil {
			t.Errorf("%q again: %q, %v", want, again, err)
		}
	}
	for _, raw := range []string{
		"//", "///", "/a//b/", "//a/", "/a//", "/../", "/a/../b/", "/./", "/%2e%2e/", "/%2E/", "/a?b/", "/a#b/", "/a%3fb/", "/a;b/", "/a%3bb/", `/a\b/`, "/a%5cb/",
		"/a%2fb/", "/a%25b/", "/a%2541/", "/a%/", "/a%zz/", "/a\nb/", "/a%0ab/", "/a%00b/", "/\xff/", "/%ff/", "/\u0085/", "/api/", "/a/api/", "/%61pi/",
		"https://example.org/teaching/", "/a%", "?", "#",
	} {
		if got, err := ParseBase(raw); err == nil {
			t.Errorf("%q is accepted as %q", raw, got)
		}
	}
}

func TestBaseCutsAndPaths(t *testing.T) {
	const refused = "refused"
	for _, c := range []struct {
		base         Base
		escaped, cut string
	}{
		{"/", "/hub/", "/hub/"}, {"", "/hub/", "/hub/"}, {"", "//x/../y", "//x/../y"}, {"/", "", ""},
		{"/teaching/", "/teaching/", "/"}, {"/teaching/", "/teaching/hub/login", "/hub/login"}, {"/teaching/", "/teaching/teaching/x", "/teaching/x"},
		{"/teaching/", "/teaching//hub", "//hub"}, {"/teaching/", "/teaching/../hub", "/../hub"}, {"/teaching/", "/teaching/%2e%2e/x", "/%2e%2e/x"},
		{"/teaching/", "/teaching", refused}, {"/teaching/", "/", refused}, {"/teaching/", "", refused}, {"/teaching/", "/hub/", refused},
		{"/teaching/", "/Teaching/hub/", refused}, {"/teaching/", "/teachings/hub/", refused}, {"/teaching/", "/teaching;x/hub/", refused},
		{"/teaching/", "//teaching/hub/", refused}, {"/teaching/", "/./teaching/hub/", refused}, {"/teaching/", "/x/../teaching/hub/", refused},
		{"/teaching/", "/%74eaching/hub/", refused}, {"/teaching/", "/teaching%2fhub/", refused}, {"/teaching/", "/teaching%2Fhub/", refused},
		{"/teaching/", `/teaching\hub/`, refused}, {"/teaching/", "/teaching%5chub/", refused}, {"/teaching/", "/teaching%00/hub/", refused},
		{"/teaching/", "teaching/hub/", refused}, {"/teaching/", "*", refused}, {"/teaching/", "/%2574eaching/hub/", refused},
		{"/teaching/", "/teaching%20/hub/", refused}, {"/teaching/", "/teaching./hub/", refused}, {"/teaching/", "/%/hub", refused},
		{"/@/space%20word/", "/@/space%20word/x", "/x"}, {"/@/space%20word/", "/%40/space%20word/x", "/x"}, {"/@/space%20word/", "/%40/space+word/x", refused},
		{"/@/space%20word/", "/@/space word/x", "/x"}, {"/@/space%20word/", "/@/x", refused}, {"/@/space%20word/", "/@", refused},
		{"/@/space%20word/", "/%40/%20/../x", refused}, {"/@/space%20word/", "/%2540/space%20word/x", refused},
		{"/%C3%A9/", "/%c3%a9/x", "/x"}, {"/%C3%A9/", "/%C3%A9/x", "/x"}, {"/%C3%A9/", "/e%CC%81/x", refused},
	} {
		got, ok := c.base.Cut(c.escaped)
		if want := c.cut; ok != (want != refused) || ok && got != want {
			t.Errorf("%q cut off %q: %q, %v; want %q", c.base, c.escaped, got, ok, want)
		}
	}
	for path, want := range map[string]string{"/": "/a/", "/hub/": "/a/hub/", "": "", "https://x/y": "https://x/y"} {
		if got := Base("/a/").Path(path); got != want {
			t.Errorf("path %q: %q, want %q", path, got, want)
		}
	}
	if !Base("/a/").Bare("/a") || Base("/a/").Bare("/a/") || Base("/").Bare("") || Base("").Bare("") {
		t.Error("Bare")
	}
}

func TestCookiesOfHubsOnOneHostDiffer(t *testing.T) {
	seen := map[string]Base{}
	for _, base := range []Base{"/", "/a/", "/b/", "/a/b/", "/A/"} {
		suffix := base.CookieSuffix()
		if other, taken := seen[suffix]; taken || (base == "/") != (suffix == "") || strings.Trim(suffix, "-0123456789abcdef") != "" {
			t.Errorf("%q has the suffix %q, and so has %q", base, suffix, other)
		}
		seen[suffix] = base
	}
	if Base("").CookieSuffix() != "" {
		t.Error("the empty base has a suffix")
	}
}

// FuzzBaseCut compares Cut with a slow reading: what it takes off spells the base, and nothing else, and the routing segments of
// what it leaves are those that a lookup in the whole path would find behind the base.
func FuzzBaseCut(f *testing.F) {
	for _, s := range []string{"/a/hub/x", "/%40/space%20word/user/alice/", "/@/space%20word//x", "/@/space%20word/../x", "/a%2fb/", "/@/space%20word/%75ser/"} {
		f.Add(s)
	}
	bases := []Base{"/a/", "/@/space%20word/", "/%C3%A9/"}
	f.Fuzz(func(t *testing.T, escaped string) {
		for _, base := range bases {
			rest, ok := base.Cut(escaped)
			if !ok {
				continue
			}
			head := escaped[:len(escaped)-len(rest)]
			plain, err := url.PathUnescape(head)
			want, _ := url.PathUnescape(strings.TrimSuffix(string(base), "/"))
			if err != nil || plain != want || !strings.HasPrefix(rest, "/") || strings.Count(head, "/") != strings.Count(want, "/") {
				t.Fatalf("%q: %q taken off for %q, %q left", escaped, head, base, rest)
			}
			if again, ok := base.Cut(base.Path(rest)); !ok || again != rest {
				t.Fatalf("%q: %q comes back as %q", escaped, rest, again)
			}
			if _, _, err := Split(rest); err == nil && hasDotSegment(escaped) {
				t.Fatalf("%q is taken though it has a dot segment", escaped)
			}
		}
	})
}
