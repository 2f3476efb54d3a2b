package plugin

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// TestShortWayDecidesLikeTheLong sends the same random requests, between the same changes, to an edge that remembers and to one
// that forgets everything before each request. They must do the same, byte for byte.
func TestShortWayDecidesLikeTheLong(t *testing.T) {
	rounds := proveCount("EDGEHUB_PROVE_REQUESTS", 10000)
	seed := proveSeed()
	t.Logf("EDGEHUB_PROVE_SEED=%d", seed)
	captureLog(t)
	d := newTwins(t, seed)
	short := 0
	var done atomic.Int64
	defer tell(t.Name(), &done, rounds)()
	for i := range rounds {
		done.Add(1)
		if d.rnd.Intn(10) == 0 {
			d.change()
		}
		if d.compare(t, i) {
			short++
		}
		if t.Failed() {
			t.Fatalf("after %d requests", i)
		}
	}
	if short < rounds/20 {
		t.Errorf("only %d of %d requests took the short way", short, rounds)
	}
	t.Logf("%d of %d requests took the short way", short, rounds)
}

// twins are two edges that get the same.
type twins struct {
	rnd           *rand.Rand
	quick, slow   *stage
	cookies, auth []string
	undo          func()    // what the next change does
	last          [5]string // method, target, host, cookie, authorization of the last request: notebooks repeat themselves
}

var twinPrefixes = []string{"/user/alice/", "/user/alice/lab/", "/user/bob/", "/user/a%20b/", "/user/a@b/", "/services/x/"}

func newTwins(t *testing.T, seed int64) *twins {
	d := &twins{rnd: rand.New(rand.NewSource(seed)), quick: newStage(t), slow: newStage(t)}
	d.quick.answer, d.slow.answer = oddAnswer, oddAnswer
	for _, prefix := range twinPrefixes {
		d.both(func(g *stage) { g.putRoute(prefix, "alice") })
	}
	d.auth = []string{"", "", "token junk", "Basic YTpi"}
	d.cookies = []string{"", "a=b", "edgehub=junk; _xsrf=1"}
	for _, user := range []string{"alice", "alice", "bob"} {
		for _, session := range []string{"s1", "s2"} {
			token := d.quick.token(user, func(c *routes.Claims) { c.Session = session })
			d.auth = append(d.auth, "token "+token)
			d.cookies = append(d.cookies, "edgehub="+token, "a=1; edgehub="+token+"; b=2")
		}
	}
	now := time.Now().Unix()
	for i := range int64(8) { // these end while the test runs
		token := d.quick.token("alice", func(c *routes.Claims) { c.IssuedAt, c.Expires = now-100, now-routes.Leeway+i })
		d.cookies = append(d.cookies, "edgehub="+token)
	}
	return d
}

func (d *twins) both(f func(g *stage)) { f(d.quick); f(d.slow) }

func (d *twins) pick(from ...string) string { return from[d.rnd.Intn(len(from))] }

// change does something that an edge must notice. What it takes away comes back with the next change.
func (d *twins) change() {
	if undo := d.undo; undo != nil {
		d.undo = nil
		undo()
		return
	}
	prefix := d.pick(twinPrefixes...)
	switch d.rnd.Intn(5) {
	case 0:
		d.both(func(g *stage) { g.remove(routes.RouteKey(stagePrefix, prefix)) })
		d.undo = func() { d.both(func(g *stage) { g.putRoute(prefix, "alice") }) }
	case 1:
		key := routes.RevokedKey(stagePrefix, routes.RevokedSession, d.pick("s1", "s2", "other"))
		d.both(func(g *stage) { g.put(key, routes.Revocation{Schema: 1}) })
		d.undo = func() { d.pardon(key) }
	case 2:
		key := routes.RevokedKey(stagePrefix, routes.RevokedUser, d.pick("id-alice", "id-bob", "nobody"))
		before := time.Now().Unix() - d.rnd.Int63n(10)
		d.both(func(g *stage) { g.put(key, routes.Revocation{Schema: 1, Before: before}) })
		d.undo = func() { d.pardon(key) }
	case 3:
		key := routes.SigningKeyKey(stagePrefix, "k1")
		d.both(func(g *stage) { g.remove(key) })
		d.undo = func() { d.both(func(g *stage) { g.put(key, g.publicKey()) }) }
	default:
		owner, gen := d.pick("alice", "alice", "bob"), d.rnd.Int63n(3)
		auth := d.pick(routes.AuthSecret, routes.AuthSecret, routes.AuthTicket, routes.AuthNone)
		users := []string{d.pick("id-alice", "id-bob", "nobody")}
		d.both(func(g *stage) {
			g.putRoute(prefix, owner, func(r *routes.Route) { r.Auth, r.Users, r.Gen = auth, users, gen })
		})
	}
}

