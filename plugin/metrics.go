package plugin

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// The metrics in Prometheus' text format. No label has anything of a visitor in it: their number is fixed.

// exposition writes one family after the other.
type exposition struct{ text strings.Builder }

// family begins a metric; its samples follow.
func (x *exposition) family(name, kind, help string) {
	x.text.WriteString("# HELP " + name + " " + help + "\n# TYPE " + name + " " + kind + "\n")
}

// sample writes one value of a series: a name, with labels or without.
func (x *exposition) sample(series string, value int64) {
	x.text.WriteString(series + " " + strconv.FormatInt(value, 10) + "\n")
}

func (x *exposition) seconds(series string, value float64) {
	x.text.WriteString(series + " " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

// gauge is a family of one sample.
func (x *exposition) gauge(name, help string, value int64) {
	x.family(name, "gauge", help)
	x.sample(name, value)
}

func metrics(s *shared) string {
	x := &exposition{}
	s.counts.writeRequests(x)
	x.gauge("edgehub_edge_open_requests", "Requests under way, WebSockets included.", atomic.LoadInt64(&s.counts.open)+atomic.LoadInt64(&s.counts.sockets))
	x.gauge("edgehub_edge_open_websockets", "Open WebSockets.", atomic.LoadInt64(&s.counts.sockets))
	x.gauge("edgehub_edge_waiting_requests", "Requests that wait for a server to start.", s.state.holds.waiting())
	s.counts.writeEvents(x)
	s.state.writeTable(x)
	s.writeCaches(x)
	return x.text.String()
}

// writeRequests writes a counter and a histogram for each decision.
func (c *counts) writeRequests(x *exposition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	const requests = "edgehub_edge_requests_total"
	x.family(requests, "counter", "Requests by decision and class of status.")
	for _, decision := range decisions {
		for class, n := range c.tallies[decision].classes {
			if n > 0 {
				x.sample(fmt.Sprintf(`%s{decision="%s",status="%dxx"}`, requests, decision, class), n)
			}
		}
	}
	const wait = "edgehub_edge_header_seconds"
	x.family(wait, "histogram", "Time from the arrival of a request until the header of its answer.")
	for _, decision := range decisions {
		c.tallies[decision].write(x, wait, `decision="`+decision+`"`)
	}
}

func (t *tally) write(x *exposition, name, label string) {
	n := int64(0)
	for i := 0; i < waitClasses; i++ {
		n += t.waits[i]
		bound := "+Inf"
		if i < waitClasses-1 {
			bound = strconv.FormatFloat(float64(int64(1)<<uint(firstWait+i))/1e9, 'g', -1, 64)
		}
		x.sample(name+"_bucket{"+label+`,le="`+bound+`"}`, n)
	}
	x.seconds(name+"_sum{"+label+"}", t.sum.Seconds())
	x.sample(name+"_count{"+label+"}", n)
}

// writeEvents writes the counters of rare events, those that have not happened yet as well.
func (c *counts) writeEvents(x *exposition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.events(c, "edgehub_edge_exchanges_total", "API tokens that were exchanged at the control plane, or not.",
		exchangeOK, exchangeRefused, exchangeFailed, exchangeFlooded)
	x.events(c, "edgehub_edge_renewals_total", "Sessions' edge tokens that were renewed at the control plane, or not.", renewalOK, renewalFailed)
	x.events(c, cutRequests, "Open requests and WebSockets that a change of permissions or routes has ended.", cutRequests)
	x.events(c, lists, "Complete lists of the table.", lists)
	x.events(c, "edgehub_edge_watch_ends_total", "Ends of the conversation with etcd, after each of which the table is listed anew.",
		watchList, watchClosed, watchSilent, watchLost, watchCluster, watchPast, watchCredentials)
	x.events(c, panics, "Panics of background work, which are bugs.", panics)
}

// events writes a family of counters of c. The caller holds the lock.
func (x *exposition) events(c *counts, name, help string, series ...string) {
	x.family(name, "counter", help)
	for _, one := range series {
		x.sample(one, c.events[one])
	}
}

// writeTable writes what the edge knows of the hub.
func (s *state) writeTable(x *exposition) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v := s.view
	ready := int64(1)
	if v == nil {
		ready = 0
		v = newView()
	}
	x.gauge("edgehub_edge_ready", "1 when the table has been read once.", ready)
	x.family("edgehub_edge_table_age_seconds", "gauge", "Time since etcd last confirmed the table, or since the start.")
	x.seconds("edgehub_edge_table_age_seconds", time.Since(s.proved).Seconds())
	x.gauge("edgehub_edge_table_revision", "Revision of etcd that the table has reached.", v.revision)
	x.gauge("edgehub_edge_routes", "Routes.", int64(v.table.Len()))
	x.gauge("edgehub_edge_keys", "Public keys.", int64(len(v.keys)))
	x.family("edgehub_edge_revocations", "gauge", "Revocations in force.")
	x.sample(`edgehub_edge_revocations{of="session"}`, int64(len(v.sessions)))
	x.sample(`edgehub_edge_revocations{of="token"}`, int64(len(v.tokens)))
	x.sample(`edgehub_edge_revocations{of="user"}`, int64(len(v.users)))
	x.sample(`edgehub_edge_revocations{of="role or group"}`, int64(len(v.shared)))
	x.gauge("edgehub_edge_bad_records", "Records in etcd that cannot be read, and so count as absent.", int64(len(v.bad)))
}

// writeCaches writes the sizes of what the edge remembers, all of which are bounded, and of the control plane.
func (s *shared) writeCaches(x *exposition) {
	hubs := s.set.hub
	if len(hubs) == 0 {
		hubs = s.state.hubAddresses()
	}
	x.gauge("edgehub_edge_hubs", "Addresses of the control plane that are known.", int64(len(hubs)))
	x.family("edgehub_edge_cache_entries", "gauge", "Entries of the edge's caches; those that have ended may still be there.")
	write := func(name string, c *cache) { x.sample(`edgehub_edge_cache_entries{cache="`+name+`"}`, c.size()) }
	write("passes", s.passes)
	write("tickets", s.tickets)
	write("verdicts", s.verdicts.known)
	write("exchanged", s.exchange.known)
	write("refused", s.exchange.refused)
	write("renewed", s.renewal.fresh)
}
