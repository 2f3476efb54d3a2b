package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// HoldTTL is the lease of a hold. Work is told to end holdWarning after the last renewal that etcd has confirmed, so that it
// has the rest of the time to do so before somebody else can begin.
const (
	HoldTTL     = 15 * time.Second
	holdRenewal = 3 * time.Second
	holdWarning = 10 * time.Second
	holdRetry   = time.Second
)

// Held is work that this process alone may do.
type Held struct {
	key      string
	lease    clientv3.LeaseID
	revision int64
	confirm  func(until time.Time)
}

// Op is the condition that the hold is still ours, for the transactions of the work: a late owner loses.
func (h *Held) Op() Op {
	cond := clientv3.Compare(clientv3.CreateRevision(h.key), "=", h.revision)
	return Op{cond: &cond}
}

// Hold waits until nobody else holds id and calls work, whose context ends with ctx, or early enough before the hold ends by
// itself because etcd cannot be reached. The hold is given up when work has returned. This repeats until ctx ends. confirm is
// told, before work begins and then again and again, until when nobody else can begin whatever happens.
func (s *Store) Hold(ctx context.Context, id, owner string, confirm func(until time.Time), work func(ctx context.Context, h *Held)) {
	for ctx.Err() == nil {
		h := &Held{key: s.Key(Holds, id), confirm: confirm}
		if held, err := s.takeHold(ctx, h, owner); err == nil && held {
			s.keepHold(ctx, h, work)
			s.giveHold(h)
		} else if err == nil {
			s.awaitHold(ctx, h)
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(holdRetry):
		}
	}
}

// takeHold reports whether the hold is ours now.
func (s *Store) takeHold(ctx context.Context, h *Held, owner string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	if resp, err := s.client.Get(ctx, h.key, clientv3.WithCountOnly()); err != nil || resp.Count > 0 {
		return false, err
	}
	asked := time.Now()
	lease, err := s.client.Grant(ctx, int64(HoldTTL/time.Second))
	if err != nil {
		return false, err
	}
	h.lease = lease.ID
	resp, err := s.client.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(h.key), "=", 0)).
		Then(clientv3.OpPut(h.key, owner, clientv3.WithLease(h.lease))).Commit()
	if err != nil || !resp.Succeeded {
		s.giveHold(h)
		return false, err
	}
	h.revision = resp.Header.Revision
	h.confirm(asked.Add(HoldTTL))
	return true, nil
}

// awaitHold returns when the hold is free, or might be.
func (s *Store) awaitHold(ctx context.Context, h *Held) {
	ctx, cancel := context.WithTimeout(ctx, HoldTTL) // a watch is a hint
	defer cancel()
	for resp := range s.client.Watch(clientv3.WithRequireLeader(ctx), h.key) {
		for _, ev := range resp.Events {
			if ev.Type == clientv3.EventTypeDelete {
				return
			}
		}
	}
	select { // without a leader the watch ends at once
	case <-ctx.Done():
	case <-time.After(holdRetry):
	}
}

// keepHold renews the hold until work has returned.
func (s *Store) keepHold(ctx context.Context, h *Held, work func(context.Context, *Held)) {
	working, stop := context.WithCancel(ctx)
	defer stop()
	renewing, done := context.WithCancel(context.WithoutCancel(ctx))
	var renewal sync.WaitGroup
	defer renewal.Wait()
	defer done()
	renewal.Go(func() { s.renewHold(renewing, h, stop) })
	work(working, h)
}

// renewHold renews the lease until ctx ends, and calls lost when it must be taken for lost.
func (s *Store) renewHold(ctx context.Context, h *Held, lost func()) {
	warning := time.AfterFunc(holdWarning-holdRenewal, lost) // counted from the time of asking, which is before now
	defer warning.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(holdRenewal):
		}
		asked := time.Now()
		once, cancel := context.WithTimeout(ctx, opTimeout)
		_, err := s.client.KeepAliveOnce(once, h.lease)
		cancel()
		if errors.Is(err, rpctypes.ErrLeaseNotFound) {
			lost()
			return
		}
		if err == nil && warning.Stop() {
			h.confirm(asked.Add(HoldTTL))
			warning.Reset(holdWarning - time.Since(asked))
		}
	}
}

// giveHold revokes the lease with a fresh context: the one that ended is why we give it up.
func (s *Store) giveHold(h *Held) {
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	_, _ = s.client.Revoke(ctx, h.lease) // else it expires
}
