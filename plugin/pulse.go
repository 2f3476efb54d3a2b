package plugin

import (
	"context"
	"sync"
	"time"
)

// pulse is what the reader of a watch and its check tell each other.
type pulse struct {
	cancel context.CancelFunc

	mu       sync.Mutex
	err      error
	last     time.Time     // of the last message
	interval time.Duration // between the last message and a progress message after it: etcd's progress interval
}

func newPulse(cancel context.CancelFunc) *pulse {
	return &pulse{cancel: cancel, last: time.Now()}
}

// fail ends the watch for a reason.
func (p *pulse) fail(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.mu.Unlock()
	p.cancel()
}

// cause is why the watch ended: the check's reason if it has one, else what the reader saw.
func (p *pulse) cause(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	return err
}

// beat notes a message. etcd sends progress only after an interval without events, so the gap tells the interval.
func (p *pulse) beat(progress bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if gap := now.Sub(p.last); progress && gap > p.interval {
		p.interval = gap
	}
	p.last = now
}

// silent reports that progress messages used to come and do not any more.
func (p *pulse) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.interval > 0 && time.Since(p.last) > patience*p.interval+time.Second
}
