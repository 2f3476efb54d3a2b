package local

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// Options of a Spawner. Only Dir is required.
type Options struct {
	// Dir holds one folder per server, with its log and what is known about its process. Only the hub can read it.
	Dir string
	// Command is the server program with its arguments, in which {port}, {prefix}, {username} and {servername} are
	// replaced. Empty means jupyterhub-singleuser if that is on PATH, else `jupyter lab`.
	Command []string
	// Auth is the routes.Auth constant that Command understands. Empty means routes.AuthTicket for jupyterhub-singleuser
	// and routes.AuthSecret, with the secret in JUPYTER_TOKEN, for all others.
	Auth string
	// Env is added to the environment of every server and wins over everything else.
	Env map[string]string
	// EnvKeep names the variables that servers get from the hub's own environment. Nil means DefaultEnvKeep.
	EnvKeep []string
	// WorkDir is where a server starts, and the user's home directory if SystemUser is empty. {username} and {servername}
	// are replaced. It is created if missing. Empty means the system user's home, or without one the folder
	// home/{username} beside Dir.
	WorkDir string
	// SystemUser is the account that runs a server, like "{username}" or "jupyter-{username}". The hub must be root then.
	// Empty means the hub's own account: users can then read each other's files and secrets.
	SystemUser string
	// Exe is the program that calls ExecShim when it gets ShimArgs. Empty means the running one.
	Exe string
	// ShimArgs make Exe a shim. Nil means "spawn-exec".
	ShimArgs []string
}

// DefaultEnvKeep returns the variables that servers get from the hub's environment if Options do not say which.
func DefaultEnvKeep() []string {
	return []string{"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "CONDA_ROOT", "CONDA_DEFAULT_ENV", "VIRTUAL_ENV", "LANG", "LC_ALL", appName}
}

// Spawner makes servers that are processes of this machine. It keeps nothing in memory but which ports it gave away
// lately and which processes it must reap.
type Spawner struct {
	opt    Options
	ports  ports
	ctx    context.Context // of the goroutines that reap; ends with Close
	cancel context.CancelFunc
	reaper sync.WaitGroup
	mu     sync.Mutex
	mine   map[process]chan struct{} // our children that are not reaped yet
}

var _ hub.Spawner = (*Spawner)(nil)

// New checks the options and returns a Spawner. It starts nothing and creates no more than Dir. Errors are of kind
// Invalid.
func New(opt Options) (*Spawner, error) {
	if os.Getenv(shimName) != "" {
		return nil, errors.New("this program was started as a shim and must call local.ExecShim")
	}
	if err := complete(&opt); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opt.Dir, 0o700); err != nil {
		return nil, hub.WithCause(hub.Errorf(hub.Invalid, "The folder for servers cannot be created: %s", opt.Dir), err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Spawner{opt: opt, ctx: ctx, cancel: cancel, mine: make(map[process]chan struct{})}, nil
}

func complete(opt *Options) error {
	if opt.Dir == "" {
		return hub.Errorf(hub.Invalid, "The local spawner needs a folder for its servers.")
	}
	dir, err := filepath.Abs(opt.Dir)
	if err != nil {
		return err
	}
	opt.Dir = dir
	if opt.EnvKeep == nil {
		opt.EnvKeep = DefaultEnvKeep()
	}
	if opt.Exe == "" {
		// Unlike os.Executable, this is the running version of the binary even while an upgrade replaces the file.
		opt.Exe = "/proc/self/exe"
	}
	if opt.ShimArgs == nil {
		opt.ShimArgs = []string{"spawn-exec"}
	}
	if opt.WorkDir == "" && opt.SystemUser == "" {
		opt.WorkDir = filepath.Join(filepath.Dir(dir), "home", "{username}")
	}
	return validate(opt)
}

func validate(opt *Options) error {
	switch opt.Auth {
	case "", routes.AuthNone, routes.AuthSecret, routes.AuthTicket, routes.AuthPass:
	default:
		return hub.Errorf(hub.Invalid, "Unknown auth %q for the server program.", opt.Auth)
	}
	if len(opt.Command) > 0 && opt.Command[0] == "" {
		return hub.Errorf(hub.Invalid, "The server command starts with an empty word.")
	}
	if opt.WorkDir != "" && !filepath.IsAbs(opt.WorkDir) {
		return hub.Errorf(hub.Invalid, "The work folder of servers must be an absolute path: %s", opt.WorkDir)
	}
	if opt.SystemUser == "" {
		return nil
	}
	if os.Geteuid() != 0 {
		return hub.Errorf(hub.Invalid, "Running servers as system user %q needs root.", opt.SystemUser)
	}
	if !strings.Contains(opt.SystemUser, "{username}") && opt.WorkDir == "" {
		return hub.Errorf(hub.Invalid, "All servers would share the home of %q: set a work folder with {username}.", opt.SystemUser)
	}
	return nil
}

// Check finds out whether servers could start here, so that the operator learns at the hub's start what the first user
// would learn otherwise. Errors are of kind Unavailable and say what to do.
func (s *Spawner) Check() error {
	if _, err := s.program(); err != nil {
		return err
	}
	p, err := openProcess(os.Getpid())
	if err != nil {
		return hub.WithCause(hub.Errorf(hub.Unavailable, "Local servers need pidfd_open: Linux 5.10 or newer, not forbidden by seccomp."), err)
	}
	return p.close()
}

// Close ends the watching of processes and waits for it. The servers go on, and a new Spawner with the same Dir finds
// them.
func (s *Spawner) Close() error {
	s.cancel()
	s.reaper.Wait()
	return nil
}
