package plugin

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestAClockThatStandsStillClosesTheShortWay ends the clock of an edge that lives on, and starts it again.
func TestAClockThatStandsStillClosesTheShortWay(t *testing.T) {
	captureLog(t)
	synctest.Test(t, func(t *testing.T) {
		g := newStage(t)
		g.putRoute("/user/alice/", "alice")
		token := g.token("alice")
		short := func() bool {
			r := request("GET", "/user/alice/api", "h", http.Header{"Authorization": {"token " + token}, "User-Agent": {"a"}})
			status := 0
			g.do(r, func(w http.ResponseWriter, r *http.Request) {
				if status = serveFast(g.shared, w, r); status == 0 {
					serve(g.shared, w, r, true)
				}
			})
			return status != 0
		}
		ctx, stop := context.WithCancel(t.Context())
		g.shared.startClock(ctx)
		if short(); !short() {
			t.Error("the short way is not used")
		}
		time.Sleep(10 * clockPatience)
		if !short() {
			t.Error("the short way is closed while the clock goes")
		}
		stop()
		time.Sleep(clockPatience + time.Second)
		if short(); short() {
			t.Error("the short way is used without a clock")
		}
		ctx, stop = context.WithCancel(t.Context())
		defer stop()
		g.shared.startClock(ctx)
		synctest.Wait()
		if short(); !short() {
			t.Error("the short way stays closed")
		}
		stop()
		g.shared.wg.Wait()
	})
}
