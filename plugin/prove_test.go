package plugin

import (
	"fmt"
	"math/rand"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// `make prove` runs the tests of this file, and the comparison of the short way with the long one, at full size. `make test`
// runs a sample with a fixed seed.

// inBlocks does n things on all cores. What a block does depends on its own
// random numbers only, so that a seed repeats a run on any machine.
func inBlocks(t *testing.T, n int, start func() func(rnd *rand.Rand) error) {
	t.Helper()
	const size = 1000
	seed := proveSeed()
	t.Logf("EDGEHUB_PROVE_SEED=%d", seed)
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		one := start()
		wg.Go(func() {
			for block := next.Add(1); int(block-1)*size < n && !t.Failed(); block = next.Add(1) {
				rnd := rand.New(rand.NewSource(seed*1_000_003 + block))
				for range min(size, n-int(block-1)*size) {
					if err := one(rnd); err != nil {
						t.Errorf("block %d: %v", block, err)
						return
					}
				}
				done.Add(size)
			}
		})
	}
	defer tell(t.Name(), &done, n)()
	wg.Wait()
}

// tell prints how far a test is, if somebody waits for it.
func tell(name string, done *atomic.Int64, n int) (stop func()) {
	if os.Getenv("EDGEHUB_PROVE_SEED") == "" {
		return func() {}
	}
	ticker, end := time.NewTicker(5*time.Second), make(chan bool)
	go func() {
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(os.Stderr, "%s: %d of %d\n", name, done.Load(), n)
			case <-end:
				return
			}
		}
	}()
	return func() { ticker.Stop(); close(end) }
}

// proveCount is how much a test does: a sample, or what the variable says.
func proveCount(variable string, sample int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return sample
}

// proveSeed is that of EDGEHUB_PROVE_SEED, or always the same.
func proveSeed() int64 {
	if n, err := strconv.ParseInt(os.Getenv("EDGEHUB_PROVE_SEED"), 10, 64); err == nil {
		return n
	}
	return 1
}

// owners of the routes of TestProveTargets.
var provePrefixes = map[string]string{
	"/user/alice/": "alice", "/user/alice/lab/": "alice", "/user/alice/a%20b/": "alice", "/user/bob/": "bob", "/user/al/": "bob", "/user/a%20b/": "bob",
	"/user/a@b/": "bob", "/user/%C3%A9/": "bob", "/user/alice/b/": "bob", "/services/x/": "alice", "/x/": "bob",
}

// TestProveTargets generates targets in nasty spellings and sends each as alice. The edge must do what slowDecide says, and what it
// sends on must be, byte for byte, what it decided about.
func TestProveTargets(t *testing.T) {
	captureLog(t)
	names := []string{}
	for prefix := range provePrefixes {
		names = append(names, prefix)
	}
	inBlocks(t, proveCount("EDGEHUB_PROVE_TARGETS", 50_000), func() func(rnd *rand.Rand) error {
		g := newStage(t)
		for prefix, owner := range provePrefixes {
			g.putRoute(prefix, owner)
		}
		edge := &Edge{shared: g.shared}
		cookie := "edgehub=" + g.token("alice")
		return func(rnd *rand.Rand) error {
			g.tick()
			target := nastyTarget(rnd)
			r := request("GET", target, "hub.test", http.Header{"Cookie": {cookie}, "User-Agent": {"a"}})
			if r == nil {
				return nil // net/http answers 400 by itself
			}
			path, query := r.URL.EscapedPath(), slowQuery(r.URL.RawQuery)
			w := g.do(r, edge.ServeHTTP)
			server, status := expected(names, path)
			if got := g.atServer(); got != server || status != w.status {
				return fmt.Errorf("%q (%q): %d at %q, want %d at %q", target, path, w.status, got, status, server)
			}
			if g.sent == nil || server == "hub" {
				return nil
			}
			line, _, _ := strings.Cut(strings.TrimPrefix(g.wire(), "GET "), " HTTP/1.1\r\n")
			if before, after, _ := strings.Cut(line, "?"); before != path || after != query {
				return fmt.Errorf("%q: sent on as %q, decided about %q", target, line, path)
			}
			return nil
		}
	})
}

