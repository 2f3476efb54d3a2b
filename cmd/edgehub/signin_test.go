package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestALoginIsForItsOwnerAndItsHub(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	first, second := signIn{URL: "https://a.example.org", User: "alice", Token: "0123456789"}, signIn{URL: "https://b.example.org/x", User: "bob", Token: "9876543210"}
	for _, s := range []signIn{first, second} {
		if err := s.save(); err != nil {
			t.Fatal(err)
		}
	}
	if got := currentHub(); got != second.URL {
		t.Errorf("the hub is %q, want that of the last login", got)
	}
	for _, want := range []signIn{first, second, {URL: "https://b.example.org"}, {URL: "https://a.example.org:8443"}, {URL: "http://a.example.org"}} {
		if got, err := findLogin(want.URL); err != nil || got.Token != want.Token {
			t.Errorf("the token for %s is %q, %v, want %q", want.URL, got.Token, err, want.Token)
		}
	}
	modes := map[string]os.FileMode{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if info, err := d.Info(); err == nil {
			modes[strings.TrimPrefix(path, dir)] = info.Mode().Perm()
		}
		return err
	})
	if err != nil || len(modes) != 6 {
		t.Errorf("%v, %v", modes, err)
	}
	for path, mode := range modes {
		if path != "" && mode&0o077 != 0 {
			t.Errorf("others can open %s: %o", path, mode)
		}
	}
	if err := errors.Join(second.forget(), second.forget()); err != nil {
		t.Error(err)
	}
	if got := currentHub(); got != defaultURL {
		t.Errorf("after signing out the hub is %q", got)
	}
	if got, err := findLogin(first.URL); err != nil || got.Token != first.Token {
		t.Errorf("the other login is %+v, %v", got, err)
	}
}

func TestABrokenLoginSaysWhatToDo(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	s := signIn{URL: "https://a.example.org", Token: "0123456789"}
	if err := s.save(); err != nil {
		t.Fatal(err)
	}
	file, err := loginFile(s.URL)
	if err == nil {
		err = os.WriteFile(file, []byte("{"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &client{base: s.URL}
	if err := c.authenticate(""); err == nil || !strings.Contains(err.Error(), "edgehub login --url https://a.example.org") {
		t.Errorf("got %v", err)
	}
}

// TestAnswersOfTheBrowser shows which of them a sign-in takes.
func TestAnswersOfTheBrowser(t *testing.T) {
	t.Parallel()
	const issuer = "https://hub.example.org/hub"
	good := url.Values{"state": {"s"}, "iss": {issuer}, "code": {"c"}}
	for _, c := range []struct {
		name   string
		change url.Values
		status int
		want   string
	}{
		{"a code", nil, http.StatusOK, ""},
		{"another hub's code", url.Values{"iss": {"https://evil.example.org/hub"}}, http.StatusForbidden, "the answer is from"},
		{"no issuer", url.Values{"iss": nil}, http.StatusForbidden, "the answer is from"},
		{"a no", url.Values{"error": {"access_denied"}, "code": nil}, http.StatusForbidden, "you did not agree"},
		{"an error", url.Values{"error": {"<b>"}, "code": nil}, http.StatusForbidden, "<b>"},
		{"nothing", url.Values{"code": nil}, http.StatusForbidden, "has no code"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, done := awaiting(t, issuer)
			for _, stranger := range []string{"", "?state=other&code=x&iss=" + issuer, "?code=x"} {
				if status, _ := visit(t, l, stranger); status != http.StatusBadRequest {
					t.Errorf("a stranger's %q: %d", stranger, status)
				}
			}
			q := url.Values{}
			for _, values := range []url.Values{good, c.change} {
				for key := range values {
					q[key] = values[key]
				}
			}
			status, header := visit(t, l, "?"+q.Encode())
			if status != c.status || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("the page is %d %v", status, header)
			}
			a := <-done
			if c.want == "" && (a.err != nil || a.code != "c") || c.want != "" && (a.err == nil || !strings.Contains(a.err.Error(), c.want)) {
				t.Errorf("got %+v, want %q", a, c.want)
			}
		})
	}
}

// awaiting runs awaitCode.
func awaiting(t *testing.T, issuer string) (net.Listener, <-chan answer) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan answer, 1)
	go func() {
		code, err := awaitCode(t.Context(), l, "s", issuer)
		done <- answer{code, err}
	}()
	return l, done
}

func visit(t *testing.T, l net.Listener, query string) (int, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String()+"/callback"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header
}

func TestCtrlCEndsTheWaitForABrowser(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := awaitCode(ctx, l, "s", ""); exitCode(ctx, err) != exitInterrupted {
		t.Errorf("got %v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("it still listens")
	}
}

// TestAHubWithoutLoginTakesAToken is about hubs of before there was a login.
func TestAHubWithoutLoginTakesAToken(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/hub/api/user" || r.Header.Get("Authorization") != "token 0123456789abcdef" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprint(w, `{"kind": "user", "name": "alice", "token_id": "a1"}`)
	}))
	defer srv.Close()
	var out, errs bytes.Buffer
	root := rootCommand()
	root.SetArgs([]string{"login", "--url", srv.URL})
	root.SetIn(strings.NewReader("0123456789abcdef\n"))
	root.SetOut(&out)
	root.SetErr(&errs)
	if err := root.ExecuteContext(t.Context()); err != nil || !strings.Contains(out.String(), "as alice.") || !strings.Contains(errs.String(), srv.URL+"/hub/token") {
		t.Fatalf("%v, %q, %q", err, out.String(), errs.String())
	}
	if s, err := findLogin(srv.URL); err != nil || s.Token != "0123456789abcdef" || s.TokenID != "" {
		t.Errorf("it keeps %+v, %v", s, err)
	}
}
