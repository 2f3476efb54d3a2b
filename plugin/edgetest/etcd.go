// Package edgetest is the suite that the edge must pass, compiled and under Yaegi, and the world that it runs in: a real
// etcd, user servers that report what reached them, and a stand-in for the control plane.
//
// It does not import the edge: whoever runs the suite says how one is made.
package edgetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// Etcd is a running etcd member: the only one, or one of a Cluster.
type Etcd struct {
	Endpoint string // http://host:port, or unix:///path
	Client   *clientv3.Client

	// Program is what Start runs, if it is not empty: by default the one that EDGEHUB_TEST_ETCD names, or an embedded etcd.
	Program string

	settings  Settings
	name      string
	dir       string
	listen    string
	peer      string // where it listens for other members
	advertise string // where other members reach it
	initial   string // NAME=URL,... of the first members
	joins     bool   // a cluster that exists
	process   *os.Process
	stop      func()
}

// Settings are what some tests need of an etcd.
type Settings struct {
	Addr              string // host:port to listen at; empty for any free one
	CertFile, KeyFile string // for https
	ClientCAFile      string // clients must show a certificate of this authority
	TokenTTL          int    // seconds
}

// progressInterval is how often the test etcd sends progress on idle watches.
const progressInterval = time.Second

// StartEtcd starts an etcd of its own for one test, listening on a TCP port or on a unix socket: the program that
// EDGEHUB_TEST_ETCD names, or an embedded one.
func StartEtcd(t testing.TB, unix bool) *Etcd {
	t.Helper()
	return startEtcd(t, unix, Settings{})
}

// StartEtcdWith starts one with settings. With https the test makes its own Client.
func StartEtcdWith(t testing.TB, settings Settings) *Etcd {
	t.Helper()
	return startEtcd(t, false, settings)
}

func startEtcd(t testing.TB, unix bool, settings Settings) *Etcd {
	t.Helper()
	dir, err := os.MkdirTemp("", "edgetest") //nolint:usetesting // t.TempDir is too long for the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	e := newEtcd(t, dir)
	if unix {
		e.listen = "unix://" + filepath.Join(dir, "etcd.sock")
		e.Endpoint = e.listen
	}
	e.settings = settings
	if settings.Addr != "" {
		e.listen = "http://" + settings.Addr
		e.Endpoint = e.listen
	}
	if settings.CertFile != "" {
		e.listen = "https" + strings.TrimPrefix(e.listen, "http")
		e.Endpoint = e.listen
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	if settings.CertFile != "" {
		return e
	}
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
		e := newEtcd(t, dir)
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

func newEtcd(t testing.TB, dir string) *Etcd {
	e := &Etcd{dir: dir, name: "default", listen: "http://" + FreeAddr(t), peer: "http://" + FreeAddr(t)}
	e.Endpoint = e.listen
	e.advertise = e.peer
	e.initial = e.name + "=" + e.peer
	return e
}

// Start starts a stopped etcd again, with the data it had.
func (e *Etcd) Start() error {
	if program := cmp.Or(e.Program, os.Getenv("EDGEHUB_TEST_ETCD")); program != "" {
		return e.startProgram(program)
	}
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(e.dir, "data")
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = urls(e.listen), urls(e.listen)
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = urls(e.peer), urls(e.advertise)
	cfg.Name, cfg.InitialCluster = e.name, e.initial
	if e.joins {
		cfg.ClusterState = embed.ClusterStateFlagExisting
	}
	cfg.ClientTLSInfo.CertFile, cfg.ClientTLSInfo.KeyFile = e.settings.CertFile, e.settings.KeyFile
	cfg.ClientTLSInfo.TrustedCAFile, cfg.ClientTLSInfo.ClientCertAuth = e.settings.ClientCAFile, e.settings.ClientCAFile != ""
	if e.settings.TokenTTL > 0 {
		cfg.AuthTokenTTL = uint(e.settings.TokenTTL)
	}
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
		return errors.New("etcd was not ready in time")
	}
	e.stop = server.Close
	return nil
}

func (e *Etcd) startProgram(program string) error {
	cmd := exec.Command(program, append(e.flags(), "--data-dir", filepath.Join(e.dir, "data"), "--unsafe-no-fsync",
		"--listen-client-urls", e.listen, "--advertise-client-urls", e.listen,
		"--listen-peer-urls", e.peer, "--initial-advertise-peer-urls", e.advertise, "--name", e.name, "--initial-cluster", e.initial,
		"--watch-progress-notify-interval", progressInterval.String(), "--log-level", "error")...)
	if err := cmd.Start(); err != nil {
		return err
	}
	e.process = cmd.Process
	e.stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	return e.answers()
}

// flags are those of the settings.
func (e *Etcd) flags() []string {
	flags := []string{}
	if e.joins {
		flags = append(flags, "--initial-cluster-state", "existing")
	}
	if e.settings.CertFile != "" {
		flags = append(flags, "--cert-file", e.settings.CertFile, "--key-file", e.settings.KeyFile)
	}
	if e.settings.ClientCAFile != "" {
		flags = append(flags, "--trusted-ca-file", e.settings.ClientCAFile, "--client-cert-auth")
	}
	if e.settings.TokenTTL > 0 {
		flags = append(flags, "--auth-token-ttl", strconv.Itoa(e.settings.TokenTTL))
	}
	return flags
}

// answers waits until etcd answers. With TLS or authentication a refusal is an answer too.
func (e *Etcd) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if e.settings.CertFile != "" {
		return e.listens(ctx)
	}
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{e.listen}, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		_, err := c.Get(ctx, "ready")
		if err == nil || errors.Is(err, rpctypes.ErrUserEmpty) {
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
	}
}

// listens waits until somebody accepts connections.
func (e *Etcd) listens(ctx context.Context) error {
	_, addr, _ := strings.Cut(e.listen, "://")
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
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

// Save keeps a copy of the data of a stopped etcd, and Restore puts it back.
func (e *Etcd) Save(t testing.TB) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(e.dir, "saved"), os.DirFS(filepath.Join(e.dir, "data"))); err != nil {
		t.Fatal(err)
	}
}

// Restore makes a stopped etcd start with the data that Save has kept, as after the restore of a backup.
func (e *Etcd) Restore(t testing.TB) {
	t.Helper()
	e.Wipe(t)
	if err := os.Rename(filepath.Join(e.dir, "saved"), filepath.Join(e.dir, "data")); err != nil {
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
