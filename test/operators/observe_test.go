package operators

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/edgehub/edgehub/controlplane/front"
	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
	"github.com/edgehub/edgehub/test/env"
)

// TestObserved is the manual's access log and metrics: the log says who and why, and the management entry point has the counters of
// the other one, for who has the token, and nothing else.
func TestObserved(t *testing.T) {
	p := newPlace(t)
	management := edgetest.FreeAddr(t)
	config := parse(t, read(t, p.static(t, local...)))
	merge(config, parse(t, block(t, "observed-static.yml", "10.0.0.5:9101", management)))
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	static := p.write(t, "observed.yml", string(text))
	etcd := edgetest.StartEtcd(t, false)
	w := newHub(t, etcd, routes.DefaultPrefix)
	cert, key := p.certificate(t, "hub.example.org")
	p.write(t, "dynamic/tls.yml", "tls: {certificates: [{certFile: "+p.write(t, "hub.crt", cert)+", keyFile: "+p.write(t, "hub.key", key)+"}]}\n")
	p.write(t, "dynamic/hub.yml", block(t, "observed.yml", append(endpoints("http", etcd.Endpoint),
		"/run/secrets/edgehub/status-token", p.write(t, "status-token", edgetest.StatusToken+"\n"))...))
	tr := p.start(t, "--configFile="+static)
	tr.serves(t, w, "hub.example.org")
	tr.hardened(t, "hub.example.org")
	tr.listensOnlyOn(t, p.web, p.websecure, management)
	tr.logsWhoAndWhy(t)

	if status, body := ask(t, management, "/.edgehub/metrics", edgetest.StatusToken); status != http.StatusOK ||
		!strings.Contains(body, "edgehub_edge_routes 1\n") || !strings.Contains(body, `{decision="refuse",status="4xx"}`) {
		t.Errorf("metrics: %d %s", status, body)
	}
	if status, body := ask(t, management, "/.edgehub/ready", ""); status != http.StatusOK || body != "ready\n" {
		t.Errorf("readiness: %d %s", status, body)
	}
	for _, path := range []string{"/.edgehub/metrics", "/user/alice/api", "/hub/home", "/api/rawdata"} {
		if status, body := ask(t, management, path, w.TokenOf("alice")); status != http.StatusNotFound {
			t.Errorf("%s on the management entry point: %d %s", path, status, body)
		}
	}
	for _, secret := range []string{edgetest.StatusToken, w.TokenOf("alice")[:60]} {
		if strings.Contains(tr.log(t), secret) {
			t.Errorf("the log has %s in it", secret)
		}
	}
}

// logsWhoAndWhy looks for what serves has asked for.
func (tr *traefik) logsWhoAndWhy(t *testing.T) {
	t.Helper()
	for _, want := range [][4]string{{"alice", "/user/alice/", "allow", "owner"}, {"bob", "/user/alice/", "refuse", "stranger"},
		{"", "/user/alice/", "signin", "no_credential"}, {"", "", "hub", ""}} {
		env.Eventually(t, "the access log has "+strings.Join(want[:], " "), 20*time.Second, func() error {
			for _, line := range strings.Split(tr.log(t), "\n") {
				var e struct {
					User     string `json:"request_X-Edgehub-User"`
					Server   string `json:"request_X-Edgehub-Server"`
					Decision string `json:"request_X-Edgehub-Decision"`
					Reason   string `json:"request_X-Edgehub-Reason"`
				}
				if json.Unmarshal([]byte(line), &e) == nil && [4]string{e.User, e.Server, e.Decision, e.Reason} == want {
					return nil
				}
			}
			return os.ErrNotExist
		})
	}
}

// merge lays more over a configuration.
func merge(s, more section) {
	for key, value := range more {
		below, ok := s[key].(section)
		if over, both := value.(section); ok && both {
			merge(below, over)
			continue
		}
		s[key] = value
	}
}

// ask is a GET of an entry point by its address, as Prometheus does it.
func ask(t *testing.T, addr, path, token string) (int, string) {
	t.Helper()
	r := request(t, "http://"+addr+path, addr)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}}}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestUpWritesTheAccessLogOfTheManual compares the two configurations that keep the edge's fields.
func TestUpWritesTheAccessLogOfTheManual(t *testing.T) {
	static := parse(t, block(t, "traefik.yml"))
	merge(static, parse(t, block(t, "observed-static.yml")))
	up := &front.Traefik{Dir: t.TempDir(), Listen: "127.0.0.1:8000", AccessLog: "access.log",
		Plugin: &plugin.Config{Etcd: []string{"unix:///etcd.sock"}, LogFields: true}}
	if err := up.Write(); err != nil {
		t.Fatal(err)
	}
	want := dig(static, "accessLog").(section)
	want["filePath"] = "access.log"
	got, _ := dig(parse(t, read(t, filepath.Join(up.Dir, "traefik.yml"))), "accessLog").(section)
	a, _ := json.Marshal(want)
	b, _ := json.Marshal(got)
	if string(a) != string(b) {
		t.Errorf("`edgehub up` writes %s, the manual says %s", b, a)
	}
}
