package operators

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// TestKubernetes has Traefik read the manifests from a Kubernetes API, and serve the certificate of the secret that they name.
func TestKubernetes(t *testing.T) {
	p := newPlace(t)
	etcd := edgetest.StartEtcd(t, false)
	w := newHub(t, etcd, routes.DefaultPrefix)
	api := p.cluster(t, etcd)
	tr := p.start(t, "--entryPoints.web.address="+p.web, "--entryPoints.websecure.address="+p.websecure, "--log.level=INFO",
		"--experimental.abortOnPluginFailure=true", "--experimental.localPlugins.edgehub.moduleName="+module,
		"--providers.kubernetesCRD=true", "--providers.kubernetesCRD.endpoint="+api)
	tr.serves(t, w, "hub.example.org")
	if strings.Contains(tr.log(t), etcdPassword) {
		t.Error("the password is in the log")
	}
}

// cluster is a Kubernetes API with the manifests of the manual, and what they name: the certificate, and an etcd.
func (p *place) cluster(t *testing.T, etcd *edgetest.Etcd) string {
	t.Helper()
	endpoint, ca := secured(t, etcd)
	manifests := block(t, "kubernetes.yaml", append(endpoints("https", endpoint),
		"/run/secrets/edgehub/password", p.write(t, "password", etcdPassword), "/run/secrets/edgehub/ca.crt", p.write(t, "ca.crt", ca))...)
	cert, key := p.certificate(t, "hub.example.org")
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	secret := section{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
		"metadata": section{"name": "hub-example-org-tls", "namespace": "edgehub"},
		"data":     section{"tls.crt": encode(cert), "tls.key": encode(key)}}
	server := httptest.NewServer(&kubernetes{objects: append(documents(t, manifests), secret)})
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

// documents are the documents of a YAML file.
func documents(t *testing.T, text string) []section {
	t.Helper()
	var all []section
	for _, part := range strings.Split(text, "\n---\n") {
		var s section
		if err := yaml.Unmarshal([]byte(part), &s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

// kinds are those of the resources that Traefik watches. It is picky about the kind of a list.
var kinds = map[string]string{
	"ingressroutes": "IngressRoute", "ingressroutetcps": "IngressRouteTCP", "ingressrouteudps": "IngressRouteUDP", "middlewares": "Middleware",
	"middlewaretcps": "MiddlewareTCP", "serverstransports": "ServersTransport", "serverstransporttcps": "ServersTransportTCP",
	"tlsoptions": "TLSOption", "tlsstores": "TLSStore", "traefikservices": "TraefikService",
	"configmaps": "ConfigMap", "endpointslices": "EndpointSlice", "nodes": "Node", "secrets": "Secret", "services": "Service",
}

// kubernetes answers list and watch of every resource: there are these objects, and nothing ever happens.
type kubernetes struct{ objects []section }

// ServeHTTP implements http.Handler.
func (k *kubernetes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	query := r.URL.Query()
	switch {
	case query.Get("sendInitialEvents") != "":
		// An API server that cannot stream lists, as older ones: clients list and watch then.
		w.WriteHeader(http.StatusUnprocessableEntity)
		send(w, section{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422})
	case query.Get("watch") != "":
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		version, resource := resourceOf(r.URL.Path)
		kind := kinds[resource]
		send(w, section{"kind": kind + "List", "apiVersion": version, "metadata": section{"resourceVersion": "1"}, "items": k.list(version, kind)})
	}
}

func send(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) } // Traefik has gone, then

// resourceOf reads /api/v1/services or /apis/traefik.io/v1alpha1/middlewares.
func resourceOf(path string) (version, resource string) {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "/apis/"), "/api/")
	i := strings.LastIndex(path, "/")
	return path[:i], path[i+1:]
}

func (k *kubernetes) list(version, kind string) []section {
	found := []section{}
	for _, o := range k.objects {
		if o["apiVersion"] == version && o["kind"] == kind {
			found = append(found, o)
		}
	}
	return found
}
