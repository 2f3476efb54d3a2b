// Package proc reads from the kernel what a process of a measurement has used, and starts such processes.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Tick is the unit of processor time in /proc, which Linux fixes for all machines that Go runs on.
const Tick = 10 * time.Millisecond

// CPUTime is the processor time, user and system, that all threads of a process have used since it started.
func CPUTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("processor time (this needs Linux): %w", err)
	}
	// The second field is the program's name in parentheses and may hold anything; the third is the first after it.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("cannot read the processor time of process %d in %q", pid, text)
	}
	user, err1 := strconv.ParseInt(string(fields[11]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("cannot read the processor time of process %d in %q", pid, text)
	}
	return time.Duration(user+system) * Tick, nil
}

// RSS is the resident memory of a process in bytes.
func RSS(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("memory (this needs Linux): %w", err)
	}
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "VmRSS:" {
			kb, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no memory", pid)
}
