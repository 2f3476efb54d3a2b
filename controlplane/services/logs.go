package services

import (
	"fmt"
	"io"
	"os"
	"time"
)

// maxLog is how large a service's log gets, in bytes; logLookEvery is how often that is looked at.
const (
	maxLog       = 10 << 20
	logLookEvery = time.Second
)

// keepLogShort keeps the log of a service, which may run for years, from filling the disk: a long one is copied over the one
// before, and begins anew. The service goes on writing to the same file; a line of that very moment may be lost.
func keepLogShort(log *os.File, limit int64) {
	for {
		time.Sleep(logLookEvery)
		if info, err := log.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > limit {
			_ = moveLog(log) // tried again in a moment
		}
	}
}

func moveLog(log *os.File) error {
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", log.Fd()))
	if err != nil {
		return err
	}
	from, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(name+".1", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(to, from); err == nil {
		err = log.Truncate(0)
	}
	if closed := to.Close(); err == nil {
		err = closed
	}
	return err
}
