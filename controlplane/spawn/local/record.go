package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/edgehub/edgehub/controlplane/hub"
	"golang.org/x/sys/unix"
)

const (
	recordFile = "instance.json"
	exitFile   = "exit.json"
	lockFile   = "lock"
	logFile    = "server.log"
)

// record is what a folder says about the newest instance. It is written only under the lock, and stays when the process
// is gone: its generations fence.
type record struct {
	process
	Gen int64 `json:"gen"`
	// Over is the highest generation that was stopped: none up to it may start any more.
	Over int64  `json:"over,omitempty"`
	URL  string `json:"url,omitempty"`
	Port int    `json:"port,omitempty"`
	Auth string `json:"auth,omitempty"`
	// Seals recognise the secrets of the instance in its log.
	Seals seals `json:"seals,omitzero"`
}

// process names one process for good: ids are used again, ids with start times are not.
type process struct {
	PID   int    `json:"pid,omitempty"`
	Start uint64 `json:"start,omitempty"` // in clock ticks since boot, as in /proc/<pid>/stat
	Boot  string `json:"boot,omitempty"`
}

// state is what of a record goes into hub.Instance.State.
type state struct {
	process
	Gen  int64 `json:"gen"`
	Port int   `json:"port"`
}

func (r record) instance() (hub.Instance, error) {
	data, err := json.Marshal(state{r.process, r.Gen, r.Port})
	return hub.Instance{URL: r.URL, Auth: r.Auth, State: data}, err
}

// fences reports whether an instance with generation gen may not start any more.
func (r record) fences(gen int64) bool { return gen < r.Gen || gen <= r.Over }

// ours reports whether the record is the one of generation gen, which is to be adopted if it lives.
func (r record) ours(gen int64) bool { return r.Gen == gen && gen > r.Over }

var namePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@+-]{0,200}$`)

// folder is where the files of an instance are.
func (s *Spawner) folder(name string) (string, error) {
	if !namePattern.MatchString(name) {
		return "", hub.Errorf(hub.Invalid, "Invalid instance name: %s", hub.Clip(name))
	}
	return filepath.Join(s.opt.Dir, name), nil
}

// readRecord gives the zero record if there is none. A file that cannot be read is an error: nothing is known then.
func readRecord(dir string) (record, error) {
	var r record
	err := readJSON(filepath.Join(dir, recordFile), &r)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return r, err
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// writeJSON replaces the file at once: whoever reads it sees the old or the new content, after a power cut too.
func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temp := path + ".tmp"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// tryLock takes the lock of a folder. It gives nil if a process has it. The file is opened for reading only, because the
// server process inherits it.
func tryLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDONLY|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, err
}
