package controlplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// drainTime is how long requests may take to end at shutdown. The longest held request is a start that is waited for.
const drainTime = 12 * time.Second

// server is a running HTTP server.
type server struct {
	*http.Server
	endRequests context.CancelFunc
	failed      chan error
}

// listen begins to serve h. Requests do not end with ctx.
func (c *ControlPlane) listen(ctx context.Context, h http.Handler) *server {
	// Streams must end at shutdown, or they would hold up the drain.
	requests, endRequests := context.WithCancel(context.WithoutCancel(ctx))
	s := &server{endRequests: endRequests, failed: make(chan error, 1), Server: &http.Server{
		Handler:           h,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}}
	go func() {
		defer close(s.failed)
		s.failed <- s.Serve(c.opts.Listener)
	}()
	return s
}

// serve goes on until ctx ends, then drains.
func (s *server) serve(ctx context.Context) error {
	select {
	case err := <-s.failed:
		return fmt.Errorf("serve the hub: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	time.AfterFunc(time.Second, s.endRequests)
	err := s.Shutdown(drain)
	if served := <-s.failed; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	if err != nil {
		return errors.Join(fmt.Errorf("drain requests: %w", err), s.Close())
	}
	return nil
}

// close ends what is left, and waits for it.
func (s *server) close() {
	s.endRequests()
	_ = s.Close() // of a server that is closed already, most likely
	for range s.failed {
		continue
	}
}
