package yaegi

import (
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/edgehub/edgehub/plugin"
	"github.com/edgehub/edgehub/plugin/edgetest"
)

// cpu is the processor time that this process has used, in nanoseconds: on a busy machine it says more than the clock.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

// compiled makes an edge for a benchmark that compares.
func compiled(t testing.TB, o edgetest.Options) http.Handler {
	t.Helper()
	c := plugin.CreateConfig()
	c.Etcd, c.Prefix, c.Hub = o.Etcd, o.Prefix, o.Hub
	c.StatusPath, c.LogFields = o.StatusPath, o.LogFields
	h, err := plugin.New(t.Context(), nil, c, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// BenchmarkRequest is one GET of a signed-in browser to a running server, compiled and interpreted, with the server's own
// answer and the loopback included in both.
func BenchmarkRequest(b *testing.B) { benchmark(b, "/user/alice/api/kernels/0a1b2c3d?t=1", 200) }

// BenchmarkCounted and BenchmarkLogged are the same request with metrics, and with fields for an access log.
func BenchmarkCounted(b *testing.B) {
	benchmark(b, "/user/alice/api/kernels/0a1b2c3d?t=1", 200, func(o *edgetest.Options) { o.StatusPath = "/.edgehub" })
}

func BenchmarkLogged(b *testing.B) {
	benchmark(b, "/user/alice/api/kernels/0a1b2c3d?t=1", 200, func(o *edgetest.Options) { o.LogFields = true })
}

// BenchmarkStopped is the same browser, whose open tab comes back to a server that does not run.
func BenchmarkStopped(b *testing.B) { benchmark(b, "/user/bob/api/kernels/0a1b2c3d?t=1", 424) }

func benchmark(b *testing.B, target string, want int, change ...func(*edgetest.Options)) {
	for name, make := range map[string]edgetest.Maker{"compiled": compiled, "interpreted": load(b).make} {
		b.Run(name, func(b *testing.B) {
			w := edgetest.NewWorld(b, edgetest.SharedEtcd(b))
			w.PutRoute(edgetest.Route("alice", edgetest.Backend(b, func(rw http.ResponseWriter, _ *http.Request) {
				_, _ = rw.Write([]byte("hello"))
			}).URL))
			w.Start(make, change...)
			r := httptest.NewRequest("GET", "http://"+w.Addr+target, nil)
			for k, v := range map[string]string{
				"Accept": "*/*", "Accept-Encoding": "gzip", "Accept-Language": "en", "Referer": "http://" + w.Addr + "/user/alice/lab",
				"Cookie":     "_xsrf=2|0123|4567; username-hub=abc; edgehub=" + w.TokenOf("alice"),
				"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors", "X-XSRFToken": "2|0123|4567",
			} {
				r.Header.Set(k, v)
			}
			b.ReportAllocs()
			b.ResetTimer()
			start := cpu()
			defer func() { b.ReportMetric(float64(cpu()-start)/float64(b.N), "cpu-ns/op") }()
			for range b.N {
				rec := httptest.NewRecorder()
				w.Edge.ServeHTTP(rec, r.Clone(r.Context()))
				if rec.Code != want {
					b.Fatal(rec.Code, rec.Body)
				}
			}
		})
	}
}
