package store

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// Table is one kind of record. The zero Table is not usable; make one with NewTable.
type Table[T any] struct {
	s    *Store
	tree string
	what string
}

// NewTable returns the table of the records below tree. what names one record in messages: "user".
func NewTable[T any](s *Store, tree, what string) Table[T] {
	return Table[T]{s: s, tree: tree, what: what}
}

// Record is a value with its identity and the etcd revision of its last change.
type Record[T any] struct {
	ID       string
	Value    T
	Revision int64
}

// ErrUnchanged is returned by an update function that has nothing to write. Update then returns nil.
var ErrUnchanged = errors.New("unchanged")

// Key is the absolute etcd key of record id, for use in an Op.
func (t Table[T]) Key(id string) string { return t.s.Key(t.tree, id) }

// Get returns record id, or a NotFound error. The caller must not change what the value points to: others may have it too.
func (t Table[T]) Get(ctx context.Context, id string) (Record[T], error) {
	resp, err := t.get(ctx, id)
	if err != nil {
		return Record[T]{}, err
	}
	return decoded(resp, func() (Record[T], error) { return decode[T](id, resp.Kvs[0].Value, resp.Kvs[0].ModRevision) })
}

func (t Table[T]) get(ctx context.Context, id string) (*answer, error) {
	resp, err := t.s.reads.do(ctx, t.Key(id))
	if err != nil {
		return nil, wrap(err)
	}
	if len(resp.Kvs) == 0 {
		return nil, t.notFound()
	}
	return resp, nil
}

func (t Table[T]) notFound() error { return hub.Errorf(hub.NotFound, "No such %s.", t.what) }

// pageSize is how many records one read of a list fetches.
const pageSize = 1000

// List calls yield for every record whose id starts with idPrefix, in the order of ids, until yield returns false. All
// records are of one revision.
func (t Table[T]) List(ctx context.Context, idPrefix string, yield func(Record[T]) bool) error {
	_, err := t.list(ctx, idPrefix, yield)
	return err
}

