package edge

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// readyTime bounds the start of one side, with all its routes, on a busy machine.
const readyTime = 3 * time.Minute

// process is a child process. It is killed when the run's context ends, and dies with this process in any case. It keeps
// nothing that would need an orderly end.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	in   io.WriteCloser // only of a part
	out  *bufio.Reader
	done chan struct{} // closed when it has ended and was waited for
}

// startProcess starts a program whose output goes to a file in dir.
func (w *world) startProcess(ctx context.Context, name, dir string, args ...string) (*process, error) {
	p := &process{name: name, log: filepath.Join(dir, name+".log"), cmd: exec.Command(args[0], args[1:]...)}
	p.cmd.Dir = dir
	// No more than that: plugins see Traefik's environment, and settings of ours would end up in `edgehub edge`.
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	w.processes = append(w.processes, p)
	return p, p.start(ctx, false)
}

// startPart starts this program as one of its parts, talks to it through its standard input and output, and returns its
// first line, which says where it listens.
func (w *world) startPart(ctx context.Context, name string, args ...string) (*process, string, error) {
	p := &process{name: name, log: filepath.Join(w.dir, fmt.Sprintf("%s-%d.log", name, len(w.processes))),
		cmd: exec.Command(w.opts.Program, append([]string{"bench", "part", name}, args...)...)}
	w.processes = append(w.processes, p)
	p.cmd.Env = []string{}
	if err := p.start(ctx, true); err != nil {
		return nil, "", err
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return nil, "", p.failed(ctx, err)
	}
	return p, strings.TrimSpace(line), nil
}

func (p *process) start(ctx context.Context, pipes bool) error {
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if pipes {
		p.cmd.Stdout = nil
		out, err := p.cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if p.in, err = p.cmd.StdinPipe(); err != nil {
			return err
		}
		p.out = bufio.NewReaderSize(out, 1<<20)
	}
	// Its own group, so that Ctrl-C reaches this process only; it dies with this process, also when that is killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, done := make(chan error), make(chan struct{})
	p.done = done
	go p.wait(started, done)
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	context.AfterFunc(ctx, p.stop)
	return nil
}

// wait starts the process and waits for its end.
func (p *process) wait(started chan<- error, done chan<- struct{}) {
	defer close(done)
	// Pdeathsig is about the thread that starts the process: it has to live as long.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	// Not cmd.Wait, which would close the pipe before its last line is read.
	_, _ = p.cmd.Process.Wait()
}

// stop ends the process, if it was started, and returns when it has ended.
func (p *process) stop() {
	if p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// ended reports whether the process has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// failed adds to err what the process last wrote, when it has ended, or says that the run was interrupted.
func (p *process) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !p.ended() {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%s ended: %w. The end of its log: %s", p.name, err, strings.Join(lines[max(0, len(lines)-5):], " | "))
}

// ask sends a part one question and reads its answer.
func (p *process) ask(ctx context.Context, question, answer any) error {
	text, err := json.Marshal(question)
	if err != nil {
		return err
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return p.failed(ctx, err)
	}
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return p.failed(ctx, err)
	}
	return json.Unmarshal(line, answer)
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
