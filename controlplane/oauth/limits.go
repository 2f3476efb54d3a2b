package oauth

import (
	"sync"

	"golang.org/x/time/rate"
)

// maxCounters bounds a limits. When it is full it forgets all, which costs less than it would to know whom.
const maxCounters = 4096

// limits slows down each of many by itself. It counts what this replica sees.
type limits struct {
	perSecond rate.Limit
	burst     int

	mu       sync.Mutex
	counters map[string]*rate.Limiter
}

func newLimits(perSecond float64, burst int) *limits {
	return &limits{perSecond: rate.Limit(perSecond), burst: burst, counters: map[string]*rate.Limiter{}}
}

// allow counts one for who, and reports whether there was one left.
func (l *limits) allow(who string) bool { return l.counter(who).Allow() }

// left reports whether who has one left.
func (l *limits) left(who string) bool { return l.counter(who).Tokens() >= 1 }

func (l *limits) counter(who string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counters[who]
	if c == nil {
		if len(l.counters) >= maxCounters {
			clear(l.counters)
		}
		c = rate.NewLimiter(l.perSecond, l.burst)
		l.counters[who] = c
	}
	return c
}
