// Package etcd runs an etcd inside the process, for hubs on one machine. Clients reach it through a Unix socket in a folder
// that only the hub's own account can open: servers of users run on the same machine and must not reach the hub's records.
//
// Invariant: it is an ordinary etcd with an ordinary data directory. Moving to a cluster is a snapshot and another address.
package etcd

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// maxSocketPath is what Linux allows in sun_path, with its NUL.
const maxSocketPath = 107

// ProgressInterval is how often an idle watch hears from the embedded etcd, so that a dead one is noticed.
const ProgressInterval = 5 * time.Second

// Server is a running etcd.
type Server struct {
	etcd     *embed.Etcd
	endpoint string
}

// Start runs etcd with its data in dir and its socket at socket, and returns when it serves. ctx bounds the wait.
func Start(ctx context.Context, dir, socket, logFile string) (*Server, error) {
	if len(socket) > maxSocketPath {
		return nil, hub.Errorf(hub.Invalid, "The data directory's path is too long for a Unix socket (%s). Choose a shorter one with --data.", socket)
	}
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	cfg := config(dir, socket, logFile)
	e, err := startEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start the embedded etcd: %w (its log is %s)", err, logFile)
	}
	s := &Server{etcd: e, endpoint: "unix://" + socket}
	select {
	case <-e.Server.ReadyNotify():
		return s, nil
	case err := <-e.Err():
		s.Stop()
		return nil, fmt.Errorf("the embedded etcd ended: %w (its log is %s)", err, logFile)
	case <-ctx.Done():
		s.Stop()
		return nil, fmt.Errorf("the embedded etcd is not ready: %w (its log is %s)", ctx.Err(), logFile)
	}
}

// startEtcd turns the panic with which etcd answers to a damaged log of writes into an error.
func startEtcd(cfg *embed.Config) (e *embed.Etcd, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the stored data in %s cannot be read (%v). Restore it from a backup", cfg.Dir, p)
		}
	}()
	return embed.StartEtcd(cfg)
}

func config(dir, socket, logFile string) *embed.Config {
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = "edgehub", dir
	client := url.URL{Scheme: "unix", Path: socket}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	// A single member has no peers. It needs a name to be known by, but no port.
	peer := url.URL{Scheme: "http", Host: "localhost:1"}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModePeriodic, "1h"
	cfg.WatchProgressNotifyInterval = ProgressInterval
	cfg.LogLevel, cfg.LogOutputs = "warn", []string{logFile}
	return cfg
}

// Endpoint is where clients reach it.
func (s *Server) Endpoint() string { return s.endpoint }

// Err delivers the error when etcd ends by itself.
func (s *Server) Err() <-chan error { return s.etcd.Err() }

// Stop ends etcd. Everything acknowledged is on disk already.
func (s *Server) Stop() { s.etcd.Close() }
