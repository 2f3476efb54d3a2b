package plugin

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestRealUse(t *testing.T) {
	t.Parallel()
	const prefix = "/user/al%40x/lab2/"
	h := func(pairs ...string) http.Header {
		all := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			all.Set(pairs[i], pairs[i+1])
		}
		return all
	}
	none, cors, html := h(), h("Sec-Fetch-Mode", "cors", "Accept", "text/html"), h("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	for _, test := range []struct {
		what         string
		method, path string
		header       http.Header
		want         bool
	}{
		{"a page over TLS", "GET", "lab", h("Sec-Fetch-Mode", "navigate", "Accept", "text/html,*/*;q=0.8"), true},
		{"a page without TLS", "GET", "tree", html, true},
		{"a download", "GET", "files/x.csv?download=1", h("Sec-Fetch-Mode", "navigate", "Accept", "text/html"), true},
		{"a page that a script fetches", "GET", "lab", cors, false},
		{"htmx", "GET", "status", h("Accept", "text/html, */*", "HX-Request", "true"), false},
		{"jQuery", "GET", "status", h("Accept", "text/html, */*; q=0.01", "X-Requested-With", "XMLHttpRequest"), false},
		{"a program that reads", "GET", "api/contents", none, false},
		{"a part of a page", "GET", "static/main.js", h("Sec-Fetch-Mode", "no-cors"), false},
		{"a WebSocket", "GET", "api/kernels/1/channels", h("Upgrade", "websocket", "Accept", "text/html"), false},
		{"a preflight", "OPTIONS", "api/contents", none, false},
		{"a save", "PUT", "api/contents/x.ipynb", cors, true},
		{"a save of a file named like a poll", "PUT", "api/contents/lab/api/workspaces/default", cors, true},
		{"a save of a file in git", "PUT", "api/contents/git/events/get_events", cors, true},
		{"a new kernel", "POST", "api/kernels", none, true},
		{"a removed file", "DELETE", "api/contents/x", none, true},
		{"a click in an app", "POST", "proxy/8050/_dash-update-component", cors, true},
		{"JupyterLab's layout", "PUT", "lab/api/workspaces/default?1795451777215", cors, false},
		{"jupyterlab-git", "POST", "git/repo/status", cors, false},
		{"a browser's complaint", "POST", "api/security/csp-report", h("Sec-Fetch-Mode", "no-cors"), false},
		{"RStudio's long poll", "POST", "rstudio/events/get_events", cors, false},
		{"RStudio's console", "POST", "rstudio/rpc/console_input", cors, true},
		{"a POST to the server itself", "POST", "", none, true},
	} {
		for _, spelled := range []string{prefix, "/user/al@x/lab2/"} {
			r := httptest.NewRequest(test.method, spelled+test.path, nil)
			r.Header = test.header
			if got := realUse(r, prefix); got != test.want {
				t.Errorf("%s: %s %s is use: %v, want %v", test.what, test.method, r.URL.Path, got, test.want)
			}
		}
	}
}

func TestRealSocket(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		"api/events/subscribe": false, "api/kernels/1/channels": true, "terminals/websocket/1": true, "proxy/8501/_stcore/stream": true,
		"proxy/8080/api/events/subscribe": true,
	} {
		if got := realSocket(httptest.NewRequest(http.MethodGet, "/user/alice/"+path, nil), "/user/alice/"); got != want {
			t.Errorf("data on the WebSocket %s is use: %v, want %v", path, got, want)
		}
	}
}
