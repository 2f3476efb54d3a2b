package e2e

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/edgehub/edgehub/test/env"
)

// echo is a world with echo servers for the users named, which run.
func echo(t *testing.T, o env.Options, users ...string) *env.World {
	t.Helper()
	w := env.New(t, o)
	for _, name := range users {
		w.AddUser(t, name)
		w.StartServer(t, name)
	}
	return w
}

// page are the headers of a person's browser that opens a page.
func page() http.Header { return http.Header{"Accept": {"text/html,*/*;q=0.8"}} }

// loop does something again and again until it is stopped or fails.
type loop struct {
	n     atomic.Int64
	stop  context.CancelFunc
	ended chan struct{}
	err   error
}

// repeat starts a loop. once gets the number of the round. A loop that fails ends.
func repeat(t *testing.T, pause time.Duration, once func(ctx context.Context, i int64) error) *loop {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &loop{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		for ctx.Err() == nil {
			round, cancel := context.WithTimeout(context.Background(), 20*time.Second) // not ctx: rounds are not cut short
			err := once(round, l.n.Load())
			cancel()
			if err != nil {
				l.err = fmt.Errorf("round %d: %w", l.n.Load(), err)
				return
			}
			l.n.Add(1)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}()
	t.Cleanup(func() { stop(); <-l.ended })
	return l
}

// end stops the loop and returns how many rounds went well, and what the last one failed with.
func (l *loop) end() (int64, error) {
	l.stop()
	<-l.ended
	return l.n.Load(), l.err
}

// mustGoOn fails the test if the loop has failed, or does not do another two rounds: one of them began after the call.
func (l *loop) mustGoOn(t *testing.T, what string) {
	t.Helper()
	from := l.n.Load()
	env.Eventually(t, what, 20*time.Second, func() error {
		select {
		case <-l.ended:
			t.Fatalf("%s: %v", what, l.err)
		default:
		}
		if n := l.n.Load(); n < from+2 {
			return fmt.Errorf("it stands at round %d", n)
		}
		return nil
	})
}

// mustBreak fails the test unless the loop fails within the time given from since on.
func (l *loop) mustBreak(t *testing.T, what string, since time.Time, within time.Duration) {
	t.Helper()
	select {
	case <-l.ended:
	case <-time.After(within - time.Since(since)):
	}
	took := time.Since(since)
	select {
	case <-l.ended:
		t.Logf("%s: cut after %s", what, took.Round(time.Millisecond))
	default:
		t.Errorf("%s goes on %s later", what, took.Round(time.Millisecond))
	}
}

// talk keeps a WebSocket of an echo server busy.
func talk(t *testing.T, conn *websocket.Conn) *loop {
	t.Helper()
	return repeat(t, 5*time.Millisecond, func(ctx context.Context, i int64) error {
		want := fmt.Sprintf("message %d", i)
		if err := conn.Write(ctx, websocket.MessageText, []byte(want)); err != nil {
			return err
		}
		if _, got, err := conn.Read(ctx); err != nil || string(got) != want {
			return fmt.Errorf("got %q and %w, want %q", got, err, want)
		}
		return nil
	})
}

// visits does requests all the time that must be answered by the same instance.
func visits(t *testing.T, c *env.Client, path, instance string) *loop {
	t.Helper()
	return repeat(t, 5*time.Millisecond, func(ctx context.Context, _ int64) error { return visit(ctx, c, path, instance) })
}

func visit(ctx context.Context, c *env.Client, path, instance string) error {
	resp, err := c.Try(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	if resp.Status != http.StatusOK || !strings.Contains(string(resp.Body), instance) {
		return fmt.Errorf("%s, want 200 from instance %s", resp, instance)
	}
	return nil
}

// storm does n visits, several at a time, and returns the failures.
func storm(c *env.Client, n int, path, instance string) []error {
	var (
		mu     sync.Mutex
		failed []error
		left   atomic.Int64
		all    sync.WaitGroup
	)
	left.Store(int64(n))
	for range 8 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				if err := visit(ctx, c, path, instance); err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
				cancel()
			}
		})
	}
	all.Wait()
	return failed
}

// instance is the id of the echo server that answers a client at a user's address.
func instance(t *testing.T, c *env.Client, user string) string {
	t.Helper()
	report := c.Get(t, "/user/"+user+"/x").Report(t)
	if report.User != user {
		t.Fatalf("the server of %s answers at the address of %s", report.User, user)
	}
	return report.Instance
}

// payloads are the payloads of server-sent events.
func payloads(stream []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for line := range bytes.Lines(stream) {
			if data, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("data: ")); ok && !yield(data) {
				return
			}
		}
	}
}
