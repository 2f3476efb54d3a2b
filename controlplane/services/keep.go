package services

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
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
// being the subreaper, the keeper has all descendants as children in the end.
func Keep(args []string) int {
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
	attr := &os.ProcAttr{Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{}}
	if name != "" {
		u, cred, err := credential(name)
		if err != nil {
			return 0, err
		}
		attr.Sys.Credential = cred
		attr.Env = append(attr.Env, "USER="+u.Username, "LOGNAME="+u.Username, "HOME="+u.HomeDir)
	}
	p, err := os.StartProcess(path, command, attr)
	if err != nil {
		return 0, err
	}
	return p.Pid, nil
}

func credential(name string) (*user.User, *syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	names, err3 := u.GroupIds()
	cred := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, g := range names {
		if id, err := strconv.ParseUint(g, 10, 32); err == nil {
			cred.Groups = append(cred.Groups, uint32(id))
		}
	}
	return u, cred, errors.Join(err1, err2, err3)
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

// killDescendants kills children until there are none: each round makes those of the killed ours.
func killDescendants() {
	for round := 0; round < 1000; round++ {
		pids := children()
		if len(pids) == 0 {
			return
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // gone already, then
		}
		for { // whatever has ended
			if got, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); got <= 0 || err != nil {
				break
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// children are the processes whose parent this is.
func children() []int {
	names, _ := filepath.Glob("/proc/self/task/*/children") // the pattern is good
	var pids []int
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for _, field := range bytes.Fields(data) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
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
