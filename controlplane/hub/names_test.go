package hub_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

func TestUserNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 128)
	for in, want := range map[string]string{
		"alice": "alice", "Alice": "alice", "ALICE": "alice", "a": "a", "7": "7", "_x": "_x", "a.b-c_d+e@f.org": "a.b-c_d+e@f.org",
		"hub2": "hub2", "lab": "lab", "a..b": "a..b", "a--b": "a--b", long: long,
	} {
		if got, err := hub.ParseUserName(in); err != nil || string(got) != want {
			t.Errorf("ParseUserName(%q) = %q, %v; want %q", in, got, err, want)
		}
	}
}

// TestUserNamesRefused holds threats T12 and T13.
func TestUserNamesRefused(t *testing.T) {
	t.Parallel()
	for what, names := range map[string][]string{
		"nothing":              {"", " ", "\t"},
		"dots":                 {".", "..", "...", ".a", "a.", "a..", "a.b."},
		"reserved":             {"hub", "api", "user", "services", "HUB", "Api"},
		"separators":           {"a/b", "/", "a\\b", "a%2fb", "a%b", "a;b", "a?b", "a#b", "a:b", "a&b", "a=b", "a,b", "~", "~a", "a~"},
		"leading dash":         {"-", "-a", "--", "-rf"},
		"other leading marks":  {"+a", "@a"},
		"spaces":               {" a", "a ", "a b", "a\t", "a\n", "\na", "a\r\n", "a\v", "\u00a0a", "a\u00a0", "a\u2003", "\u3000a", "\ufeffa", "a\u0085"},
		"control characters":   {"a\x00", "\x00", "a\x7f", "a\x1b[31m", "a\u0080"},
		"quotes and markup":    {"'a'", `"a"`, "<a>", "a`b", "$a", "{a}", "a|b", "*", "a!"},
		"marks and directions": {"e\u0301", "a\u202eb", "\u200ea", "a\u200d", "a\u200b"},
		"look-alikes":          {"é", "ａlice", "аlice", "ﬁ", "ß", "straße", "①", "a․b"},
		// Lower-casing folds these into ASCII letters: they would be another user's name.
		"folding letters":   {"\u212aelvin", "\u212a", "al\u0130ce", "\u0130", "al\u0131ce", "ſam", "Å"},
		"not UTF-8":         {"\xff", "a\xc0\xafb", "a\xed\xa0\x80", "\xe2\x84"},
		"too long":          {strings.Repeat("a", 129), strings.Repeat("a", 300)},
		"almost a segment":  {"..%2f", "%2e%2e", "%00"},
		"other punctuation": {"a(b)", "a[b]", "a^b"},
	} {
		for _, in := range names {
			got, err := hub.ParseUserName(in)
			if hub.KindOf(err) != hub.Invalid || err == nil {
				t.Errorf("%s: ParseUserName(%q) = %q, %v; want it refused as invalid", what, in, got, err)
				continue
			}
			if m := hub.MessageOf(err); !utf8.ValidString(m) || len(m) > 200 || strings.ContainsAny(m, "\x00\n\r\x1b\x7f") {
				t.Errorf("%s: the message about %q is not fit to be shown: %q", what, in, m)
			}
		}
	}
}

func TestServerNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 30)
	for _, name := range []string{"", "a", "lab2", "my-server-35749f40", "a-b-c", "x1", long, "labs", "apis"} {
		if got, err := hub.ParseServerName(name); err != nil || string(got) != name {
			t.Errorf("ParseServerName(%q) = %q, %v; want it as it is", name, got, err)
		}
	}
}

// TestServerNamesRefused holds threats T12 to T14.
func TestServerNamesRefused(t *testing.T) {
	t.Parallel()
	for what, names := range map[string][]string{
		"pages of the default server": {"lab", "api", "tree", "proxy", "files", "edit", "login", "logout", "static", "terminals", "notebooks", "view", "metrics", "doc", "oauth"},
		"dots":                        {".", "..", "a.b", "a."},
		"first and last":              {"-a", "a-", "1a", "-", "_a"},
		"two hyphens":                 {"a--b", "a---b"},
		"case":                        {"A", "aB", "LAB"},
		"separators":                  {"a/b", "a\\b", "a%2fb", "a;b", "a b", " a", "a ", "a_b", "a@b", "~"},
		"control characters":          {"a\x00", "a\n", "\na", "a\r", "a\x7f"},
		"not ASCII":                   {"é", "\u212a", "ﬁ", "\u0131", "\xff", "a\u0301"},
		"too long":                    {strings.Repeat("a", 31), strings.Repeat("a", 300)},
	} {
		for _, in := range names {
			got, err := hub.ParseServerName(in)
			if hub.KindOf(err) != hub.Invalid || err == nil {
				t.Errorf("%s: ParseServerName(%q) = %q, %v; want it refused as invalid", what, in, got, err)
			}
		}
	}
}

func TestDisplayNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"x", "My Server!", "日本", "Große Kiste 🚀", "a/b", "<b>", strings.Repeat("é", 255)} {
		if got, err := hub.ParseDisplayName(name); err != nil || got != name {
			t.Errorf("ParseDisplayName(%q) = %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"", " ", " x", "x ", "a  b", "a\tb", "a\nb", "a\u00a0b", "a\u2003b", "a\u202eb", "a\x00", "a\xff", strings.Repeat("é", 256)} {
		if got, err := hub.ParseDisplayName(name); hub.KindOf(err) != hub.Invalid || got != "" {
			t.Errorf("ParseDisplayName(%q) = %q, %v", name, got, err)
		}
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "short": "short",
		strings.Repeat("x", 32):        strings.Repeat("x", 32),
		strings.Repeat("x", 33):        strings.Repeat("x", 32) + "…",
		strings.Repeat("ä", 33):        strings.Repeat("ä", 32) + "…",
		strings.Repeat("x", 1<<20):     strings.Repeat("x", 32) + "…",
		"a\nb\rc\x00d\x1be\x7ff\u0085": "a?b?c?d?e?f?",
		"a\xff\xfeb":                   "a?b",
		"日本語 <b>":                      "日本語 <b>",
	} {
		if got := hub.Clip(in); got != want {
			t.Errorf("Clip(%.40q): got %q, want %q", in, got, want)
		}
	}
}

var plain = regexp.MustCompile(`^[a-z0-9._@+-]+$`)

// FuzzNames checks that two names which are both accepted are one name or share no route and no key.
func FuzzNames(f *testing.F) {
	for _, pair := range [][2]string{
		{"alice", "Alice"}, {"al", "alice"}, {"\u212aim", "kim"}, {"al\u0130ce", "alice"}, {"a", "a/b"}, {"a", "a%2f"}, {"a.", "a"}, {" a", "a"}, {"lab", "a-b"},
	} {
		f.Add(pair[0], pair[1], "", "lab2")
	}
	f.Fuzz(func(t *testing.T, first, second, server1, server2 string) {
		u1, err1 := hub.ParseUserName(first)
		u2, err2 := hub.ParseUserName(second)
		for in, u := range map[string]hub.UserName{first: u1, second: u2} {
			if u == "" {
				continue
			}
			if !plain.MatchString(string(u)) || string(u) != asciiLower(in) {
				t.Errorf("ParseUserName(%q) = %q: want nothing changed but the case of ASCII letters", in, u)
			}
			if again, err := hub.ParseUserName(string(u)); err != nil || again != u {
				t.Errorf("ParseUserName(%q) = %q, %v; want an accepted name to stay as it is", u, again, err)
			}
		}
		if err1 != nil || err2 != nil {
			return
		}
		if u1 != u2 && (overlap("/user/"+string(u1)+"/", "/user/"+string(u2)+"/") || overlap(store.ID(string(u1))+"/", store.ID(string(u2))+"/")) {
			t.Errorf("users %q and %q share a route or a key", u1, u2)
		}
		s1, err1 := hub.ParseServerName(server1)
		s2, err2 := hub.ParseServerName(server2)
		if err1 != nil || err2 != nil || u1 == u2 && s1 == s2 {
			return
		}
		p1, p2 := prefix(u1, s1), prefix(u2, s2)
		if routes.CheckPrefix(p1) != nil || routes.CheckPrefix(p2) != nil {
			t.Errorf("no routes for %q and %q", p1, p2)
		}
		k1, k2 := store.ID(string(u1), string(s1)), store.ID(string(u2), string(s2))
		if p1 == p2 || k1 == k2 || routes.RouteKey("/h/", p1) == routes.RouteKey("/h/", p2) {
			t.Errorf("servers %q of %q and %q of %q share a route or a key", s1, u1, s2, u2)
		}
	})
}

func prefix(u hub.UserName, s hub.ServerName) string {
	if s == "" {
		return "/user/" + string(u) + "/"
	}
	return "/user/" + string(u) + "/" + string(s) + "/"
}

func overlap(a, b string) bool { return strings.HasPrefix(a, b) || strings.HasPrefix(b, a) }

func asciiLower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}

func TestGroupNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "Class 7", "lehrer-ä", "日本", "a.b", "-x", "a:b", strings.Repeat("a", 128)} {
		if got, err := hub.ParseGroupName(name); err != nil || got != name {
			t.Errorf("ParseGroupName(%q) = %q, %v; want it as it is", name, got, err)
		}
	}
	for _, name := range []string{"", " ", ".", "..", "a/b", `a\b`, "%2f", "a!user=b", "a?b", "a#b", " a", "a ", "\u00a0a", "a\n", "a\x00", "\x7f", "\u202ea", "a\u200b",
		"e\u0301", "\ufffd", "a\xff", strings.Repeat("a", 129), strings.Repeat("ä", 65)} {
		if got, err := hub.ParseGroupName(name); hub.KindOf(err) != hub.Invalid || err == nil {
			t.Errorf("ParseGroupName(%q) = %q, %v; want it refused as invalid", name, got, err)
		}
	}
}
