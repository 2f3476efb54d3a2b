package edgetest

import (
	"net/http"

	"github.com/edgehub/edgehub/routes"
)

// WrongOption is a mistake in the middleware's options.
type WrongOption struct {
	Name string
	// Change is laid over options that work. A nil value takes the option away.
	Change map[string]any
	// Says is what the log must say, which is the name of the option and what is wrong with it.
	Says string
}

// Canary is a secret that some mistakes have in them. No log may show it.
const Canary = "canary-option-secret"

// WrongOptions are mistakes that must close the edge, each with a line in the log.
var WrongOptions = []WrongOption{
	{"no etcd", map[string]any{"etcd": nil}, `option etcd: at least one endpoint is needed`},
	{"etcd without a scheme", map[string]any{"etcd": []string{"127.0.0.1:2379"}}, `option etcd: "127.0.0.1:2379" is not http://`},
	{"etcd with another scheme", map[string]any{"etcd": []string{"etcd://127.0.0.1:2379"}}, `option etcd: "etcd://127.0.0.1:2379" is not http://`},
	{"etcd with a path", map[string]any{"etcd": []string{"http://127.0.0.1:2379/v3"}}, `option etcd: "http://127.0.0.1:2379/v3" is not http://`},
	{"one wrong etcd of two", map[string]any{"etcd": "http://127.0.0.1:2379,etcd-2"}, `option etcd: "etcd-2" is not http://`},
	{"hub with another scheme", map[string]any{"hub": []string{"ftp://hub:8081"}}, `option hub: "ftp://hub:8081" is not http://`},
	{"public URL without a scheme", map[string]any{"publicURL": "hub.example.org"}, `option publicURL: "hub.example.org" is not an origin`},
	{"public URL with a path", map[string]any{"publicURL": "https://hub.example.org/jupyter"}, `option publicURL: "https://hub.example.org/jupyter" is not an origin`},
	{"base URL with a dot segment", map[string]any{"baseURL": "/teaching/../"}, `option baseURL: "/teaching/../" is not a path like /teaching/`},
	{"base URL with an empty segment", map[string]any{"baseURL": "//teaching/"}, `option baseURL: "//teaching/" is not a path`},
	{"base URL with a query", map[string]any{"baseURL": "/teaching/?x"}, `option baseURL: "/teaching/?x" is not a path`},
	{"base URL with a host", map[string]any{"baseURL": "https://hub.example.org/teaching/"}, `option baseURL: "https://hub.example.org/teaching/" is not a path`},
	{"user domain without a public URL", map[string]any{"userDomain": "hub.example.org"}, `option publicURL: needed with userDomain`},
	{"user domain with a port", map[string]any{"publicURL": "https://hub.example.org", "userDomain": "hub.example.org:443"}, `option userDomain: "hub.example.org:443" is not a domain`},
	{"hub below the user domain", map[string]any{"publicURL": "https://hub.example.org", "userDomain": "example.org"}, `option userDomain: "example.org" is not a domain`},
	{"API hosts without a public URL", map[string]any{"apiHosts": []string{"10.0.0.7"}}, `option publicURL: needed with userDomain and with apiHosts`},
	{"API host with a path", map[string]any{"publicURL": "https://hub.example.org", "apiHosts": []string{"10.0.0.7/hub/api"}}, `option apiHosts: "10.0.0.7/hub/api" is not a host`},
	{"user without a password file", map[string]any{"etcdUsername": "edge"}, `option etcdPasswordFile: needed with etcdUsername`},
	{"a password among the options", map[string]any{"etcdUsername": "edge", "etcdPassword": Canary}, `option "etcdPassword": there is no such option`},
	{"a misspelt option", map[string]any{"publicUrI": "https://hub.example.org"}, `option "publicUrI": there is no such option`},
	{"an option of nobody", map[string]any{"zone": map[string]any{"a": "b"}}, `option "zone": there is no such option`},
	{"a status path without a slash", map[string]any{"statusPath": "edgehub"}, `option statusPath: "edgehub" is not a path`},
	{"a status path that ends", map[string]any{"statusPath": "/.edgehub/"}, `option statusPath: "/.edgehub/" is not a path`},
	{"a status path in the hub's", map[string]any{"statusPath": "/hub/status"}, `option statusPath: "/hub/status" is the hub's own`},
	{"a status token for nothing", map[string]any{"statusTokenFile": "/no/such/file"}, `option statusTokenFile: needed with statusPath`},
	{"a status token among the options", map[string]any{"statusPath": "/.edgehub", "statusToken": Canary}, `option "statusToken": there is no such option`},
	{"no password file there", map[string]any{"etcdUsername": "edge", "etcdPasswordFile": "/no/such/file"}, `etcdPasswordFile: open /no/such/file`},
	{"no CA file there", map[string]any{"etcd": []string{"https://127.0.0.1:2379"}, "etcdCAFile": "/no/such/file"}, `etcdCAFile: open /no/such/file`},
}

// With is options with the mistake in them.
func (o WrongOption) With(options map[string]any) map[string]any {
	all := make(map[string]any)
	for _, m := range []map[string]any{options, o.Change} {
		for name, value := range m {
			all[name] = value
			if value == nil {
				delete(all, name)
			}
		}
	}
	return all
}

// Map is what an operator writes for these options.
func (o Options) Map() map[string]any {
	m := map[string]any{"etcd": o.Etcd, "prefix": o.Prefix}
	if len(o.Hub) > 0 {
		m["hub"] = o.Hub
	}
	if o.PublicURL != "" {
		m["publicURL"] = o.PublicURL
	}
	if o.UserDomain != "" {
		m["userDomain"] = o.UserDomain
	}
	return m
}

// Serve serves an edge that somebody else made, ready or not.
func (w *World) Serve(edge http.Handler) {
	w.T.Helper()
	w.Edge = edge
	w.serve()
}

// AssertClosed fails the test unless the edge answers 503 to everything, the user's own credentials included.
func (w *World) AssertClosed(user string) {
	w.T.Helper()
	own := routes.UserPrefix(user, "")
	for _, path := range []string{"/", "/hub/home", "/hub/api/user", "/services/x/", own, own + "api/kernels"} {
		for _, who := range []string{user, ""} {
			if a := w.Get(who, path); a.Status != http.StatusServiceUnavailable || a.Seen() != nil {
				w.T.Errorf("%s as %q: %d %s, want 503", path, who, a.Status, a.Body)
			}
		}
	}
}
