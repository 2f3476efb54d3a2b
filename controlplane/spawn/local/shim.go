package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"golang.org/x/sys/unix"
)

// lockPatience is how long a shim waits for another one that just gives up, or for Stop to write a line.
const lockPatience = 5 * time.Second

// ExecShim turns the calling process into a server, on the order of a Spawner (see the package comment). A program that
// uses package local calls it when it is started with Options.ShimArgs, before it does anything else, with the arguments
// that follow them. It returns only if it fails, and has told the Spawner then: the caller just exits with a code that is
// not zero and prints nothing.
func ExecShim(args []string) error {
	signal.Reset() // a Stop must end the shim too, also if the program listens for SIGTERM
	status, err := keepStatus()
	if err != nil {
		return err
	}
	err = runShim(args)
	return errors.Join(err, json.NewEncoder(status).Encode(answerOf(err)))
}

// keepStatus saves the status pipe, which is our standard error, from becoming the server's.
func keepStatus() (*os.File, error) {
	fd, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "status"), nil
}

func answerOf(err error) answer {
	if errors.Is(err, errHeld) {
		return answer{Held: true}
	}
	a := answer{Kind: hub.KindOf(err), Message: hub.MessageOf(err), Cause: err.Error()}
	var e *hub.Error
	if errors.As(err, &e) && e.Err != nil {
		a.Cause = e.Err.Error()
	}
	return a
}

func runShim(args []string) error {
	if len(args) != 1 {
		return errors.New("this command is for the hub's own use")
	}
	var o order
	if err := json.NewDecoder(io.LimitReader(os.Stdin, 1<<24)).Decode(&o); err != nil {
		return fmt.Errorf("reading the order: %w", err) // most likely the hub was killed while it wrote
	}
	if o.Dir != args[0] {
		return fmt.Errorf("the order is for another folder: %s", o.Dir)
	}
	lock, err := claim(o)
	if err != nil {
		return err
	}
	if err := openLog(o.Dir, o.Cred); err != nil {
		return err
	}
	return become(o, lock)
}

// claim takes the lock and records this process as the instance. From here on it is, though not ready.
func claim(o order) (*os.File, error) {
	lock, err := lockOrYield(o.Dir, o.Record.Gen)
	if err != nil {
		return nil, err
	}
	old, err := readRecord(o.Dir)
	if err != nil {
		return nil, err
	}
	if old.fences(o.Record.Gen) {
		return nil, conflict(old, o.Record.Gen)
	}
	if live, err := old.alive(); err != nil || live { // it let go of the lock, whatever for
		return nil, errors.Join(err, errHeld)
	}
	r := o.Record
	r.Over = old.Over
	if r.process, err = processOf(os.Getpid()); err != nil {
		return nil, err
	}
	return lock, writeJSON(filepath.Join(o.Dir, recordFile), r)
}

// lockOrYield takes the lock unless somebody else's instance is in the way.
func lockOrYield(dir string, gen int64) (*os.File, error) {
	for end := time.Now().Add(lockPatience); ; time.Sleep(20 * time.Millisecond) {
		lock, err := tryLock(dir)
		if err != nil || lock != nil {
			return lock, err
		}
		r, err := readRecord(dir)
		if err != nil {
			return nil, err
		}
		if r.fences(gen) {
			return nil, conflict(r, gen)
		}
		if live, err := r.alive(); err != nil || live {
			return nil, errors.Join(err, errHeld)
		}
		if time.Now().After(end) {
			return nil, hub.WithCause(hub.Errorf(hub.Unavailable, "A process of the previous server has not ended yet."),
				fmt.Errorf("%s is locked: `fuser -v` says by whom", filepath.Join(dir, lockFile)))
		}
	}
}

// become executes the server. The order of steps matters: folders of users are entered with their rights only.
func become(o order, lock *os.File) error {
	if err := drop(o.Cred); err != nil {
		return fmt.Errorf("becoming the system user: %w", err)
	}
	if err := enter(o.WorkDir); err != nil {
		return hub.WithCause(hub.Errorf(hub.Unavailable, "The work folder of the server cannot be used."), err)
	}
	if err := inherit(lock); err != nil {
		return err
	}
	err := syscall.Exec(o.Path, o.Args, o.Env)
	runtime.KeepAlive(lock) // the collector closes files
	return hub.WithCause(hub.Errorf(hub.Unavailable, "The server program cannot be executed: %s", filepath.Base(o.Path)),
		fmt.Errorf("%s: %w", o.Path, err))
}

func drop(c *credential) error {
	if c == nil {
		return nil
	}
	if err := syscall.Setgroups(c.Groups); err != nil {
		return err
	}
	if err := syscall.Setgid(c.GID); err != nil {
		return err
	}
	return syscall.Setuid(c.UID)
}

func enter(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chdir(dir)
}

// inherit gives the server the lock, and nothing else that this process has open.
func inherit(lock *os.File) error {
	err := unix.CloseRange(3, ^uint(0)>>33, unix.CLOSE_RANGE_CLOEXEC)
	if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) { // before Linux 5.11: Go's own are, anyway
		return err
	}
	_, err = unix.FcntlInt(lock.Fd(), unix.F_SETFD, 0)
	return err
}
