package token

import (
	"context"
	"log/slog"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// The life of a signing key, all of it in the record, so that every replica and every edge agrees:
//
//	published ──Lead──► active ──until the next key is active──► retiring ──keepFor──► gone
//
// A planned rotation refuses nobody: every edge has the key before the first token of it, and keeps it until the last token
// has ended. An emergency rotation has no stages. It replaces all keys at once and begins a new epoch, which ends every
// session and every exchanged token.

// maxStale is how far an edge may be behind etcd. It finds out within a minute and a half that its watch has lost something
// (package plugin compares all keys every minute); the rest is room for an etcd that is restarted or elects a leader.
const maxStale = 5 * time.Minute

// Lead is how long before its first use a planned key is published.
const Lead = 2 * maxStale

// keepFor is how long a key stays good after its successor's time has come: the life of a last token, and twice the leeway,
// for a replica whose clock is behind, and for tokens that are issued a little ahead (hub.User.TokensAfter).
const keepFor = routes.TokenLife + 2*routes.Leeway

// MinKeyAge is the shortest time between two automatic rotations.
const MinKeyAge = time.Hour

// Key is what operators may know about a signing key.
type Key struct {
	ID string
	// State is next, active or retiring.
	State string
	// From is when the key signs its first token, Until when edges stop to accept it; zero if that is not known yet.
	From, Until time.Time
}

// Keys lists the signing keys, oldest first.
func (s *Service) Keys(ctx context.Context) ([]Key, error) {
	rec, err := s.signing.read(ctx)
	if err != nil {
		return nil, err
	}
	return rec.list(time.Now().Unix()), nil
}

func (r *signingRecord) list(now int64) []Key {
	active := r.active(now)
	state := "retiring"
	all := make([]Key, 0, len(r.Keys))
	for i := range r.Keys {
		k := &r.Keys[i]
		if k == active {
			state = "active"
		}
		info := Key{ID: k.ID, State: state, From: time.Unix(k.NotBefore, 0).UTC()}
		if k.NotAfter != 0 {
			info.Until = time.Unix(k.NotAfter, 0).UTC()
		}
		all = append(all, info)
		if k == active {
			state = "next"
		}
	}
	return all
}

// Rotate publishes a key that comes into use after lead, which is Lead but for tests, and lists the keys. If one is waiting
// for its time already, that is the one: keys do not pile up, however often this is called.
func (s *Service) Rotate(ctx context.Context, lead time.Duration) ([]Key, error) {
	return s.changeKeys(ctx, func(rec *signingRecord, now int64) []store.Op {
		if rec.waiting(now) {
			return nil
		}
		return s.addKey(rec, now+int64(lead/time.Second))
	})
}

// EndAll is the emergency rotation: in one transaction every key goes, a new one is active, and every session is over. Edges
// refuse what the old keys signed, and cut its open connections, as soon as they see it. API tokens are secrets of their own
// and stay: edges exchange them anew.
func (s *Service) EndAll(ctx context.Context) ([]Key, error) {
	return s.changeKeys(ctx, func(rec *signingRecord, now int64) []store.Op {
		var ops []store.Op
		for _, k := range rec.Keys {
			ops = append(ops, s.withdraw(k))
		}
		rec.Keys = nil
		rec.Epoch++
		return append(ops, s.addKey(rec, now)...)
	})
}

// Tend removes keys that have served, and rotates when the newest key is older than every, until ctx ends; zero is never.
// All replicas do it: the first one wins.
func (s *Service) Tend(ctx context.Context, every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if err := s.tend(ctx, every, log); err != nil && ctx.Err() == nil {
			log.Warn("cannot look after the signing keys, trying again in a minute", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Service) tend(ctx context.Context, every time.Duration, log *slog.Logger) error {
	published := ""
	_, err := s.changeKeys(ctx, func(rec *signingRecord, now int64) []store.Op {
		published = ""
		newest := rec.Keys[len(rec.Keys)-1]
		if every == 0 || now-newest.NotBefore < int64(every/time.Second) {
			return nil
		}
		ops := s.addKey(rec, now+int64(Lead/time.Second))
		published = rec.Keys[len(rec.Keys)-1].ID
		return ops
	})
	if err == nil && published != "" {
		log.Info("published a new signing key", "key", published, "active_in", Lead)
	}
	return err
}

// changeKeys changes the record by compare-and-swap, together with what edges read, and lists the keys. Keys that have
// served go on the way.
func (s *Service) changeKeys(ctx context.Context, change func(rec *signingRecord, now int64) []store.Op) ([]Key, error) {
	r, err := s.signing.table.Update(ctx, signingID, func(rec *signingRecord) ([]store.Op, error) {
		if err := rec.check(); err != nil {
			return nil, err
		}
		now := time.Now().Unix()
		ops := append(s.dropServed(rec, now), change(rec, now)...)
		if len(ops) == 0 {
			return nil, store.ErrUnchanged
		}
		return ops, nil
	})
	if err != nil {
		return nil, err
	}
	return r.Value.list(time.Now().Unix()), nil
}

// waiting reports whether the newest key is not in use yet.
func (r *signingRecord) waiting(now int64) bool { return r.Keys[len(r.Keys)-1].NotBefore > now }

// addKey makes a key that is good from notBefore on, and says when the one before it ends.
func (s *Service) addKey(rec *signingRecord, notBefore int64) []store.Op {
	var ops []store.Op
	if n := len(rec.Keys); n > 0 {
		last := &rec.Keys[n-1]
		last.NotAfter = notBefore + keepFor
		ops = append(ops, publish(s.store, rec, last))
	}
	rec.Keys = append(rec.Keys, newSigningKey(notBefore))
	return append(ops, publish(s.store, rec, &rec.Keys[len(rec.Keys)-1]))
}

// dropServed removes the keys that no edge accepts any more.
func (s *Service) dropServed(rec *signingRecord, now int64) []store.Op {
	var ops []store.Op
	for rec.Keys[0].NotAfter != 0 && rec.Keys[0].NotAfter+routes.Leeway < now {
		ops = append(ops, s.withdraw(rec.Keys[0]))
		rec.Keys = rec.Keys[1:]
	}
	return ops
}

func (s *Service) withdraw(k signingKey) store.Op {
	return store.Delete(routes.SigningKeyKey(s.store.Prefix(), k.ID))
}

// publish is the write by which edges get to know k.
func publish(s *store.Store, rec *signingRecord, k *signingKey) store.Op {
	return store.Put(routes.SigningKeyKey(s.Prefix(), k.ID), rec.public(k))
}

// CheckKeyAge refuses a time between automatic rotations that is too short. Zero turns them off.
func CheckKeyAge(every time.Duration) error {
	if every != 0 && every < MinKeyAge {
		return hub.Errorf(hub.Invalid, "Signing keys cannot be replaced every %s: the shortest time is %s, and 0 is never.", every, MinKeyAge)
	}
	return nil
}
