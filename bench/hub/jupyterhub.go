package hub

import (
	"context"
	_ "embed" // the files beside this one
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed jupyterhub_config.py
var jupyterhubConfig string

//go:embed seed.py
var seedProgram string

// jupyterhub is the original with an SQLite database, its default.
type jupyterhub struct {
	side
	python   string
	dir      string
	database string
	tokens   []string
}

// findJupyterHub is the Python of the JupyterHub 4 or newer of this machine.
func findJupyterHub(program string) (string, error) {
	candidates := []string{program}
	if program == "" {
		onPath, _ := exec.LookPath("jupyterhub")
		cache, _ := os.UserCacheDir()
		candidates = []string{onPath, filepath.Join(cache, "edgehub", "jupyter", "bin", "jupyterhub")}
	}
	for _, c := range candidates {
		python := filepath.Join(filepath.Dir(c), "python")
		if c != "" && exec.Command(python, "-c", "from jupyterhub import orm, version_info; assert version_info[0] >= 4; orm.Share").Run() == nil {
			return python, nil
		}
	}
	return "", errors.New("no JupyterHub with a Python beside it. Name its program with --jupyterhub FILE, or leave jupyterhub out of --sides")
}

// newJupyterHub makes a database with users and tokens, and starts the hub over it.
func newJupyterHub(ctx context.Context, python, dir string, users, tokens int) (*jupyterhub, error) {
	j := &jupyterhub{side: side{name: JupyterHub, log: filepath.Join(dir, "jupyterhub.log")}, python: python, dir: dir,
		database: "sqlite:///" + filepath.Join(dir, "jupyterhub.sqlite")}
	config, err := write(dir, "jupyterhub_config.py", jupyterhubConfig)
	if err != nil {
		return j, err
	}
	addr, err := freeAddr()
	if err != nil {
		return j, err
	}
	j.origin = "http://" + addr
	j.command = func() *exec.Cmd {
		cmd := exec.Command(python, "-m", "jupyterhub", "-f", config)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "BENCH_URL=" + j.origin, "BENCH_DATABASE=" + j.database}
		return cmd
	}
	if _, err := j.start(ctx); err != nil { // it makes its tables
		return j, err
	}
	j.hub.Kill()
	return j, j.seed(ctx, users, tokens)
}

func (j *jupyterhub) seed(ctx context.Context, users, tokens int) error {
	program, err := write(j.dir, "seed.py", seedProgram)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, j.python, program, j.database, fmt.Sprint(users), fmt.Sprint(tokens))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + j.dir}
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("fill JupyterHub's database: %w: %s", err, errs.String())
	}
	j.tokens = strings.Fields(string(out))
	j.token = j.tokens[0]
	return nil
}
