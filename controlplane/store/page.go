package store

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Range is a part of a tree: the ids that are not before From and before To, both of them optional, and at most Limit of
// them if it is not zero. etcd counts all of the range even if Limit is small, so a range in a tree of a million records
// needs a To that is near.
type Range struct {
	From  string
	To    string
	Limit int
}

// After is the id right behind another one, for the From of a range.
func After(id string) string { return id + "\x00" }

// Page returns the records of a range, in the order of ids.
func (t Table[T]) Page(ctx context.Context, r Range) ([]Record[T], error) {
	resp, err := t.s.read(ctx, t.tree, r)
	if err != nil {
		return nil, err
	}
	return t.decodeAll(resp)
}

// IDs returns the ids of a range, in order.
func (t Table[T]) IDs(ctx context.Context, r Range) ([]string, error) {
	resp, err := t.s.read(ctx, t.tree, r, clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(resp.Kvs))
	for i, kv := range resp.Kvs {
		ids[i] = string(kv.Key)[len(t.Key("")):]
	}
	return ids, nil
}

// Count is the number of records in a range. etcd counts a million in a fifth of a second.
func (t Table[T]) Count(ctx context.Context, r Range) (int, error) {
	resp, err := t.s.read(ctx, t.tree, r, clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return int(resp.Count), nil
}

// RawRecord is a record that is not JSON.
type RawRecord struct {
	ID    string
	Value []byte
}

// RawPage is Page for a tree whose records are not JSON.
func (s *Store) RawPage(ctx context.Context, tree string, r Range) ([]RawRecord, error) {
	resp, err := s.read(ctx, tree, r)
	if err != nil {
		return nil, err
	}
	records := make([]RawRecord, len(resp.Kvs))
	for i, kv := range resp.Kvs {
		records[i] = RawRecord{ID: string(kv.Key)[len(s.Key(tree, "")):], Value: kv.Value}
	}
	return records, nil
}

// RawMany returns those of the records ids that exist, in the order of ids, which are at most a hundred.
func (s *Store) RawMany(ctx context.Context, tree string, ids []string) ([]RawRecord, error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = s.Key(tree, id)
	}
	answers, err := s.reads.many(ctx, keys)
	if err != nil {
		return nil, err
	}
	var records []RawRecord
	for i, id := range ids {
		for _, kv := range answers[i].Kvs {
			records = append(records, RawRecord{ID: id, Value: kv.Value})
		}
	}
	return records, nil
}

func (s *Store) read(ctx context.Context, tree string, r Range, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	end := clientv3.GetPrefixRangeEnd(s.Key(tree, ""))
	if r.To != "" {
		end = s.Key(tree, r.To)
	}
	from := s.Key(tree, r.From)
	if from >= end {
		return &clientv3.GetResponse{}, nil
	}
	resp, err := s.client.Get(ctx, from, append(opts, clientv3.WithRange(end), clientv3.WithLimit(int64(r.Limit)))...)
	return resp, wrap(err)
}
