package plugin

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// Timing of the watcher.
const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
	goodWatch  = 10 * time.Second // a watch that lived this long resets the back-off
	checkEvery = 5 * time.Second
	auditEvery = time.Minute
	patience   = 3 // wrong counts in a row, and silent progress intervals, before a watch is given up
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
	backoff := minBackoff
	for ctx.Err() == nil {
		start := time.Now()
		err := w.session(ctx)
		if ctx.Err() != nil {
			return
		}
		w.state.notReady(publicReason(err))
		w.state.counts.add(watchEnd(err), 1)
		w.log.printf("watch", "%s; listing again", err.Error())
		w.gateway.rotate()
		if time.Since(start) > goodWatch {
			backoff = minBackoff
		}
		pause(ctx, backoff/2+time.Duration(rand.Int63n(int64(backoff))))
		backoff *= 2
		if backoff > maxBackoff {
			backoff = maxBackoff
		}
	}
}

// publicReason is what a visitor may know of why the edge is not ready. Addresses stay in the log.
func publicReason(err error) string {
	if errors.Is(err, errCredentials) {
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
	err := m.pages(ctx, w.tree(), false, func(page *rangeResponse) {
		v.cluster = page.Header.Cluster
		v.revision = page.Header.Revision
		for _, kv := range page.Kvs {
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
	w.state.confirm()
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
		w.state.confirm()
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

// check looks from outside whether the watch can still be true: etcd's own watches have lost events before, and a dead
// connection is silent. It reads cheaply every few seconds, and compares all keys every minute.
func (w *watcher) check(ctx context.Context, m *member, p *pulse) {
	wrong := 0
	nextAudit := time.Now().Add(auditEvery)
	for {
		pause(ctx, checkEvery+time.Duration(rand.Int63n(int64(checkEvery/4))))
		if ctx.Err() != nil {
			return
		}
		if p.silent() {
			p.fail(errSilent)
			return
		}
		same, err := w.sameCount(ctx, m)
		if err == nil && same {
			wrong = 0
			w.state.confirm()
		} else {
			wrong++
		}
		if err == nil && wrong >= patience {
			err = fmt.Errorf("%w events: the number of keys differs", errLost)
		}
		if err == nil && time.Now().After(nextAudit) {
			nextAudit = time.Now().Add(auditEvery)
			err = w.audit(ctx, m)
		}
		if err != nil {
			p.fail(err)
			return
		}
	}
}

// sameCount asks for the number of keys. A lower revision or another cluster is an error; a different number may just
// be a message that has not arrived yet.
func (w *watcher) sameCount(ctx context.Context, m *member) (bool, error) {
	before := w.state.position()
	request := &rangeRequest{Key: []byte(w.tree()), RangeEnd: prefixEnd(w.tree()), CountOnly: true}
	answer, err := m.read(ctx, request, checkTimeout)
	if err != nil {
		return false, fmt.Errorf("check: %w", err)
	}
	if answer.Header.Cluster != before.cluster {
		return false, fmt.Errorf("check %w", errCluster)
	}
	if answer.Header.Revision < before.revision {
		return false, fmt.Errorf("%w to revision %d, we have seen %d", errPast, answer.Header.Revision, before.revision)
	}
	same := w.state.position().count == answer.Count
	return same, nil
}

// audit compares the revision of every key with the view. What differs twice, two seconds apart, was lost.
func (w *watcher) audit(ctx context.Context, m *member) error {
	first, err := w.missing(ctx, m)
	if err != nil || len(first) == 0 {
		return err
	}
	pause(ctx, 2*time.Second)
	second, err := w.missing(ctx, m)
	if err != nil {
		return err
	}
	for key := range second {
		if first[key] {
			return fmt.Errorf("%w a change of %s", errLost, clip(key))
		}
	}
	return nil
}

func (w *watcher) missing(ctx context.Context, m *member) (map[string]bool, error) {
	keys := make(map[string]bool)
	err := m.pages(ctx, w.tree(), true, func(page *rangeResponse) { w.state.behind(page.Kvs, keys) })
	return keys, err
}

// pulse is what the reader of a watch and its check tell each other.
type pulse struct {
	cancel context.CancelFunc

	mu       sync.Mutex
	err      error
	last     time.Time     // of the last message
	interval time.Duration // between the last message and a progress message after it: etcd's progress interval
}

func newPulse(cancel context.CancelFunc) *pulse {
	return &pulse{cancel: cancel, last: time.Now()}
}

// fail ends the watch for a reason.
func (p *pulse) fail(err error) {
	p.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.mu.Unlock()
	p.cancel()
}

// cause is why the watch ended: the check's reason if it has one, else what the reader saw.
func (p *pulse) cause(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	return err
}

// beat notes a message. etcd sends progress only after an interval without events, so the gap tells the interval.
func (p *pulse) beat(progress bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if gap := now.Sub(p.last); progress && gap > p.interval {
		p.interval = gap
	}
	p.last = now
}

// silent reports that progress messages used to come and do not any more.
func (p *pulse) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.interval > 0 && time.Since(p.last) > patience*p.interval+time.Second
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
