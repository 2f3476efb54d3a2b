package plugin

import (
	"context"
	"fmt"
	"math/rand"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// Timing of the check.
const (
	checkEvery   = 5 * time.Second
	changesEvery = 30 * time.Second
	patience     = 3 // silent progress intervals before a watch is given up
)

// check looks from outside whether the watch can still be true: etcd's own watches have lost events before, and a dead
// connection is silent. Every few seconds it compares the number of keys, and now and then the revisions of those that
// have changed, which together find every change that was lost.
func (w *watcher) check(ctx context.Context, m *member, p *pulse) {
	proved := w.state.position().revision
	next := time.Now().Add(changesEvery)
	for {
		pause(ctx, checkEvery+time.Duration(rand.Int63n(int64(checkEvery/4))))
		if ctx.Err() != nil {
			return
		}
		var err error
		if p.silent() {
			err = errSilent
		}
		if err == nil {
			err = w.compareCount(ctx, m)
		}
		if err == nil && time.Now().After(next) {
			next = time.Now().Add(changesEvery)
			proved, err = w.compareChanges(ctx, m, proved)
		}
		if ctx.Err() != nil { // the watch has ended, and knows better why
			return
		}
		if err != nil {
			p.fail(err)
			return
		}
		w.state.prove()
	}
}

// compareCount compares the number of keys. If it differs, events may just be under way: after a moment the view must have
// as many keys as etcd had at the very revision of the view, and it must have moved.
func (w *watcher) compareCount(ctx context.Context, m *member) error {
	before := w.state.position()
	answer, err := m.count(ctx, w.tree(), 0)
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if answer.Header.Cluster != before.cluster {
		return fmt.Errorf("check %w", errCluster)
	}
	if answer.Header.Revision < before.revision {
		return fmt.Errorf("%w to revision %d, we have seen %d", errPast, answer.Header.Revision, before.revision)
	}
	if answer.Count == before.count || answer.Count == w.state.position().count {
		return nil
	}
	pause(ctx, checkTimeout)
	now := w.state.position()
	if now.revision == before.revision {
		return fmt.Errorf("%w events: etcd has %d keys, the edge %d", errLost, answer.Count, now.count)
	}
	if answer, err = m.count(ctx, w.tree(), now.revision); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if answer.Count != now.count {
		return fmt.Errorf("%w events: etcd had %d keys at revision %d, the edge %d", errLost, answer.Count, now.revision, now.count)
	}
	return nil
}

// compareChanges compares the revisions of the keys that etcd says have changed after a revision, and returns up to where
// the view is proved. What differs twice, some time apart, was lost.
func (w *watcher) compareChanges(ctx context.Context, m *member, after int64) (int64, error) {
	first, err := m.changed(ctx, w.tree(), after)
	if err != nil {
		return after, fmt.Errorf("check: %w", err)
	}
	missing := w.missing(first)
	if len(missing) == 0 {
		return provedBy(first, after), nil
	}
	pause(ctx, checkTimeout)
	second, err := m.changed(ctx, w.tree(), after)
	if err != nil {
		return after, fmt.Errorf("check: %w", err)
	}
	for key := range w.missing(second) {
		if w.state.revisionOf(key, w.prefix+routes.RoutesTree) < missing[key] {
			return after, fmt.Errorf("%w a change of %s", errLost, clip(key))
		}
	}
	return provedBy(first, after), nil
}

// missing are those keys of an answer that the view does not have in that revision.
func (w *watcher) missing(answer *rangeResponse) map[string]int64 {
	keys := make(map[string]int64)
	w.state.behind(answer.Kvs, w.prefix+routes.RoutesTree, keys)
	return keys
}

// provedBy is up to where an answer without a fault proves the view: if it is not complete, next time the same is asked.
func provedBy(answer *rangeResponse, after int64) int64 {
	if answer.More {
		return after
	}
	return answer.Header.Revision
}
