package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/edgehub/edgehub/test/env"
)

// TestTokenPage is a person who makes a token, copies it and uses it, ends it, and signs out a browser that was left behind.
func TestTokenPage(t *testing.T) {
	t.Parallel()
	w := echo(t, env.Options{}, "alice")
	b := env.OpenBrowser(t)
	signInAs(t, b, w, "alice")
	b.Click(`nav a[href="/hub/token"]`)
	b.WaitPath("/hub/token")

	b.Click("#token-note")
	b.Type("for <b>my</b> script")
	b.Click("#request-token")
	b.WaitSeen("#token-result")
	secret := b.Text("#token-result")
	looks(t, b, "new")
	b.Click("#token-copy")
	reads(b, "#token-hint", "Copied")
	b.Click("#token-note")
	b.Press("v", chromedp.ModifierCtrl)
	b.Wait("the pasted token", fmt.Sprintf("document.getElementById('token-note').value === %q", secret))
	if where := env.Eval[string](b, "location.href + ' ' + document.cookie + ' ' + JSON.stringify(history.state)"); strings.Contains(where, secret) {
		t.Errorf("the token is also in %s", where)
	}

	program := w.Bearer(secret)
	if resp := program.Get(t, "/hub/api/user"); resp.Status != http.StatusOK || !strings.Contains(string(resp.Body), `"name":"alice"`) {
		t.Fatalf("with the token: %s", resp)
	}
	if resp := program.Get(t, "/user/alice/x"); resp.Status != http.StatusOK {
		t.Fatalf("with the token at the server: %s", resp)
	}
	b.Go(w.URL("/hub/token")) // a new visit does not show the token
	b.WaitSeen("#api-tokens-table")
	if b.Sees("#token-area") || strings.Contains(env.Eval[string](b, "document.documentElement.outerHTML"), secret) {
		t.Error("the token is shown again")
	}
	reads(b, "#api-tokens-table", "for <b>my</b> script")

	left := w.Login(t, "alice")
	inside := visits(t, left, "/user/alice/x", instance(t, left, "alice"))
	b.Go(w.URL("/hub/token"))
	b.WaitSeen("#sign-out-others")
	looks(t, b, "tokens")
	b.Size(390, 780, true)
	env.Eval[bool](b, "(document.getElementById('tokens-title').scrollIntoView(), true)")
	b.Shot("lists-phone")
	b.Size(1280, 800, false)
	env.Eval[bool](b, "(document.getElementById('tokens-title').scrollIntoView(), true)")
	b.Shot("lists-desk")
	b.Click("#sessions-table tbody tr:not(:has(.tag)) button")
	b.Wait("one session", "document.querySelectorAll('#sessions-table tbody tr').length === 1 && document.readyState === 'complete'")
	inside.mustBreak(t, "the other browser", time.Now(), second)
	if resp := left.Page(t, "/hub/home"); resp.Status != http.StatusFound || !strings.HasPrefix(resp.Header.Get("Location"), "/hub/login") {
		t.Errorf("the other browser still gets %s", resp)
	}

	b.Click(`#api-tokens-table tr:has(th) button[name="token"]`)
	b.Wait("no such token", `!document.querySelector("#api-tokens-table")?.textContent.includes("my") && document.readyState === "complete"`)
	env.Eventually(t, "the token is refused at the front door", 20*time.Second, func() error {
		if resp := program.Get(t, "/user/alice/x"); resp.Status == http.StatusOK {
			return fmt.Errorf("%s", resp)
		}
		return nil
	})
	if resp := program.Get(t, "/hub/api/user"); resp.Status != http.StatusForbidden {
		t.Errorf("with the revoked token: %s", resp)
	}
	if resp := left.Page(t, "/hub/login"); resp.Status != http.StatusOK {
		t.Errorf("the other browser cannot sign in again: %s", resp)
	}
	noComplaint(t, b)
}
