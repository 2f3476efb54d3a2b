package plugin

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// Timing of the watcher.
const (
	minBackoff   = 100 * time.Millisecond
	startBackoff = 500 * time.Millisecond // the longest while nobody can be served yet
	maxBackoff   = 5 * time.Second
	goodWatch    = 10 * time.Second // a watch that lived this long resets the back-off
)

// watcher keeps the state equal to etcd's tree below <prefix>edge/: list, watch from the list's revision, and list again
// whenever the watch cannot be trusted any more. The old view serves until the new one replaces it in one step.
type watcher struct {
	gateway *gateway
	state   *state
	live    *live
	fast    *fast
	log     *logger
	prefix  string // of the hub, with slashes at both ends
	hubs    func() // called when the addresses of the control plane may have changed
}

func (w *watcher) tree() string { return w.prefix + routes.EdgeTree }

// run follows etcd until ctx ends.
func (w *watcher) run(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		start := time.Now()
		err := w.session(ctx)
		if ctx.Err() != nil {
			return
		}
		w.state.notReady(publicReason(err))
		w.state.counts.add(watchEnd(err), 1)
		w.log.printf("watch", "%s; listing again%s", err.Error(), w.serving())
		w.gateway.rotate()
		failures++
		if time.Since(start) > goodWatch {
			failures = 1
		}
		d := w.backoff(failures, err)
		pause(ctx, d/2+time.Duration(rand.Int63n(int64(d))))
	}
}

// backoff is the pause after that many failures in a row. It doubles when all endpoints have failed once more, and stays
// short for an edge that has nothing to serve yet, unless etcd has refused it.
func (w *watcher) backoff(failures int, err error) time.Duration {
	limit := maxBackoff
	if w.state.current() == nil && !refused(err) {
		limit = startBackoff
	}
	d := minBackoff
	for n := len(w.gateway.set.etcd); failures > n && d < limit; failures -= n {
		d *= 2
	}
	if d > limit {
		return limit
	}
	return d
}

// serving says for the log how old the view is that requests are answered from meanwhile.
func (w *watcher) serving() string {
	p := w.state.position()
	if p.cluster == "" {
		return ", every request gets 503"
	}
	return fmt.Sprintf(", serving the routes of revision %d, compared with etcd %ds ago", p.revision, int(time.Since(p.proved).Seconds()))
}

// publicReason is what a visitor may know of why the edge is not ready. Addresses stay in the log.
func publicReason(err error) string {
	if refused(err) {
		return "etcd does not accept the edge's credentials"
	}
	return "etcd cannot be read"
}

// Why a list and its watch are given up, besides what etcd or the network say.
var (
	errList    = errors.New("list")
	errSilent  = errors.New("watch is silent")
	errLost    = errors.New("watch has lost")
	errCluster = errors.New("answered by another cluster")
	errPast    = errors.New("etcd went back")
)

// watchEnd is the series that counts such an end.
func watchEnd(err error) string {
	switch {
	case errors.Is(err, errCredentials):
		return watchCredentials
	case errors.Is(err, errList):
		return watchList
	case errors.Is(err, errSilent):
		return watchSilent
	case errors.Is(err, errLost):
		return watchLost
	case errors.Is(err, errCluster):
		return watchCluster
	case errors.Is(err, errPast):
		return watchPast
	}
	return watchClosed
}

