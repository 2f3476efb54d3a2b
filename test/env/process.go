package env

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// How long parts of a world may take. Two cores may serve several worlds and a browser at once.
const (
	readyTime = 60 * time.Second
	stopTime  = 25 * time.Second
)

// Process is a part of the world. Its methods are for one goroutine at a time.
type Process struct {
	t     testing.TB
	name  string
	path  string
	args  []string
	env   []string
	dir   string
	log   string
	ready func(context.Context) error // nil: ready at once
	code  int                         // exit code after SIGTERM, -1 for any

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and was waited for
}

// newProcess makes a process that is not started. It is stopped, and its log examined, when the test ends.
func newProcess(t testing.TB, p Process) *Process {
	t.Helper()
	p.t = t
	t.Cleanup(func() {
		p.Resume()
		p.Stop()
		p.examine()
	})
	return &p
}

// Launch starts the process and does not wait until it is ready.
func (p *Process) Launch() {
	p.t.Helper()
	if p.Running() {
		p.t.Fatalf("%s runs already", p.name)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.env, p.dir, log, log
	// It dies with the tests, also when those are killed, and gets no Ctrl-C that is meant for them.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		// Pdeathsig is about the thread that starts the process: it has to live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // ProcessState says the same
		}
	}()
	if err := <-started; err != nil {
		p.t.Fatalf("start %s: %s", p.name, err)
	}
	p.cmd, p.done = cmd, done
}

// Start starts the process and returns when it is ready.
func (p *Process) Start() {
	p.t.Helper()
	p.Launch()
	p.Await()
}

// Await returns when the process is ready.
func (p *Process) Await() {
	p.t.Helper()
	if p.ready == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	ended := make(chan struct{})
	defer func() { <-ended }()
	defer cancel()
	go func() { // there is nothing to wait for when it has ended
		defer close(ended)
		select {
		case <-p.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	err := p.ready(ctx)
	if err == nil {
		return
	}
	if p.Running() {
		p.t.Fatalf("%s is not ready after %s: %s\n%s", p.name, readyTime, err, p.tail())
	}
	p.t.Fatalf("%s ended before it was ready: %s\n%s", p.name, p.cmd.ProcessState, p.tail())
}

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	if p.cmd == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// PID is the process id, of the last run if it has ended.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop asks the process to end, and waits. It fails the test if the process does not end in time, or not in order.
func (p *Process) Stop() { p.t.Helper(); p.StopWith(syscall.SIGTERM) }

// StopWith is Stop with a signal of choice. It returns how long that took.
func (p *Process) StopWith(sig syscall.Signal) time.Duration {
	p.t.Helper()
	if !p.Running() {
		return 0
	}
	start := time.Now()
	p.signal(sig)
	select {
	case <-p.done:
	case <-time.After(stopTime):
		p.signal(syscall.SIGQUIT) // Go programs say what they were doing
		select {
		case <-p.done:
		case <-time.After(2 * time.Second):
		}
		p.Kill()
		p.t.Errorf("%s did not end within %s after %s\n%s", p.name, stopTime, sig, p.tail())
		return time.Since(start)
	}
	if code := p.ExitCode(); p.code >= 0 && code != p.code {
		p.t.Errorf("%s ended with exit code %d after %s, want %d\n%s", p.name, code, sig, p.code, p.tail())
	}
	return time.Since(start)
}

// Kill is kill -9.
func (p *Process) Kill() {
	p.t.Helper()
	if p.Running() {
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

// Wait returns the exit code when the process has ended by itself.
func (p *Process) Wait(atMost time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(atMost):
		p.t.Fatalf("%s did not end within %s\n%s", p.name, atMost, p.tail())
	}
	return p.ExitCode()
}

// ExitCode is the exit code of a process that has ended, -1 if a signal ended it.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Pause halts the process: its connections stay open and nothing answers.
func (p *Process) Pause() { p.t.Helper(); p.signal(syscall.SIGSTOP) }

// Resume goes on after Pause.
func (p *Process) Resume() {
	p.t.Helper()
	if p.Running() {
		p.signal(syscall.SIGCONT)
	}
}

func (p *Process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("send %s to %s: %s", sig, p.name, err)
	}
}

// Log is everything that the process has written so far.
func (p *Process) Log() string {
	p.t.Helper()
	data, err := os.ReadFile(p.log)
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return string(data)
}

// tail is the end of the log, for people.
func (p *Process) tail() string { return tail(p.log, p.Log()) }

func tail(name, text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	lines = lines[max(0, len(lines)-20):]
	for i, line := range lines {
		lines[i] = line[:min(len(line), 300)]
	}
	return fmt.Sprintf("--- end of %s\n%s", name, strings.Join(lines, "\n"))
}

// alarms are lines that must not be in any log: races, panics, and what handlers and the plugin say of those they caught.
var alarms = regexp.MustCompile(`(?m)^(WARNING: DATA RACE|panic: |fatal error: ).*|(?i:recovered from panic).*|\bpanic serving\b.*|\bpanicked: .*`)

// examine looks at the log after the test.
func (p *Process) examine() {
	if found := alarms.FindString(p.Log()); found != "" {
		p.t.Errorf("%s: %.300s (see %s)", p.name, found, p.log)
	}
	if p.t.Failed() && p.name != "etcd" { // who says much when it ends
		p.t.Log(p.tail())
	}
}

// Processes are the ids of all processes that have dir in their command line or in the mark that the spawner gives to
// users' servers and their descendants.
func Processes(t testing.TB, dir string) []int {
	t.Helper()
	names, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// What cannot be read has ended, or is not ours.
		line, _ := os.ReadFile(filepath.Join("/proc", name.Name(), "cmdline"))
		environ, _ := os.ReadFile(filepath.Join("/proc", name.Name(), "environ"))
		if bytes.Contains(line, []byte(dir)) || bytes.Contains(environ, []byte("EDGEHUB_INSTANCE="+dir)) {
			found = append(found, pid)
		}
	}
	return found
}

// Describe says what processes these are.
func Describe(pids []int) string {
	var all []string
	for _, pid := range pids {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		all = append(all, fmt.Sprintf("%d %s", pid, bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
	}
	return strings.Join(all, "\n")
}
