// Package store keeps the hub's records in etcd: typed tables with compare-and-swap updates, transactions, snapshots
// followed by changes, and membership by lease. It knows no HTTP and no rules of the hub.
//
// Invariant: a write that returned nil is in etcd, and it replaced exactly the revision that its update function saw.
// Nothing is cached: every read is a linearizable read of etcd.
package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// opTimeout bounds one call to etcd, so that a hub without etcd answers 503 within seconds instead of hanging.
const opTimeout = 3 * time.Second

// Store is one hub's part of an etcd cluster. It is safe for concurrent use.
type Store struct {
	client *clientv3.Client
	prefix string
}

// New returns the store below prefix ("/edgehub/" if empty). It does not connect.
func New(client *clientv3.Client, prefix string) *Store {
	return &Store{client: client, prefix: routes.NormalPrefix(prefix)}
}

// Prefix is the hub's prefix in etcd, with a slash at both ends.
func (s *Store) Prefix() string { return s.prefix }

// Ping asks etcd for a linearizable read and returns an Unavailable error if it cannot have one.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	_, err := s.client.Get(ctx, s.prefix+"ping", clientv3.WithCountOnly())
	return wrap(err)
}

// Op is one write of a transaction. Make one with Put, PutFor or Delete.
type Op struct {
	key   string
	value any
	ttl   time.Duration
	del   bool
}

// Put writes v as JSON at the absolute key.
func Put(key string, v any) Op { return Op{key: key, value: v} }

// PutFor writes v as JSON at the absolute key for ttl, after which etcd removes it.
func PutFor(key string, v any, ttl time.Duration) Op { return Op{key: key, value: v, ttl: ttl} }

// Delete removes the absolute key.
func Delete(key string) Op { return Op{key: key, del: true} }

// Apply performs ops in one transaction.
func (s *Store) Apply(ctx context.Context, ops ...Op) error {
	_, err := s.commit(ctx, nil, ops)
	return err
}

// commit runs one transaction and reports whether the conditions held.
func (s *Store) commit(ctx context.Context, conds []clientv3.Cmp, ops []Op) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	var raw []clientv3.Op
	for _, op := range ops {
		r, err := s.rawOp(ctx, op)
		if err != nil {
			return false, err
		}
		raw = append(raw, r)
	}
	resp, err := s.client.Txn(ctx).If(conds...).Then(raw...).Commit()
	if err != nil {
		return false, wrap(err)
	}
	return resp.Succeeded, nil
}

func (s *Store) rawOp(ctx context.Context, op Op) (clientv3.Op, error) {
	if op.del {
		return clientv3.OpDelete(op.key), nil
	}
	data, err := encode(op.value)
	if err != nil {
		return clientv3.Op{}, err
	}
	if op.ttl == 0 {
		return clientv3.OpPut(op.key, string(data)), nil
	}
	lease, err := s.client.Grant(ctx, int64(op.ttl/time.Second)+1)
	if err != nil {
		return clientv3.Op{}, wrap(err)
	}
	return clientv3.OpPut(op.key, string(data), clientv3.WithLease(lease.ID)), nil
}

// wrap turns an error of the etcd client into one that the API can answer with. A context that the caller ended stays
// what it is.
func wrap(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return hub.WithCause(hub.Errorf(hub.Unavailable, "The hub cannot reach its database at the moment. Try again shortly."), err)
}

// pause waits a random time before a lost compare-and-swap is tried again, and reports whether ctx still runs.
func pause(ctx context.Context, attempt int) bool {
	limit := min(time.Duration(attempt+1)*5*time.Millisecond, 100*time.Millisecond)
	t := time.NewTimer(rand.N(limit) + time.Millisecond)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
