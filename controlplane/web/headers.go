package web

import (
	"net/http"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// Headers sets what every answer of the hub carries, also redirects, errors and those of a mux itself. Pages allow themselves
// more.
func Headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-JupyterHub-Version", hub.Version)
		h.Set("Access-Control-Allow-Headers", "accept, content-type, authorization")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}
