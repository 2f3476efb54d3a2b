package plugin

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// comesFrom works out X-Forwarded-For and remembers it for the next request over the same connection.
func (f *fast) comesFrom(who *visitor, remote string) []string {
	h := http.Header{}
	addClient(h, remote)
	from := h["X-Forwarded-For"]
	f.mu.Lock()
	defer f.mu.Unlock()
	who.remote = remote
	who.from = from
	return from
}

// learn remembers that p is the pass of a request. version is that of the state before anything was looked up: if it has
// changed since, p may be old already.
func (f *fast) learn(version int64, r *http.Request, credentials string, p *pass) {
	if r.Method != http.MethodGet || r.URL.RawPath != "" || credentials == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.version != version {
		return
	}
	f.now = time.Now().Unix()
	f.learned++
	if f.learned > maxLearned {
		f.clear()
	}
	proto := r.Header.Get("X-Forwarded-Proto")
	who := f.visitors[credentials]
	if who == nil || who.host != r.Host || who.proto != proto || who.tls != (r.TLS != nil) {
		who = &visitor{host: r.Host, proto: proto, tls: r.TLS != nil, paths: make(map[string]*pass)}
		f.visitors[credentials] = who
	}
	who.paths[r.URL.Path] = p
	of := f.byPrefix[p.route.Prefix]
	if of == nil {
		of = make(map[*visitor]bool)
		f.byPrefix[p.route.Prefix] = of
	}
	of[who] = true
}

// credentialsOf is the key of a visitor: the Cookie line and the Authorization line. It is empty for a request without a
// cookie, and for one that is not worth remembering.
func credentialsOf(h http.Header) string {
	cookies, tokens := h["Cookie"], h["Authorization"]
	if len(cookies) != 1 || len(tokens) > 1 {
		return ""
	}
	key := cookies[0]
	if len(tokens) == 1 {
		key += "\n" + tokens[0]
	}
	if len(key) > passKeySize {
		return ""
	}
	return key
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
		f.clear()
		return
	}
	for prefix := range c.prefixes {
		for prefix != "/" {
			for who := range f.byPrefix[prefix] {
				who.paths = make(map[string]*pass)
			}
			delete(f.byPrefix, prefix)
			prefix = prefix[:strings.LastIndexByte(prefix[:len(prefix)-1], '/')+1]
		}
	}
	if c.revokes() {
		f.forgetRevoked(c)
	}
}

func (f *fast) forgetRevoked(c *change) {
	for _, who := range f.visitors {
		for _, p := range who.paths {
			if concerns(c, p.who.claims) {
				who.paths = make(map[string]*pass)
				break
			}
		}
	}
}

// forgetAll is forget for a state that was replaced.
func (f *fast) forgetAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	f.clear()
}

// tick keeps the time until ctx ends. A clock that is a second late is well within the leeway of tokens.
func (f *fast) tick(ctx context.Context) {
	for ctx.Err() == nil {
		f.mu.Lock()
		f.now = time.Now().Unix()
		f.mu.Unlock()
		pause(ctx, time.Second)
	}
}
