package yaegi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/edgehub/edgehub/plugin/edgetest"
)

// BenchmarkStart is the time from New to the first answer that is not "not ready", and the memory that the routes then
// take, compiled and interpreted. One round is enough: -benchtime 1x.
func BenchmarkStart(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		w := edgetest.NewWorld(b, edgetest.SharedEtcd(b))
		w.PutRoutes(n)
		for name, make := range map[string]edgetest.Maker{"compiled": compiled, "interpreted": load(b).make} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for range b.N {
					start(b, w, make)
				}
			})
		}
	}
}

// start starts one edge and reports what that cost.
func start(b *testing.B, w *edgetest.World, make edgetest.Maker) {
	b.Helper()
	before := heap()
	from, used := time.Now(), cpu()
	edge := make(b, edgetest.Options{Etcd: []string{w.Etcd.Endpoint}, Prefix: w.Prefix, Hub: []string{w.Hub.URL}})
	for !ready(edge) {
		time.Sleep(5 * time.Millisecond)
	}
	b.ReportMetric(float64(time.Since(from).Milliseconds()), "ready-ms")
	b.ReportMetric(float64(cpu()-used)/1e6, "cpu-ms")
	b.ReportMetric(float64(heap()-before)/(1<<20), "heap-MB")
	runtime.KeepAlive(edge)
}

func ready(edge http.Handler) bool {
	rec := httptest.NewRecorder()
	edge.ServeHTTP(rec, httptest.NewRequest("GET", "/ready-probe", nil))
	return rec.Code != http.StatusServiceUnavailable
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
