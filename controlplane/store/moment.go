package store

import (
	"context"
	"sync"
	"time"
)

// momentLife is how long a request goes by a revision that etcd has confirmed. It bounds what a watch that hangs can hide.
const momentLife = 50 * time.Millisecond

// moment is what one request knows of etcd: that it was at a revision after the request began.
type moment struct {
	mu       sync.Mutex
	revision int64
	since    time.Time
}

type momentKey struct{}

// AtOnce is ctx for a request that only reads. Its first read asks etcd at which revision it is; the others are of that revision or
// later ones, never of an earlier one than what was read before, and ask etcd only for what is not near. So all that the request
// reads was true after it began, as with reads that ask each time.
func AtOnce(ctx context.Context) context.Context {
	return context.WithValue(ctx, momentKey{}, &moment{})
}

// now is ctx for reads that ask each time: those that a write depends on.
func now(ctx context.Context) context.Context {
	if momentOf(ctx) == nil {
		return ctx
	}
	return context.WithValue(ctx, momentKey{}, (*moment)(nil))
}

func momentOf(ctx context.Context) *moment {
	m, _ := ctx.Value(momentKey{}).(*moment)
	return m
}

// floor is the revision from which on what is near may be used without asking, 0 for none.
func (m *moment) floor() int64 {
	if m == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.since) > momentLife {
		return 0
	}
	return m.revision
}

// saw notes that something was read as of revision, or not long before: at the time begun the read had not begun.
func (m *moment) saw(revision int64, begun time.Time) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.revision = max(m.revision, revision)
	m.since = begun
}
