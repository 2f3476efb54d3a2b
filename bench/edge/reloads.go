package edge

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

const (
	// firstReloads come before the count of what is there: the first ones fill caches that stay.
	firstReloads = 10
	// goroutineGoal and heapGoal are how much more there may be after the reloads.
	goroutineGoal = 10
	heapGoal      = 2.0 // MB
)

// Reloads measures what is lost and what is left behind when Traefik reloads its configuration under load.
func Reloads(ctx context.Context, o Options) error {
	if err := o.check(Plain, Plugin); err != nil {
		return err
	}
	if o.Count < 1 {
		return fmt.Errorf("--count %d: there must be one reload at least", o.Count)
	}
	o.inside, o.throttle = true, "0s" // with its usual two seconds 300 reloads take ten minutes
	return measure(ctx, &o, "reloads", func(ctx context.Context, w *world, r *report) error {
		for _, name := range w.opts.Sides {
			if err := w.reloadsOf(ctx, name, r); err != nil {
				return err
			}
		}
		return nil
	})
}

func (w *world) reloadsOf(ctx context.Context, name string, r *report) error {
	s, err := w.startSide(ctx, name)
	if err != nil {
		return err
	}
	defer s.stop()
	t, err := w.startTraffic(ctx, s)
	if err != nil {
		return err
	}
	if err := s.reload(ctx, 0, firstReloads); err != nil {
		return err
	}
	if err := t.pause(ctx); err != nil {
		return err
	}
	heap, goroutines, err := s.rest(ctx, 0, 0)
	if err != nil {
		return err
	}
	w.opts.say("reloading %s %d times", name, w.opts.Count)
	t.resume(ctx)
	begin := time.Now()
	if err := s.reload(ctx, firstReloads, w.opts.Count); err != nil {
		return err
	}
	took := time.Since(begin)
	if err := t.pause(ctx); err != nil {
		return err
	}
	heapAfter, goroutinesAfter, err := s.rest(ctx, goroutines+goroutineGoal, heap+heapGoal*1e6)
	if err != nil {
		return err
	}
	note := fmt.Sprintf("%d reloads in %.1f s, %d requests, %d messages over %d sockets",
		w.opts.Count, took.Seconds(), t.requests, t.messages, w.opts.Connections)
	r.add(dropped(name, "dropped requests", t.lostRequests, note))
	r.add(dropped(name, "dropped sockets", t.lostSockets, ""))
	r.add(figure{Side: name, What: "goroutines more than before", Value: float64(goroutinesAfter - goroutines), Goal: goroutineGoal,
		Note: fmt.Sprintf("%d, then %d", goroutines, goroutinesAfter)})
	r.add(figure{Side: name, What: "heap more than before", Value: megabytes(heapAfter - heap), Unit: "MB", Goal: heapGoal,
		Note: fmt.Sprintf("%.1f MB, then %.1f MB", megabytes(heap), megabytes(heapAfter))})
	return nil
}

// dropped is a figure whose goal is 0, which figure.Goal cannot say.
func dropped(side, what string, n int, note string) figure {
	verdict := "goal 0: met"
	if n > 0 {
		verdict = "goal 0: MISSED"
	}
	if note != "" {
		verdict += "; " + note
	}
	return figure{Side: side, What: what, Value: float64(n), Note: verdict}
}

// reload changes Traefik's configuration n times by a router that has nothing to do with the traffic, and each time waits
// until that router answers.
func (s *side) reload(ctx context.Context, from, n int) error {
	text, err := os.ReadFile(s.dynamic)
	if err != nil {
		return err
	}
	var dynamic struct {
		HTTP section `json:"http"`
	}
	if err := json.Unmarshal(text, &dynamic); err != nil {
		return err
	}
	routers := dynamic.HTTP["routers"].(section)
	c, err := dial(s.addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.conn.Close() }()
	for i := from; i < from+n; i++ {
		name := fmt.Sprintf("reload-%d.example.test", i)
		routers["reload"] = section{"rule": "Host(`" + name + "`)", "service": "server", "priority": 1000}
		if err := writeConfig(s.dynamic, section{"http": dynamic.HTTP}); err != nil {
			return err
		}
		get := "GET /reloaded HTTP/1.1\r\nHost: " + name + "\r\n\r\n"
		_, err := awaitAnswer(ctx, c, get, time.Now(), func(status int, text []byte) bool {
			return status == http.StatusOK && len(text) == bodySize
		})
		if err != nil {
			return s.failed(ctx, err)
		}
	}
	return nil
}

// rest is what the proxy holds when the traffic has ended. Goroutines, buffers and instances of old configurations may take
// half a minute to end, and it returns as soon as there is no more than enough.
func (s *side) rest(ctx context.Context, enoughGoroutines, enoughHeap int64) (heap, goroutines int64, err error) {
	for range 30 {
		if heap, _, goroutines, err = s.inUse(ctx); err != nil || goroutines <= enoughGoroutines && heap <= enoughHeap {
			return heap, goroutines, err
		}
		if err := pause(ctx, time.Second); err != nil {
			return 0, 0, err
		}
	}
	return heap, goroutines, nil
}
