package hub

import "time"

// ActivityResolution is how exactly activity is stored: a time that is less than this after the stored one is not written,
// so that a busy server costs one write in five minutes however often it reports (threat T81). Whoever ends a server
// because nobody used it allows it so much more time.
const ActivityResolution = 5 * time.Minute

// ActivityMoves reports whether activity at a time is worth a write when last is stored. Since it never is for a time before
// last, and nobody reports a time to come, the number of writes is bounded by the time that passes, not by the reports.
func ActivityMoves(last, at time.Time) bool { return at.Sub(last) >= ActivityResolution }
