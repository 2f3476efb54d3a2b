package routes

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSplitReadsEachPathInOneWay(t *testing.T) {
	for _, c := range []struct {
		path  string
		want  string // segments joined by "|", or "refused"
		slash bool
	}{
		{"/", "", true}, {"/user", "user", false}, {"/user/", "user", true}, {"/user/alice", "user|alice", false},
		{"/user/alice/", "user|alice", true}, {"/user/alice/lab/tree/a%2Fb", "user|alice|lab", true},
		{"/user/a%20b/x", "user|a b|x", false}, {"/user/a@b/", "user|a@b", true}, {"/user/a%40b/", "user|a@b", true},
		{"/user/%C3%A9/", "user|é", true}, {"/user/alice/a;b/", "user|alice", true}, {"/user/alice//x", "user|alice", true},
		{"/user/alice/..%2Fbob/", "user|alice", true}, {"/user/alice/%252e%252e/bob/", "user|alice", true},
		{"/user/alice/.../", "user|alice|...", true}, {"/user/alice/.hidden", "user|alice|.hidden", false},
		{"", "refused", false}, {"user/alice/", "refused", false}, {"*", "refused", false}, {"//user/alice/", "refused", false},
		{"/user//alice/", "refused", false}, {"/user%2Falice/", "refused", false}, {"/user/alice%2Fx/", "refused", false},
		{"/user/%61lice/", "refused", false}, {"/user/alice/../bob/", "refused", false}, {"/user/alice/%2E%2e/bob/", "refused", false},
		{"/user/alice/x/y/z/..", "refused", false}, {"/user/./alice/", "refused", false}, {"/..", "refused", false},
		{`/user/al\ice/`, "refused", false}, {"/user/al%5Cice/", "refused", false}, {"/user/alice%00/", "refused", false},
		{"/user/alice%0A/", "refused", false}, {"/user/alice%7F/", "refused", false}, {"/user/alice%C2%85/", "refused", false},
		{"/user/alice%C0%AF/", "refused", false}, {"/user/a%25b/", "refused", false}, {"/user/a%3Bb/", "refused", false},
		{"/user/a;b/", "refused", false}, {"/user/a%/", "refused", false}, {"/user/a%2/", "refused", false}, {"/user/%zz/", "refused", false},
	} {
		segments, slash, err := Split(c.path)
		got := strings.Join(segments, "|")
		if err != nil {
			got = "refused"
			if !errors.Is(err, ErrPath) {
				t.Errorf("Split(%q): %v", c.path, err)
			}
		}
		if got != c.want || err == nil && slash != c.slash {
			t.Errorf("Split(%q) = %q, %v, want %q, %v", c.path, got, slash, c.want, c.slash)
		}
	}
}

func TestUserPrefixesAreFound(t *testing.T) {
	for _, c := range [][3]string{
		{"alice", "", "/user/alice/"}, {"alice", "lab2", "/user/alice/lab2/"}, {"a b", "", "/user/a%20b/"},
		{"a@b.c", "x y", "/user/a@b.c/x%20y/"}, {"é", "", "/user/%C3%A9/"}, {"~-_.", "", "/user/~-_./"},
	} {
		prefix := UserPrefix(c[0], c[1])
		if prefix != c[2] || CheckPrefix(prefix) != nil {
			t.Errorf("UserPrefix(%q, %q) = %q (%v), want %q", c[0], c[1], prefix, CheckPrefix(prefix), c[2])
		}
		table := NewTable()
		route := putRoute(table, prefix)
		m, err := table.Lookup(prefix + "x?")
		if err != nil || m.Record == nil || m.Record.Route != route || !m.Slash {
			t.Errorf("Lookup below %q: %+v %v", prefix, m, err)
		}
		if RouteID(prefix) != EscapeKey(prefix) || PrefixOf(RouteID(prefix)) != prefix {
			t.Errorf("RouteID(%q) = %q", prefix, RouteID(prefix))
		}
	}
}

// putRoute puts a route that has been read.
func putRoute(table *Table, prefix string) *Route {
	r := &Route{Prefix: prefix}
	table.Put(EscapeKey(prefix), &Record{Route: r})
	return r
}

// found is the prefix that a lookup finds, or why it finds none.
func found(table *Table, path string) string {
	m, err := table.Lookup(path)
	switch {
	case err != nil:
		return "error"
	case m.Record == nil:
		return ""
	}
	return m.Record.Route.Prefix
}

func TestCheckPrefixRefusesWhatLookupCannotFind(t *testing.T) {
	for _, prefix := range []string{"", "/", "//", "/hub/", "/hub/x/", "user/a/", "/user/a", "/user//", "/user/../", "/user/a%2fb/",
		"/user/%61/", "/user/a%40b/", "/user/%c3%a9/", "/a/b/c/d/", "/user/a;b/"} {
		if CheckPrefix(prefix) == nil {
			t.Errorf("CheckPrefix(%q) accepts it", prefix)
		}
	}
	for _, prefix := range []string{"/a/", "/services/x/", "/user/a/b/", "/hubx/", "/user/hub/"} {
		if err := CheckPrefix(prefix); err != nil {
			t.Errorf("CheckPrefix(%q): %v", prefix, err)
		}
	}
}

