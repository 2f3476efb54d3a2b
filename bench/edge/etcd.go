package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd is an etcd with its data in dir. It listens on TCP, because Traefik's own provider cannot use a Unix socket.
func runEtcd(ctx context.Context, dir string, out io.Writer) error {
	addr, err := freeAddr()
	if err != nil {
		return err
	}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = "bench", filepath.Join(dir, "etcd")
	client := url.URL{Scheme: "http", Host: addr}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	// A single member has no peers. It needs a name to be known by, but no port.
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{{Scheme: "http", Host: "localhost:1"}}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.LogLevel, cfg.LogOutputs = "error", []string{filepath.Join(dir, "etcd.log")}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	defer e.Close()
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		return err
	case <-ctx.Done():
		return nil
	}
	_, _ = fmt.Fprintln(out, client.String())
	select {
	case err := <-e.Err():
		return errors.Join(errors.New("etcd ended"), err)
	case <-ctx.Done():
		return nil
	}
}
