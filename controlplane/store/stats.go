package store

import (
	"sync/atomic"
	"time"
)

// stats are what a store counts, for metrics.
type stats struct{ conflicts atomic.Int64 }

// Conflicts is how many transactions were not made because a condition of theirs did not hold: somebody else was faster, or
// there was already what should be created.
func (s *Store) Conflicts() int64 { return s.stats.conflicts.Load() }

// WatchLag is for how long Follow's watch has been behind what etcd has said to reads, or has been away. It is zero if it is
// up to date, and before Follow.
func (s *Store) WatchLag() time.Duration {
	n := &s.reads.near
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.late.IsZero() {
		return 0
	}
	return time.Since(n.late)
}
