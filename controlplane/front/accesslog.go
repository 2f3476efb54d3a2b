package front

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// accessLine is one line of the access log. Addresses may have tokens in their query and headers have cookies, so neither is
// in it.
type accessLine struct {
	Time      time.Time `json:"time"`
	Remote    string    `json:"remote"`
	Host      string    `json:"host"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    int       `json:"status"`
	Bytes     int64     `json:"bytes"`
	Seconds   float64   `json:"seconds"`
	User      string    `json:"user,omitempty"`
	Server    string    `json:"server,omitempty"`
	Decision  string    `json:"decision,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	RequestID string    `json:"request_id,omitempty"`
}

// maxPath is how much of a path is logged.
const maxPath = 1024

// AccessLog writes a line of JSON to out for each request that has ended. The edge behind it has to have LogFields.
func AccessLog(out io.Writer, log *slog.Logger) func(http.Handler) http.Handler {
	var mu sync.Mutex // one line at a time
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			line := accessLine{Time: time.Now().UTC(), Remote: r.RemoteAddr, Host: r.Host, Method: r.Method, Path: clip(r.URL.EscapedPath())}
			counted := &countingWriter{ResponseWriter: w}
			defer func() {
				line.finish(counted, r.Header)
				text, err := json.Marshal(line)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					_, err = out.Write(append(text, '\n'))
				}
				if err != nil {
					log.Error("cannot write the access log", "err", err)
				}
			}()
			next.ServeHTTP(counted, r)
		})
	}
}

func clip(path string) string {
	if len(path) > maxPath {
		return path[:maxPath] + "..."
	}
	return path
}

// finish adds what is known at the end: the edge has put its fields among the request's headers.
func (l *accessLine) finish(w *countingWriter, request http.Header) {
	l.Status, l.Bytes, l.Seconds = w.status, w.bytes, time.Since(l.Time).Seconds()
	l.User, l.Server = request.Get("X-Edgehub-User"), request.Get("X-Edgehub-Server")
	l.Decision, l.Reason = request.Get("X-Edgehub-Decision"), request.Get("X-Edgehub-Reason")
	l.RequestID = w.Header().Get("X-Request-Id")
}

// countingWriter remembers the status and counts the bytes of a body. Those of a WebSocket it does not see.
type countingWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Unwrap is for http.ResponseController.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *countingWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *countingWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Hijack implements http.Hijacker: from here on it is a WebSocket.
func (w *countingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.status = http.StatusSwitchingProtocols
	}
	return conn, buffered, err
}

// OpenAccessLog opens the file of an access log to write at its end, so that another program may copy and truncate it; "-" is
// stderr. The caller closes it.
func OpenAccessLog(file string, stderr io.Writer) (io.WriteCloser, error) {
	if file == "-" {
		return nopCloser{stderr}, nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, hub.Errorf(hub.Invalid, "Cannot write the access log: %v", err)
	}
	return f, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
