package e2e

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/edgehub/edgehub/test/env"
)

// TestErrors runs the scripts in test/script: whatever is wrong at the start is said in one line that tells what to do, with
// the right exit code, and nothing is half-started. Besides testscript's own commands they have
//
//	refused ARGS...   edgehub ARGS... fails as it must, with exit code 1; `stderr` can look at the line then
//	misused ARGS...   the same for a command line that is wrong, with exit code 2
//	missing ARGS...   the same for something that the hub does not have, with exit code 3
//	running           an edgehub runs with its data in $RUNNING, at $EDGEHUB_URL, with a user alice and an admin's token in $TOKEN
//
// PATH is empty unless a script puts $JUPYTER or $TRAEFIK into it. In the script "busy" somebody listens at $ADDR.
func TestErrors(t *testing.T) {
	binary := env.Binary(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Deadline:            time.Now().Add(2 * time.Minute),
		Setup: func(e *testscript.Env) error {
			tools, err := toolFolders(e.WorkDir)
			if err != nil {
				return err
			}
			e.Setenv("EDGEHUB", binary)
			e.Setenv("PATH", tools["bin"])
			e.Setenv("JUPYTER", tools["jupyter"])
			e.Setenv("TRAEFIK", tools["traefik"])
			e.Setenv("ADDR", env.NewAddress()+":8000")
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			e.Values[theTest{}] = e.T()
			return takeAddress(e)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"refused": failing(1), "misused": failing(2), "missing": failing(3), "running": running,
		},
	})
}

// takeAddress listens at $ADDR for the script "busy".
func takeAddress(e *testscript.Env) error {
	if !strings.Contains(e.WorkDir, "busy") {
		return nil
	}
	l, err := net.Listen("tcp", e.Getenv("ADDR"))
	if err == nil {
		e.Values[listener{}] = l
		e.Defer(func() { _ = l.Close() })
	}
	return err
}

// toolFolders makes folders to choose PATH from: one without anything, one with a Jupyter, and one with a Traefik.
func toolFolders(dir string) (map[string]string, error) {
	folders := map[string]string{}
	for name, program := range map[string]string{"bin": "", "jupyter": "jupyterhub-singleuser", "traefik": "traefik"} {
		folders[name] = filepath.Join(dir, ".tools", name)
		if err := os.MkdirAll(folders[name], 0o755); err != nil {
			return nil, err
		}
		if program == "" {
			continue
		}
		// It is found, and never runs: nothing of what these scripts do gets so far.
		if err := os.WriteFile(filepath.Join(folders[name], program), []byte("#!/bin/sh\nexit 9\n"), 0o755); err != nil {
			return nil, err
		}
	}
	return folders, nil
}

// failing makes a command that runs edgehub and fails the script unless it is refused as it should be.
func failing(code int) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this has no opposite")
		}
		refused(ts, code, args)
	}
}

func refused(ts *testscript.TestScript, code int, args []string) {
	start := time.Now()
	err := ts.Exec(ts.Getenv("EDGEHUB"), args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		ts.Fatalf("it ended with %v, want exit code %d", err, code)
	}
	line := ts.ReadFile("stderr")
	if !strings.HasPrefix(line, "edgehub: ") || strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") || len(line) > 500 {
		ts.Fatalf("it said %q, want one line that begins with \"edgehub: \"", line)
	}
	if strings.Contains(ts.ReadFile("stdout"), "ready") {
		ts.Fatalf("it said that it was ready")
	}
	if took := time.Since(start); took > 10*time.Second {
		ts.Fatalf("that took %s", took)
	}
	if left := env.Processes(tb(ts), ts.Getenv("WORK")); len(left) > 0 {
		ts.Fatalf("these processes are left:\n%s", env.Describe(left))
	}
	if ts.Value(listener{}) == nil {
		if conn, err := net.DialTimeout("tcp", ts.Getenv("ADDR"), time.Second); err == nil {
			_ = conn.Close()
			ts.Fatalf("somebody listens at %s", ts.Getenv("ADDR"))
		}
	}
}

// Keys of what a script's test keeps: the test itself, and somebody else's listener at $ADDR.
type (
	theTest  struct{}
	listener struct{}
)

func tb(ts *testscript.TestScript) testing.TB { return ts.Value(theTest{}).(testing.TB) }

// running starts an edgehub.
func running(ts *testscript.TestScript, _ bool, _ []string) {
	w := env.Up(tb(ts), env.Options{})
	w.AddUser(tb(ts), "alice")
	ts.Setenv("RUNNING", w.Data)
	ts.Setenv("EDGEHUB_URL", strings.TrimSuffix(w.URL("/"), "/"))
	ts.Setenv("TOKEN", w.TokenFile())
	ts.Defer(func() {
		if !w.Hub.Running() {
			tb(ts).Error("the edgehub that ran before has ended")
		}
	})
}
