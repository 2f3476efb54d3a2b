package store

import (
	"context"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/routes"
)

// MemberTTL is the lease of a replica in seconds. A replica that died is noticed after at most 2 x TTL plus an election
// (measured: 11.5 s for a TTL of 5 s with the leader paused).
const MemberTTL = 10

// Member keeps one replica's presence in etcd: that it is alive (Members) and where edges reach it (routes.HubsTree).
type Member struct {
	s   *Store
	id  string
	url string
	log *slog.Logger
}

// NewMember returns the presence of replica id, which edges reach at url. Run makes it known.
func NewMember(s *Store, id, url string, log *slog.Logger) *Member {
	return &Member{s: s, id: id, url: url, log: log}
}

// Run keeps the lease alive until ctx ends and then gives it up, so that nobody waits for its expiry. It calls joined
// after every registration, the first and those after a lost lease. It returns nil.
func (m *Member) Run(ctx context.Context, joined func()) error {
	for ctx.Err() == nil {
		if err := m.hold(ctx, joined); err != nil && ctx.Err() == nil {
			m.log.Warn("cannot register this replica in etcd, trying again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}

// hold registers the replica and returns when the lease is lost or ctx ends.
func (m *Member) hold(ctx context.Context, joined func()) error {
	grantCtx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	lease, err := m.s.client.Grant(grantCtx, MemberTTL)
	if err != nil {
		return err
	}
	defer m.leave(lease.ID)
	data, err := encode(routes.Hub{Schema: routes.Schema, URL: m.url})
	if err != nil {
		return err
	}
	_, err = m.s.client.Txn(grantCtx).Then(
		clientv3.OpPut(m.s.Key(Members, ID(m.id)), string(data), clientv3.WithLease(lease.ID)),
		clientv3.OpPut(routes.HubKey(m.s.prefix, m.id), string(data), clientv3.WithLease(lease.ID)),
	).Commit()
	if err != nil {
		return err
	}
	alive, err := m.s.client.KeepAlive(ctx, lease.ID)
	if err != nil {
		return err
	}
	joined()
	for range alive {
	}
	return nil
}

// leave revokes the lease with a fresh context: the one that ended is why we leave.
func (m *Member) leave(lease clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	if _, err := m.s.client.Revoke(ctx, lease); err != nil {
		m.log.Debug("could not give up the lease, it will expire", "err", err)
	}
}

// LiveMembers returns the ids of the replicas whose lease is alive.
func (s *Store) LiveMembers(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	resp, err := s.client.Get(ctx, s.Key(Members, ""), clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, wrap(err)
	}
	live := make(map[string]bool, len(resp.Kvs))
	for _, kv := range resp.Kvs {
		if parts, ok := Parts(string(kv.Key)[len(s.Key(Members, "")):]); ok {
			live[parts[0]] = true
		}
	}
	return live, nil
}
