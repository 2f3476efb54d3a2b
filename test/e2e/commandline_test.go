package e2e

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/test/env"
)

// TestCommandLineLogin signs in with `edgehub login` and a real browser.
func TestCommandLineLogin(t *testing.T) {
	w := env.Up(t, env.Options{})
	w.AddUser(t, "alice")
	w.AddUser(t, "bob")
	s := &shell{t: t, w: w, home: t.TempDir()}
	b := env.OpenBrowser(t)

	login := s.start("login", "--no-browser", "--expires-in", "2d", "--url", strings.TrimSuffix(w.URL("/"), "/"))
	b.Go(login.address)
	b.WaitPath("/hub/login")
	b.Click("#username_input")
	b.Type("alice")
	b.Click("#password_input")
	b.Type(w.Password("alice"))
	b.Click("#login_submit")
	b.WaitSeen("#consent-allow")
	b.Shot("consent")
	b.Click("#consent-allow")
	b.WaitPath("/callback")
	if out := login.wait(0); !strings.Contains(out, "as alice.") {
		t.Errorf("it says %q", out)
	}
	if text := b.Text("body"); !strings.Contains(text, "You are signed in") || strings.Contains(b.Text("body"), "token") {
		t.Errorf("the page says %q", text)
	}
	if out := s.run(0, "user", "get"); !strings.Contains(out, "alice") {
		t.Errorf("signed in as %s", out)
	}
	s.checkToken()
	s.checkSessions()

	t.Run("agreeing is asked for again, and can be refused", func(t *testing.T) {
		again := s.start("login", "--no-browser")
		b.Go(again.address)
		b.Click("#consent-deny")
		b.WaitPath("/callback")
		if out := again.wait(1); !strings.Contains(out, "you did not agree") {
			t.Errorf("it says %q", out)
		}
		s.run(0, "user", "get") // the login before is as it was
	})
	if out := s.run(0, "logout"); !strings.Contains(out, "where you were alice") {
		t.Errorf("it says %q", out)
	}
	if out := s.run(0, "token", "list", "--user", "alice", "--token-file", w.TokenFile(), "--url", w.URL("/"), "--json"); out != "[]\n" {
		t.Errorf("after signing out there are tokens: %s", out)
	}
}

// TestCommandLineClient tries what somebody would who wants a token by way of the client that everybody can pose as.
func TestCommandLineClient(t *testing.T) {
	w := env.Up(t, env.Options{})
	w.AddUser(t, "alice")
	alice := w.Login(t, "alice")
	const redirect = "http://127.0.0.1:4711/callback"
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	good := url.Values{"client_id": {"edgehub-cli"}, "response_type": {"code"}, "redirect_uri": {redirect}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}
	for _, bad := range []string{"", "https://127.0.0.1:4711/callback", "http://localhost:4711/callback", "http://127.0.0.1/callback", "http://127.0.0.2:4711/callback",
		"http://127.0.0.1:4711/", "http://127.0.0.1:4711/callback?x=1", "http://127.0.0.1:4711/callback#x", "http://a@127.0.0.1:4711/callback",
		"http://127.0.0.1:4711@evil.example.org/callback", "http://127.0.0.1:0/callback", "http://127.0.0.1:04711/callback", "/hub/home"} {
		if resp := alice.Page(t, authorizePage(good, "redirect_uri", bad)); resp.Status != http.StatusBadRequest || resp.Header.Get("Location") != "" {
			t.Errorf("back to %q: %s %s", bad, resp, resp.Header.Get("Location"))
		}
	}
	plain := maps.Clone(good)
	plain.Del("code_challenge")
	plain.Del("code_challenge_method")
	if resp := alice.Page(t, authorizePage(plain, "", "")); !strings.HasPrefix(resp.Header.Get("Location"), redirect+"?error=invalid_request") {
		t.Errorf("without a challenge: %s %s", resp, resp.Header.Get("Location"))
	}
	for range 2 {
		resp := alice.Page(t, authorizePage(good, "", ""))
		if resp.Status != http.StatusOK || !strings.Contains(string(resp.Body), "do everything that you can do") {
			t.Fatalf("no consent page: %s %s", resp, resp.Header.Get("Location"))
		}
		redeem(t, w, agree(t, alice, good), redirect, verifier, http.StatusOK)
	}
	redeem(t, w, agree(t, alice, good), redirect, strings.Repeat("x", 43), http.StatusBadRequest)
	redeem(t, w, agree(t, alice, good), redirect, "", http.StatusBadRequest)
	redeem(t, w, agree(t, alice, good), "http://127.0.0.1:4712/callback", verifier, http.StatusBadRequest)
	code := agree(t, alice, good)
	token := redeem(t, w, code, redirect, verifier, http.StatusOK)
	if resp := w.Bearer(token).Get(t, "/hub/api/users/alice"); resp.Status != http.StatusOK {
		t.Errorf("the token does not work: %s", resp)
	}
	redeem(t, w, code, redirect, verifier, http.StatusBadRequest)
	if resp := w.Bearer(token).Get(t, "/hub/api/users/alice"); resp.Status != http.StatusForbidden {
		t.Errorf("after the code was used twice the token still works: %s", resp)
	}
}

