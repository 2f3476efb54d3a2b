// Package front is the front door of `edgehub up` and `edgehub edge`: the one address that browsers talk to. It serves the
// edge in this process (Embedded), or writes the configuration of a real Traefik with the interpreted plugin, and runs it
// (Traefik).
//
// Invariant: both speak through the same package plugin, configured by the same plugin.Config.
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/plugin"
)

// Config is the edge's configuration, by the names that Traefik operators write.
type Config = plugin.Config

// CheckStoppedStatus refuses what the plugin would: it closes its door over a wrong option, and a command better says so.
func CheckStoppedStatus(status int) error {
	if status == http.StatusFailedDependency || status == http.StatusServiceUnavailable {
		return nil
	}
	return hub.Errorf(hub.Invalid, "%d is not a status for stopped servers. Use 424, or 503 as before JupyterHub 2.0.", status)
}

// CheckAPIHosts refuses what the plugin would: further hosts make sense only beside the hub's own.
func CheckAPIHosts(public string, hosts []string) error {
	if len(hosts) > 0 && public == "" {
		return hub.Errorf(hub.Invalid, "Without --public-url every host is served, so --api-hosts says nothing. Set --public-url too.")
	}
	for _, host := range hosts {
		if strings.ContainsAny(host, "/@?# ") {
			return hub.Errorf(hub.Invalid, "%q is not a host. Write HOST or HOST:PORT.", host)
		}
	}
	return nil
}

// Check refuses a configuration that the plugin would close its door over.
func Check(cfg *Config) error {
	if err := cfg.Check(); err != nil {
		return hub.Errorf(hub.Invalid, "The front door cannot open: %v.", err)
	}
	return nil
}

// drainTime is how long requests may take to end at shutdown. WebSockets are cut then; browsers reconnect by themselves.
const drainTime = 3 * time.Second

// Embedded serves the edge compiled into this binary on l until ctx ends, through the handlers in around, the last outermost.
func Embedded(ctx context.Context, l net.Listener, cfg *Config, log *slog.Logger, around ...func(http.Handler) http.Handler) error {
	// The edge outlives the drain: until then it must see revocations.
	handler, err := plugin.New(context.WithoutCancel(ctx), http.NotFoundHandler(), cfg, "edgehub")
	if err != nil {
		return err
	}
	if edge, ok := handler.(*plugin.Edge); ok {
		defer edge.Close()
	}
	handler = logPanics(log, handler)
	for _, wrap := range around {
		handler = wrap(handler)
	}
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    60 << 10, // Go adds 4 KiB of slack
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve the front door: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err = srv.Shutdown(drain)
	if errors.Is(err, context.DeadlineExceeded) {
		err = srv.Close()
	}
	return errors.Join(err, ended(<-failed))
}

// logPanics makes a bug of the edge visible: net/http itself tells of a panic only among everyday noise.
func logPanics(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler { //nolint:errorlint // a panic's value, compared as net/http does
				log.Error("the front door panicked", "panic", p, "stack", string(debug.Stack()))
			}
			panic(http.ErrAbortHandler) // ends the connection and says nothing more
		}()
		next.ServeHTTP(w, r)
	})
}

// ended is nil for the error of a server that was shut down.
func ended(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// AwaitReady returns nil when url answers with status 200, or ctx's error.
func AwaitReady(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
