package operators

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
	"github.com/edgehub/edgehub/test/env"
)

// local swaps the catalogue, which tests cannot reach, for the sources.
var local = []string{"  plugins:\n", "  localPlugins:\n", "      version: v0.1.0\n", ""}

// static writes the manual's static configuration, with the plugin installed as one of its blocks says.
func (p *place) static(t *testing.T, change ...string) string {
	t.Helper()
	pairs := append([]string{`":80"`, p.web, `":443"`, p.websecure, "/etc/traefik/dynamic", filepath.Join(p.dir, "dynamic")}, change...)
	return p.write(t, "traefik.yml", block(t, "traefik.yml", pairs...))
}

func TestFiles(t *testing.T) {
	p := newPlace(t)
	etcd := edgetest.StartEtcd(t, false)
	w := newHub(t, etcd, routes.DefaultPrefix)
	cert, key := p.certificate(t, "hub.example.org")
	p.write(t, "dynamic/hub.yml", block(t, "hub.yml", append(endpoints("http", etcd.Endpoint),
		"/etc/traefik/tls/hub.crt", p.write(t, "hub.crt", cert), "/etc/traefik/tls/hub.key", p.write(t, "hub.key", key))...))
	tr := p.start(t, "--configFile="+p.static(t, local...))
	tr.serves(t, w, "hub.example.org")
	tr.hardened(t, "hub.example.org")
	tr.listensOnlyOn(t, p.web, p.websecure)
	tr.drains(t, w, "hub.example.org")
}

// TestInstallation loads the plugin in the three ways of the manual: what the Dockerfile copies is all that there is.
func TestInstallation(t *testing.T) {
	catalogue := block(t, "catalogue.yml")
	if !strings.Contains(block(t, "traefik.yml"), catalogue) {
		t.Error("traefik.yml installs the plugin in another way than catalogue.yml")
	}
	if got := replaced(t, catalogue, local...); got != block(t, "local.yml") {
		t.Errorf("local.yml is not catalogue.yml with localPlugins and no version:\n%s", got)
	}
	p := newPlace(t)
	if err := os.RemoveAll(filepath.Join(p.dir, "plugins-local")); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(block(t, "Dockerfile"), "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "COPY" {
			p.copy(t, f[1], f[2])
		}
	}
	etcd := edgetest.StartEtcd(t, false)
	w := newHub(t, etcd, routes.DefaultPrefix)
	cert, key := p.certificate(t, "hub.example.org")
	p.write(t, "dynamic/hub.yml", block(t, "hub.yml", append(endpoints("http", etcd.Endpoint),
		"/etc/traefik/tls/hub.crt", p.write(t, "hub.crt", cert), "/etc/traefik/tls/hub.key", p.write(t, "hub.key", key))...))
	tr := p.start(t, "--configFile="+p.static(t, catalogue, block(t, "local.yml")))
	tr.serves(t, w, "hub.example.org")
}

