package local

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

func TestMissingPrograms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, message string
		change        func(*Options)
	}{
		{"no jupyter", "No Jupyter found: install it with `pip install jupyterhub jupyterlab`, run `make setup`, or set spawner.command.",
			func(o *Options) { o.Command, o.Env = nil, map[string]string{"PATH": "/nonexistent"} }},
		{"no such path", "was not found", func(o *Options) { o.Command = []string{"/nonexistent/server"} }},
		{"not on PATH", "was not found", func(o *Options) { o.Command = []string{"no-such-server"} }},
		{"a folder", "was not found", func(o *Options) { o.Command = []string{"/usr"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			opt := testOptions(t)
			c.change(&opt)
			s := newSpawner(t, opt)
			wantKind(t, s.Check(), hub.Unavailable, c.message)
			_, err := s.Start(t.Context(), specFor(t, s, 1))
			wantKind(t, err, hub.Unavailable, c.message)
		})
	}
	if err := newSpawner(t, testOptions(t)).Check(); err != nil {
		t.Errorf("Check with a good program: %v", err)
	}
}

func TestDetection(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		installed, command []string
		want, auth         string
	}{
		{[]string{"jupyterhub-singleuser", "jupyter", "jupyter-lab"}, nil, "jupyterhub-singleuser", routes.AuthTicket},
		{[]string{"jupyter", "jupyter-lab"}, nil, "jupyter lab", routes.AuthSecret},
		{[]string{"jupyter"}, nil, "", ""},
		{[]string{"jupyter-labhub"}, []string{"jupyter-labhub", "--debug"}, "jupyter-labhub --debug", routes.AuthTicket},
		{[]string{"jupyter-lab"}, []string{"jupyter-lab"}, "jupyter-lab", routes.AuthSecret},
		{[]string{"rserver"}, []string{"rserver"}, "rserver", routes.AuthSecret},
	} {
		bin := t.TempDir()
		for _, name := range c.installed {
			if err := os.WriteFile(filepath.Join(bin, name), nil, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		s := newSpawner(t, Options{Dir: t.TempDir(), Command: c.command, Env: map[string]string{"PATH": bin}})
		p, err := s.program()
		if (err != nil) != (c.want == "") || strings.Join(p.argv, " ") != c.want || p.auth != c.auth {
			t.Errorf("with %v installed, command %v: got %v, %q, %v, want %q, %q", c.installed, c.command, p.argv, p.auth, err, c.want, c.auth)
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	spec := hub.Spec{User: "alice", Server: "lab2", Prefix: "/user/alice/lab2/", Secret: "a-secret-of-the-server-4711"}
	for _, c := range []struct {
		argv []string
		root bool
		want []string
	}{
		{[]string{"jupyterhub-singleuser"}, false, []string{"jupyterhub-singleuser"}},
		{[]string{"jupyterhub-singleuser"}, true, []string{"jupyterhub-singleuser", "--allow-root"}},
		{[]string{"rserver", "--port={port}", "--root={prefix}", "{username}/{servername}"}, true,
			[]string{"rserver", "--port=4711", "--root=/user/alice/lab2/", "alice/lab2"}},
	} {
		p := program{argv: c.argv, kind: kindOf(c.argv)}
		if got := p.args(spec, 4711, "/home/alice", c.root); !slices.Equal(got, c.want) {
			t.Errorf("%v, root %v: arguments are %q, want %q", c.argv, c.root, got, c.want)
		}
	}
	p := program{argv: []string{"jupyter", "lab"}, kind: lab}
	got := strings.Join(p.args(spec, 4711, "/home/alice", true), " ")
	for _, want := range []string{"jupyter lab --no-browser", "--port=4711", "base_url=/user/alice/lab2/", "root_dir=/home/alice", "--allow-root"} {
		if !strings.Contains(got, want) {
			t.Errorf("arguments of jupyter lab are %q, want %q in them", got, want)
		}
	}
	if strings.Contains(got, spec.Secret) {
		t.Errorf("arguments of jupyter lab give the secret away: %q", got)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	opt := testOptions(t)
	opt.Env = map[string]string{"JUPYTERHUB_API_URL": "https://operator.example/", "EXTRA": "1"}
	opt.EnvKeep = []string{}
	opt.Command = []string{"/bin/sh", "-c", "echo in $PWD; sleep 600"}
	s := newSpawner(t, opt)
	spec := specFor(t, s, 1)
	spec.Env["JUPYTERHUB_API_URL"] = "http://127.0.0.1:8081/"
	inst := start(t, s, spec)
	home := filepath.Join(filepath.Dir(opt.Dir), "home", "alice")
	awaitLog(t, s, "in "+home)
	env := environOf(t, recordOf(t, s, "srv").PID)
	for name, want := range map[string]string{
		"USER": "alice", "HOME": home, "JUPYTER_TOKEN": spec.Secret, "JUPYTERHUB_SERVICE_URL": inst.URL + spec.Prefix,
		"JUPYTERHUB_API_TOKEN": spec.Env["JUPYTERHUB_API_TOKEN"], "JUPYTERHUB_API_URL": "https://operator.example/", "EXTRA": "1",
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "EDGEHUB_INSTANCE": filepath.Join(opt.Dir, "srv") + "#1",
	} {
		if env[name] != want {
			t.Errorf("%s is %q, want %q", name, env[name], want)
		}
	}
	if len(env) != 10 { // those above and SHELL
		t.Errorf("the hub's own environment leaks: %v", env)
	}
}

func TestWorkDir(t *testing.T) {
	t.Parallel()
	opt := testOptions(t)
	opt.WorkDir = filepath.Join(t.TempDir(), "a", "{username}", "work", "{servername}")
	s := newSpawner(t, opt)
	start(t, s, specFor(t, s, 1))
	want := strings.NewReplacer("{username}", "alice", "{servername}", "lab2").Replace(opt.WorkDir)
	info, err := os.Stat(want)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("work folder: %v, %v, want mode 0700", info, err)
	}
	if cwd, err := os.Readlink("/proc/" + strconv.Itoa(recordOf(t, s, "srv").PID) + "/cwd"); cwd != want {
		t.Errorf("the server is in %s, %v, want %s", cwd, err, want)
	}
}

func TestSecretsAreRequired(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, testOptions(t))
	spec := specFor(t, s, 1)
	spec.Secret = ""
	if _, err := s.Start(t.Context(), spec); err == nil {
		t.Error("a server without a secret was started: Jupyter would let everybody in")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	s := newSpawner(t, testOptions(t))
	for _, name := range []string{"", ".", "..", "../x", "a/b", "-x", "a\x00b", strings.Repeat("a", 300)} {
		_, err1 := s.Start(t.Context(), hub.Spec{Name: name})
		_, err2 := s.Poll(t.Context(), name, nil)
		err3 := s.Stop(t.Context(), name, 1, nil, 0)
		for _, err := range []error{err1, err2, err3} {
			wantKind(t, err, hub.Invalid, "Invalid instance name")
		}
		if s.LogTail(name, 5) != "" {
			t.Errorf("a log for %q", name)
		}
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	for _, opt := range []Options{
		{}, {Dir: "x", Auth: "magic"}, {Dir: "x", Command: []string{""}}, {Dir: "x", WorkDir: "relative/{username}"},
		{Dir: "x", SystemUser: "nobody"}, {Dir: "/proc/cannot"},
	} {
		if _, err := New(opt); hub.KindOf(err) != hub.Invalid {
			t.Errorf("New(%+v): %v, want Invalid", opt, err)
		}
	}
	if _, err := os.Stat("x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("bad options made a folder: %v", err)
	}
}
