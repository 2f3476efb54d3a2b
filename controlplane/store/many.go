package store

import (
	"context"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// manySize is how many records one read of GetMany fetches. etcd refuses more than 128 operations at once (--max-txn-ops).
const manySize = 100

// GetMany returns those of the records ids that exist, by id. It reads many at a time, so the records need not be of one
// revision. A record that cannot be read is left out: one bad one does not spoil the others. Like Get's, they may be shared.
func (t Table[T]) GetMany(ctx context.Context, ids []string) (map[string]Record[T], error) {
	found := make(map[string]Record[T], len(ids))
	for part := range slices.Chunk(ids, manySize) {
		if err := t.getPart(ctx, part, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (t Table[T]) getPart(ctx context.Context, ids []string, found map[string]Record[T]) error {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = t.Key(id)
	}
	answers, err := t.s.reads.many(ctx, keys)
	if err != nil {
		return err
	}
	for i, id := range ids {
		for _, kv := range answers[i].Kvs {
			r, err := decoded(answers[i], func() (Record[T], error) { return decode[T](id, kv.Value, kv.ModRevision) })
			if err == nil {
				found[id] = r
			}
		}
	}
	return nil
}

// EachBelow calls yield for the records whose ids start with one of the prefixes. It asks for many at a time.
func (t Table[T]) EachBelow(ctx context.Context, prefixes []string, yield func(Record[T])) error {
	for part := range slices.Chunk(prefixes, manySize) {
		if err := t.eachBelow(ctx, part, yield); err != nil {
			return err
		}
	}
	return nil
}

func (t Table[T]) eachBelow(ctx context.Context, prefixes []string, yield func(Record[T])) error {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	ops := make([]clientv3.Op, len(prefixes))
	for i, prefix := range prefixes {
		ops[i] = clientv3.OpGet(t.Key(prefix), clientv3.WithPrefix())
	}
	resp, err := t.s.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return wrap(err)
	}
	for i := range prefixes {
		for _, kv := range resp.Responses[i].GetResponseRange().Kvs {
			r, err := decode[T](string(kv.Key)[len(t.Key("")):], kv.Value, kv.ModRevision)
			if err != nil {
				return err
			}
			yield(r)
		}
	}
	return nil
}