// expected is where alice's GET of a path goes, and the status of its answer.
func expected(prefixes []string, path string) (server string, status int) {
	prefix, more, ok := slowDecide(prefixes, path)
	switch {
	case !ok:
		return "", 400
	case provePrefixes[prefix] == "bob":
		return "", 403
	case prefix != "" && !more:
		return "", 301
	case prefix != "":
		return prefix, 200
	case strings.HasPrefix(path, "/user/") && path != "/user/":
		return "", 424
	}
	return "hub", 200
}

// nasty are pieces of addresses that two readers have read in two ways.
var nasty = []string{
	"/", "//", "/./", "/../", "..", ".", "%2e", "%2E", "%2e%2e", ".%2e", "%252e", "%2f", "%2F", "%252f", "%5c", `\`, "%5C..", "..%2f", "%2f..", "..%5c", ";", "/;/", "..;/", "%3b",
	"%00", "%0d%0a", "%0a", "%09", "%20", "+", "%7f", "%c2%85", "%3f", "?", "%23", "#", "%", "%zz", "%2", "%25", "%c0%af", "%c0%ae", "%e0%80%af", "%ff", "%ed%a0%80", "é", "%C3%A9",
	"%c3%a9", "e%CC%81", "%EF%BD%81", "%E2%80%AE", "K", "ı", "ſ", "%61", "%41", "%40", "@", "alice", "ALICE", "bob", "al", "lab", "b", "x", "user", "USER", "hub", "services",
	"%75ser", "user%2f", "/user/", "/user/bob/", "/user/alice/", "/hub/", "?token=x", "&token=x", "?a=%zz&tok%65n=1", "http://evil.test", "//evil.test/", ":80", "~", "-", "_", "'", `"`, "<", "|", "{", "^", "`", "!", "$", "&", "*", "=", ",", "(", "[", "]", "\x80", "\xff", "\u00a0",
}

// nastyTarget is an address of one of the servers, with some of its characters written otherwise and nasty pieces in between.
func nastyTarget(rnd *rand.Rand) string {
	starts := []string{"/user/alice/", "/user/alice/lab/tree/x", "/user/bob/", "/user/al/x", "/user/alice", "/user/a%20b/", "/user/a@b/x", "/user/%C3%A9/", "/services/x/y", "/x/", "/hub/api", "/", "", "/user/", "/user/alice/a%20b/c%2Fd", "/user/alice/b/api/"}
	target := starts[rnd.Intn(len(starts))]
	for range rnd.Intn(5) {
		at := rnd.Intn(len(target) + 1)
		switch rnd.Intn(6) {
		case 0:
			target = target[:at] + target[min(at+1, len(target)):]
		case 1:
			if at < len(target) {
				target = target[:at] + fmt.Sprintf([]string{"%%%02x", "%%%02X", "%%25%02x"}[rnd.Intn(3)], target[at]) + target[at+1:]
			}
		case 2:
			target += nasty[rnd.Intn(len(nasty))]
		default:
			target = target[:at] + nasty[rnd.Intn(len(nasty))] + target[at:]
		}
	}
	return target
}

// TestProveTokens changes good tokens, and signs bad ones with the right key. Who is let in must be who slowVerify lets in, and of
// what nobody signed, nothing.
func TestProveTokens(t *testing.T) {
	inBlocks(t, proveCount("EDGEHUB_PROVE_TOKENS", 10_000), func() func(rnd *rand.Rand) error {
		f := newForger()
		return func(rnd *rand.Rand) error {
			how, token := f.forge(rnd)
			_, err := routes.VerifyToken(token, f.keys, f.now)
			if want := slowVerify(token, f.keys, f.now); (err == nil) != want || err == nil && !f.signed[token] {
				return fmt.Errorf("%s: %v, want %v: %q", how, err, want, token)
			}
			return nil
		}
	})
}