// session is one list and the watch that follows it. It returns why it ended.
func (w *watcher) session(ctx context.Context) error {
	m, err := w.gateway.member()
	if err != nil {
		return err
	}
	v, err := w.list(ctx, m)
	if err != nil {
		return fmt.Errorf("%w from %s: %w", errList, m.name, err)
	}
	w.install(v)
	if err := w.follow(ctx, m, v.cluster, v.revision); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

// list reads the whole tree into a new view.
func (w *watcher) list(ctx context.Context, m *member) (*view, error) {
	v := newView()
	none := newChange()
	bad := 0
	var known *routes.Table
	if old := w.state.current(); old != nil {
		known = old.table
	}
	err := m.pages(ctx, w.tree(), func(page *rangeResponse) {
		v.cluster = page.Header.Cluster
		v.revision = page.Header.Revision
		for _, kv := range v.table.Load(page.Kvs, w.prefix+routes.RoutesTree, known) {
			rec := readRecord(w.prefix, kv, false)
			if rec.bad {
				bad++
				w.log.printf("record", "ignored the record %s: it cannot be read", clip(rec.key))
			}
			v.put(rec, none)
		}
	})
	if err != nil {
		return nil, err
	}
	if bad > 0 {
		w.log.printf("records", "ignored %d records that cannot be read", bad)
	}
	return v, nil
}

// install makes v the view and ends the connections that it does not admit.
func (w *watcher) install(v *view) {
	old := w.state.position()
	switch {
	case old.cluster == "":
	case old.cluster != v.cluster:
		w.log.printf("cluster", "etcd is another cluster now (%s, was %s): all routes, keys and revocations are read anew", v.cluster, old.cluster)
	case v.revision < old.revision:
		w.log.printf("revision", "etcd went back from revision %d to %d (restored?): all routes, keys and revocations are read anew", old.revision, v.revision)
	}
	w.state.install(v)
	w.state.counts.add(lists, 1)
	w.fast.forgetAll()
	w.state.counts.add(cutRequests, w.live.review(w.live.all(), w.state))
	w.hubs()
	w.log.printf("list", "%d routes, %d keys at revision %d", v.table.Len(), len(v.keys), v.revision)
}

// follow applies changes from revision+1 on until the watch ends or fails a check.
func (w *watcher) follow(ctx context.Context, m *member, cluster string, revision int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := newPulse(cancel)
	opening := time.AfterFunc(checkTimeout, func() { p.fail(errors.New("watch did not open in time")) })
	defer opening.Stop()
	stream, err := m.watch(ctx, w.tree(), revision+1)
	if err != nil {
		return p.cause(err)
	}
	defer stream.body.Close()
	created, err := stream.next()
	if err != nil {
		return p.cause(err)
	}
	opening.Stop()
	if err := follows(created, cluster, revision); err != nil {
		return err
	}

	done := make(chan bool)
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				p.fail(fmt.Errorf("check panicked: %v", r))
			}
		}()
		w.check(ctx, m, p)
	}()
	err = w.consume(stream, cluster, revision, p)
	cancel()
	<-done
	return p.cause(err)
}

// consume applies message after message.
func (w *watcher) consume(stream *watchStream, cluster string, revision int64, p *pulse) error {
	for {
		msg, err := stream.next()
		if err != nil {
			return err
		}
		p.beat(len(msg.Events) == 0)
		if err := follows(msg, cluster, revision); err != nil {
			return err
		}
		revision = msg.Header.Revision
		w.apply(msg)
	}
}

// follows refuses a message of another cluster, or of a past that we have left: a watch from a revision that etcd has not
// reached, after a restore from a backup, would be silent until it gets there.
func follows(msg *watchResult, cluster string, revision int64) error {
	if msg.Header.Cluster != cluster {
		return fmt.Errorf("watch %w", errCluster)
	}
	if msg.Header.Revision < revision {
		return fmt.Errorf("%w: watch is at revision %d, we have seen %d", errPast, msg.Header.Revision, revision)
	}
	return nil
}

// apply makes the events of one message part of the view and ends the connections that they forbid.
func (w *watcher) apply(msg *watchResult) {
	records := make([]*record, 0, len(msg.Events))
	for _, e := range msg.Events {
		rec := readRecord(w.prefix, &e.Kv, e.Type == "DELETE")
		if rec.bad {
			w.log.printf("record", "ignored the record %s: it cannot be read", clip(rec.key))
		}
		records = append(records, rec)
	}
	c := w.state.apply(records, msg.Header.Revision)
	w.fast.forget(c)
	if c.hubs {
		w.hubs()
	}
	n := w.live.review(w.live.concerned(c), w.state)
	if n > 0 {
		w.state.counts.add(cutRequests, n)
		w.log.printf("cut", "ended %d open requests whose permission ended", n)
	}
}

// pause waits for d or until ctx ends. It does without a select statement, whose cases Yaegi shares among all goroutines that
// execute it: one would wait for the timer of another.
func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	<-ctx.Done()
	cancel()
}
