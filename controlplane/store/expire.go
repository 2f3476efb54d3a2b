package store

import (
	"context"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
)

// CreateFor writes a new record that etcd removes after ttl. It returns a Conflict error if record id exists.
func (t Table[T]) CreateFor(ctx context.Context, id string, v T, ttl time.Duration) error {
	key := t.Key(id)
	ok, err := t.s.commit(ctx, []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(key), "=", 0)}, []Op{PutFor(key, v, ttl)})
	if err == nil && !ok {
		return hub.Errorf(hub.Conflict, "The %s already exists.", t.what)
	}
	return err
}
