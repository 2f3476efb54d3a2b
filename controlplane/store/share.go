package store

import (
	"context"
	"runtime"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// reads lets small reads that happen at the same time share one transaction of etcd. Each is as linearizable as if it were alone:
// a read joins a transaction that has not begun. While one transaction is under way the reads that come wait for the next, so a
// busy hub asks etcd once for many requests, and an idle one without any delay.
//
// What was read before is kept near, see there.
type reads struct {
	client  *clientv3.Client
	ping    string // a key that is not there
	near    near
	mu      sync.Mutex
	busy    bool
	waiting []*read
}

// read is one read that waits. turn gets true when it has its answer, and false when it is to do the next transaction.
type read struct {
	op   clientv3.Op
	turn chan bool
	resp *answer
	at   int64 // the revision that resp is of, or an earlier one that etcd was at after the read began
	err  error
}

// do reads a key: from near if the request has a moment that allows it, else alone or with others.
func (s *reads) do(ctx context.Context, key string, opts ...clientv3.OpOption) (*answer, error) {
	m := momentOf(ctx)
	if resp := s.near.since(key, m.floor()); resp != nil {
		return resp, nil
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	begun := time.Now()
	r := &read{op: clientv3.OpGet(key, opts...), turn: make(chan bool, 1)}
	if err := s.join(ctx, r); err != nil {
		return nil, err
	}
	m.saw(r.at, begun)
	return r.resp, nil
}

// many reads keys in one transaction of their own, those that a moment does not allow to take from near.
func (s *reads) many(ctx context.Context, keys []string) ([]*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	m, answers := momentOf(ctx), make([]*answer, len(keys))
	floor := m.floor()
	var batch []*read
	for i, key := range keys {
		if answers[i] = s.near.since(key, floor); answers[i] == nil {
			batch = append(batch, &read{op: clientv3.OpGet(key)})
		}
	}
	if len(batch) == 0 {
		return answers, nil
	}
	begun := time.Now()
	if _, err := s.ask(ctx, batch); err != nil {
		return nil, wrap(err)
	}
	m.saw(batch[0].at, begun)
	for i := range answers {
		if answers[i] == nil {
			answers[i], batch = batch[0].resp, batch[1:]
		}
	}
	return answers, nil
}

// join waits for the answer of a read.
func (s *reads) join(ctx context.Context, r *read) error {
	s.mu.Lock()
	s.waiting = append(s.waiting, r)
	lead := !s.busy
	s.busy = true
	s.mu.Unlock()
	if !lead {
		select {
		case lead = <-r.turn:
			lead = !lead
		case <-ctx.Done():
			s.leave(r)
			return ctx.Err()
		}
	}
	if lead {
		s.lead(ctx)
	}
	if r.err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return r.err
}

// leave is for a read whose caller has gone. Somebody else leads if it was to.
func (s *reads) leave(r *read) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range s.waiting {
		if w == r {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			break
		}
	}
	select {
	case answered := <-r.turn:
		if !answered {
			s.handOver()
		}
	default:
	}
}

// lead does the reads that wait, at most manySize, the leader's own among them, and hands over to one of those that came
// meanwhile.
func (s *reads) lead(ctx context.Context) {
	runtime.Gosched() // where requests wait for a processor, let them bring their reads
	s.mu.Lock()
	n := min(len(s.waiting), manySize)
	batch := s.waiting[:n:n]
	s.waiting = s.waiting[n:]
	s.mu.Unlock()
	if len(batch) > 1 {
		// The others do not end with the leader's request.
		together, cancel := context.WithTimeout(context.WithoutCancel(ctx), opTimeout)
		defer cancel()
		ctx = together
	}
	s.fetch(ctx, batch)
	for _, r := range batch {
		r.turn <- true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handOver()
}

// handOver makes the read that has waited longest the leader. s.mu is held.
func (s *reads) handOver() {
	if len(s.waiting) == 0 {
		s.busy, s.waiting = false, nil
		return
	}
	s.waiting[0].turn <- false
}

// fetch answers reads from near as far as it can, and the others from etcd.
func (s *reads) fetch(ctx context.Context, batch []*read) {
	var known, others []*read
	for _, r := range batch {
		if s.near.has(string(r.op.KeyBytes())) {
			known = append(known, r)
		} else {
			others = append(others, r)
		}
	}
	revision, err := s.ask(ctx, others)
	if err == nil && s.near.reach(ctx, revision) {
		known = s.recall(known, revision)
	}
	if len(known) > 0 {
		_, _ = s.ask(ctx, known)
	}
}

// recall answers reads from near, which has reached revision. It returns those for which the answer is gone by now.
func (s *reads) recall(known []*read, revision int64) []*read {
	var gone []*read
	for _, r := range known {
		if r.resp = s.near.get(string(r.op.KeyBytes())); r.resp == nil {
			gone = append(gone, r)
		}
		r.at = revision
	}
	return gone
}

// ask reads from etcd and returns the revision that etcd is at. Without reads it asks for that alone.
func (s *reads) ask(ctx context.Context, batch []*read) (int64, error) {
	switch len(batch) {
	case 0:
		resp, err := s.client.Get(ctx, s.ping, clientv3.WithCountOnly())
		if err != nil {
			return 0, err
		}
		return resp.Header.Revision, nil
	case 1:
		resp, err := s.client.Do(ctx, batch[0].op)
		if batch[0].err = err; err != nil {
			return 0, err
		}
		s.answered(batch[0], resp.Get())
		return batch[0].at, nil
	}
	ops := make([]clientv3.Op, len(batch))
	for i, r := range batch {
		ops[i] = r.op
	}
	resp, err := s.client.Txn(ctx).Then(ops...).Commit()
	for i, r := range batch {
		if r.err = err; err == nil {
			part := (*clientv3.GetResponse)(resp.Responses[i].GetResponseRange())
			part.Header = resp.Header
			s.answered(r, part)
		}
	}
	if err != nil {
		return 0, err
	}
	return resp.Header.Revision, nil
}

func (s *reads) answered(r *read, resp *clientv3.GetResponse) {
	r.resp, r.at = &answer{GetResponse: resp}, resp.Header.Revision
	s.near.keep(string(r.op.KeyBytes()), r.resp, r.at)
}
