package plugin

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// fast remembers which visitor may have which path, so that the GETs of which a notebook's day consists need one look.
// What it remembers was decided on the long way (serve) and is forgotten when the route, the visitor or the keys change,
// so it is as good as the state itself.
//
// It exists for the interpreter. Yaegi allocates every variable and every intermediate result of a function for each call
// of it, used or not, so the long way costs it some 600 allocations. serveFast is therefore one flat function of few words.
type fast struct {
	mu       sync.Mutex
	now      int64 // Unix seconds, set every second
	closed   bool  // the clock stands still
	version  int64 // grows with every change of the state
	visitors map[string]*visitor
	byPrefix map[string]map[*visitor]bool // whose paths lead to this route
	from     map[string][]string          // X-Forwarded-For by the address of the connection
	learned  int                          // bytes since everything was forgotten

	// Tables for serveFast, which never change. They are not package variables: Yaegi sets those in the order of the files.
	harmless map[string]bool // request headers that need no look
	special  map[string]bool // response headers that are not simply copied
	refusing io.Writer       // accepts nothing, so that http.Header.WriteSubset tells whether there is anything to write
}

// visitor is one set of credentials at one origin.
type visitor struct {
	paths map[string]*pass // guarded by fast.mu
}

// Bounds of what is remembered. Beyond them everything is learned anew: paths and cookies may be long, and who may visit one
// server can send any.
const (
	maxLearned = 64 << 20
	entrySize  = 300 // bytes of an entry besides what comes from outside, about
)

func newFast() *fast {
	f := &fast{harmless: make(map[string]bool), special: make(map[string]bool)}
	f.clear()
	for name := range usual {
		f.harmless[name] = true
	}
	// A Connection may only name others of the harmless, which do no harm behind the edge either. An X-Forwarded-For would
	// have to be added to.
	f.harmless["Connection"] = true
	delete(f.harmless, "X-Forwarded-For")
	delete(f.harmless, "Upgrade-Insecure-Requests") // a browser loads a page, which is use of the server (see realUse)
	for _, names := range []map[string]bool{connectionOnly, unwelcome} {
		for name := range names {
			f.special[name] = true
		}
	}
	f.special["Set-Cookie"] = true
	_, closed := io.Pipe()
	closed.Close()
	f.refusing = closed
	return f
}

// clear forgets everything. The caller holds the lock.
func (f *fast) clear() {
	f.visitors = make(map[string]*visitor)
	f.byPrefix = make(map[string]map[*visitor]bool)
	f.from = make(map[string][]string)
	f.learned = 0
}

// stranger is the visitor that nothing is known of.
var stranger = &visitor{}

// serveFast answers a GET whose visitor and path are known, and returns the status. It returns 0, with the request untouched,
// if there is anything to think about.
func serveFast(s *shared, w http.ResponseWriter, r *http.Request) int {
	h := r.Header
	u := r.URL
	f := s.fast
	key := strings.Join([]string{
		r.Method, r.Host, h.Get("X-Forwarded-Proto"), h.Get("Sec-Fetch-Site"), u.RawPath, strings.Join(h["Authorization"], "\n"), strings.Join(h["Cookie"], "\n"),
	}, "\n")
	f.mu.Lock()
	who := f.visitors[key]
	if who == nil {
		who = stranger
	}
	p := who.paths[u.Path]
	now := f.now
	from := f.from[r.RemoteAddr]
	f.mu.Unlock()
	if p == nil || p.calm <= now || r.ContentLength != 0 {
		return 0
	}
	// "%" and "k": the query may hold a token. Another header than the harmless ones is written, which the writer refuses.
	// Of a client that names no agent, net/http would say that it is Go.
	if strings.ContainsAny(u.RawQuery, "%k") || h.WriteSubset(f.refusing, f.harmless) != nil || len(h["User-Agent"]) == 0 {
		return 0
	}
	if from == nil {
		from = f.comesFrom(r.RemoteAddr)
	}
	u.Scheme = "http"
	u.Host = p.target.host
	r.Body = nil
	r.Close = false // a visitor's "Connection: close" is about the visitor's connection
	for name, lines := range p.told {
		h[name] = lines
	}
	h["X-Forwarded-For"] = from
	resp, err := s.carrier.RoundTrip(r)
	if err != nil {
		failFast(s, w, r, p, err)
		return http.StatusBadGateway
	}
	status := resp.StatusCode
	size := resp.ContentLength
	if uint64(size) > bufferSize || status < 200 || atomic.LoadInt32(&p.old) != 0 {
		carryOn(s, w, r, p, resp)
		if status < 200 { // 0 would mean that nothing has been done
			return http.StatusBadGateway
		}
		return status
	}
	to := w.Header()
	for name, lines := range resp.Header {
		if f.special[name] {
			setSpecial(to, resp.Header, name, p)
		} else {
			to[name] = lines
		}
	}
	w.WriteHeader(status)
	if size > 0 {
		body := make([]byte, size)
		if _, err = io.ReadFull(resp.Body, body); err != nil {
			abort(resp)
		}
		_, _ = w.Write(body) // a visitor who has left needs no error
	}
	return status
}

// setSpecial copies a header of an answer that needs a look.
func setSpecial(to, from http.Header, name string, p *pass) {
	if name == "Set-Cookie" {
		to[name] = from[name]
		filterCookies(to, &visit{pass: p, route: p.route, slash: true})
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
	v := &visit{pass: p, route: p.route, claims: p.who.claims, slash: true, cancel: closing(resp.Body)}
	addLive(s.live, v)
	defer removeLive(s.live, v)
	if !stillGood(s.state, p) {
		noted(r, decidedRefuse, "permission_ended")
		answer(s, w, r, http.StatusForbidden, "forbidden", "You do not have access to this server any more.")
		return
	}
	sendAnswer(s, w, r, v, resp)
}

// closing is what cancels a visit whose answer is under way. It is a function of its own: Yaegi waits for ever when something
// deferred calls a function literal of the same call.
func closing(body io.Closer) context.CancelFunc {
	return func() { body.Close() }
}
