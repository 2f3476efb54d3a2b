// Package store keeps the hub's records in etcd: typed tables with compare-and-swap updates, transactions, snapshots
// followed by changes, and membership by lease. It knows no HTTP and no rules of the hub.
//
// Invariant: a write that returned nil is in etcd, and it replaced exactly the revision that its update function saw.
// Every read is linearizable: what is kept near is used at the revision that etcd is at.
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
	reads  *reads
	stats  stats
}

// New returns the store below prefix ("/edgehub/" if empty). It does not connect.
func New(client *clientv3.Client, prefix string) *Store {
	prefix = routes.NormalPrefix(prefix)
	return &Store{client: client, prefix: prefix, reads: &reads{client: client, ping: prefix + "ping"}}
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

// Op is one write of a transaction, or a condition of it. Make one with Put, PutFor, Delete, or Held.Op.
type Op struct {
	key   string
	value any
	ttl   time.Duration
	del   bool
	cond  *clientv3.Cmp
}

// Put writes v as JSON at the absolute key.
func Put(key string, v any) Op { return Op{key: key, value: v} }

// PutFor writes v as JSON at the absolute key for ttl, after which etcd removes it.
func PutFor(key string, v any, ttl time.Duration) Op { return Op{key: key, value: v, ttl: ttl} }

// Delete removes the absolute key.
func Delete(key string) Op { return Op{key: key, del: true} }

// Apply performs ops in one transaction. It returns a Conflict error if one of them is a condition that does not hold.
func (s *Store) Apply(ctx context.Context, ops ...Op) error {
	ok, err := s.commit(ctx, nil, ops)
	if err == nil && !ok {
		return hub.Errorf(hub.Conflict, "Somebody else was faster. Try again.")
	}
	return err
}

// maxTxn is how many bytes one transaction may write. etcd refuses requests of more than 1.5 MiB (--max-request-bytes).
const maxTxn = 1 << 20 * 5 / 4

// commit runs one transaction and reports whether the conditions held.
func (s *Store) commit(ctx context.Context, conds []clientv3.Cmp, ops []Op) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	ops, conds = split(ops, conds)
	raw, leases, err := s.rawOps(ctx, ops)
	if err != nil {
		s.release(ctx, leases)
		return false, err
	}
	resp, err := s.client.Txn(ctx).If(conds...).Then(raw...).Commit()
	if err != nil {
		return false, wrap(err) // it may have been made all the same, so its leases stay
	}
	if !resp.Succeeded {
		s.stats.conflicts.Add(1)
		s.release(ctx, leases)
	}
	return resp.Succeeded, nil
}

// split takes the conditions out of ops and adds them to conds.
func split(ops []Op, conds []clientv3.Cmp) ([]Op, []clientv3.Cmp) {
	writes := make([]Op, 0, len(ops))
	for _, op := range ops {
		if op.cond != nil {
			conds = append(conds, *op.cond)
			continue
		}
		writes = append(writes, op)
	}
	return writes, conds
}

// rawOps encodes ops and takes the leases that they need, which it returns even if it fails.
func (s *Store) rawOps(ctx context.Context, ops []Op) ([]clientv3.Op, []clientv3.LeaseID, error) {
	values := make([]string, len(ops))
	size := 0
	for i, op := range ops {
		if !op.del {
			data, err := encode(op.value)
			if err != nil {
				return nil, nil, err
			}
			values[i] = string(data)
		}
		size += len(op.key) + len(values[i])
	}
	if size > maxTxn {
		return nil, nil, hub.Errorf(hub.Invalid, "This is more than the hub can store at once.")
	}
	var raw []clientv3.Op
	var leases []clientv3.LeaseID
	byTTL := map[time.Duration]clientv3.LeaseID{} // one lease does for all that end together
	for i, op := range ops {
		var opts []clientv3.OpOption
		switch {
		case op.del:
			raw = append(raw, clientv3.OpDelete(op.key))
			continue
		case op.ttl != 0:
			if byTTL[op.ttl] == 0 {
				lease, err := s.client.Grant(ctx, int64(op.ttl/time.Second)+1)
				if err != nil {
					return nil, leases, wrap(err)
				}
				leases = append(leases, lease.ID)
				byTTL[op.ttl] = lease.ID
			}
			opts = append(opts, clientv3.WithLease(byTTL[op.ttl]))
		}
		raw = append(raw, clientv3.OpPut(op.key, values[i], opts...))
	}
	return raw, leases, nil
}

// release gives up leases that nothing was written with. One that cannot be given up expires.
func (s *Store) release(ctx context.Context, leases []clientv3.LeaseID) {
	for _, id := range leases {
		_, _ = s.client.Revoke(ctx, id)
	}
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
