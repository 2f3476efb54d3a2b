package edge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/edgehub/edgehub/controlplane/front"
	"github.com/edgehub/edgehub/routes"
)

// bodySize is the length of the user server's answers.
const bodySize = 1024

// Part runs one of the processes of a run until ctx ends. Its first line on out says where it listens.
func Part(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("name a part")
	}
	switch name, args := args[0], args[1:]; {
	case name == "backend" && len(args) == 1:
		return serve(ctx, out, backend(args[0]))
	case name == "auth":
		return serve(ctx, out, http.HandlerFunc(sayYes))
	case name == "load":
		return runLoad(in, out)
	case name == "etcd" && len(args) == 1:
		return runEtcd(ctx, args[0], out)
	case name == "edge" && len(args) == 1:
		return runEdge(ctx, args[0], out)
	default:
		return fmt.Errorf("no such part: %s", name)
	}
}

// sayYes is the auth service: it knows no one, and lets everyone in.
func sayYes(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-User", "user") }

// serve answers requests on a free port.
func serve(ctx context.Context, out io.Writer, h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(out, l.Addr())
	srv := &http.Server{Handler: h}
	defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
	return srv.Serve(l)
}

// backend is a user server that answers 1 KB of JSON, in which its name is, with the headers of a Jupyter server, and echoes WebSocket messages.
func backend(name string) http.Handler {
	start := `{"server":"` + name + `","padding":"`
	body := []byte(start + strings.Repeat("x", bodySize-len(start)-len(`"}`)) + `"}`)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echoSocket(w, r)
			return
		}
		h := w.Header()
		h.Set("Server", "TornadoServer/6.5")
		h.Set("Content-Type", "application/json")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "frame-ancestors 'self'; report-uri /api/security/csp-report; default-src 'none'")
		h.Set("Access-Control-Expose-Headers", "X-Jupyter-Version")
		h.Set("Etag", `"7f9c2ba4e88f827d616045507605853ed73b8093"`)
		_, _ = w.Write(body) // with Date and Content-Length that makes eight
	})
}

// runLoad does jobs, one a line.
func runLoad(in io.Reader, out io.Writer) error {
	_, _ = fmt.Fprintln(out, "ready")
	l := &loader{}
	jobs, results := json.NewDecoder(in), json.NewEncoder(out)
	for {
		j := &job{}
		if err := jobs.Decode(j); err != nil {
			return err
		}
		if err := results.Encode(l.do(j)); err != nil {
			return err
		}
	}
}

// runEdge is `edgehub edge` with its inside open to profiles, on a second port.
func runEdge(ctx context.Context, endpoint string, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	go func() { _ = http.Serve(inside, mux) }()
	_, _ = fmt.Fprintln(out, l.Addr(), inside.Addr())
	return front.Embedded(ctx, l, &front.Config{Etcd: []string{endpoint}, Prefix: routes.DefaultPrefix}, slog.New(slog.DiscardHandler))
}