func TestLookupComparesWholeSegments(t *testing.T) {
	table := NewTable()
	for _, p := range []string{"/user/al/", "/user/alice/", "/user/alice/a/", "/user/alice/ab/", "/services/x/"} {
		putRoute(table, p)
	}
	table.Put(EscapeKey("/user/alice/bad/"), &Record{Route: BadRoute})
	for path, want := range map[string]string{
		"/user/al/": "/user/al/", "/user/ali/": "", "/user/alice/": "/user/alice/", "/user/alice/a": "/user/alice/a/",
		"/user/alice/ab/x": "/user/alice/ab/", "/user/alice/abc": "/user/alice/", "/user/ALICE/": "", "/user/": "", "/": "",
		"/services/x/y/z": "/services/x/", "/user/alice/a/../x": "error", "/user/alice/bad/x": "/user/alice/",
	} {
		if got := found(table, path); got != want {
			t.Errorf("Lookup(%q) = %q, want %q", path, got, want)
		}
	}
	if m, _ := table.Lookup("/user/alice"); m.Slash {
		t.Error("a prefix without its slash is not told apart")
	}
	table.Remove(EscapeKey("/user/alice/"))
	if found(table, "/user/alice/x") != "" || table.Len() != 5 || table.Get(EscapeKey("/user/alice/a/")) == nil {
		t.Error("Remove took away too much or too little")
	}
}

// slowSplit is Split as one would write it down from the rule, without regard to speed.
func slowSplit(path string) (segments []string, slash, ok bool) {
	if !strings.HasPrefix(path, "/") {
		return nil, false, false
	}
	parts := strings.Split(path[1:], "/")
	for _, p := range parts {
		dots := strings.ReplaceAll(strings.ReplaceAll(p, "%2e", "."), "%2E", ".")
		if dots == "." || dots == ".." {
			return nil, false, false
		}
	}
	if path == "/" {
		return nil, true, true
	}
	for i, p := range parts {
		if i == 3 || i == len(parts)-1 && p == "" {
			return segments, true, true
		}
		plainText, err := url.PathUnescape(p)
		clean := err == nil && plainText != "" && utf8.ValidString(plainText) && slowEscaped(p)
		for _, r := range plainText {
			if strings.ContainsRune(`/\%;?#`, r) || r < 0x20 || r >= 0x7f && r < 0xa0 {
				clean = false
			}
		}
		if !clean {
			return segments, true, i == 2
		}
		segments = append(segments, plainText)
	}
	return segments, len(parts) > 3, true
}

// slowEscaped refuses percent-encoding of characters that need none.
func slowEscaped(p string) bool {
	for i := 0; i+2 < len(p); i++ {
		if p[i] == '%' {
			c, err := url.PathUnescape(p[i : i+3])
			if err != nil || strings.Contains("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~", c) {
				return false
			}
		}
	}
	return true
}

func FuzzSplit(f *testing.F) {
	for _, s := range []string{"/", "/user/alice/", "/user/alice/..%2Fbob/", "/user/%61lice/", "/user/a%20b/c%2Fd/", "//x", "/user/alice//x",
		"/user/alice/;/", "/a/b/c/d/%2e%2E/", "/user/a%C0%AF/", "/user/a\x00b/", "/a/b/c%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		segments, slash, err := Split(path)
		want, wantSlash, ok := slowSplit(path)
		if (err == nil) != ok || ok && (strings.Join(segments, "/") != strings.Join(want, "/") || len(segments) != len(want) || slash != wantSlash) {
			t.Fatalf("Split(%q) = %q %v %v, the rule says %q %v %v", path, segments, slash, err, want, wantSlash, ok)
		}
	})
}

// slowLookup goes through all routes.
func slowLookup(prefixes []string, path string) string {
	segments, _, ok := slowSplit(path)
	best := ""
	for _, p := range prefixes {
		of, _, _ := slowSplit(p)
		if !ok || len(of) > len(segments) || len(p) <= len(best) {
			continue
		}
		if strings.Join(segments[:len(of)], "\x00") == strings.Join(of, "\x00") {
			best = p
		}
	}
	return best
}

func FuzzLookup(f *testing.F) {
	prefixes := []string{"/user/al/", "/user/alice/", "/user/alice/a/", "/user/alice/ab/", "/user/a%20b/", "/user/a@b/", "/user/%C3%A9/", "/services/x/", "/x/"}
	table := NewTable()
	for _, p := range prefixes {
		putRoute(table, p)
		f.Add(p + "y")
	}
	f.Add("/user/alice/a%2Fb")
	f.Add("/user/a%40b")
	f.Fuzz(func(t *testing.T, path string) {
		got := strings.TrimPrefix(found(table, path), "error")
		if want := slowLookup(prefixes, path); got != want {
			t.Fatalf("Lookup(%q) = %q, want %q", path, got, want)
		}
	})
}

func FuzzEscapeKey(f *testing.F) {
	f.Add("/user/alice/")
	f.Add("%2F\x00é")
	f.Fuzz(func(t *testing.T, s string) {
		key := EscapeKey(s)
		if strings.ContainsAny(key, "/\x00\n") {
			t.Fatalf("EscapeKey(%q) = %q", s, key)
		}
		if back, ok := UnescapeKey(key); !ok || back != s {
			t.Fatalf("UnescapeKey(EscapeKey(%q)) = %q, %v", s, back, ok)
		}
		if back, ok := UnescapeKey(s); ok && EscapeKey(back) != s {
			t.Fatalf("UnescapeKey(%q) = %q, which has another key", s, back)
		}
	})
}

func FuzzEscapeSegment(f *testing.F) {
	f.Add("alice")
	f.Add("a b/é")
	f.Fuzz(func(t *testing.T, name string) {
		prefix := UserPrefix(name, "")
		if err := CheckPrefix(prefix); (err == nil) != CleanSegment(name) {
			t.Fatalf("CheckPrefix(%q) = %v, CleanSegment(%q) = %v", prefix, err, name, CleanSegment(name))
		}
		if segments, _, err := Split(prefix); err == nil && (len(segments) != 2 || segments[1] != name) {
			t.Fatalf("Split(%q) = %q", prefix, segments)
		}
	})
}
