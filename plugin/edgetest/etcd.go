// Package edgetest is the suite that the edge must pass, compiled and under Yaegi, and the world that it runs in: a real
// etcd, user servers that report what reached them, and a stand-in for the control plane.
//
// It does not import the edge: whoever runs the suite says how one is made.
package edgetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// Etcd is a running etcd with one member.
type Etcd struct {
	Endpoint string // http://host:port, or unix:///path
	Client   *clientv3.Client

	dir    string
	listen string
	peer   string
	stop   func()
}

// progressInterval is how often the test etcd sends progress on idle watches.
const progressInterval = time.Second

// StartEtcd starts an etcd of its own for one test, listening on a TCP port or on a unix socket: the program that
// EDGEHUB_TEST_ETCD names, or an embedded one.
func StartEtcd(t testing.TB, unix bool) *Etcd {
	t.Helper()
	dir, err := os.MkdirTemp("", "edgetest") //nolint:usetesting // t.TempDir is too long for the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	e := &Etcd{dir: dir, listen: "http://" + FreeAddr(t), peer: "http://" + FreeAddr(t)}
	e.Endpoint = e.listen
	if unix {
		e.listen = "unix://" + filepath.Join(dir, "etcd.sock")
		e.Endpoint = e.listen
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	e.Client, err = clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Client.Close() })
	return e
}

var (
	sharedOnce sync.Once
	sharedEtcd *Etcd
	sharedErr  error
)

// SharedEtcd is one etcd for all tests of the process that need no more than a prefix of their own.
func SharedEtcd(t testing.TB) *Etcd {
	t.Helper()
	sharedOnce.Do(func() {
		dir, err := os.MkdirTemp("", "edgetest") //nolint:usetesting // it outlives the test
		if err != nil {
			sharedErr = err
			return
		}
		e := &Etcd{dir: dir, listen: "http://" + FreeAddr(t), peer: "http://" + FreeAddr(t)}
		e.Endpoint = e.listen
		if sharedErr = e.Start(); sharedErr != nil {
			return
		}
		e.Client, sharedErr = clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint}, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
		sharedEtcd = e
	})
	if sharedErr != nil {
		t.Fatal(sharedErr)
	}
	return sharedEtcd
}

// StopSharedEtcd ends it and removes its data. TestMain calls it.
func StopSharedEtcd() {
	if sharedEtcd != nil {
		sharedEtcd.Client.Close()
		sharedEtcd.Stop()
		os.RemoveAll(sharedEtcd.dir)
	}
}

// Start starts a stopped etcd again, with the data it had.
func (e *Etcd) Start() error {
	if program := os.Getenv("EDGEHUB_TEST_ETCD"); program != "" {
		return e.startProgram(program)
	}
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(e.dir, "data")
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = urls(e.listen), urls(e.listen)
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = urls(e.peer), urls(e.peer)
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.WatchProgressNotifyInterval = progressInterval
	cfg.UnsafeNoFsync = true
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	select {
	case <-server.Server.ReadyNotify():
	case <-time.After(20 * time.Second):
		server.Close()
		return fmt.Errorf("etcd was not ready in time")
	}
	e.stop = server.Close
	return nil
}

func (e *Etcd) startProgram(program string) error {
	cmd := exec.Command(program, "--data-dir", filepath.Join(e.dir, "data"), "--unsafe-no-fsync",
		"--listen-client-urls", e.listen, "--advertise-client-urls", e.listen,
		"--listen-peer-urls", e.peer, "--initial-advertise-peer-urls", e.peer, "--initial-cluster", "default="+e.peer,
		"--watch-progress-notify-interval", progressInterval.String(), "--log-level", "error")
	if err := cmd.Start(); err != nil {
		return err
	}
	e.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{e.Endpoint}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		_, err := c.Get(ctx, "ready")
		if err == nil || errors.Is(err, rpctypes.ErrUserEmpty) { // with authentication a refusal is an answer too
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
	}
}

// Stop ends etcd and keeps its data.
func (e *Etcd) Stop() {
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

// Wipe makes a stopped etcd start empty, as another cluster.
func (e *Etcd) Wipe(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(e.dir, "data")); err != nil {
		t.Fatal(err)
	}
}

func urls(raw string) []url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return []url.URL{*u}
}

// FreeAddr is an address on which nobody listens, and nobody else will: connections and other tests' listeners have 127.0.0.1.
// Linux has all of 127.0.0.0/8.
func FreeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 1+rand.Intn(254), rand.Intn(256), 1+rand.Intn(254)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
