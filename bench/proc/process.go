package proc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Process is a child process that dies with this one. It keeps nothing that would need an orderly end.
type Process struct {
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and was waited for
}

// Start starts a command, whose output goes to the file log unless it has another place. The process is killed when ctx ends.
func Start(ctx context.Context, log string, cmd *exec.Cmd) (*Process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = out
	// Its own group, so that Ctrl-C reaches this process only; it dies with this process, also when that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p := &Process{log: log, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go p.wait(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	context.AfterFunc(ctx, p.Kill)
	return p, nil
}

// wait starts the process and waits for its end.
func (p *Process) wait(started chan<- error) {
	defer close(p.done)
	// Pdeathsig is about the thread that starts the process: it has to live as long.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // it is killed, or Failed tells
	}
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process and returns when it has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Await calls try until it succeeds. It gives up when the process has ended, ctx ends, or the time is over.
func (p *Process) Await(ctx context.Context, atMost time.Duration, try func() error) error {
	limit := time.After(atMost)
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return p.failed(err)
		case <-limit:
			return p.failed(fmt.Errorf("not ready after %s: %w", atMost, err))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// failed adds to err what the process last wrote.
func (p *Process) failed(err error) error {
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%s: %w. The end of its log: %s", p.cmd.Path, err, strings.Join(lines[max(0, len(lines)-5):], " | "))
}
