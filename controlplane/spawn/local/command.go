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

const fallbackPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// program is a server program that exists.
type program struct {
	path string   // of the file to execute
	argv []string // as configured, before replacement
	kind kind
	auth string
}

// kind says which arguments a program understands.
type kind int

const (
	custom     kind = iota
	singleuser      // reads the environment, as under JupyterHub
	lab             // Jupyter Lab or Jupyter Server, which knows nothing of hubs
)

// program looks for the command at each start: what is installed later is found without a restart of the hub.
func (s *Spawner) program() (program, error) {
	argv, path := s.opt.Command, ""
	if len(argv) > 0 {
		path = s.look(argv[0])
	} else {
		argv, path = s.detect()
	}
	if path == "" && len(argv) > 0 {
		return program{}, hub.Errorf(hub.Unavailable, "The server program %q was not found: install it or correct spawner.command.", argv[0])
	}
	if path == "" {
		return program{}, hub.Errorf(hub.Unavailable, "No Jupyter found: install it with `pip install jupyterhub jupyterlab`, run `make setup`, or set spawner.command.")
	}
	p := program{path: path, argv: argv, kind: kindOf(argv)}
	p.auth = cmp.Or(s.opt.Auth, map[bool]string{true: routes.AuthTicket, false: routes.AuthSecret}[p.kind == singleuser])
	return p, nil
}

func (s *Spawner) detect() (argv []string, path string) {
	if path = s.look("jupyterhub-singleuser"); path != "" {
		return []string{"jupyterhub-singleuser"}, path
	}
	if path = s.look("jupyter"); path != "" && s.look("jupyter-lab") != "" {
		return []string{"jupyter", "lab"}, path
	}
	return nil, ""
}

func kindOf(argv []string) kind {
	switch base := filepath.Base(argv[0]); {
	case base == "jupyterhub-singleuser" || base == "jupyter-labhub":
		return singleuser
	case base == "jupyter-lab" || base == "jupyter-server":
		return lab
	case base == "jupyter" && len(argv) > 1 && (argv[1] == "lab" || argv[1] == "server"):
		return lab
	case base == "jupyter" && len(argv) > 1 && argv[1] == "labhub":
		return singleuser
	}
	return custom
}

// look finds a program on the PATH that servers will have, or gives "".
func (s *Spawner) look(name string) string {
	if strings.Contains(name, "/") {
		if path, err := filepath.Abs(name); err == nil { // the server starts in another folder
			return executable(path)
		}
		return ""
	}
	for _, dir := range filepath.SplitList(s.searchPath()) {
		if path := executable(filepath.Join(dir, name)); filepath.IsAbs(path) {
			return path
		}
	}
	return ""
}

func (s *Spawner) searchPath() string {
	if path := s.opt.Env["PATH"]; path != "" {
		return path
	}
	if slices.Contains(s.opt.EnvKeep, "PATH") {
		return cmp.Or(os.Getenv("PATH"), fallbackPath)
	}
	return fallbackPath
}

func executable(path string) string {
	info, err := os.Stat(path)
	if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
		return ""
	}
	return path
}

// args are the whole argument list for one server.
func (p program) args(spec hub.Spec, port int, workDir string, root bool) []string {
	fill := strings.NewReplacer("{port}", strconv.Itoa(port), "{prefix}", spec.Prefix,
		"{username}", string(spec.User), "{servername}", string(spec.Server))
	var args []string
	for _, arg := range p.argv {
		args = append(args, fill.Replace(arg))
	}
	if p.kind == lab {
		args = append(args, labArgs(spec, port, workDir)...)
	}
	if root && p.kind != custom {
		args = append(args, "--allow-root")
	}
	return args
}

// labArgs hold no secret: every user of the machine can read them.
func labArgs(spec hub.Spec, port int, workDir string) []string {
	return []string{
		"--no-browser",
		"--ip=127.0.0.1",
		fmt.Sprintf("--port=%d", port),
		"--ServerApp.port_retries=0", // another port than the recorded one would be somebody else's server
		"--ServerApp.base_url=" + spec.Prefix,
		"--ServerApp.root_dir=" + workDir,
		"--ServerApp.allow_remote_access=True", // the Host header is the hub's public name
		"--ServerApp.quit_button=False",
	}
}
