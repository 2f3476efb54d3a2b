package plugin

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func FuzzStripCookies(f *testing.F) {
	for _, s := range []string{"a=1; edgehub=x; b=2", "edgehub=x", "EDGEHUB-session=x;edgehub", " ;; ;edgehub =x", "__Host-edgehub=1; __Secure-edgehub-a=2;c", "a=edgehub=x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h := http.Header{"Cookie": withoutHubCookies([]string{line})}
		out := strings.Join(h["Cookie"], "")
		for _, pair := range strings.Split(out, ";") {
			name, _, _ := strings.Cut(pair, "=")
			if hubCookie(strings.Trim(name, " \t")) {
				t.Fatalf("%q leaves %q", line, out)
			}
		}
		// What another parser reads as our cookie must be gone as well.
		for _, c := range (&http.Request{Header: h}).Cookies() {
			if hubCookie(c.Name) {
				t.Fatalf("%q leaves %q, where net/http finds %s", line, out, c.Name)
			}
		}
		// The rest is there, in order.
		kept := []string{}
		for _, pair := range strings.Split(line, ";") {
			name, _, _ := strings.Cut(pair, "=")
			if !hubCookie(strings.Trim(name, " \t")) {
				kept = append(kept, pair)
			}
		}
		want := strings.Join(kept, ";")
		if out != want && out != strings.TrimLeft(want, " \t") {
			t.Fatalf("%q becomes %q, want %q", line, out, want)
		}
	})
}

func FuzzSetCookie(f *testing.F) {
	for _, s := range []string{"a=b", "a=b; Path=/user/alice/", "a=b; Path=/", "edgehub=x", "a=b; domain=x", "a=b; Path=/user/alice/../bob", "a=b; Path=%2F"} {
		f.Add(s)
	}
	v := &visit{pass: &pass{prefix: "/user/alice/"}, slash: true}
	f.Fuzz(func(t *testing.T, line string) {
		if !ownCookie(line, v) {
			return
		}
		c, err := http.ParseSetCookie(line)
		if err != nil {
			return
		}
		if hubCookie(c.Name) || c.Domain != "" || c.Path != "" && c.Path != "/user/alice" && !strings.HasPrefix(unescaped(c.Path), "/user/alice/") {
			t.Fatalf("%q passes as %+v", line, c)
		}
	})
}

func unescaped(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

func FuzzWithoutToken(f *testing.F) {
	for _, s := range []string{"", "token=x", "a=1&token=x&b", "%74oken=1", "a=token", "token", "&&", "x=%zz&token=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		out := withoutToken(query)
		if values, _ := url.ParseQuery(out); values.Has("token") {
			t.Fatalf("%q leaves %q", query, out)
		}
		if !strings.Contains(query, "tok") && !strings.Contains(query, "%") && out != query {
			t.Fatalf("%q becomes %q", query, out)
		}
	})
}

func TestCacheIsBoundedAndForgets(t *testing.T) {
	c := newCache(100)
	for i := range 10000 {
		c.put(time.Duration(i).String(), i, int64(1000+i), 1)
		if len(c.items) > 100 {
			t.Fatalf("%d entries", len(c.items))
		}
	}
	c.put("x", "y", 50, 1)
	if lookup(c, "x", 49) != "y" || lookup(c, "x", 50) != nil {
		t.Error("an entry lives past its end")
	}
}

func TestPorts(t *testing.T) {
	for host, want := range map[string]string{"h": "443", "h:1": "1", "[::1]": "443", "[::1]:2": "2"} {
		if got := portOf("https", host); got != want {
			t.Errorf("portOf(%q) = %q, want %q", host, got, want)
		}
	}
}
