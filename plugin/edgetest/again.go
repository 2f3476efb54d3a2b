package edgetest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// longAgain fetches long answers several times: of a visitor who is known the edge reads them in another way. Each must come whole,
// and end.
func longAgain(t *testing.T, make Maker) {
	w := NewWorld(t, SharedEtcd(t))
	const size = 300_000
	w.PutRoute(Route("alice", Backend(t, func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "known") {
			rw.Header().Set("Content-Length", fmt.Sprint(size))
		}
		_, _ = io.Copy(rw, zeros(size))
	}).URL))
	w.Start(make)
	patient := &http.Client{Timeout: 20 * time.Second}
	token := w.TokenOf("alice")
	for i := range 4 {
		for _, path := range []string{"known", "unknown"} {
			resp, err := patient.Do(w.Request("GET", "/user/alice/"+path, "Authorization", "token "+token, "User-Agent", "a"))
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if n != size || err != nil {
				t.Errorf("%s length, time %d: %d bytes, %v", path, i, n, err)
			}
		}
	}
}
