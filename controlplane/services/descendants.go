package services

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// killDescendants kills children until the kernel says that there are none: each round makes those of the killed ours.
func killDescendants() {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for _, pid := range children() {
			_ = unix.Kill(pid, unix.SIGKILL) // gone already, then
		}
		for { // whatever has ended
			got, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if errors.Is(err, syscall.ECHILD) {
				return
			}
			if got <= 0 {
				break
			}
		}
	}
}

// children are the processes whose parent this is. /proc/PID/task/TID/children would be quicker, but not every kernel has it, and
// it may leave some out while others end.
func children() []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is good
	self := os.Getpid()
	var pids []int
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // gone
		}
		// The second field is the program's name in parentheses, and may hold both.
		fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
		if len(fields) < 2 || string(fields[1]) != strconv.Itoa(self) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(name, "/proc/%d/stat", &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}
