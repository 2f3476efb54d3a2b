package local

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// markName is the variable by which descendants of a server are found. Its value is the folder, '#' and the generation.
const markName = "EDGEHUB_INSTANCE"

func mark(dir string, gen int64) string {
	return markName + "=" + dir + "#" + strconv.FormatInt(gen, 10)
}

// marked reads the generation from an environment entry that mark made for dir.
func marked(entry, dir string) (int64, bool) {
	rest, ok := strings.CutPrefix(entry, markName+"="+dir+"#")
	if !ok {
		return 0, false
	}
	gen, err := strconv.ParseInt(rest, 10, 64)
	return gen, err == nil
}

// environ is the environment of a server, from the weakest source to the strongest.
func (s *Spawner) environ(spec hub.Spec, p program, a account, origin string) map[string]string {
	env := map[string]string{}
	if p.kind == singleuser && s.onlyClassic() {
		env[appName] = "notebook.notebookapp.NotebookApp"
	}
	for _, name := range s.opt.EnvKeep {
		if value, ok := os.LookupEnv(name); ok {
			env[name] = value
		}
	}
	env["PATH"] = withDir(filepath.Dir(p.path), cmp.Or(env["PATH"], fallbackPath))
	env["USER"], env["HOME"], env["SHELL"] = a.name, a.home, a.shell
	for name, value := range spec.Env {
		env[name] = value
	}
	env["JUPYTERHUB_SERVICE_URL"] = origin + spec.Prefix
	if p.auth == routes.AuthSecret {
		env["JUPYTER_TOKEN"] = spec.Secret
	}
	for name, value := range s.opt.Env {
		env[name] = value
	}
	return env
}

// appName is the variable by which jupyterhub-singleuser chooses the application that it runs.
const appName = "JUPYTERHUB_SINGLEUSER_APP"

// onlyClassic reports a Jupyter without JupyterLab but with the classic Notebook, as Debian 12 has it. Its default
// application there is a bare Jupyter Server, whose only page is "not found".
func (s *Spawner) onlyClassic() bool {
	return s.look("jupyter-lab") == "" && s.look("jupyter-notebook") != ""
}

// withDir makes `pip` and `python` in a user's terminal those of the environment that the server itself is from.
func withDir(dir, path string) string {
	if slices.Contains(filepath.SplitList(path), dir) {
		return path
	}
	return dir + string(filepath.ListSeparator) + path
}

func entries(env map[string]string) []string {
	list := make([]string, 0, len(env)+1)
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// secretsOf are the values that must not be seen in a log.
func secretsOf(spec hub.Spec, env map[string]string) []string {
	list := []string{spec.Secret}
	for name, value := range env {
		if secretName(name) {
			list = append(list, value)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func secretName(name string) bool {
	name = strings.ToUpper(name)
	for _, word := range []string{"TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "KEY"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

func originOf(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }
