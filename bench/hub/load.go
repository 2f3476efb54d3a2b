package hub

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// request is one that a load repeats: the nth, and what a right answer has.
type request struct {
	method string
	path   func(n int64) string
	token  func(n int64) string
	header http.Header
	status int
	// right looks at the body, nil if the status is enough.
	right func(body []byte) bool
}

// get is a request for one path.
func (s *side) get(path string, right func([]byte) bool) request {
	return request{method: http.MethodGet, path: func(int64) string { return path }, token: func(int64) string { return s.token },
		status: http.StatusOK, right: right}
}

// client keeps connections open, one for each that asks.
func (o *Options) client() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: o.Connections, DisableCompression: true}}
}

// measure repeats a request until the time is over or it was done atMost times (0: no limit), and returns the figure.
func (o *Options) measure(ctx context.Context, s *side, r request, atMost int64) (*Result, error) {
	client := o.client()
	defer client.CloseIdleConnections()
	if atMost == 0 { // a warm-up
		if _, err := o.repeat(ctx, client, s, r, o.duration()/10, 0); err != nil {
			return nil, err
		}
	}
	before, err := s.cpu()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	limit := o.duration()
	if atMost > 0 {
		limit = time.Hour
	}
	n, err := o.repeat(ctx, client, s, r, limit, atMost)
	if err != nil {
		return nil, err
	}
	took := time.Since(begin)
	after, err := s.cpu()
	if err != nil {
		return nil, err
	}
	return &Result{Side: s.name, RequestsPerSecond: float64(n) / took.Seconds(), CPU: float64((after - before).Microseconds()) / float64(n)}, nil
}

// repeat keeps all connections busy and returns how many requests were answered right.
func (o *Options) repeat(ctx context.Context, client *http.Client, s *side, r request, limit time.Duration, atMost int64) (int64, error) {
	var (
		next, done atomic.Int64
		all        sync.WaitGroup
		failure    atomic.Pointer[error]
	)
	end := time.Now().Add(limit)
	for range o.Connections {
		all.Go(func() {
			for time.Now().Before(end) && failure.Load() == nil && ctx.Err() == nil {
				n := next.Add(1) - 1
				if atMost > 0 && n >= atMost {
					return
				}
				if err := r.once(ctx, client, s, n); err != nil {
					failure.CompareAndSwap(nil, &err)
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if err := failure.Load(); err != nil {
		return 0, *err
	}
	return max(done.Load(), 1), ctx.Err()
}

func (r *request) once(ctx context.Context, client *http.Client, s *side, n int64) error {
	req, err := http.NewRequestWithContext(ctx, r.method, s.origin+r.path(n), nil)
	if err != nil {
		return err
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("Authorization", "token "+r.token(n))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != r.status || r.right != nil && !r.right(body) {
		return fmt.Errorf("%s: %s %s: a wrong answer, %s %.300s", s.name, r.method, r.path(n), resp.Status, body)
	}
	return nil
}
