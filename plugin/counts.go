package plugin

import (
	"math/bits"
	"sync"
	"time"
)

// counts are what the metrics are made of, apart from what can be looked up when somebody asks. What happens with every
// request is counted only if the metrics are on; the rest is rare and counted always.
type counts struct {
	open    int64 // requests under way; atomic
	sockets int64 // open WebSockets; atomic

	mu      sync.Mutex
	events  map[string]int64  // by series
	tallies map[string]*tally // by decision
}

// tally are the requests of one decision.
type tally struct {
	classes [10]int64          // by the first digit of the status
	waits   [waitClasses]int64 // by the time until the header of the answer; the last for all that took longer
	sum     time.Duration
}

// Bounds of the times: 2^18 ns, which is 0.26 ms, and twice as much for each class up to 2^33 ns, which is 8.6 s.
const (
	firstWait   = 18
	waitClasses = 17
)

// Series of rare events.
const (
	exchangeOK      = `edgehub_edge_exchanges_total{result="ok"}`
	exchangeRefused = `edgehub_edge_exchanges_total{result="refused"}`
	exchangeFailed  = `edgehub_edge_exchanges_total{result="failed"}`
	exchangeFlooded = `edgehub_edge_exchanges_total{result="flooded"}`
	renewalOK       = `edgehub_edge_renewals_total{result="ok"}`
	renewalFailed   = `edgehub_edge_renewals_total{result="failed"}`
	lists           = `edgehub_edge_lists_total`
	cutRequests     = `edgehub_edge_cut_requests_total`
	panics          = `edgehub_edge_panics_total`

	watchList        = `edgehub_edge_watch_ends_total{reason="list_failed"}`
	watchClosed      = `edgehub_edge_watch_ends_total{reason="closed"}`
	watchSilent      = `edgehub_edge_watch_ends_total{reason="silent"}`
	watchLost        = `edgehub_edge_watch_ends_total{reason="lost_events"}`
	watchCluster     = `edgehub_edge_watch_ends_total{reason="other_cluster"}`
	watchPast        = `edgehub_edge_watch_ends_total{reason="went_back"}`
	watchCredentials = `edgehub_edge_watch_ends_total{reason="credentials"}`
)

func newCounts() *counts {
	c := &counts{events: make(map[string]int64), tallies: make(map[string]*tally)}
	for _, decision := range decisions {
		c.tallies[decision] = &tally{}
	}
	return c
}

// add counts n events of a series.
func (c *counts) add(series string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events[series] += int64(n)
}

// answered counts a request whose answer begins after d.
func answered(c *counts, decision string, status int, d time.Duration) {
	i := bits.Len64(uint64(d)) - firstWait
	if i < 0 {
		i = 0
	}
	if i >= waitClasses {
		i = waitClasses - 1
	}
	c.mu.Lock()
	t := c.tallies[decision]
	t.classes[status/100]++
	t.waits[i]++
	t.sum += d
	c.mu.Unlock()
}