// pardon takes a revocation back, which the hub never does before the tokens have ended that it is about. So an edge need not
// notice that a header counts again which was passed over for a cookie, and forgets it here.
func (d *twins) pardon(key string) {
	d.both(func(g *stage) { g.remove(key) })
	d.quick.shared.passes = newCache(cacheSize)
	d.quick.shared.fast.forgetAll()
}

// compare sends one request to both and reports whether it took the short way.
func (d *twins) compare(t *testing.T, n int) bool {
	t.Helper()
	line, header := d.next()
	second := time.Now().Unix()
	d.quick.tick()
	make := func() *http.Request { return request(line[0], line[1], line[2], header.Clone()) }
	if make() == nil {
		return false
	}
	short := false
	got := d.quick.do(make(), func(w http.ResponseWriter, r *http.Request) {
		short = serveFast(d.quick.shared, w, r) != 0
		if !short {
			serve(d.quick.shared, w, r, true)
		}
	})
	s := d.slow.shared
	s.passes, s.verdicts = newCache(cacheSize), newVerdicts()
	want := d.slow.do(make(), func(w http.ResponseWriter, r *http.Request) { serve(s, w, r, true) })
	if time.Now().Unix() != second {
		return short // a token may have ended between the two
	}
	if a, b := d.quick.wire(), d.slow.wire(); a != b && stripTicket(a) != stripTicket(b) || d.quick.atServer() != d.slow.atServer() {
		t.Errorf("request %d, %q %v (short way: %v): the server gets\n%q\nwant\n%q", n, line, header, short, a, b)
	}
	refused := got.status == http.StatusForbidden && want.status == got.status && d.slow.sent == nil
	if a, b := got.text(), want.text(); a != b && !refused { // of two reasons for a refusal either will do
		t.Errorf("request %d, %q %v (short way: %v): the visitor gets\n%q\nwant\n%q", n, line, header, short, a, b)
	}
	return short
}

// stripTicket takes visitor tickets out, since two edges sign them in different seconds.
func stripTicket(s string) string {
	before, after, ok := strings.Cut(s, "token edgehub-visitor.")
	if !ok {
		return s
	}
	_, after, _ = strings.Cut(after, "\r\n")
	return before + after
}

// next is a request: mostly one that was sent before, with a change.
func (d *twins) next() ([5]string, http.Header) {
	l := &d.last
	if l[0] == "" || d.rnd.Intn(8) == 0 {
		*l = [5]string{"GET", d.pick(twinPrefixes...) + d.pick("", "x", "api/kernels", "a%2Fb", "lab/tree"), "h", d.pick(d.cookies...), d.pick(d.auth...)}
	}
	line := *l
	h := http.Header{"User-Agent": {"test"}, "Accept": {"*/*"}}
	if d.rnd.Intn(3) == 0 {
		d.disturb(&line, h)
	}
	if line[3] != "" {
		h["Cookie"] = append(h["Cookie"], line[3])
	}
	if line[4] != "" {
		h["Authorization"] = append(h["Authorization"], line[4])
	}
	return line, h
}

