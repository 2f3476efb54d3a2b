package env

import (
	"net/http"
	"testing"
)

// Report is what an echo server says about the request that reached it.
type Report struct {
	User     string      `json:"user"`
	Instance string      `json:"instance"`
	PID      int         `json:"pid"`
	Method   string      `json:"method"`
	Target   string      `json:"target"` // as in the request line
	Proto    string      `json:"proto"`
	Host     string      `json:"host"`
	Header   http.Header `json:"header"`
	Remote   string      `json:"remote"`
}

// Report is the echo server's report in the body.
func (r *Response) Report(t testing.TB) Report {
	t.Helper()
	var report Report
	if r.Status != http.StatusOK {
		t.Fatalf("no report of an echo server: %s", r)
	}
	r.JSON(t, &report)
	return report
}
