package plugin

import (
	"net/http"
	"strings"
)

// What counts as use of a server. A tab that somebody left open is not use, and it is not quiet either: an idle JupyterLab
// 4.6 sends some thirty requests a minute (GET api/kernels, api/sessions, api/terminals, api/contents, lab/api/workspaces,
// now and then api/me and api/kernelspecs), writes its layout every ten seconds (PUT lab/api/workspaces/default), and gets
// an event about each of its file listings on the WebSocket api/events/subscribe. Its kernel's WebSocket is silent.

// realUse reports whether a request to the route of prefix is something that a person or a program did, and not an open
// tab by itself: the load of a page or a download, or a request that changes something. What a script of a page reads is no
// use. Neither is the opening of a WebSocket, which a tab does again by itself; what goes over it is (see realSocket).
func realUse(r *http.Request, prefix string) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return opensPage(r.Header)
	}
	return r.Method != http.MethodOptions && !byItself(below(r.URL.Path, prefix))
}

// opensPage reports whether a browser's address bar or a link asks. All browsers accept HTML then; most also say that they
// navigate, but only over TLS and to the machine they run on. jQuery and htmx accept HTML too, and have headers of their own.
func opensPage(h http.Header) bool {
	if !strings.Contains(h.Get("Accept"), "text/html") || len(h["Upgrade"]) > 0 || len(h["X-Requested-With"]) > 0 || len(h["Hx-Request"]) > 0 {
		return false
	}
	mode := h.Get("Sec-Fetch-Mode")
	return mode == "" || mode == "navigate"
}

// realSocket reports whether data on a WebSocket that r opens is use. Jupyter's events are not: the server sends one for each
// file listing that an open tab asks for.
func realSocket(r *http.Request, prefix string) bool {
	return below(r.URL.Path, prefix) != "api/events/subscribe"
}

// byItself reports a path below a route's prefix to which open tabs post without anybody there. Jupyter's own API but for one
// path is not among them: a saved file may have any name.
func byItself(path string) bool {
	if strings.HasPrefix(path, "api/") {
		return path == "api/security/csp-report"
	}
	return strings.HasPrefix(path, "lab/api/") || // JupyterLab's layout and settings
		strings.HasPrefix(path, "git/") || // jupyterlab-git asks for everything with POST, every few seconds
		strings.HasSuffix(path, "/events/get_events") || // RStudio's long poll
		strings.HasSuffix(path, "/rpc/set_client_state") // RStudio's layout
}

// below is what follows a route's prefix in a path, however the path spells the prefix.
func below(path, prefix string) string {
	for i := strings.Count(prefix, "/"); i > 0; i-- {
		_, path, _ = strings.Cut(path, "/")
	}
	return path
}
