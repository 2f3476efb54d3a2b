package edgetest

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// Editor is an HTTP proxy in front of etcd's gateway that changes what a faulty etcd or network could change.
type Editor struct {
	// Request is called before a request goes on.
	Request func(path string, body []byte)
	// Watch returns what to send in place of one message of a watch.
	Watch func(message string) []string
}

// Start starts the proxy and returns its URL.
func (e *Editor) Start(t testing.TB, etcd *Etcd) string {
	t.Helper()
	target, err := url.Parse(etcd.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		FlushInterval: -1,
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			if e.Watch != nil && r.Request.URL.Path == "/v3/watch" {
				r.Body = e.edited(r.Body)
			}
			return nil
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.Request != nil {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			e.Request(r.URL.Path, body)
			r.Body = io.NopCloser(strings.NewReader(string(body)))
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

// edited is a watch's stream, one message a line, after Watch has seen it.
func (e *Editor) edited(body io.ReadCloser) io.ReadCloser {
	in, out := io.Pipe()
	go func() {
		defer body.Close()
		lines := bufio.NewReader(body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				out.CloseWithError(err)
				return
			}
			for _, message := range e.Watch(line) {
				if _, err := io.WriteString(out, message); err != nil {
					return
				}
			}
		}
	}()
	return in
}
