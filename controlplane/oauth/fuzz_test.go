package oauth

import (
	"net/http"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
)

func resourceOf(user string, server *string) access.Resource {
	return access.Resource{User: user, Server: server}
}

func FuzzServersOf(f *testing.F) {
	for _, s := range []string{"alice", "alice-b", "a%2Bb%40x", "-", "--", "a-b-c-d", "%", "%2", "%61lice", "Alice", strings.Repeat("a-", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		for _, s := range serversOf(hub.ServerClientID + rest) {
			if s.ClientID() != hub.ServerClientID+rest || s.User == "" {
				t.Errorf("%q is taken for the id of %+v, whose is %q", rest, s, s.ClientID())
			}
		}
	})
}

func FuzzRedirectable(f *testing.F) {
	for _, s := range []string{"/a", "//a", "/\\a", "https://a/", "javascript:x", "HTTP://a", "", "a", "https:/a", "https:a", "http://u@h/", "/a#b", "\x01/a", "/ a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !redirectable(s) {
			return
		}
		lower := strings.ToLower(s)
		if !strings.HasPrefix(lower, "http://") && !strings.HasPrefix(lower, "https://") && (s[0] != '/' || strings.HasPrefix(s, "//")) || strings.ContainsAny(s, "\\\r\n\t ") {
			t.Errorf("browsers may be sent to %q", s)
		}
	})
}

// TestAuthorizeRandomly is the fuzzer's idea with a hub: combinations of good and bad values for each parameter.
func TestAuthorizeRandomly(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	alice := h.user("alice", false)
	h.server(alice, "")
	b := h.browser(alice)
	bad := []string{"", "x", "//evil.org", "https://evil.org", "\r\nLocation: https://evil.org", "\x00", "ä", "/user/alice/oauth_callback@evil.org", strings.Repeat("x", 900), "%2e%2e", "inherit self", "a b\tc"}
	n := 0
	for _, name := range []string{"client_id", "redirect_uri", "response_type", "state", "scope", "code_challenge", "code_challenge_method", "response_mode", "prompt"} {
		for _, value := range bad {
			for _, second := range []string{"state", "scope", "redirect_uri"} {
				q := asks()
				q[name] = []string{value}
				q[second] = append(q[second], bad[n%len(bad)])
				n++
				a := b.open(q)
				to, _, _ := strings.Cut(a.header.Get("Location"), "?")
				if a.status >= 500 || a.status != http.StatusBadRequest && a.status != http.StatusTooManyRequests && to != "/user/alice/oauth_callback" {
					t.Errorf("%s: %d to %q", q.Encode(), a.status, a.header.Get("Location"))
				}
			}
		}
	}
}
