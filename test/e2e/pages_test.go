package e2e

import (
	"fmt"
	"testing"

	"github.com/edgehub/edgehub/test/env"
)

// signInAs types a name and a password into the hub's form.
func signInAs(t *testing.T, b *env.Browser, w *env.World, name string) {
	t.Helper()
	b.Go(w.URL("/hub/login?next=" + "%2Fhub%2Fhome"))
	b.WaitPath("/hub/login")
	b.Click("#username_input")
	b.Type(name)
	b.Click("#password_input")
	b.Type(w.Password(name))
	b.Click("#login_submit")
	b.WaitPath("/hub/home")
}

// looks keeps pictures of the page as it is on a desk and on a telephone, by day and by night, and checks that it fits.
func looks(t *testing.T, b *env.Browser, name string) {
	t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		b.Scheme(scheme)
		for _, screen := range []struct {
			name          string
			width, height int64
		}{{"desk", 1280, 900}, {"phone", 390, 780}} {
			b.Size(screen.width, screen.height, screen.name == "phone")
			b.Shot(fmt.Sprintf("%s-%s-%s", name, screen.name, scheme))
			fits(t, b)
		}
	}
	b.Scheme("light")
	b.Size(1280, 800, false)
}

// reads waits until an element has a text.
func reads(b *env.Browser, selector, text string) {
	b.Wait(selector+" with "+text, fmt.Sprintf("document.querySelector(%q)?.textContent.includes(%q)", selector, text))
}

// noComplaint checks that no page of the hub wrote an error to the browser's console. An answer of 4xx, which a test meant, is one.
func noComplaint(t *testing.T, b *env.Browser) {
	t.Helper()
	for _, m := range b.Messages("/hub/") {
		t.Errorf("the browser complains: %s", m)
	}
}
