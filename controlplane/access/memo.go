package access

import (
	"encoding/binary"
	"sync"
)

// memoSize is how many expansions are remembered. Those of a user take about 5 KB.
const memoSize = 1024

// memo remembers expansions: the same few people and programs ask again and again, and what scopes contain never changes.
type memo struct {
	mu   sync.Mutex
	sets map[string]Set
}

// get returns what make makes for the key, which may be remembered.
func (m *memo) get(key []byte, make func() Set) Set {
	m.mu.Lock()
	set, ok := m.sets[string(key)]
	m.mu.Unlock()
	if ok {
		return set
	}
	set = make()
	m.mu.Lock()
	defer m.mu.Unlock()
	for other := range m.sets { // any one goes
		if len(m.sets) < memoSize {
			break
		}
		delete(m.sets, other)
	}
	m.sets[string(key)] = set
	return set
}

// memoKey tells owners and scopes apart whatever is in them.
func memoKey(owner Owner, raw []string) []byte {
	key := make([]byte, 0, 512)
	for _, s := range [...]string{owner.User, owner.Service, owner.Server} {
		key = append(binary.AppendUvarint(key, uint64(len(s))), s...)
	}
	for _, s := range raw {
		key = append(binary.AppendUvarint(key, uint64(len(s))), s...)
	}
	return key
}
