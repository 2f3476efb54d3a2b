package services

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keeperMargin is how long before the end of the lease a keeper ends its service. Killing takes milliseconds.
const keeperMargin = 2 * time.Second

// Exit codes of a keeper that are not its service's own.
const (
	exitCannotStart = 127
	exitTimeOver    = 75
)

// Keep runs a service for as long as its replica keeps saying so, and returns the exit code of this process. The arguments are
// the file with the deadline, the system user or "", "--", and the command. Whatever the service leaves behind is killed: by
// being the subreaper, the keeper has all descendants as children in the end. If the keeper itself is killed, the kernel kills
// the service, and the hub, if it lives, what is left.
func Keep(args []string) int {
	runtime.LockOSThread() // the kernel means the thread that started the service when it says parent
	if len(args) < 4 || args[2] != "--" {
		fmt.Fprintln(os.Stderr, "edgehub: this command is for the hub's own use")
		return exitCannotStart
	}
	// The hub's SIGTERM goes to the whole process group. The service decides what it does about it, the keeper waits for that.
	// Caught, not ignored: what is ignored stays ignored in the service.
	signal.Notify(make(chan os.Signal, 1), unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(os.Stderr, "edgehub: cannot keep a service:", err)
		return exitCannotStart
	}
	pid, err := startService(args[1], args[3:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "edgehub: cannot start the service:", err)
		return exitCannotStart
	}
	go keepLogShort(os.Stdout, maxLog)
	over := make(chan struct{})
	go func() { awaitDeadline(args[0]); close(over) }()
	code := make(chan int, 1)
	go func() { code <- reap(pid) }()
	select {
	case c := <-code:
		killDescendants()
		return c
	case <-over:
		fmt.Fprintln(os.Stderr, "edgehub: the hub has not said for a while that this service may go on, so it is ended here")
		killDescendants()
		return exitTimeOver
	}
}

// startService starts the command as the system user.
func startService(name string, command []string) (int, error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return 0, err
	}
	attr := &os.ProcAttr{Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}}
	if name != "" {
		if attr.Sys.Credential, err = credential(name); err != nil {
			return 0, err
		}
		// Opening /dev/stderr, as scripts do, needs rights on what it stands for.
		if err := os.Stdout.Chown(int(attr.Sys.Credential.Uid), int(attr.Sys.Credential.Gid)); err != nil {
			return 0, err
		}
	}
	p, err := os.StartProcess(path, command, attr)
	if err != nil {
		return 0, err
	}
	return p.Pid, nil
}

// reap waits for all children, as a subreaper must, and returns the exit code of the one that counts.
func reap(pid int) int {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return exitCannotStart
		}
		if got != pid || err != nil {
			continue
		}
		if status.Signaled() {
			return 128 + int(status.Signal())
		}
		return status.ExitStatus()
	}
}

// awaitDeadline returns when the time in the file is over. It is looked at again and again, because it moves; a file that
// cannot be read does not move it.
func awaitDeadline(file string) {
	var deadline int64
	for {
		if data, err := os.ReadFile(file); err == nil {
			if at, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil {
				deadline = at
			}
		}
		left := time.Duration(deadline - bootTime())
		if left <= 0 {
			return
		}
		time.Sleep(min(left, time.Second)) // a clock that sleeps with the machine, unlike bootTime
	}
}

// writeDeadline replaces the file at once.
func writeDeadline(file string, until time.Time) error {
	at := bootTime() + int64(time.Until(until))
	temp := file + ".tmp"
	if err := os.WriteFile(temp, []byte(strconv.FormatInt(at, 10)+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, file)
}

// bootTime is a clock that all processes of a machine share, that nobody sets, and that goes on while the machine sleeps.
func bootTime() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err) // Linux has had it since 2.6.39
	}
	return ts.Nano()
}
