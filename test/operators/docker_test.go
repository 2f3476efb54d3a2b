package operators

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// TestDockerLabels starts Traefik with the command of the compose file, and has Docker tell it of one container: itself, with
// the labels of the compose file.
func TestDockerLabels(t *testing.T) {
	p := newPlace(t)
	etcd := edgetest.StartEtcd(t, false)
	w := newHub(t, etcd, routes.DefaultPrefix)
	compose := parse(t, block(t, "compose.yml", endpoints("http", etcd.Endpoint)...))
	service, _ := dig(compose, "services", "traefik").(section)
	docker := newDocker(t, labels(t, service))
	args := p.arguments(t, texts(t, service["command"]), ":80", ":443")
	tr := p.start(t, append(args, "--providers.docker.endpoint="+docker)...)
	tr.serves(t, w, "hub.example.org")
	tr.hardened(t, "hub.example.org")
	tr.listensOnlyOn(t, p.web, p.websecure)
	if got := texts(t, service["ports"]); strings.Join(got, " ") != "80:80 443:443" {
		t.Errorf("the compose file publishes %q", got)
	}
}

func labels(t *testing.T, service section) map[string]string {
	t.Helper()
	all := map[string]string{}
	found, _ := service["labels"].(section)
	for name, value := range found {
		text, ok := value.(string)
		if !ok {
			t.Errorf("the label %s is no text but %v: Docker refuses that", name, value)
		}
		all[name] = text
	}
	return all
}

// texts is a list of strings in YAML.
func texts(t *testing.T, v any) []string {
	t.Helper()
	list, _ := v.([]any)
	all := make([]string, 0, len(list))
	for _, x := range list {
		text, ok := x.(string)
		if !ok {
			t.Fatalf("%v is no text", x)
		}
		all = append(all, text)
	}
	return all
}

// arguments are those of the manual with the addresses of this place, and the sources instead of the catalogue.
func (p *place) arguments(t *testing.T, args []string, web, websecure string) []string {
	t.Helper()
	const version = "--experimental.plugins.edgehub.version=v0.1.0"
	text := replaced(t, strings.Join(args, "\n")+"\n", version+"\n", "", ".plugins.", ".localPlugins.",
		"web.address="+web, "web.address="+p.web, "websecure.address="+websecure, "websecure.address="+p.websecure)
	return strings.Split(strings.TrimSpace(text), "\n")
}

// newDocker answers what Traefik asks of Docker's API, on a unix socket: there is one container, and nothing ever happens.
func newDocker(t *testing.T, labels map[string]string) string {
	t.Helper()
	container := section{
		"Id": "0123456789ab", "Name": "/traefik", "State": section{"Status": "running", "Running": true},
		"Config":     section{"Labels": labels, "Image": "traefik:v3.7.9"},
		"HostConfig": section{"NetworkMode": "hub_default"},
		"NetworkSettings": section{
			"Ports":    section{"80/tcp": nil, "443/tcp": nil},
			"Networks": section{"hub_default": section{"NetworkID": "n", "IPAddress": "172.18.0.2"}},
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/_ping", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Api-Version", "1.44") })
	answer := func(pattern string, v any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v) // Traefik has gone, then
		})
	}
	answer("/{api}/version", section{"Version": "28.0.0", "ApiVersion": "1.44", "MinAPIVersion": "1.24"})
	answer("/{api}/containers/json", []section{{"Id": container["Id"], "Names": []string{"/traefik"}, "Labels": labels, "State": "running"}})
	answer("/{api}/containers/0123456789ab/json", container)
	mux.HandleFunc("/{api}/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	return serveUnix(t, mux)
}

// serveUnix serves h on a unix socket and returns its address.
func serveUnix(t *testing.T, h http.Handler) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "eh") //nolint:usetesting // t.TempDir is too long for the path of a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}}
	server.Start()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return "unix://" + socket
}
