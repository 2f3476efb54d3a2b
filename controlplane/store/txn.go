package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// MaxOps is how many records one transaction may read or write: etcd refuses more than 128 (--max-txn-ops).
const MaxOps = 128

// Txn is a transaction of several records. It sees what it has written itself, and it is only made if nothing of what it read
// has changed by then.
type Txn struct {
	s    *Store
	ctx  context.Context
	seen map[string]*cell // by absolute key
	keys []string         // of seen, in the order in which they were first used
	ops  []Op
}

// cell is one record as a transaction sees it.
type cell struct {
	data    []byte // nil if there is none
	rev     int64  // of the record that was read, 0 if there was none
	changed bool
}

// Transact makes f's changes in one transaction. f may run several times and so changes nothing but through its Txn. It may
// return ErrUnchanged. Lost races are tried again until ctx ends, then the error is a Conflict.
func (s *Store) Transact(ctx context.Context, f func(*Txn) error) error {
	for attempt := 0; ; attempt++ {
		tx := &Txn{s: s, ctx: ctx, seen: map[string]*cell{}}
		err := f(tx)
		if errors.Is(err, ErrUnchanged) {
			return nil
		}
		if err != nil && attempt > 0 && ctx.Err() != nil {
			return contended("record")
		}
		if err != nil {
			return err
		}
		if ok, err := tx.commit(); ok || err != nil {
			return err
		}
		if !pause(ctx, attempt) {
			return contended("record")
		}
	}
}

func (tx *Txn) commit() (bool, error) {
	var conds []clientv3.Cmp
	ops := slices.Clone(tx.ops)
	for _, key := range tx.keys {
		c := tx.seen[key]
		conds = append(conds, clientv3.Compare(clientv3.ModRevision(key), "=", c.rev))
		switch {
		case c.changed && c.data != nil:
			ops = append(ops, PutRaw(key, c.data))
		case c.changed && c.rev != 0:
			ops = append(ops, Delete(key))
		}
	}
	if len(ops) == 0 {
		return true, nil
	}
	return tx.s.commit(tx.ctx, conds, ops)
}

// Do adds writes of records that the transaction does not read.
func (tx *Txn) Do(ops ...Op) { tx.ops = append(tx.ops, ops...) }

// Fetch reads the records at the absolute keys in one call, for a transaction of many.
func (tx *Txn) Fetch(keys ...string) error {
	var missing []string
	for _, key := range keys {
		if tx.seen[key] == nil && !slices.Contains(missing, key) {
			missing = append(missing, key)
		}
	}
	for part := range slices.Chunk(missing, manySize) {
		if err := tx.fetch(part); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Txn) fetch(keys []string) error {
	ctx, cancel := context.WithTimeout(tx.ctx, opTimeout)
	defer cancel()
	ops := make([]clientv3.Op, len(keys))
	for i, key := range keys {
		ops[i] = clientv3.OpGet(key)
	}
	resp, err := tx.s.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return wrap(err)
	}
	for i, key := range keys {
		c := &cell{}
		for _, kv := range resp.Responses[i].GetResponseRange().Kvs {
			c.data, c.rev = kv.Value, kv.ModRevision
		}
		tx.seen[key] = c
		tx.keys = append(tx.keys, key)
	}
	return nil
}

// Raw is the value at the absolute key, nil if there is none.
func (tx *Txn) Raw(key string) ([]byte, error) {
	if err := tx.Fetch(key); err != nil {
		return nil, err
	}
	return tx.seen[key].data, nil
}

// SetRaw changes the value at the absolute key, which the transaction must have read; nil removes it.
func (tx *Txn) SetRaw(key string, data []byte) {
	c := tx.seen[key]
	c.data, c.changed = data, true
}

// Read is record id as tx sees it. It reports false if there is none.
func (t Table[T]) Read(tx *Txn, id string) (T, bool, error) {
	data, err := tx.Raw(t.Key(id))
	if err != nil || data == nil {
		return *new(T), false, err
	}
	r, err := decode[T](id, data, 0)
	return r.Value, err == nil, err
}

// Write changes or makes record id. Fields of the old record that T does not know are kept.
func (t Table[T]) Write(tx *Txn, id string, v T) error {
	key := t.Key(id)
	old, err := tx.Raw(key)
	if err != nil {
		return err
	}
	data, err := keepUnknown(old, v)
	if err == nil {
		tx.SetRaw(key, data)
	}
	return err
}

// Remove deletes record id.
func (t Table[T]) Remove(tx *Txn, id string) error {
	if err := tx.Fetch(t.Key(id)); err != nil {
		return err
	}
	tx.SetRaw(t.Key(id), nil)
	return nil
}

// PutRaw writes a value that need not be JSON at the absolute key.
func PutRaw(key string, data []byte) Op { return Put(key, json.RawMessage(data)) }

func contended(what string) error {
	return hub.Errorf(hub.Conflict, "The %s is being changed by somebody else. Try again.", what)
}

// Move gives record id another id, under which there must be none.
func (t Table[T]) Move(tx *Txn, id, to string) error {
	if err := tx.Fetch(t.Key(id), t.Key(to)); err != nil {
		return err
	}
	tx.SetRaw(t.Key(to), tx.seen[t.Key(id)].data)
	tx.SetRaw(t.Key(id), nil)
	return nil
}
