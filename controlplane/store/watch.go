package store

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Event is one step of Watch. Value is nil when the record is gone. Reset marks the first event of a new snapshot:
// everything that the snapshot does not repeat before Synced is gone. Synced carries no record; it marks the end of a
// snapshot, and from there on events are changes.
type Event[T any] struct {
	ID       string
	Value    *T
	Revision int64
	Reset    bool
	Synced   bool
}

// Watch calls yield with a snapshot of the records whose id starts with idPrefix and then with every change, in the order of
// revisions. After compaction or a broken stream it starts over with a new snapshot and says so (Reset). It returns when
// yield returns false (nil) or ctx ends (its error). A watch is a hint: act on the state, and reconcile on a timer too.
func (t Table[T]) Watch(ctx context.Context, idPrefix string, yield func(Event[T]) bool) error {
	for attempt := 0; ; attempt++ {
		more, err := t.watchOnce(ctx, idPrefix, yield)
		if !more {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(time.Duration(attempt)*100*time.Millisecond, 2*time.Second)):
		}
	}
}

// watchOnce is one snapshot and the stream behind it. It reports whether to start over.
func (t Table[T]) watchOnce(ctx context.Context, idPrefix string, yield func(Event[T]) bool) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first, stopped := true, false
	rev, err := t.list(ctx, idPrefix, func(r Record[T]) bool {
		stopped = !yield(Event[T]{ID: r.ID, Value: &r.Value, Revision: r.Revision, Reset: first})
		first = false
		return !stopped
	})
	if stopped {
		return false, nil
	}
	if err != nil {
		return ctx.Err() == nil, ctx.Err()
	}
	if !yield(Event[T]{Revision: rev, Reset: first, Synced: true}) {
		return false, nil
	}
	stream := t.s.client.Watch(clientv3.WithRequireLeader(ctx), t.Key(idPrefix), clientv3.WithPrefix(), clientv3.WithRev(rev+1))
	for resp := range stream {
		if resp.Err() != nil {
			break
		}
		for _, ev := range resp.Events {
			if !yield(t.event(ev)) {
				return false, nil
			}
		}
	}
	return ctx.Err() == nil, ctx.Err()
}

func (t Table[T]) event(ev *clientv3.Event) Event[T] {
	e := Event[T]{ID: string(ev.Kv.Key)[len(t.Key("")):], Revision: ev.Kv.ModRevision}
	if ev.Type == clientv3.EventTypePut {
		if r, err := decode[T](e.ID, ev.Kv.Value, ev.Kv.ModRevision); err == nil {
			e.Value = &r.Value
		}
	}
	return e
}
