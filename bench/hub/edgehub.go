package hub

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/edgehub/edgehub/bench/proc"
)

// edgehub is our side: an etcd and a hub.
type edgehub struct {
	side
	etcd   string
	client *clientv3.Client
}

func newEdgehub(ctx context.Context, o *Options, dir string) (*edgehub, error) {
	e := &edgehub{side: side{name: Edgehub, token: newSecret(), log: filepath.Join(dir, "hub.log")}}
	if err := e.startEtcd(ctx, o, dir); err != nil {
		return e, err
	}
	addr, err := freeAddr()
	if err != nil {
		return e, err
	}
	e.origin = "http://" + addr
	tokenFile, err := write(dir, "token", e.token)
	if err != nil {
		return e, err
	}
	// No server is started: the command is one that exists everywhere.
	config, err := write(dir, "hub.yml", "spawner:\n  command: [/bin/true]\n  auth: secret\n")
	if err != nil {
		return e, err
	}
	e.command = func() *exec.Cmd {
		cmd := exec.Command(o.Program, "hub", "--etcd", e.etcd, "--listen", addr, "--data", filepath.Join(dir, "data"),
			"--bootstrap-token-file", tokenFile, "--config", config, "--log-level", "error")
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
		return cmd
	}
	if _, err = e.start(ctx); err != nil {
		return e, err
	}
	return e, e.makeBoss(ctx)
}

// makeBoss makes an administrator, whose token is used from then on: JupyterHub's side has the same.
func (e *edgehub) makeBoss(ctx context.Context) error {
	if _, err := e.ask(ctx, http.DefaultClient, http.MethodPost, "/hub/api/users/boss", `{"admin": true}`, http.StatusCreated); err != nil {
		return err
	}
	body, err := e.ask(ctx, http.DefaultClient, http.MethodPost, "/hub/api/users/boss/tokens", "{}", http.StatusCreated)
	if err != nil {
		return err
	}
	var answer struct {
		Token string `json:"token"`
	}
	err = json.Unmarshal(body, &answer)
	e.token = answer.Token
	return err
}

// startEtcd starts the etcd of package edge's measurements, whose first line says where it listens.
func (e *edgehub) startEtcd(ctx context.Context, o *Options, dir string) error {
	cmd := exec.Command(o.Program, "bench", "part", "etcd", dir)
	cmd.Env = []string{}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = read.Close() }()
	cmd.Stdout = write
	p, err := proc.Start(ctx, filepath.Join(dir, "etcd-process.log"), cmd)
	_ = write.Close()
	if err != nil {
		return err
	}
	e.parts = append(e.parts, p)
	line, err := bufio.NewReader(read).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	e.etcd = strings.TrimSpace(line)
	e.client, err = clientv3.New(clientv3.Config{Endpoints: []string{e.etcd}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	return err
}

func (e *edgehub) close() {
	if e.client != nil {
		_ = e.client.Close()
	}
	e.stop()
}

// stored is how many bytes etcd needs for what is in it now, without what was before.
func (e *edgehub) stored(ctx context.Context) (int64, error) {
	resp, err := e.client.Get(ctx, "x", clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	if _, err := e.client.Compact(ctx, resp.Header.Revision, clientv3.WithCompactPhysical()); err != nil && resp.Header.Revision > 1 {
		return 0, err
	}
	if _, err := e.client.Defragment(ctx, e.etcd); err != nil {
		return 0, err
	}
	status, err := e.client.Status(ctx, e.etcd)
	if err != nil {
		return 0, err
	}
	return status.DbSizeInUse, nil
}

func newSecret() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
