package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/oauth2"
)

// browserTime is how long somebody has to sign in and to agree.
const browserTime = 10 * time.Minute

// byBrowser gets an OAuth access token from the hub as RFC 8252 has it for programs on a desk: the person signs in and agrees in
// the browser, which then brings a code to an address of this machine. Nobody who sees the code gets a token for it, because the
// verifier (PKCE) never leaves this process but to the hub.
func (c *client) byBrowser(ctx context.Context, say io.Writer, open bool) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, browserTime, errors.New("nobody signed in within ten minutes"))
	defer cancel()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("cannot listen for the browser's answer: %w. Sign in with a token: --with-token", err)
	}
	cfg := oauth2.Config{ClientID: "edgehub-cli", RedirectURL: "http://" + l.Addr().String() + "/callback",
		Endpoint: oauth2.Endpoint{AuthURL: c.base + authorizePath, TokenURL: c.base + "/hub/api/oauth2/token", AuthStyle: oauth2.AuthStyleInParams}}
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	address := cfg.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier))
	_, _ = fmt.Fprintf(say, "Open this address in a browser on this machine, sign in, and agree:\n\n  %s\n\n", address)
	if open {
		openBrowser(address)
	}
	code, err := awaitCode(ctx, l, state, c.base+"/hub")
	if err != nil {
		return "", err
	}
	t, err := cfg.Exchange(context.WithValue(ctx, oauth2.HTTPClient, c.http), code, oauth2.VerifierOption(verifier))
	if err != nil {
		return "", fmt.Errorf("the hub gives no token for the browser's code: %w. Try again", err)
	}
	return t.AccessToken, nil
}

const authorizePath = "/hub/api/oauth2/authorize"

// knowsLogin reports whether the hub is an OAuth provider. Older hubs have nothing there.
func (c *client) knowsLogin(ctx context.Context) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+authorizePath, nil)
	if err != nil {
		return false, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return false, c.unreachable(err)
	}
	return resp.StatusCode != http.StatusNotFound, resp.Body.Close()
}

// answer is what the browser brings back.
type answer struct {
	code string
	err  error
}

// awaitCode serves the redirect address until a browser comes with an answer to our request, which state shows. issuer is the hub
// that it must be from (RFC 9207): a code of one hub never goes to another.
func awaitCode(ctx context.Context, l net.Listener, state, issuer string) (string, error) {
	answers := make(chan answer, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 {
			tell(w, http.StatusBadRequest, "This is no answer to the sign-in that runs. Use the address that edgehub printed last.")
			return
		}
		a := read(q, issuer)
		if a.err != nil {
			tell(w, http.StatusForbidden, "You are not signed in: "+a.err.Error()+".")
		} else {
			tell(w, http.StatusOK, "You are signed in. Go back to the terminal; this page can be closed.")
		}
		select {
		case answers <- a:
		default: // the browser was here before
		}
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(l) // until Shutdown
	}()
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = srv.Shutdown(stopping) // the page has a second to reach the browser
		_ = srv.Close()
		<-served
	}()
	select {
	case a := <-answers:
		return a.code, a.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func read(q url.Values, issuer string) answer {
	switch {
	case q.Get("iss") != issuer:
		return answer{err: fmt.Errorf("the answer is from %q, not from %s. Use the hub's public address with --url", q.Get("iss"), issuer)}
	case q.Get("error") == "access_denied":
		return answer{err: errors.New("you did not agree in the browser")}
	case q.Get("error") != "":
		return answer{err: fmt.Errorf("the hub says: %q %s", q.Get("error"), printable(q.Get("error_description")))}
	case q.Get("code") == "":
		return answer{err: errors.New("the answer has no code")}
	}
	return answer{code: q.Get("code")}
}

// tell shows the browser a sentence.
func tell(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!doctype html><html lang=en><title>edgehub</title><body style=\"font-family: sans-serif; margin: 4em\"><p>%s</p></body></html>\n", html.EscapeString(text))
}

// openBrowser tries to. Where there is none, people have the address.
func openBrowser(address string) {
	program := "xdg-open"
	if runtime.GOOS == "darwin" {
		program = "open"
	}
	if cmd := exec.Command(program, address); cmd.Start() == nil {
		go func() { _ = cmd.Wait() }()
	}
}
