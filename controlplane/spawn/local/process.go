package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processOf names the process that has an id now.
func processOf(pid int) (process, error) {
	st, err := readStat(pid)
	if err != nil {
		return process{}, err
	}
	boot, err := bootID()
	return process{PID: pid, Start: st.start, Boot: boot}, err
}

// alive reports whether the process exists and has not ended. An error means unknown.
func (p process) alive() (bool, error) {
	if p.PID == 0 {
		return false, nil
	}
	boot, err := bootID()
	if err != nil || boot != p.Boot {
		return false, err
	}
	st, err := readStat(p.PID)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return st.start == p.Start && st.state != 'Z' && st.state != 'X', nil
}

// stat is what we need of /proc/<pid>/stat.
type stat struct {
	state           byte
	parent, session int
	start           uint64
}

func readStat(pid int) (stat, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	// The second field is the program's name in parentheses, and may hold both.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("%s: cannot be understood", path)
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	session, err2 := strconv.Atoi(string(fields[3]))
	start, err3 := strconv.ParseUint(string(fields[19]), 10, 64)
	return stat{state: fields[0][0], parent: parent, session: session, start: start}, errors.Join(err1, err2, err3)
}

func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}

// handle means one process for good, even when its id is used again. It is a pidfd in Go's poller: waiting costs no thread
// and no polling, and works for processes that are not our children.
type handle struct {
	pid int
	fd  *os.File
}

func openProcess(pid int) (*handle, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &handle{pid, os.NewFile(uintptr(fd), "pidfd")}, nil
}

// openLiving gives nil if the process is gone.
func openLiving(p process) (*handle, error) {
	if live, err := p.alive(); !live {
		return nil, err
	}
	h, err := openProcess(p.PID)
	if errors.Is(err, unix.ESRCH) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if live, err := p.alive(); !live { // so the handle means p and no later process
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *handle) close() error { return h.fd.Close() }

// wait returns when the process with all its threads has ended, or when ctx has.
func (h *handle) wait(ctx context.Context) error {
	conn, err := h.fd.SyscallConn()
	if err != nil {
		return err
	}
	if err := h.fd.SetReadDeadline(time.Time{}); err != nil { // of the wait before
		return err
	}
	set := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(set)
		_ = h.fd.SetReadDeadline(time.Unix(1, 0))
	})
	err = conn.Read(ended)
	if !stop() {
		<-set // or it would hit the next wait
		return ctx.Err()
	}
	return err
}

// ended asks without waiting: a pidfd can be read from once its process is gone.
func ended(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if !errors.Is(err, unix.EINTR) {
			return n > 0 || err != nil
		}
	}
}

// waitFor is wait with a limit. It reports whether the process has ended; an error means that ctx has.
func (h *handle) waitFor(ctx context.Context, limit time.Duration) (bool, error) {
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := h.wait(short)
	if err == nil {
		return true, nil
	}
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return false, err
}

// signal reaches this process only.
func (h *handle) signal(sig unix.Signal) error {
	conn, err := h.fd.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = conn.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	return gone(errors.Join(err, sent))
}

// signalGroup reaches the process group that h leads.
func (h *handle) signalGroup(sig unix.Signal) error { return gone(unix.Kill(-h.pid, sig)) }

// gone forgives a signal to what does not exist any more.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}

// pause waits a little for what the kernel cannot tell us about: a lock to be free.
func pause(ctx context.Context) error {
	t := time.NewTimer(20 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
