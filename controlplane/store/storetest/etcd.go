package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/etcd"
)

// Patience is how long a test waits for what must happen. It is long because machines of CI are slow, and only a test that
// fails waits for it.
const Patience = 30 * time.Second

// Etcd is one running etcd of one member.
type Etcd struct {
	dir  string
	stop func()
}

// Start runs an etcd for one test, and ends it with the test.
func Start(t testing.TB) *Etcd {
	t.Helper()
	e, err := start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.close)
	return e
}

// start does not use t.TempDir, whose paths can be too long for a Unix socket.
func start() (*Etcd, error) {
	dir, err := os.MkdirTemp("", "etcd-")
	if err != nil {
		return nil, err
	}
	e := &Etcd{dir: dir, stop: func() {}}
	if err := e.run(); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *Etcd) close() {
	e.stop()
	_ = os.RemoveAll(e.dir)
}

// Endpoint is where clients reach it.
func (e *Etcd) Endpoint() string { return "unix://" + e.socket() }

func (e *Etcd) socket() string { return filepath.Join(e.dir, "client.sock") }

// Stop ends etcd. Its data stays for Restart.
func (e *Etcd) Stop() {
	e.stop()
	e.stop = func() {}
}

// Restart runs etcd again, at the same address and with its data.
func (e *Etcd) Restart(t testing.TB) {
	t.Helper()
	e.Stop()
	if err := e.run(); err != nil {
		t.Fatal(err)
	}
}

// Compact drops everything before the current revision.
func (e *Etcd) Compact(t testing.TB, client *clientv3.Client) {
	t.Helper()
	now, err := client.Get(t.Context(), "/")
	if err == nil {
		_, err = client.Compact(t.Context(), now.Header.Revision)
	}
	if err != nil {
		t.Fatalf("compact: %v", err)
	}
}

func (e *Etcd) run() error {
	if program := os.Getenv("EDGEHUB_TEST_ETCD"); program != "" {
		return e.execute(program)
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	s, err := etcd.Start(ctx, filepath.Join(e.dir, "data"), e.socket(), filepath.Join(e.dir, "log"))
	if err == nil {
		e.stop = s.Stop
	}
	return err
}

// execute runs the program and waits until it answers.
func (e *Etcd) execute(program string) error {
	if err := os.Remove(e.socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	peer := "unix://" + filepath.Join(e.dir, "peer.sock")
	cmd := exec.Command(program, "--name", "test", "--data-dir", filepath.Join(e.dir, "data"), "--unsafe-no-fsync",
		"--listen-client-urls", e.Endpoint(), "--advertise-client-urls", e.Endpoint(),
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "test="+peer,
		"--log-level", "warn", "--log-outputs", filepath.Join(e.dir, "log"))
	// A test that is killed takes its etcd along.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := make(chan struct{})
	if err := startOnOwnThread(cmd, ended); err != nil {
		return fmt.Errorf("start the etcd in EDGEHUB_TEST_ETCD: %w", err)
	}
	e.stop = func() {
		_ = cmd.Process.Kill() // as hard as a crash: what was acknowledged must be there afterwards
		<-ended
	}
	return e.await(ended)
}

// startOnOwnThread starts cmd on a thread that lives as long as cmd, because the death signal is sent when the thread that
// started a process ends.
func startOnOwnThread(cmd *exec.Cmd, ended chan<- struct{}) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return <-started
}

func (e *Etcd) await(ended <-chan struct{}) error {
	client, err := dial(e.Endpoint())
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for {
		if _, err = client.Get(ctx, "/"); err == nil {
			return nil
		}
		select {
		case <-ended:
			log, _ := os.ReadFile(filepath.Join(e.dir, "log"))
			return fmt.Errorf("etcd ended: %s", log)
		case <-ctx.Done():
			return fmt.Errorf("etcd does not answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
