package plugin

import (
	"context"
	"time"
)

// clockPatience is how old the time of the short way may become.
const clockPatience = 5 * time.Second

// startClock keeps the time of the short way until ctx ends. The short way would not see tokens end if that stood still, as a
// bug of Yaegi once made it; so a timer of the runtime, which needs nothing of the clock, closes the short way then.
func (s *shared) startClock(ctx context.Context) {
	late := time.AfterFunc(clockPatience, func() {
		defer s.recovered("clock")
		s.fast.close()
		if ctx.Err() == nil {
			s.log.printf("clock", "the clock stands still; every request is decided the long way")
		}
	})
	s.background("clock", func() { s.fast.tick(ctx, late) })
}

// close forgets everything and learns nothing more, until the clock goes on.
func (f *fast) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.dropAll()
}
