package store

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// Journal is a list of records in the order of time that forgets: after a while by itself, and the oldest first if they become
// too many. It is safe for concurrent use, also by several replicas.
type Journal[T any] struct {
	table Table[T]
	life  time.Duration
	most  int64

	mu    sync.Mutex
	lease clientv3.LeaseID // of the records of the next hour: a lease for each would be many
	until time.Time
}

// leaseEvery is for how long records share a lease.
const leaseEvery = time.Hour

// NewJournal returns the journal below tree. Its records live for life at least, and an hour longer at most, unless there are
// more than most.
func NewJournal[T any](s *Store, tree string, life time.Duration, most int64) *Journal[T] {
	return &Journal[T]{table: NewTable[T](s, tree, "record"), life: life, most: most}
}

// Append adds a record that happened at a time.
func (j *Journal[T]) Append(ctx context.Context, at time.Time, v T) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	lease, err := j.leaseOf(ctx)
	if err != nil {
		return err
	}
	data, err := encode(v)
	if err != nil {
		return err
	}
	b := make([]byte, 4)
	_, _ = rand.Read(b) // never fails since Go 1.24
	id := fmt.Sprintf("%016x-%s", at.UnixNano(), hex.EncodeToString(b))
	_, err = j.table.s.client.Put(ctx, j.table.Key(id), string(data), clientv3.WithLease(lease))
	return wrap(err)
}

// leaseOf is the lease of the records of now. With a new one it looks whether there are too many records.
func (j *Journal[T]) leaseOf(ctx context.Context) (clientv3.LeaseID, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if time.Now().Before(j.until) {
		return j.lease, nil
	}
	if err := j.trim(ctx); err != nil {
		return 0, err
	}
	lease, err := j.table.s.client.Grant(ctx, int64((j.life+leaseEvery)/time.Second))
	if err != nil {
		return 0, wrap(err)
	}
	j.lease, j.until = lease.ID, time.Now().Add(leaseEvery)
	return j.lease, nil
}

// trim deletes the oldest records if there are more than most.
func (j *Journal[T]) trim(ctx context.Context) error {
	first := j.table.Key("")
	end := clientv3.GetPrefixRangeEnd(first)
	count, err := j.table.s.client.Get(ctx, first, clientv3.WithRange(end), clientv3.WithCountOnly())
	if err != nil || count.Count <= j.most {
		return wrap(err)
	}
	kept, err := j.table.s.client.Get(ctx, first, clientv3.WithRange(end), clientv3.WithKeysOnly(), clientv3.WithLimit(count.Count-j.most+1))
	if err != nil || len(kept.Kvs) == 0 {
		return wrap(err)
	}
	_, err = j.table.s.client.Delete(ctx, first, clientv3.WithRange(string(kept.Kvs[len(kept.Kvs)-1].Key)))
	return wrap(err)
}

// Before returns up to n records that are older than record id, the newest first; with an empty id the newest of all.
func (j *Journal[T]) Before(ctx context.Context, id string, n int) ([]Record[T], error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	first := j.table.Key("")
	end := clientv3.GetPrefixRangeEnd(first)
	if id != "" {
		if strings.Trim(id, "0123456789abcdef-") != "" {
			return nil, hub.Errorf(hub.Invalid, "This is no id of a record: %s", hub.Clip(id))
		}
		end = j.table.Key(id)
	}
	resp, err := j.table.s.client.Get(ctx, first, clientv3.WithRange(end), clientv3.WithLimit(int64(n)),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	if err != nil {
		return nil, wrap(err)
	}
	var all []Record[T]
	for _, kv := range resp.Kvs {
		r, err := decode[T](strings.TrimPrefix(string(kv.Key), first), kv.Value, kv.ModRevision)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}
