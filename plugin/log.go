package plugin

import (
	"fmt"
	"log"
	"strconv"
	"sync"
	"time"
)

// logEvery is how often one reason may be logged. A storm of one kind then costs six lines a minute.
const logEvery = 10 * time.Second

// logger writes lines to the standard logger (Traefik collects them), rate limited for each reason. Nothing secret goes
// in: no token, no cookie, no query. Text from outside goes through clip.
type logger struct {
	mu     sync.Mutex
	last   map[string]time.Time // by reason, which is always a constant of this package
	missed map[string]int
}

func newLogger() *logger {
	return &logger{last: make(map[string]time.Time), missed: make(map[string]int)}
}

func (l *logger) printf(reason, format string, args ...any) {
	now := time.Now()
	l.mu.Lock()
	if last, ok := l.last[reason]; ok && now.Sub(last) < logEvery {
		l.missed[reason]++
		l.mu.Unlock()
		return
	}
	missed := l.missed[reason]
	l.last[reason] = now
	l.missed[reason] = 0
	l.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	if missed > 0 {
		line += fmt.Sprintf(" (and %d more like this)", missed)
	}
	log.Print("edgehub edge: " + line)
}

// clip makes text from outside fit for a log line: quoted and short.
func clip(s string) string {
	const max = 96
	if len(s) > max {
		return strconv.Quote(s[:max]) + "..."
	}
	return strconv.Quote(s)
}
