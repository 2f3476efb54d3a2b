package store

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// nearBytes bounds what is kept near, nearLargest one answer of it.
	nearBytes   = 16 << 20
	nearLargest = 16 << 10
	// nearWait is how long a read waits for the watch before it asks etcd.
	nearWait = 5 * time.Millisecond
)

// near keeps answers of etcd that a watch tells the changes of. An answer is used only after etcd has said at which revision it
// is, later than the read began, and the watch has brought everything up to that revision. So these reads are as linearizable as
// those from etcd, and a watch that lags or hangs makes them slower, never older.
//
// Invariant: answers holds nothing that a change up to the revision at has made wrong.
type near struct {
	mu      sync.Mutex
	answers map[string]*answer // by key, and lists by their prefix, which ends with a slash
	bytes   int
	at      int64         // the watch has brought all changes up to here; 0 is without a watch
	behind  int64         // a revision that the watch did not reach in time: until it does nobody waits for it
	moved   chan struct{} // closed when at moves
}

// answer is what etcd answered, and what was made of it.
type answer struct {
	*clientv3.GetResponse
	value atomic.Pointer[any]
}

// decoded is what make makes of an answer, made once. Who gets it shares it with others, and must not change what it points to.
func decoded[T any](a *answer, make func() (T, error)) (T, error) {
	if known := a.value.Load(); known != nil {
		if v, ok := (*known).(T); ok {
			return v, nil
		}
	}
	v, err := make()
	if err == nil {
		clip(&v)
		shared := any(v)
		a.value.Store(&shared)
	}
	return v, err
}

// clip makes sure that whoever appends to a slice of a record appends to a copy.
func clip[T any](v *T) {
	value := reflect.ValueOf(v).Elem()
	if value.Kind() == reflect.Struct { // a Record
		value = value.FieldByName("Value")
	}
	if value.Kind() != reflect.Struct {
		return
	}
	for i := range value.NumField() {
		if f := value.Field(i); f.Kind() == reflect.Slice && f.CanSet() && !f.IsNil() {
			f.Set(f.Slice3(0, f.Len(), f.Len()))
		}
	}
}

// Follow keeps what is read often near, until ctx ends. Without it every read asks etcd for the records themselves.
func (s *Store) Follow(ctx context.Context) {
	for ctx.Err() == nil {
		s.follow(ctx)
		s.reads.near.reset(0)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// follow is one watch, from its beginning to its end.
func (s *Store) follow(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := s.client.Get(ctx, s.prefix+"ping", clientv3.WithCountOnly())
	if err != nil {
		return
	}
	changes := s.client.Watch(clientv3.WithRequireLeader(ctx), s.prefix, clientv3.WithPrefix(), clientv3.WithRev(resp.Header.Revision+1))
	s.reads.near.reset(resp.Header.Revision)
	for change := range changes {
		if change.Err() != nil {
			return
		}
		s.reads.near.apply(change.Events)
	}
}

// reset forgets everything. A new watch brings what comes after revision.
func (n *near) reset(revision int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers, n.bytes, n.behind = map[string]*answer{}, 0, 0
	n.move(revision)
}

func (n *near) move(revision int64) {
	n.at = revision
	if n.moved != nil {
		close(n.moved)
	}
	n.moved = make(chan struct{})
}

// apply forgets the answers that changes have made wrong.
func (n *near) apply(events []*clientv3.Event) {
	if len(events) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range events {
		key := string(e.Kv.Key)
		n.forget(key)
		for i := strings.LastIndexByte(key, '/'); i >= 0; i = strings.LastIndexByte(key[:i], '/') {
			n.forget(key[:i+1])
		}
	}
	n.move(events[len(events)-1].Kv.ModRevision)
}

func (n *near) forget(key string) {
	if resp, ok := n.answers[key]; ok {
		n.bytes -= size(key, resp)
		delete(n.answers, key)
	}
}

// keep keeps an answer that is of revision, unless the watch has brought a later change already: it may be of this key.
func (n *near) keep(key string, resp *answer, revision int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at == 0 || n.at > revision || resp.More || size(key, resp) > nearLargest {
		return
	}
	n.forget(key)
	n.answers[key] = resp
	n.bytes += size(key, resp)
	for other := range n.answers { // any one goes
		if n.bytes <= nearBytes {
			return
		}
		n.forget(other)
	}
}

// size is about what an answer takes in memory, with what is made of it.
func size(key string, resp *answer) int {
	all := 200 + len(key)
	for _, kv := range resp.Kvs {
		all += 100 + len(kv.Key) + 3*len(kv.Value)
	}
	return all
}

// has reports whether there is an answer that may be used soon.
func (n *near) has(key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.answers[key] != nil && n.at >= n.behind
}

// reach waits a little until the watch has brought all changes up to revision.
func (n *near) reach(ctx context.Context, revision int64) bool {
	limit := time.NewTimer(nearWait)
	defer limit.Stop()
	for {
		n.mu.Lock()
		at, moved := n.at, n.moved
		n.mu.Unlock()
		if at == 0 || at >= revision {
			return at != 0
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		case <-limit.C:
			n.mu.Lock()
			defer n.mu.Unlock()
			n.behind = revision
			return false
		}
	}
}

// get is the answer for a key as of a revision that was reached, nil if it is gone.
func (n *near) get(key string) *answer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.answers[key]
}

// since is the answer for a key as of revision or later, nil if there is none or revision is 0.
func (n *near) since(key string, revision int64) *answer {
	if revision == 0 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at < revision {
		return nil
	}
	return n.answers[key]
}
