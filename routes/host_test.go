package routes

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
)

func TestUserLabel(t *testing.T) {
	hash := func(name string) string {
		sum := sha256.Sum256([]byte(name))
		return hex.EncodeToString(sum[:16])
	}
	long := strings.Repeat("a", 64)
	for name, want := range map[string]string{
		"alice": "alice", "a": "a", "4711": "4711", "a-b": "a-b", strings.Repeat("a", 63): strings.Repeat("a", 63),
		"a--b": "u-ab--" + hash("a--b"), "xn--mnchen-3ya": "u-xnmnchen--" + hash("xn--mnchen-3ya"),
		"alice@example.org": "u-aliceexa--" + hash("alice@example.org"), "Alice": "u-lice--" + hash("Alice"),
		"-a": "u-a--" + hash("-a"), "a-": "u-a--" + hash("a-"), "a.b": "u-ab--" + hash("a.b"), "a_b": "u-ab--" + hash("a_b"),
		"münchen": "u-mnchen--" + hash("münchen"), "Ω": "u--" + hash("Ω"), long: "u-aaaaaaaa--" + hash(long),
	} {
		if got := UserLabel(name); got != want {
			t.Errorf("UserLabel(%q) = %q, want %q", name, got, want)
		}
	}
}

// Users may call themselves what they like, also by what is the label of somebody else.
func FuzzUserLabel(f *testing.F) {
	for _, pair := range [][2]string{{"alice", "Alice"}, {"a.b", "a-b"}, {"ab", "a\x00b"}, {"x", UserLabel("X")}, {"é", "e\u0301"}, {"a ", "a"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		la, lb := UserLabel(a), UserLabel(b)
		if (la == lb) != (a == b) || UserLabel(la) == la && la != a {
			t.Errorf("%q is %q, %q is %q", a, la, b, lb)
		}
		h, err := NewHosts("https://hub.example.org", "hub.example.org")
		if err != nil {
			t.Fatal(err)
		}
		if host := h.Of(a); !h.IsUsers(host) || host != NormalHost("https", host) || len(la) > maxLabel {
			t.Errorf("%q has host %q", a, host)
		}
	})
}

func TestHosts(t *testing.T) {
	for _, c := range []struct{ public, domain, alice string }{
		{"https://hub.example.org", "hub.example.org", "https://alice.hub.example.org"},
		{"https://HUB.example.org:443/", "hub.example.org", "https://alice.hub.example.org"},
		{"https://hub.example.org:8443", "hub.example.org", "https://alice.hub.example.org:8443"},
		{"http://hub.localhost:8000", "hub.localhost", "http://alice.hub.localhost:8000"},
		{"https://hub.example.org", "users.example.net", "https://alice.users.example.net"},
		{"http://[::1]", "localhost", "http://alice.localhost"},
		{"http://127.0.0.1:8000", "localhost", "http://alice.localhost:8000"},
	} {
		h, err := NewHosts(c.public, c.domain)
		if err != nil {
			t.Errorf("%s and %s: %v", c.public, c.domain, err)
			continue
		}
		if got := h.OriginOf("alice"); got != c.alice {
			t.Errorf("%s and %s: alice is at %s, want %s", c.public, c.domain, got, c.alice)
		}
		if h.IsUsers(h.Hub) {
			t.Errorf("%s and %s: the hub's host is a user's", c.public, c.domain)
		}
	}
	for _, c := range [][2]string{
		{"", "hub.example.org"}, {"hub.example.org", "hub.example.org"}, {"https://hub.example.org/x", "hub.example.org"},
		{"https://hub.example.org", "example.org"}, {"https://hub.example.org:8443", "example.org"}, {"https://h", "Hub.example.org"},
		{"https://h", ""}, {"https://h", ".h"}, {"https://h", "h."}, {"https://h", "*.h"}, {"https://h", "h:443"}, {"https://h", "https://h"},
		{"https://h", "10.0.0.1"}, {"https://h", "[::1]"}, {"https://h", "a_b"}, {"https://h", strings.Repeat("a.", 100) + "org"},
	} {
		if h, err := NewHosts(c[0], c[1]); err == nil {
			t.Errorf("%s and %s: accepted as %+v", c[0], c[1], h)
		}
	}
}

func TestIsUsers(t *testing.T) {
	h, err := NewHosts("https://hub.example.org:8443", "hub.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"hub.example.org:8443", "alice.hub.example.org", "alice.hub.example.org:443", "a.b.hub.example.org:8443",
		".hub.example.org:8443", "-a.hub.example.org:8443", "alicehub.example.org:8443", "alice.hub.example.org.:8443", "", "alice.hub.example.org.evil.test:8443",
		"Alice.hub.example.org:8443", "a b.hub.example.org:8443", "a@alice.hub.example.org:8443", "evil.test/.hub.example.org:8443"} {
		if h.IsUsers(host) {
			t.Errorf("%q is a user's host", host)
		}
	}
	if !h.IsUsers("alice.hub.example.org:8443") {
		t.Error("alice's host is not a user's")
	}
}

func TestAddress(t *testing.T) {
	h, err := NewHosts("https://hub.example.org", "hub.example.org")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/user/alice/lab?x=/y#z": "https://alice.hub.example.org/user/alice/lab?x=/y#z", "/user/alice": "https://alice.hub.example.org/user/alice",
		"/user/alice?x": "https://alice.hub.example.org/user/alice?x", "/user/a%40b/": "https://" + UserLabel("a@b") + ".hub.example.org/user/a%40b/",
		"/user/": "https://hub.example.org/user/", "/hub/home": "https://hub.example.org/hub/home", "/user/%2f/": "https://hub.example.org/user/%2f/",
		"/userx/alice/": "https://hub.example.org/userx/alice/", "/user/alice/../bob/": "https://hub.example.org/user/alice/../bob/",
	} {
		if got := h.Address(path); got != want {
			t.Errorf("%s is at %s, want %s", path, got, want)
		}
	}
}
