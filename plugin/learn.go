package plugin

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// comesFrom works out X-Forwarded-For and remembers it for the next request over the same connection.
func (f *fast) comesFrom(remote string) []string {
	h := http.Header{}
	addClient(h, remote)
	from := h["X-Forwarded-For"]
	f.mu.Lock()
	defer f.mu.Unlock()
	f.makeRoom(len(remote))
	f.from[remote] = from
	return from
}

// makeRoom counts one more entry with that many bytes from outside. The caller holds the lock.
func (f *fast) makeRoom(size int) {
	f.learned += size + entrySize
	if f.learned > maxLearned {
		f.dropAll()
		f.learned = size + entrySize
	}
}

// learn remembers that p is the pass of a request, if there is nothing special about it. version is that of the state before
// anything was looked up: if it has changed since, p may be old already.
func (f *fast) learn(version int64, r *http.Request, p *pass) {
	if !fitsFast(r, p) {
		return
	}
	key := visitorKey(r)
	if len(key) > passKeySize {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.version != version || f.closed {
		return
	}
	f.now = time.Now().Unix()
	size := len(r.URL.Path)
	if f.visitors[key] == nil {
		size += 2 * len(key) // the key, and what is told of it
	}
	f.makeRoom(size)
	who := f.visitors[key]
	if who == nil {
		who = &visitor{paths: make(map[string]*pass)}
		f.visitors[key] = who
	}
	atomic.StoreInt32(&p.old, 0)
	who.paths[r.URL.Path] = p
	of := f.byPrefix[p.route.Prefix]
	if of == nil {
		of = make(map[*visitor]bool)
		f.byPrefix[p.route.Prefix] = of
	}
	of[who] = true
}

// fitsFast reports a request of the kind that serveFast answers.
func fitsFast(r *http.Request, p *pass) bool {
	h := r.Header
	protos := len(h["X-Forwarded-Proto"])
	return r.Method == http.MethodGet && r.URL.RawPath == "" && p.target.scheme == "http" && (r.TLS == nil || protos == 1) &&
		len(h["Cookie"]) <= 1 && len(h["Authorization"]) <= 1 && protos <= 1 && len(h["Sec-Fetch-Site"]) <= 1 &&
		!strings.Contains(h.Get("Accept"), "text/html")
}

// visitorKey is what serveFast knows a visitor by: the origin and all credentials. No header holds a line break.
func visitorKey(r *http.Request) string {
	h := r.Header
	return strings.Join([]string{
		r.Method, r.Host, h.Get("X-Forwarded-Proto"), h.Get("Sec-Fetch-Site"), r.URL.RawPath,
		strings.Join(h["Authorization"], "\n"), strings.Join(h["Cookie"], "\n"),
	}, "\n")
}

// at is the version that a decision must remember from its start.
func (f *fast) at() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version
}

// forget drops what a change of the state concerns. A new route also ends what is remembered of those above it.
func (f *fast) forget(c *change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	if c.keys {
		f.dropAll()
		return
	}
	for changed := range c.prefixes {
		for prefix := changed; len(prefix) > 1; prefix = parent(prefix) { // a bad record may have any key
			for who := range f.byPrefix[prefix] {
				who.drop()
			}
			delete(f.byPrefix, prefix)
		}
	}
	if c.revokes() {
		f.forgetRevoked(c)
	}
}

// parent is the prefix above another: "/user/" for "/user/alice/".
func parent(prefix string) string {
	return prefix[:strings.LastIndexByte(prefix[:len(prefix)-1], '/')+1]
}

func (f *fast) forgetRevoked(c *change) {
	for _, who := range f.visitors {
		for _, p := range who.paths {
			if concerns(c, p.who.claims) {
				who.drop()
				break
			}
		}
	}
}

// drop forgets every path of a visitor. Requests under way look whether their pass is old.
func (v *visitor) drop() {
	for _, p := range v.paths {
		atomic.StoreInt32(&p.old, 1)
	}
	v.paths = make(map[string]*pass)
}

// dropAll forgets everything. The caller holds the lock.
func (f *fast) dropAll() {
	for _, who := range f.visitors {
		who.drop()
	}
	f.clear()
}

// forgetAll is forget for a state that was replaced.
func (f *fast) forgetAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	f.dropAll()
}

// tick keeps the time until ctx ends, and puts off the alarm. A clock that is a second late is well within the leeway of tokens.
func (f *fast) tick(ctx context.Context, late *time.Timer) {
	for ctx.Err() == nil {
		f.mu.Lock()
		f.now = time.Now().Unix()
		f.closed = false
		f.mu.Unlock()
		late.Reset(clockPatience)
		pause(ctx, time.Second)
	}
}
