package edge

import (
	"context"
	"fmt"
	"time"
)

// giveUp is how long a change may take.
const giveUp = 2 * time.Minute

// judge tells a right answer from one that is not right yet.
type judge = func(status int, text []byte) bool

// awaitAnswer sends a request again and again until the answer is right, and returns how long after since that was. The
// pause between two requests is a twentieth of the time that has passed: the figure is at most so much too long, and a
// slow side is not drowned in requests.
func awaitAnswer(ctx context.Context, c *conn, request string, since time.Time, right judge) (time.Duration, error) {
	for {
		status, text, err := c.fetch([]byte(request))
		if err != nil {
			return 0, err
		}
		passed := time.Since(since)
		if right(status, text) {
			return passed, nil
		}
		if passed > giveUp {
			return 0, fmt.Errorf("not the right answer after %s, but status %d: %.200s", giveUp, status, text)
		}
		if err := pause(ctx, max(200*time.Microsecond, passed/20)); err != nil {
			return 0, err
		}
	}
}
