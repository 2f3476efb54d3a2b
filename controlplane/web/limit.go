package web

import (
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// Limiter lets each key do something a number of times at once, and from then on only as often as Every. It is this
// replica's own: N replicas let N times as much. It remembers a bounded number of keys, the busiest ones.
type Limiter struct {
	burst int
	every time.Duration
	size  int

	mu   sync.Mutex
	full map[string]time.Time // when the key may do everything again
}

// NewLimiter lets a key do something burst times, and once more after every. size is how many keys it remembers.
func NewLimiter(burst int, every time.Duration, size int) *Limiter {
	return &Limiter{burst: burst, every: every, size: size, full: map[string]time.Time{}}
}

// Take uses one time of each key, and reports whether all have one. If one has none, nothing is used.
func (l *Limiter) Take(keys ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, key := range keys {
		if l.full[key].Sub(now) > time.Duration(l.burst-1)*l.every {
			return false
		}
	}
	for _, key := range keys {
		l.add(key, now, l.every)
	}
	return true
}

// GiveBack undoes Take, for what should not count.
func (l *Limiter) GiveBack(keys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for _, key := range keys {
		l.add(key, now, -l.every)
	}
}

func (l *Limiter) add(key string, now time.Time, d time.Duration) {
	at := l.full[key]
	if at.Before(now) {
		at = now
	}
	if at = at.Add(d); !at.After(now) {
		delete(l.full, key)
		return
	}
	if _, known := l.full[key]; !known && len(l.full) >= l.size {
		l.makeRoom(now)
	}
	l.full[key] = at
}

// makeRoom forgets the keys that may do everything, and if there are none, the one of a few that will soonest.
func (l *Limiter) makeRoom(now time.Time) {
	for key, at := range l.full {
		if !at.After(now) {
			delete(l.full, key)
		}
	}
	if len(l.full) < l.size {
		return
	}
	soonest, looked := "", 0
	for key, at := range l.full { // in random order
		if soonest == "" || at.Before(l.full[soonest]) {
			soonest = key
		}
		if looked++; looked == 16 {
			break
		}
	}
	delete(l.full, soonest)
}

// ClientNetwork is where a visitor comes from, for limits: ClientAddress, but IPv6 addresses count by network, as everybody
// has many.
func ClientNetwork(r *http.Request) string {
	seen := ClientAddress(r)
	ip, err := netip.ParseAddr(seen)
	if err != nil {
		return seen
	}
	if ip = ip.Unmap(); ip.Is6() {
		if network, err := ip.WithZone("").Prefix(64); err == nil {
			return network.String()
		}
	}
	return ip.String()
}
