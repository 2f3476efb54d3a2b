package pages

import (
	"net/http"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/web"
)

func noSuchPage(http.ResponseWriter, *http.Request) error {
	return hub.Errorf(hub.NotFound, "There is no such page.")
}

// unknown answers what no page has. As in JupyterHub whatever may change something needs an XSRF token first; then it is 405 for
// a page that is there, else 404.
func (p *Pages) unknown(mux *http.ServeMux) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			return noSuchPage(w, r)
		case http.MethodOptions:
		default:
			c, err := p.caller(r)
			if err != nil {
				return err
			}
			if err := p.XSRF.Check(r, sessionID(c)); err != nil {
				return err
			}
		}
		probe := r.Clone(r.Context())
		probe.Method = http.MethodGet
		if _, pattern := mux.Handler(probe); pattern == "/hub/" {
			return noSuchPage(w, r)
		}
		return &web.StatusError{Code: http.StatusMethodNotAllowed, Message: "Method Not Allowed"}
	}
}

// missesSlash reports whether an escaped path is that of a server or service without the slash at its end.
func missesSlash(path string) bool {
	parts := strings.Split(path, "/")
	return len(parts) == 3 && (parts[1] == "user" || parts[1] == "services") && parts[2] != ""
}

// withQuery is a path with the query of a request.
func withQuery(path string, r *http.Request) string {
	if r.URL.RawQuery == "" {
		return path
	}
	return path + "?" + r.URL.RawQuery
}
