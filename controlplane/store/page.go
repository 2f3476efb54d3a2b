package store

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Range says which records of a table Page reads: at most Limit of those whose id starts with Prefix, behind the id After
// in the order of ids, or in the opposite order if it is Reverse. An empty After begins at the first or last one.
type Range struct {
	Prefix  string
	After   string
	Reverse bool
	Limit   int
}

// Page reads some records in order. Its cost does not depend on how many there are before them.
func (t Table[T]) Page(ctx context.Context, r Range) ([]Record[T], error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	key := t.Key(r.Prefix)
	end := clientv3.GetPrefixRangeEnd(key)
	order := clientv3.SortAscend
	switch {
	case r.Reverse:
		order = clientv3.SortDescend
		if r.After != "" {
			end = t.Key(r.After)
		}
	case r.After != "":
		key = t.Key(r.After) + "\x00"
	}
	if key >= end {
		return nil, nil
	}
	resp, err := t.s.client.Get(ctx, key, clientv3.WithRange(end), clientv3.WithLimit(int64(r.Limit)), clientv3.WithSort(clientv3.SortByKey, order))
	if err != nil {
		return nil, wrap(err)
	}
	records := make([]Record[T], len(resp.Kvs))
	for i, kv := range resp.Kvs {
		if records[i], err = decode[T](string(kv.Key)[len(t.Key("")):], kv.Value, kv.ModRevision); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// Count is the number of records whose id starts with idPrefix. etcd counts without reading them.
func (t Table[T]) Count(ctx context.Context, idPrefix string) (int, error) {
	key := t.Key(idPrefix)
	n, err := t.s.countKeys(ctx, key, clientv3.GetPrefixRangeEnd(key))
	return int(n), err
}

func (s *Store) countKeys(ctx context.Context, key, end string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	resp, err := s.client.Get(ctx, key, clientv3.WithRange(end), clientv3.WithCountOnly())
	if err != nil {
		return 0, wrap(err)
	}
	return resp.Count, nil
}
