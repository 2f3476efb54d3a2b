package etcd_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/edgehub/edgehub/controlplane/etcd"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// shortDir is a directory of the test, with a short path.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd-") //nolint:usetesting // t.TempDir's paths are too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, dir string) *etcd.Server {
	t.Helper()
	s, err := etcd.Start(t.Context(), filepath.Join(dir, "data"), filepath.Join(dir, "run", "etcd.sock"), filepath.Join(dir, "etcd.log"))
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	return s
}

func client(t *testing.T, s *etcd.Server) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint()}, DialTimeout: 3 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestEmbedded checks that records survive a restart and that other accounts of the machine cannot reach them.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	s := start(t, dir)
	if _, err := client(t, s).Put(t.Context(), "/k", "v"); err != nil {
		t.Fatalf("put: %v", err)
	}
	for _, path := range []string{filepath.Join(dir, "run"), filepath.Join(dir, "data")} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v, %v; want it closed to others", path, info.Mode(), err)
		}
	}
	wantNoPorts(t)
	s.Stop()
	select {
	case err, open := <-s.Err():
		if open && err != nil {
			t.Errorf("Err after Stop: %v", err)
		}
	default:
	}

	if err := os.WriteFile(filepath.Join(dir, "run", "etcd.sock"), nil, 0o600); err != nil { // what a crash leaves
		t.Fatal(err)
	}
	s = start(t, dir)
	defer s.Stop()
	got, err := client(t, s).Get(t.Context(), "/k")
	if err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "v" {
		t.Errorf("after a restart: got %v, %v; want the record", got, err)
	}
}

// wantNoPorts fails the test if this process listens on TCP.
func wantNoPorts(t *testing.T) {
	t.Helper()
	own := map[string]bool{}
	_ = filepath.WalkDir("/proc/self/fd", func(path string, _ fs.DirEntry, _ error) error {
		if link, err := os.Readlink(path); err == nil {
			own[link] = true
		}
		return nil
	})
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		data, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && own["socket:["+f[9]+"]"] {
				t.Errorf("etcd listens on TCP: %s", f[1])
			}
		}
	}
}

func TestLongPathIsRefused(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), strings.Repeat("x", 100), "etcd.sock")
	_, err := etcd.Start(t.Context(), t.TempDir(), socket, "")
	if hub.KindOf(err) != hub.Invalid || !strings.Contains(hub.MessageOf(err), "--data") {
		t.Errorf("got %v, want an error that names the option", err)
	}
}
