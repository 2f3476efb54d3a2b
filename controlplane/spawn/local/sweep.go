package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// sweep kills what servers of a folder up to generation gen left behind: kernels, which have process groups of their own,
// and daemons. It looks until it finds nothing, because what is killed may have forked meanwhile.
func sweep(ctx context.Context, dir string, gen int64) error {
	for end := time.Now().Add(killPatience); time.Now().Before(end); {
		found, err := descendants(dir, gen)
		if err != nil || len(found) == 0 {
			return err
		}
		for _, p := range found {
			if err := kill(ctx, p, end); err != nil {
				return err
			}
		}
	}
	return errors.New("processes of the server do not end though they were killed")
}

func kill(ctx context.Context, p process, end time.Time) error {
	h, err := openLiving(p)
	if err != nil || h == nil {
		return err
	}
	defer h.close()
	if err := h.signal(unix.SIGKILL); err != nil {
		return err
	}
	_, err = h.waitFor(ctx, time.Until(end))
	return err
}

// descendants lists the live processes that carry the mark of the folder with a generation up to gen.
func descendants(dir string, gen int64) ([]process, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []process
	for _, name := range names {
		pid, err := strconv.Atoi(name.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		st, err := readStat(pid)
		if err != nil || st.state == 'Z' || st.state == 'X' || !carries(pid, dir, gen) {
			continue
		}
		found = append(found, process{PID: pid, Start: st.start, Boot: boot})
	}
	return found, nil
}

func carries(pid int, dir string, gen int64) bool {
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false // gone, or somebody else's
	}
	for entry := range bytes.SplitSeq(env, []byte{0}) {
		if g, ok := marked(string(entry), dir); ok {
			return g <= gen
		}
	}
	return false
}
