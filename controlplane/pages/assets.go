package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// Where Static is mounted: the pages' own assets, and the logo that pages of single-user servers show, as JupyterHub's do.
const (
	staticPrefix = "/hub/static/"
	logoPath     = "/hub/logo"
	faviconPath  = "/favicon.ico"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// asset is one embedded file, ready to serve.
type asset struct {
	body        []byte
	hash        string
	contentType string
}

// contentTypes is ours because mime.TypeByExtension asks the machine it runs on.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// loadAssets reads the embedded files; its keys are the names below staticPrefix.
func loadAssets() (map[string]asset, error) {
	entries, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return nil, fmt.Errorf("list embedded assets: %w", err)
	}
	assets := make(map[string]asset, len(entries))
	for _, e := range entries {
		body, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read embedded asset: %w", err)
		}
		contentType, ok := contentTypes[path.Ext(e.Name())]
		if !ok {
			return nil, fmt.Errorf("embedded asset %s has no content type", e.Name())
		}
		sum := sha256.Sum256(body)
		assets[e.Name()] = asset{body: body, hash: hex.EncodeToString(sum[:8]), contentType: contentType}
	}
	return assets, nil
}

// staticURL is what {{static "hub.css"}} gives: the asset's URL with its hash, so that it may be cached for ever.
func staticURL(base routes.Base, assets map[string]asset, name string) (string, error) {
	a, ok := assets[name]
	if !ok {
		return "", fmt.Errorf("no embedded asset %q", name)
	}
	return base.Path(staticPrefix) + url.PathEscape(name) + "?v=" + a.hash, nil
}

// Static serves the embedded assets below /hub/static/, /hub/logo and /favicon.ico, and needs no session. With the right ?v= an answer may be cached
// for a year; without it, or with that of another release (replicas are upgraded one by one), it is revalidated by ETag.
func Static() http.Handler {
	assets, err := loadAssets()
	if err != nil {
		panic(err) // the files are part of the binary, and a test loads them
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
			return
		}
		name, ok := strings.CutPrefix(r.URL.Path, staticPrefix)
		switch r.URL.Path {
		case logoPath:
			name, ok = "logo.svg", true
		case faviconPath:
			name, ok = "favicon.svg", true
		}
		a, known := assets[name]
		if !ok || !known {
			http.Error(w, "No such file.", http.StatusNotFound)
			return
		}
		if r.URL.Query().Get("v") == a.hash {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		h.Set("Content-Type", a.contentType)
		h.Set("ETag", `"`+a.hash+`"`)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(a.body))
	})
}
