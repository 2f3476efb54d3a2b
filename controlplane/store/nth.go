package store

import (
	"context"
	"math/big"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// nearEnough is how many ids Nth reads rather than counts.
const nearEnough = 500

// Nth is the id of the n-th record, from 0, of those whose id starts with idPrefix, in the order of ids. It reports false if
// there are fewer. etcd has no ranks, so it counts ever smaller parts of the tree: no record is read, but the cost grows with
// the tree.
func (t Table[T]) Nth(ctx context.Context, idPrefix string, n int) (string, bool, error) {
	from := t.Key(idPrefix)
	to := clientv3.GetPrefixRangeEnd(from)
	for rest := int64(n); ; {
		first, last, err := t.s.bounds(ctx, from, to)
		if err != nil || first == "" {
			return "", false, err
		}
		from, to = first, last+"\x00"
		mid := between(from, to)
		if rest <= nearEnough || mid == "" {
			return t.nthFrom(ctx, from, to, rest)
		}
		count, err := t.s.countKeys(ctx, from, mid)
		if err != nil {
			return "", false, err
		}
		if count > rest {
			to = mid
		} else {
			from, rest = mid, rest-count
		}
	}
}

// nthFrom finds the n-th key by reading the keys before it.
func (t Table[T]) nthFrom(ctx context.Context, from, to string, n int64) (string, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	resp, err := t.s.client.Get(ctx, from, clientv3.WithRange(to), clientv3.WithLimit(n+1), clientv3.WithKeysOnly())
	if err != nil {
		return "", false, wrap(err)
	}
	if int64(len(resp.Kvs)) <= n {
		return "", false, nil
	}
	return string(resp.Kvs[n].Key)[len(t.Key("")):], true, nil
}

// bounds are the first and the last key from one key to before another, "" if there is none.
func (s *Store) bounds(ctx context.Context, from, to string) (first, last string, err error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	end := func(order clientv3.SortOrder) clientv3.Op {
		return clientv3.OpGet(from, clientv3.WithRange(to), clientv3.WithLimit(1), clientv3.WithKeysOnly(), clientv3.WithSort(clientv3.SortByKey, order))
	}
	resp, err := s.client.Txn(ctx).Then(end(clientv3.SortAscend), end(clientv3.SortDescend)).Commit()
	if err != nil {
		return "", "", wrap(err)
	}
	for i, key := range []*string{&first, &last} {
		for _, kv := range resp.Responses[i].GetResponseRange().Kvs {
			*key = string(kv.Key)
		}
	}
	return first, last, nil
}

// between is a key about halfway from one key to another, "" if there is none.
func between(from, to string) string {
	size := max(len(from), len(to))
	number := func(key string) *big.Int {
		padded := make([]byte, size)
		copy(padded, key)
		return new(big.Int).SetBytes(padded)
	}
	low, high := number(from), number(to)
	mid := new(big.Int).Add(low, high)
	mid.Rsh(mid, 1)
	if mid.Cmp(low) <= 0 {
		return ""
	}
	return string(mid.FillBytes(make([]byte, size)))
}
