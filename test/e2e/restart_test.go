package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/test/env"
)

// TestLabOffersToRestart stops the server under an open JupyterLab: the answers that it gets from then on (424) make it say so,
// and offer to restart the server. A person takes the offer, and works on.
func TestLabOffersToRestart(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Join(env.Peer(t, env.Jupyter), "jupyter-lab")); err != nil {
		t.Skip("this machine's Jupyter has no JupyterLab")
	}
	w := env.Up(t, env.Options{Jupyter: true})
	w.AddUser(t, "alice")
	w.StartServer(t, "alice")
	b := env.OpenBrowser(t)
	b.Go(w.URL("/hub/login?next=/user/alice/lab"))
	b.Click("#username_input")
	b.Type("alice")
	b.Click("#password_input")
	b.Type(w.Password("alice"))
	b.Click("#login_submit")
	b.Wait("JupyterLab", "location.pathname.startsWith('/user/alice/lab') && "+env.Seen("#main .jp-Launcher, #main .jp-Notebook"))

	w.StopServer(t, "alice")
	const dialog = ".jp-Dialog .jp-Dialog-content"
	b.WaitSeen(dialog)
	b.Shot("restart")
	if got := b.Text(dialog); !strings.Contains(got, "Server unavailable or unreachable") || !strings.Contains(got, "/user/alice/ is not running") ||
		!strings.Contains(got, "Restart") {
		t.Errorf("JupyterLab says %q", got)
	}
	again := b.Tab(func() { b.Click(".jp-Dialog .jp-mod-accept") })
	again.WaitPath("/hub/spawn")
	again.Click("#start")
	again.Wait("JupyterLab again", "location.pathname.startsWith('/user/alice/lab') && "+env.Seen(launcher))
	cell(t, again, "/user/alice/api/kernels/")
	again.Shot("restarted")
}
