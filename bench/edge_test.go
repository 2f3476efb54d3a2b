package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/plugin/edgetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	edgetest.StopSharedEtcd()
	os.Exit(code)
}

// BenchmarkRequest compares a GET of 1 KB from a server directly, through Go's reverse proxy without any decision, and through
// the embedded edge with 1,000 routes, a cookie to verify and credentials to strip.
func BenchmarkRequest(b *testing.B) {
	body := make([]byte, 1024)
	server := edgetest.Backend(b, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	target, err := url.Parse(server.URL)
	if err != nil {
		b.Fatal(err)
	}
	plain := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	b.Cleanup(plain.Close)
	w := edgetest.NewWorld(b, edgetest.SharedEtcd(b))
	for i := range 1000 {
		w.PutRoute(edgetest.Route(fmt.Sprintf("user%d", i), server.URL))
	}
	w.Start(func(t testing.TB, o edgetest.Options) http.Handler {
		h, err := plugin.New(t.Context(), nil, &plugin.Config{Etcd: o.Etcd, Prefix: o.Prefix, Hub: o.Hub}, "bench")
		if err != nil {
			t.Fatal(err)
		}
		return h
	})
	cookie := "edgehub=" + w.TokenOf("user7")
	for _, side := range []struct{ name, url string }{
		{"direct", server.URL}, {"plain-proxy", plain.URL}, {"edge", "http://" + w.Addr},
	} {
		b.Run(side.name, func(b *testing.B) { measure(b, side.url+"/user/user7/x", cookie) })
	}
}

func measure(b *testing.B, target, cookie string) {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	start := cpuTime()
	for b.Loop() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, target, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Cookie", cookie)
		resp, err := client.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b.Fatalf("status %d", resp.StatusCode)
		}
	}
	b.ReportMetric(float64((cpuTime()-start).Microseconds())/float64(b.N), "cpu-µs/request")
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
