package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/edgehub/edgehub/routes"
)

// chpVersion is the configurable-http-proxy that is installed where there is none.
const chpVersion = "5.3.0"

// findCHP returns the program, installing it into the cache where npm is there. The error says why there is none.
func (o *Options) findCHP(ctx context.Context) (string, error) {
	if path, err := exec.LookPath("configurable-http-proxy"); err == nil {
		return path, nil
	}
	dir := filepath.Join(cacheDir(), "chp-"+chpVersion)
	program := filepath.Join(dir, "node_modules", ".bin", "configurable-http-proxy")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", fmt.Errorf("neither configurable-http-proxy nor npm is on PATH")
	}
	o.say("installing configurable-http-proxy %s into %s", chpVersion, dir)
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir,
		"configurable-http-proxy@"+chpVersion)
	if text, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(dir)
		return "", fmt.Errorf("npm cannot install it: %w %s", err, bytes.TrimSpace(text))
	}
	return program, nil
}

// startCHP starts configurable-http-proxy and gives it the routes through its API, as JupyterHub does. It has nothing to
// verify: with JupyterHub that is the user server's business.
func (w *world) startCHP(ctx context.Context, s *side) (err error) {
	if s.addr, err = freeAddr(); err != nil {
		return err
	}
	api, err := freeAddr()
	if err != nil {
		return err
	}
	host, port, _ := strings.Cut(s.addr, ":")
	apiHost, apiPort, _ := strings.Cut(api, ":")
	s.proxy, err = w.startProcess(ctx, "chp", w.dir, w.opts.chp, "--ip", host, "--port", port,
		"--api-ip", apiHost, "--api-port", apiPort, "--default-target", "http://127.0.0.1:9", "--log-level", "error")
	if err != nil {
		return err
	}
	base := "http://" + api + "/api/routes"
	if err := s.awaitAPI(ctx, base+"/"); err != nil {
		return err
	}
	const atOnce = 8
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}
	defer client.CloseIdleConnections()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i := range w.opts.Routes {
		url := base + strings.TrimSuffix(routes.UserPrefix(userName(i), ""), "/")
		group.Go(func() error { return postRoute(ctx, client, url, "http://"+w.backend) })
	}
	return group.Wait()
}

// awaitAPI returns when the proxy's API answers.
func (s *side) awaitAPI(ctx context.Context, url string) error {
	for deadline := time.Now().Add(readyTime); ; {
		resp, err := http.Get(url)
		if err == nil {
			return resp.Body.Close()
		}
		if s.proxy.ended() || time.Now().After(deadline) || ctx.Err() != nil {
			return s.failed(ctx, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func postRoute(ctx context.Context, client *http.Client, url, target string) error {
	text, err := json.Marshal(map[string]string{"target": target})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("configurable-http-proxy does not take a route: %s", resp.Status)
	}
	// A connection can be used again when its answer has been read.
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
