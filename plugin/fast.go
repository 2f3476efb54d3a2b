package plugin

import (
	"io"
	"net/http"
	"strings"
	"sync"
)

// fast remembers which visitor may have which path, so that the GETs of which a notebook's day consists need one look.
// What it remembers was decided on the long way (serve) and is forgotten when the route, the visitor or the keys change,
// so it is as good as the state itself.
//
// It exists for the interpreter. Yaegi allocates every variable and every intermediate result of a function for each call
// of it, so the long way costs it some 600 allocations. serveFast is therefore one flat function of few words.
type fast struct {
	mu       sync.Mutex
	now      int64 // Unix seconds, set every second
	version  int64 // grows with every change of the state
	visitors map[string]*visitor
	byPrefix map[string]map[*visitor]bool // whose paths lead to this route
	learned  int                          // paths since everything was forgotten
}

// visitor is one set of credentials at one origin. The first three fields never change, the others are guarded by fast.mu.
type visitor struct {
	host  string
	proto string // X-Forwarded-Proto
	tls   bool

	paths  map[string]*pass
	remote string   // the address of the last request, and
	from   []string // X-Forwarded-For for it
}

// maxLearned bounds what is remembered; beyond it everything is learned anew.
const maxLearned = 100000

func newFast() *fast {
	f := &fast{}
	f.clear()
	return f
}

// clear forgets everything. The caller holds the lock.
func (f *fast) clear() {
	f.visitors = make(map[string]*visitor)
	f.byPrefix = make(map[string]map[*visitor]bool)
	f.learned = 0
}

// stranger is the visitor that nothing is known of.
var stranger = &visitor{}

// serveFast answers a GET whose visitor and path are known. It reports false, with the request untouched, if there is
// anything to think about.
func serveFast(s *shared, w http.ResponseWriter, r *http.Request) bool {
	h := r.Header
	u := r.URL
	cookies, tokens := h["Cookie"], h["Authorization"]
	if r.Method != http.MethodGet || len(cookies) != 1 || len(tokens) > 1 || r.ContentLength != 0 || len(h["Upgrade"]) > 0 {
		return false
	}
	key := cookies[0]
	if len(tokens) == 1 {
		key = key + "\n" + tokens[0]
	}
	f := s.fast
	f.mu.Lock()
	who := f.visitors[key]
	if who == nil {
		who = stranger
	}
	p := who.paths[u.Path]
	now := f.now
	from := who.from
	if who.remote != r.RemoteAddr {
		from = nil
	}
	f.mu.Unlock()
	if p == nil || p.until <= now || p.due <= now || who.host != r.Host || who.proto != h.Get("X-Forwarded-Proto") || u.RawPath != "" {
		return false
	}
	if u.RawQuery != "" && strings.ContainsAny(u.RawQuery, "k%") || len(h["X-Forwarded-For"]) > 0 || who.tls != (r.TLS != nil) {
		return false // the query may hold a token
	}
	if from == nil {
		from = f.comesFrom(who, r.RemoteAddr)
	}

	u.Scheme = p.target.scheme
	u.Host = p.target.host
	r.Body = nil
	r.Close = false
	unusual := &strings.Builder{}
	_ = h.WriteSubset(unusual, usual)
	if unusual.Len() > 0 {
		cleanHeader(h)
	}
	h["X-Forwarded-For"] = from
	forwarded := p.forwarded
	h["X-Forwarded-Host"] = forwarded.host
	h["X-Forwarded-Proto"] = forwarded.proto
	h["X-Forwarded-Port"] = forwarded.port
	h["Cookie"] = p.cookies
	h["Authorization"] = p.credential
	if len(h["User-Agent"]) == 0 {
		h["User-Agent"] = noAgent
	}
	resp, err := s.carrier.RoundTrip(r)
	if err != nil {
		failFast(s, w, r, p, err)
		return true
	}
	f.mu.Lock()
	same := who.paths[u.Path] == p
	f.mu.Unlock()
	size := resp.ContentLength
	if !same || size < 0 || size > bufferSize || resp.StatusCode == http.StatusSwitchingProtocols {
		carryOn(s, w, r, p, resp)
		return true
	}
	to := w.Header()
	for name, lines := range resp.Header {
		if special[name] {
			setSpecial(to, resp.Header, name, p)
		} else {
			to[name] = lines
		}
	}
	w.WriteHeader(resp.StatusCode)
	if size == 0 {
		return true
	}
	body := make([]byte, size)
	if _, err = io.ReadFull(resp.Body, body); err != nil {
		abort(resp)
	}
	_, _ = w.Write(body) // a visitor who has left needs no error
	return true
}

// special are the response headers that are not simply copied: those of the connection, the unwelcome ones, and cookies.
var special = specialHeaders()

func specialHeaders() map[string]bool {
	all := map[string]bool{"Set-Cookie": true}
	for name := range connectionOnly {
		all[name] = true
	}
	for name := range unwelcome {
		all[name] = true
	}
	return all
}

// setSpecial copies a header of an answer that needs a look.
func setSpecial(to, from http.Header, name string, p *pass) {
	if name == "Set-Cookie" {
		to[name] = from[name]
		filterCookies(to, &visit{route: p.route, slash: true})
	}
	if name == "Connection" {
		dropNamed(from, from[name])
		dropNamed(to, from[name])
	}
}

// failFast answers for a server that does not.
func failFast(s *shared, w http.ResponseWriter, r *http.Request, p *pass, err error) {
	s.serverFailed(w, r, &visit{pass: p, route: p.route}, err)
}

// carryOn sends an answer on that takes long, or whose visitor or route may have changed since the request was sent. From
// here on a revocation ends it.
func carryOn(s *shared, w http.ResponseWriter, r *http.Request, p *pass, resp *http.Response) {
	defer resp.Body.Close()
	v := &visit{pass: p, route: p.route, claims: p.who.claims, slash: true, cancel: func() { resp.Body.Close() }}
	addLive(s.live, v)
	defer removeLive(s.live, v)
	if !stillGood(s.state, p) {
		answer(w, r, http.StatusForbidden, "forbidden", "You do not have access to this server any more.")
		return
	}
	sendAnswer(s, w, r, v, resp)
}

// abort ends the visitor's connection, because the rest of an answer does not come.
func abort(resp *http.Response) {
	resp.Body.Close()
	panic(http.ErrAbortHandler)
}
