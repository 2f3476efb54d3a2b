package web

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

type baseKey struct{}

// Base is the base URL of the hub that answers r.
func Base(r *http.Request) routes.Base {
	base, _ := r.Context().Value(baseKey{}).(routes.Base)
	return base
}

// Below serves next below base, and nothing anywhere else. It is the one place that takes the base off requests, so that
// handlers see the paths of a hub at "/", and that puts it in front of the Location of their answers. Whatever else leaves the
// hub (links, cookies, JSON, the environment of servers) goes through routes.Base.Path.
func Below(base routes.Base, next http.Handler) http.Handler {
	if len(base) <= 1 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := base.Cut(r.URL.EscapedPath())
		plain, err := url.PathUnescape(rest)
		if !ok || err != nil {
			JSONError(w, r, http.StatusNotFound, hub.Errorf(hub.NotFound, "This hub is below %s.", base))
			return
		}
		inner := r.WithContext(context.WithValue(r.Context(), baseKey{}, base))
		address := *r.URL
		address.Path, address.RawPath = plain, rest
		inner.URL = &address
		next.ServeHTTP(&belowWriter{ResponseWriter: w, base: base}, inner)
	})
}

// belowWriter puts base in front of the Location of an answer, if that is a path.
type belowWriter struct {
	http.ResponseWriter
	base routes.Base
	done bool
}

func (w *belowWriter) WriteHeader(status int) {
	if to := w.Header().Get("Location"); !w.done && to != "" && !strings.HasPrefix(to, "//") {
		w.Header().Set("Location", w.base.Path(to))
	}
	w.done = w.done || status >= http.StatusOK
	w.ResponseWriter.WriteHeader(status)
}

func (w *belowWriter) Write(b []byte) (int, error) {
	w.done = true
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach Flush.
func (w *belowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Next is the path of the hub that a request asks to be led to, without the base, or "" if ?next= is not one; see SafeNext.
func Next(r *http.Request) string {
	path := SafeNext(r.URL.Query().Get("next"))
	rest, ok := Base(r).Cut(path)
	if !ok || strings.HasPrefix(rest, "//") {
		return ""
	}
	return rest
}

// WithNext is path with ?next= for a path of the hub, which Next reads again; path alone if next is empty.
func WithNext(base routes.Base, path, next string) string {
	if next == "" {
		return path
	}
	return path + "?" + url.Values{"next": {base.Path(next)}}.Encode()
}