// copy is COPY of a Dockerfile: a file into a folder, or what is in a folder.
func (p *place) copy(t *testing.T, from, to string) {
	t.Helper()
	source, target := filepath.Join(env.Root(), from), filepath.Join(p.dir, to)
	info, err := os.Stat(source)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		err = os.CopyFS(target, os.DirFS(source))
	} else {
		text, readErr := os.ReadFile(source)
		if readErr != nil {
			t.Fatal(readErr)
		}
		p.write(t, filepath.Join(to, from), string(text))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestTraefikDoesNotStartWithoutThePlugin is what abortOnPluginFailure is for.
func TestTraefikDoesNotStartWithoutThePlugin(t *testing.T) {
	p := newPlace(t)
	if err := os.RemoveAll(filepath.Join(p.dir, "plugins-local")); err != nil {
		t.Fatal(err)
	}
	tr := p.start(t, "--configFile="+p.static(t, local...))
	if code := tr.wait(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if !strings.Contains(tr.log(t), "plugin: failed to create plugin builder") {
		t.Error("it ended for another reason than the plugin")
	}
}

// TestEtcdWithTLSAndAUser puts TLS in front of an etcd that asks for a password.
func TestEtcdWithTLSAndAUser(t *testing.T) {
	p := newPlace(t)
	etcd := edgetest.StartEtcd(t, false)
	w := newHub(t, etcd, routes.DefaultPrefix)
	endpoint, ca := secured(t, etcd)
	cert, key := p.certificate(t, "hub.example.org")
	p.write(t, "dynamic/tls.yml", "tls: {certificates: [{certFile: "+p.write(t, "hub.crt", cert)+", keyFile: "+p.write(t, "hub.key", key)+"}]}\n")
	p.write(t, "dynamic/hub.yml", block(t, "hub-etcd-tls.yml", append(endpoints("https", endpoint),
		"/run/secrets/edgehub/password", p.write(t, "password", etcdPassword+"\n"), "/run/secrets/edgehub/ca.crt", p.write(t, "ca.crt", ca))...))
	tr := p.start(t, "--configFile="+p.static(t, local...))
	tr.serves(t, w, "hub.example.org")
	if strings.Contains(tr.log(t), etcdPassword) {
		t.Error("the password is in the log")
	}
}

const etcdPassword = "canary-etcd-password"

// secured makes etcd ask for users, as the manual says, and puts TLS in front of it. From then on nobody else can write.
func secured(t *testing.T, etcd *edgetest.Etcd) (endpoint, ca string) {
	t.Helper()
	ctx, c := context.Background(), etcd.Client
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const tree = "/edgehub/edge/"
	if !strings.Contains(manual(t), "grant-permission --prefix edge read "+tree) {
		t.Error("the manual grants something else than this test")
	}
	must(c.UserAdd(ctx, "root", "root-password"))
	must(c.UserGrantRole(ctx, "root", "root"))
	must(c.UserAdd(ctx, "edge", etcdPassword))
	must(c.RoleAdd(ctx, "edge"))
	must(c.RoleGrantPermission(ctx, "edge", tree, clientv3.GetPrefixRangeEnd(tree), clientv3.PermissionType(clientv3.PermRead)))
	must(c.UserGrantRole(ctx, "edge", "edge"))
	must(c.AuthEnable(ctx))
	return withTLS(t, etcd)
}

func withTLS(t *testing.T, etcd *edgetest.Etcd) (endpoint, ca string) {
	t.Helper()
	target, err := url.Parse(etcd.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	ca, key := newCertificate(t, "etcd")
	pair, err := tls.X509KeyPair([]byte(ca), []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(&httputil.ReverseProxy{FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // one test refuses this certificate
	server.StartTLS()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL, ca
}

// TestUserHosts has the hub on one host and alice's server on another.
func TestUserHosts(t *testing.T) {
	p := newPlace(t)
	etcd := edgetest.StartEtcd(t, false)
	w := newHub(t, etcd, routes.DefaultPrefix)
	cert, key := p.certificate(t, "hub.example.org", "*.hub.example.org")
	p.write(t, "dynamic/hub.yml", block(t, "user-hosts.yml", append(endpoints("http", etcd.Endpoint),
		"/etc/traefik/tls/hub.crt", p.write(t, "hub.crt", cert), "/etc/traefik/tls/hub.key", p.write(t, "hub.key", key))...))
	tr := p.start(t, "--configFile="+p.static(t, local...))
	tr.serves(t, w, "hub.example.org")
	person := []string{"Accept", "text/html"}
	if a := tr.get(t, "https://hub.example.org/user/alice/lab", person...); a.Header.Get("Location") != "https://alice.hub.example.org/user/alice/lab" {
		t.Errorf("a person on the hub's host: %d %v", a.Status, a.Header)
	}
	a := tr.get(t, "https://alice.hub.example.org/user/alice/lab", person...)
	if !strings.HasPrefix(a.Header.Get("Location"), "https://hub.example.org/hub/edge/visit?host=alice.hub.example.org&next=%2Fuser%2Falice%2Flab&") {
		t.Errorf("a person on alice's host: %d %v", a.Status, a.Header)
	}
	cookie := []string{"Cookie", "__Host-edgehub=" + w.HostToken("alice", "alice.hub.example.org")}
	if seen := tr.get(t, "https://alice.hub.example.org/user/alice/lab", cookie...).Seen(); seen == nil || seen.Server != "alice" {
		t.Error("alice's cookie is not good on her host")
	}
	if a := tr.get(t, "https://bob.hub.example.org/user/alice/lab", cookie...); a.Status != 404 {
		t.Errorf("alice's server on bob's host: %d %s", a.Status, a.Body)
	}
	if a := tr.get(t, "https://hub.example.org/user/alice/lab", cookie...); a.Status != 403 {
		t.Errorf("alice's cookie on the hub's host: %d %s", a.Status, a.Body)
	}
}

// TestTwoHubsOnOneHost has the hubs below two paths of a host.
func TestTwoHubsOnOneHost(t *testing.T) {
	p := newPlace(t)
	etcd := edgetest.StartEtcd(t, false)
	teaching, research := newHub(t, etcd, "/edgehub-teaching/"), newHub(t, etcd, "/edgehub-research/")
	p.write(t, "dynamic/hubs.yml", block(t, "two-hubs-one-host.yml", endpoints("http", etcd.Endpoint)...))
	tr := p.start(t, "--configFile="+p.static(t, local...))
	for base, w := range map[string]*edgetest.World{"/teaching/": teaching, "/research/": research} {
		env.Eventually(t, base+" is served", 30*time.Second, func() error {
			if a := tr.get(t, "https://example.org"+base+"user/nobody/api"); a.Status != http.StatusFailedDependency {
				return answerError{a}
			}
			return nil
		})
		for path, c := range map[string]struct {
			world *edgetest.World
			want  int
		}{
			base + "user/alice/api":       {w, 200},
			"/teaching/../user/alice/api": {w, 404},
			"/user/alice/api":             {w, 404},
			base + "user/alice/api?other": {map[bool]*edgetest.World{true: research, false: teaching}[w == teaching], 403},
		} {
			a := tr.get(t, "https://example.org"+path, "Authorization", "token "+c.world.TokenOf("alice"))
			if a.Status != c.want || c.want == 200 && (a.Seen() == nil || a.Seen().Server != "alice") {
				t.Errorf("%s: %d %s, want %d", path, a.Status, a.Body, c.want)
			}
		}
		bare := tr.get(t, "https://example.org"+strings.TrimSuffix(base, "/"), "Accept", "text/html")
		if bare.Status != 302 || bare.Header.Get("Location") != base {
			t.Errorf("%s without the last slash: %d %v", base, bare.Status, bare.Header)
		}
	}
}

// TestTwoHubs shows that hubs behind one Traefik share nothing: the one does not know the other's tokens.
func TestTwoHubs(t *testing.T) {
	p := newPlace(t)
	etcd := edgetest.StartEtcd(t, false)
	physics, maths := newHub(t, etcd, "/edgehub-physics/"), newHub(t, etcd, "/edgehub-maths/")
	p.write(t, "dynamic/hubs.yml", block(t, "two-hubs.yml", endpoints("http", etcd.Endpoint)...))
	tr := p.start(t, "--configFile="+p.static(t, local...))
	tr.serves(t, physics, "physics.example.org")
	tr.serves(t, maths, "maths.example.org")
	a := tr.get(t, "https://maths.example.org/user/alice/api", "Authorization", "token "+physics.TokenOf("alice"))
	if a.Status != 403 || a.Seen() != nil {
		t.Errorf("physics' token at maths: %d %s", a.Status, a.Body)
	}
}