// disturb makes a request special.
func (d *twins) disturb(line *[5]string, h http.Header) {
	switch d.rnd.Intn(16) {
	case 0:
		line[0] = d.pick("HEAD", "POST", "OPTIONS", "PUT", "BREW", "TRACE", "CONNECT")
	case 1:
		line[1] += d.pick("?", "?a=b", "?token=x", "?to%6Ben=x&a", "?a=%zz", "?tokens=1;token=2")
	case 2:
		line[1] += d.pick("/", "//", "/..", "/%2e%2e/", "/..%2f", "/%zz", ";x", "/a%20b", `/\x`, "/%41", "/ä")
	case 3:
		line[1] = strings.TrimSuffix(line[1], "/")
	case 4:
		line[2] = d.pick("H", "other.test", "h:80", "")
	case 5:
		h["Cookie"] = []string{d.pick(d.cookies...)}
	case 6:
		h["Authorization"] = []string{d.pick(d.auth...)}
	case 7:
		h["X-Forwarded-Proto"] = strings.Split(d.pick("https", "http", "", "wss", "https|http"), "|")
	case 8:
		h[d.pick("X-Forwarded-For", "X-Edgehub-User", "Remote-User", "X-Forwarded-User", "Forwarded", "X_Hub_User", "X-Forwarded-Host")] = []string{"forged"}
	case 9:
		h["Connection"] = []string{d.pick("close", "keep-alive", "Upgrade", "X-Forwarded-For, Authorization", "Cookie")}
	case 10:
		h["Upgrade"] = []string{d.pick("h2c", "websocket")} // without a Connection, so that no socket opens
	case 11:
		h["Sec-Fetch-Mode"], h["Accept"] = []string{"navigate"}, []string{"text/html"}
	case 12:
		delete(h, "User-Agent")
	case 13:
		h[d.pick("Range", "If-None-Match", "Expect", "Te", "Trailer", "Keep-Alive", "X-Custom", "X_Custom")] = []string{d.pick("", "a", "trailers")}
	case 14:
		line[3] = d.pick(d.cookies...)
	default:
		line[4] = d.pick(d.auth...)
	}
}

// oddAnswer is a server's answer that depends on the request's address only.
func oddAnswer(r *http.Request) (*http.Response, error) {
	n := 0
	for _, c := range r.URL.RequestURI() + r.Method {
		n = (n*31 + int(c)) % 997
	}
	body := strings.Repeat("x", []int{0, 1, 100, bufferSize, bufferSize + 1}[n%5])
	resp := &http.Response{StatusCode: []int{200, 200, 200, 204, 304, 404, 500, 101, 99}[n%9], Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"text/plain"}}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}
	if resp.StatusCode == 204 || resp.StatusCode == 304 {
		resp.ContentLength, resp.Body = 0, http.NoBody
	}
	switch n % 11 {
	case 1:
		resp.ContentLength = -1
	case 2:
		resp.Header["Set-Cookie"] = []string{"edgehub=evil", "a=b", "c=d; Path=/", "e=f; Path=" + r.URL.Path, "g=h\x01"}
	case 3:
		resp.Header["Connection"], resp.Header["X-Named"] = []string{"close, X-Named"}, []string{"1"}
	case 4:
		resp.Header["Clear-Site-Data"], resp.Header["Refresh"], resp.Header["Trailer"] = []string{"*"}, []string{"0"}, []string{"X"}
	case 5:
		return nil, errors.New("connection refused")
	case 6:
		if resp.ContentLength > 0 {
			resp.ContentLength++ // the rest does not come
		}
	}
	return resp, nil
}

// text is all that the visitor got.
func (w *reply) text() string {
	names := make([]string, 0, len(w.header))
	for name := range w.header {
		names = append(names, name)
	}
	sort.Strings(names)
	var b strings.Builder
	fmt.Fprintln(&b, w.status, w.broken)
	for _, name := range names {
		fmt.Fprintln(&b, name, w.header[name])
	}
	if !w.broken { // how much came before the end is a matter of buffers
		fmt.Fprintln(&b, w.body.Len(), w.body.String()[:min(w.body.Len(), 200)])
	}
	return b.String()
}