// list returns the revision of the snapshot.
func (t Table[T]) list(ctx context.Context, idPrefix string, yield func(Record[T]) bool) (int64, error) {
	key := t.Key(idPrefix)
	end := clientv3.GetPrefixRangeEnd(key)
	var rev int64
	for {
		resp, err := t.page(ctx, key, end, rev, strings.HasSuffix(idPrefix, "/"))
		if err != nil {
			return 0, err
		}
		if rev == 0 {
			rev = resp.Header.Revision
		}
		for _, kv := range resp.Kvs {
			r, err := decode[T](string(kv.Key)[len(t.Key("")):], kv.Value, kv.ModRevision)
			if err != nil {
				return 0, err
			}
			if !yield(r) {
				return rev, nil
			}
		}
		if !resp.More {
			return rev, nil
		}
		key = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// page reads a part of a list. The first part of one owner's records is short, and read with others'.
func (t Table[T]) page(ctx context.Context, key, end string, rev int64, short bool) (*clientv3.GetResponse, error) {
	if short && rev == 0 {
		resp, err := t.s.reads.do(ctx, key, clientv3.WithRange(end), clientv3.WithLimit(pageSize))
		if err != nil {
			return nil, wrap(err)
		}
		return resp.GetResponse, nil
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	resp, err := t.s.client.Get(ctx, key, clientv3.WithRange(end), clientv3.WithLimit(pageSize), clientv3.WithRev(rev))
	return resp, wrap(err)
}

// Few returns all records of a tree that never has many. Like Get's, they may be shared.
func (t Table[T]) Few(ctx context.Context) ([]Record[T], error) {
	key := t.Key("")
	resp, err := t.s.reads.do(ctx, key, clientv3.WithPrefix())
	if err != nil {
		return nil, wrap(err)
	}
	return decoded(resp, func() ([]Record[T], error) { return t.decodeAll(resp.GetResponse) })
}

func (t Table[T]) decodeAll(resp *clientv3.GetResponse) ([]Record[T], error) {
	records := make([]Record[T], len(resp.Kvs))
	for i, kv := range resp.Kvs {
		var err error
		if records[i], err = decode[T](string(kv.Key)[len(t.Key("")):], kv.Value, kv.ModRevision); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// All returns what List yields as a slice.
func (t Table[T]) All(ctx context.Context, idPrefix string) ([]Record[T], error) {
	var all []Record[T]
	err := t.List(ctx, idPrefix, func(r Record[T]) bool {
		all = append(all, r)
		return true
	})
	return all, err
}

// Create writes a new record, and ops in the same transaction. It returns a Conflict error if record id exists.
func (t Table[T]) Create(ctx context.Context, id string, v T, ops ...Op) error {
	key := t.Key(id)
	ok, err := t.s.commit(ctx, []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)}, append(ops[:len(ops):len(ops)], Put(key, v)))
	if err == nil && !ok {
		return hub.Errorf(hub.Conflict, "The %s already exists.", t.what)
	}
	return err
}

// Update changes record id by compare-and-swap. change may run several times and so only changes its argument; what it
// returns besides an error is written in the same transaction. It may return ErrUnchanged. Lost races are tried again
// until ctx ends, then the error is a Conflict. A missing record is NotFound, never a silent create.
func (t Table[T]) Update(ctx context.Context, id string, change func(*T) ([]Op, error)) (Record[T], error) {
	ctx = now(ctx)
	for attempt := 0; ; attempt++ {
		r, old, err := t.own(ctx, id)
		if err != nil && attempt > 0 && ctx.Err() != nil {
			return r, t.contended()
		}
		if err != nil {
			return r, err
		}
		ops, err := change(&r.Value)
		if errors.Is(err, ErrUnchanged) {
			return r, nil
		}
		if err != nil {
			return r, err
		}
		ok, err := t.swap(ctx, r, old, ops)
		if ok || err != nil {
			return r, err
		}
		if !pause(ctx, attempt) {
			return r, t.contended()
		}
	}
}

// own returns record id with its JSON. The caller may change it.
func (t Table[T]) own(ctx context.Context, id string) (Record[T], []byte, error) {
	resp, err := t.get(ctx, id)
	if err != nil {
		return Record[T]{}, nil, err
	}
	r, err := decode[T](id, resp.Kvs[0].Value, resp.Kvs[0].ModRevision)
	return r, resp.Kvs[0].Value, err
}

func (t Table[T]) contended() error { return contended(t.what) }

// swap writes r if its revision is still the current one. Fields of the old record that T does not know are kept, so
// that an older replica does not lose what a newer one wrote.
func (t Table[T]) swap(ctx context.Context, r Record[T], old []byte, ops []Op) (bool, error) {
	key := t.Key(r.ID)
	merged, err := keepUnknown[T](old, r.Value)
	if err != nil {
		return false, err
	}
	cond := clientv3.Compare(clientv3.ModRevision(key), "=", r.Revision)
	return t.s.commit(ctx, []clientv3.Cmp{cond}, append(ops[:len(ops):len(ops)], Put(key, merged)))
}

// Delete removes record id if its revision is rev (0: whatever it is), and performs ops in the same transaction. It is
// NotFound if there is no such record, and Conflict if the record has changed.
func (t Table[T]) Delete(ctx context.Context, id string, rev int64, ops ...Op) error {
	key := t.Key(id)
	cond := clientv3.Compare(clientv3.CreateRevision(key), ">", 0)
	if rev != 0 {
		cond = clientv3.Compare(clientv3.ModRevision(key), "=", rev)
	}
	ok, err := t.s.commit(ctx, []clientv3.Cmp{cond}, append(ops[:len(ops):len(ops)], Delete(key)))
	if err != nil || ok {
		return err
	}
	if rev == 0 {
		return t.notFound()
	}
	if _, err := t.Get(ctx, id); hub.KindOf(err) == hub.NotFound {
		return err
	}
	return hub.Errorf(hub.Conflict, "The %s was changed by somebody else. Try again.", t.what)
}

func encode(v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok {
		return raw, nil
	}
	return json.Marshal(v)
}

func decode[T any](id string, data []byte, rev int64) (Record[T], error) {
	r := Record[T]{ID: id, Revision: rev}
	if err := json.Unmarshal(data, &r.Value); err != nil {
		return r, hub.WithCause(hub.Errorf(hub.Internal, "A record cannot be read."), err)
	}
	return r, nil
}

// keepUnknown encodes v with those fields of old that T has no place for.
func keepUnknown[T any](old []byte, v T) (json.RawMessage, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var before, after map[string]json.RawMessage
	if json.Unmarshal(old, &before) != nil || json.Unmarshal(data, &after) != nil {
		return data, nil
	}
	known := fieldNames[T]()
	extra := false
	for name, value := range before {
		if !known[name] {
			after[name] = value
			extra = true
		}
	}
	if !extra {
		return data, nil
	}
	return json.Marshal(after)
}
