package local

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// TestDebiansJupyterShowsTheClassicNotebook: without JupyterLab the default application has no page at all.
func TestDebiansJupyterShowsTheClassicNotebook(t *testing.T) {
	for _, c := range []struct {
		name     string
		programs []string
		kept     string
		want     string
	}{
		{"classic only", []string{"jupyter-notebook"}, "", "notebook.notebookapp.NotebookApp"},
		{"with JupyterLab", []string{"jupyter-notebook", "jupyter-lab"}, "", ""},
		{"the operator's choice", []string{"jupyter-notebook"}, "x.App", "x.App"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range c.programs {
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if c.kept != "" {
				t.Setenv(appName, c.kept)
			}
			t.Setenv("PATH", dir)
			s := &Spawner{opt: Options{EnvKeep: DefaultEnvKeep()}}
			p := program{path: filepath.Join(dir, "jupyterhub-singleuser"), kind: singleuser, auth: routes.AuthTicket}
			env := s.environ(hub.Spec{Prefix: "/user/alice/"}, p, account{}, "http://127.0.0.1:1")
			if env[appName] != c.want {
				t.Errorf("%s is %q, want %q", appName, env[appName], c.want)
			}
		})
	}
}
