package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"golang.org/x/sys/unix"
)

// shimName is the only variable that a shim gets. New refuses to work where it is set: a test binary that does not call
// ExecShim would run all its tests as a shim, and so on.
const shimName = "EDGEHUB_SHIM"

// order is what the hub tells the shim, through a pipe: the environment holds secrets.
type order struct {
	Dir     string      `json:"dir"`
	Path    string      `json:"path"`
	Args    []string    `json:"args"`
	Env     []string    `json:"env"`
	WorkDir string      `json:"work_dir"`
	Cred    *credential `json:"cred,omitempty"`
	Record  record      `json:"record"` // without the process
}

// answer is what a shim says when it does not become a server.
type answer struct {
	Held    bool     `json:"held,omitempty"`
	Kind    hub.Kind `json:"kind,omitempty"`
	Message string   `json:"message,omitempty"`
	Cause   string   `json:"cause,omitempty"`
}

// launch starts a shim and waits until it is a server or gave up.
func (s *Spawner) launch(ctx context.Context, o order) (record, error) {
	in, orders, err := os.Pipe()
	if err != nil {
		return record{}, err
	}
	defer orders.Close()
	status, out, err := os.Pipe()
	if err != nil {
		in.Close()
		return record{}, err
	}
	defer status.Close()
	pid, err := s.startShim(o.Dir, in, out)
	if err = errors.Join(err, in.Close(), out.Close()); err != nil {
		return record{}, hub.WithCause(hub.Errorf(hub.Unavailable, "The server process could not be started."), err)
	}
	said, err := converse(ctx, o, orders, status)
	if err != nil {
		return record{}, err
	}
	return outcome(o.Dir, pid, said)
}

func (s *Spawner) startShim(dir string, stdin, stderr *os.File) (pid int, err error) {
	cmd := &exec.Cmd{
		Path:        s.opt.Exe,
		Args:        append(append([]string{s.opt.Exe}, s.opt.ShimArgs...), dir),
		Env:         []string{shimName + "=1"},
		Dir:         "/",
		Stdin:       stdin,
		Stderr:      stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, s.reap(cmd, dir)
}

// converse sends the order and reads what the shim says until it is no shim any more.
func converse(ctx context.Context, o order, orders, status *os.File) ([]byte, error) {
	stop := context.AfterFunc(ctx, func() {
		_ = orders.SetWriteDeadline(time.Unix(1, 0))
		_ = status.SetReadDeadline(time.Unix(1, 0))
	})
	defer stop()
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	_, err = orders.Write(data)
	if err = errors.Join(err, orders.Close()); err != nil && !errors.Is(err, unix.EPIPE) { // then it says why
		return nil, interrupted(ctx, err)
	}
	said, err := io.ReadAll(io.LimitReader(status, 1<<16))
	return said, interrupted(ctx, err)
}

func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// outcome understands the last words of shim pid. No words: it became the server, or was killed.
func outcome(dir string, pid int, said []byte) (record, error) {
	var a answer
	if len(said) > 0 {
		if err := json.NewDecoder(bytes.NewReader(said)).Decode(&a); err != nil {
			return record{}, fmt.Errorf("the shim said: %q", said)
		}
		return record{}, a.err()
	}
	r, err := readRecord(dir)
	if err == nil && r.PID != pid {
		err = errors.New("the shim ended without a word")
	}
	return r, err
}

func (a answer) err() error {
	if a.Held {
		return errHeld
	}
	cause := errors.New(a.Cause)
	if a.Message == "" {
		return cause
	}
	return hub.WithCause(hub.Errorf(a.Kind, "%s", a.Message), cause)
}
