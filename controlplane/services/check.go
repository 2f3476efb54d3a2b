package services

import (
	"context"
	"net"
	"net/url"
	"time"

	"github.com/edgehub/edgehub/controlplane/store"
)

const dialTimeout = 5 * time.Second

// check looks now and then whether services with a url can be reached, and says in the log what has changed. One replica does
// it at a time.
func (r *Runner) check(ctx context.Context) {
	if r.opts.CheckEvery <= 0 {
		return
	}
	r.opts.Store.Hold(ctx, "service-check", r.opts.Replica, func(time.Time) {}, func(ctx context.Context, _ *store.Held) {
		began, down := time.Now(), map[string]bool{}
		ticks := time.NewTicker(r.opts.CheckEvery)
		defer ticks.Stop()
		for {
			r.checkAll(ctx, time.Since(began), down)
			select {
			case <-ctx.Done():
				return
			case <-ticks.C:
			}
		}
	})
}

// checkAll dials every service. A managed one gets some time to come up.
func (r *Runner) checkAll(ctx context.Context, since time.Duration, down map[string]bool) {
	all, err := r.opts.Accounts.Services(ctx)
	if err != nil {
		return
	}
	for _, s := range all {
		if s.URL == "" || s.Managed() && since < r.timeoutOf(s.Name) {
			continue
		}
		err := dial(ctx, s.URL)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !down[s.Name] {
			r.opts.Log.Warn("a service does not answer", "service", s.Name, "url", s.URL, "err", err)
		}
		if err == nil && down[s.Name] {
			r.opts.Log.Info("a service answers again", "service", s.Name, "url", s.URL)
		}
		down[s.Name] = err != nil
	}
}

func (r *Runner) timeoutOf(name string) time.Duration {
	for _, spec := range r.opts.Specs {
		if spec.Name == name {
			return spec.Timeout
		}
	}
	return 0
}

// dial reports whether somebody listens at the url of a service.
func dial(ctx context.Context, target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return err
	}
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	}
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}