// authorizePage is the address of a request with one value changed.
func authorizePage(request url.Values, key, value string) string {
	q := url.Values{}
	for k := range request {
		q[k] = request[k]
	}
	if key != "" {
		q.Set(key, value)
	}
	return "/hub/api/oauth2/authorize?" + q.Encode()
}

// agree answers the consent page and returns the code.
func agree(t *testing.T, c *env.Client, request url.Values) string {
	t.Helper()
	page := authorizePage(request, "", "")
	resp := c.Submit(t, page, page, url.Values{"scopes": {"inherit"}})
	to, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		t.Fatalf("no code: %s %s", resp, resp.Header.Get("Location"))
	}
	return to.Query().Get("code")
}

// redeem asks for a token for a code.
func redeem(t *testing.T, w *env.World, code, redirect, verifier string, want int) string {
	t.Helper()
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {"edgehub-cli"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	resp := w.Anonymous().Do(t, http.MethodPost, "/hub/api/oauth2/token", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, strings.NewReader(form.Encode()))
	if resp.Status != want {
		t.Errorf("redeem with %q and %q: %s, want %d", redirect, verifier, resp, want)
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	_ = json.Unmarshal(resp.Body, &answer) // a refusal has none
	return answer.Token
}

// shell runs edgehub with a home directory of its own.
type shell struct {
	t    *testing.T
	w    *env.World
	home string
}

func (s *shell) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(s.t.Context(), env.Binary(s.t), args...)
	cmd.Env = []string{"HOME=" + s.home, "XDG_CONFIG_HOME=" + s.home, "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}
	return cmd
}

// run runs a command to its end and returns what it prints.
func (s *shell) run(code int, args ...string) string {
	s.t.Helper()
	cmd := s.command(args...)
	out, _ := cmd.CombinedOutput() // the exit code says it
	if got := cmd.ProcessState.ExitCode(); got != code {
		s.t.Fatalf("edgehub %q: exit code %d, want %d: %s", args, got, code, out)
	}
	return string(out)
}

// signingIn is a command that waits for a browser at address.
type signingIn struct {
	t       *testing.T
	cmd     *exec.Cmd
	address string
	out     *bufio.Reader
}

// start starts a command that prints an address, and returns when it has.
func (s *shell) start(args ...string) *signingIn {
	s.t.Helper()
	cmd := s.command(args...)
	pr, pw, err := os.Pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = pw, pw
	err = cmd.Start()
	_ = pw.Close()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = pr.Close() })
	r := &signingIn{t: s.t, cmd: cmd, out: bufio.NewReader(pr)}
	for !strings.HasPrefix(r.address, "http://") {
		line, err := r.out.ReadString('\n')
		if err != nil {
			_ = cmd.Wait()
			s.t.Fatalf("edgehub %q ended: %s", args, line)
		}
		r.address = strings.TrimSpace(line)
	}
	return r
}

// wait waits for the end and returns what was printed after the address.
func (r *signingIn) wait(code int) string {
	r.t.Helper()
	out, err := io.ReadAll(r.out)
	_ = r.cmd.Wait() // the exit code says it
	if got := r.cmd.ProcessState.ExitCode(); err != nil || got != code {
		r.t.Fatalf("edgehub login: exit code %d, want %d: %s, %v", got, code, out, err)
	}
	return string(out)
}

// checkToken checks that the login has one token, with an end, and that the one of OAuth is gone.
func (s *shell) checkToken() {
	s.t.Helper()
	var tokens []struct {
		Note    string `json:"note"`
		Expires string `json:"expires_at"`
	}
	if err := json.Unmarshal([]byte(s.run(0, "token", "list", "--json")), &tokens); err != nil {
		s.t.Fatal(err)
	}
	if len(tokens) != 1 || !strings.HasPrefix(tokens[0].Note, "edgehub login on ") || tokens[0].Expires == "" {
		s.t.Errorf("the tokens are %+v", tokens)
	}
}

// checkSessions ends the browser's session by its id, which the login outlives.
func (s *shell) checkSessions() {
	s.t.Helper()
	var sessions []struct{ ID string }
	if err := json.Unmarshal([]byte(s.run(0, "session", "list", "--json")), &sessions); err != nil || len(sessions) != 1 {
		s.t.Fatalf("the sessions are %+v, %v", sessions, err)
	}
	other := s.w.Login(s.t, "alice")
	s.run(3, "session", "end", "nothing")
	s.run(0, "session", "end", "--all", "--user", "bob", "--token-file", s.w.TokenFile())
	if resp := other.Page(s.t, "/hub/home"); resp.Status != http.StatusOK {
		s.t.Errorf("the end of bob's sessions ended alice's: %s", resp)
	}
	for _, line := range strings.Split(s.run(0, "session", "list"), "\n")[1:] {
		if id, _, _ := strings.Cut(line, " "); id != "" && id != sessions[0].ID {
			s.run(0, "session", "end", id)
		}
	}
	if resp := other.Page(s.t, "/hub/home"); resp.Status != http.StatusFound {
		s.t.Errorf("a session that was ended is open: %s", resp)
	}
	s.run(0, "user", "get")
}
