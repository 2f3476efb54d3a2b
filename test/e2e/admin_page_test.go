package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/edgehub/edgehub/test/env"
)

// TestAdminPage is an administrator who adds, finds, starts, stops, renames and deletes users, and makes a group of some.
func TestAdminPage(t *testing.T) {
	t.Parallel()
	w := env.New(t, env.Options{})
	w.AddAdmin(t, "root")
	w.AddUser(t, "alice")
	names := make([]string, 120)
	for i := range names {
		names[i] = fmt.Sprintf("student%03d", i)
	}
	call(t, w, http.MethodPost, "/users", object{"usernames": names})
	b := env.OpenBrowser(t)
	signInAs(t, b, w, "root")
	b.Click(`nav a[href="/hub/admin"]`)
	b.WaitPath("/hub/admin")
	reads(b, "#total", "1 to 50 of 122")
	looks(t, b, "users")
	b.Click("#next")
	reads(b, "#total", "51 to 100 of 122")
	b.Click("#next")
	reads(b, "#total", "101 to 122 of 122")
	b.Click("#previous")
	reads(b, "#total", "51 to 100 of 122")

	// Add two, one of whom is there.
	b.Click(`nav a[href="/hub/admin"]`)
	b.Click("#add-users")
	b.WaitSeen("#names")
	b.Click("#names")
	b.Type("carol\rDora\ralice")
	looks(t, b, "add")
	b.Click("#add")
	reads(b, "#add-done", "Added: 2. There already: 1.")
	b.Click("#names")
	b.Type("not a name")
	b.Click("#add")
	reads(b, "#add-error", "Invalid username: not a name")
	if got := env.Eval[string](b, "document.getElementById('names').value"); got != "not a name" {
		t.Errorf("the refused form has lost what was in it: %q", got)
	}

	// Find her, start and stop her server.
	b.Click(`nav a[href="/hub/admin"]`)
	b.WaitSeen("#name_filter")
	b.Click("#name_filter")
	b.Type("aro")
	b.Press(kb.Enter)
	reads(b, "#total", "1 to 1 of 1")
	w.Hold(t, "carol")
	b.Click(".server .start")
	reads(b, `.server[data-owner="carol"]`, "Starting")
	if got := env.Eval[string](b, "location.search"); !strings.Contains(got, "name_filter=aro") {
		t.Errorf("a start leads to the list %q, want the one that it was in", got)
	}
	w.Release(t, "carol")
	reads(b, `.server[data-owner="carol"] .label`, "Running") // by itself
	looks(t, b, "running")
	b.Click(`.server[data-owner="carol"] a`)
	b.Wait("her server", "location.pathname.startsWith('/user/carol/')")
	b.Go(w.URL("/hub/admin?state=ready"))
	reads(b, "#total", "1 to 1 of 1")
	b.Click(".server .stop")
	reads(b, "#nobody", "Nobody is like that.")

	// Rename her.
	b.Go(w.URL("/hub/admin/user/carol"))
	b.WaitSeen("#change-form")
	looks(t, b, "user")
	b.Click("#name")
	b.Press("a", chromedp.ModifierCtrl)
	b.Type("alice")
	b.Click("#save")
	reads(b, "#user-error", "alice already exists")
	b.Click("#name")
	b.Press("a", chromedp.ModifierCtrl)
	b.Type("caroline")
	b.Click("#save")
	b.WaitPath("/hub/admin/user/caroline")

	groups(t, b, w)

	b.Go(w.URL("/hub/admin/user/caroline"))
	b.Click("#delete-open")
	b.Click("#delete")
	b.WaitPath("/hub/admin")
	reads(b, "#total", "of 123")
	if status, _ := w.API(t, http.MethodGet, "/users/caroline", nil); status != http.StatusNotFound {
		t.Errorf("the deleted user is answered with %d", status)
	}
	recorded(t, w)

	// Who is no administrator sees neither the page nor the way to it.
	b.Go(w.URL("/hub/logout"))
	b.Click("#logout-confirm")
	b.WaitPath("/hub/login")
	signInAs(t, b, w, "alice")
	if b.Sees(`nav a[href="/hub/admin"]`) {
		t.Error("alice is led to the administrators' page")
	}
	if status := b.Go(w.URL("/hub/admin")); status != http.StatusForbidden {
		t.Errorf("alice gets %d", status)
	}
}

// groups makes a group with a member, and deletes it.
func groups(t *testing.T, b *env.Browser, w *env.World) {
	t.Helper()
	b.Go(w.URL("/hub/admin"))
	b.Click("#groups")
	b.WaitSeen("#create-form")
	b.Click("#name")
	b.Type("Physics 101")
	b.Click("#create")
	b.WaitSeen("#members-form")
	b.Click("#names")
	b.Type("caroline\rnobody")
	b.Click("#add")
	reads(b, "#group-error", "No such user: nobody")
	b.Click("#names")
	b.Press("a", chromedp.ModifierCtrl)
	b.Type("caroline\rdora")
	b.Click("#add")
	reads(b, "#members-table", "dora")
	looks(t, b, "group")
	b.Click(`#members-table tr[data-user="dora"] button`)
	b.Wait("one member", "document.querySelectorAll('#members-table tbody tr').length === 1")
	b.Click("#delete-open")
	b.Click("#delete")
	b.WaitPath("/hub/admin/groups")
	if status, _ := w.API(t, http.MethodGet, "/groups/Physics%20101", nil); status != http.StatusNotFound {
		t.Errorf("the deleted group is answered with %d", status)
	}
}

// recorded checks that the audit log has what was done through the pages, as what the API did.
func recorded(t *testing.T, w *env.World) {
	t.Helper()
	_, answer := w.API(t, http.MethodGet, "/audit?limit=100", nil)
	for _, want := range []string{`"action":"POST /hub/api/users"`, `"path":"/hub/admin/start/carol"`, `"path":"/hub/admin/stop/carol"`,
		`"action":"PATCH /hub/api/users/{user}"`, `"action":"DELETE /hub/api/users/{user}"`, `"action":"POST /hub/api/groups"`} {
		if !strings.Contains(string(answer), `"actor":"root"`) || !strings.Contains(string(answer), want) {
			t.Errorf("the audit log does not have %s: %s", want, answer)
		}
	}
}
