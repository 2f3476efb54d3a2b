package plugin

import (
	"crypto/sha256"
	"net/http"
	"sync"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// Bounds of the exchange of API tokens, in seconds where they are times.
const (
	refusedLife   = 10  // how long a token that the control plane does not know is refused without asking again
	exchangeEarly = 30  // how long before its end an exchanged token is exchanged anew
	exchangeRate  = 50  // unknown tokens that may be asked for in a second
	exchangeBurst = 100 // and at once
)

// exchange turns opaque API tokens into edge tokens at the control plane: one call for each token, whoever asks, until
// the edge token ends or is revoked. The API token itself is kept only as its hash.
type exchange struct {
	shared  *shared
	known   *cache // hash -> *routes.Claims
	refused *cache // hash -> true

	mu     sync.Mutex
	calls  map[string]*exchangeCall
	tokens float64 // of the bucket that limits calls
	filled time.Time
}

// exchangeCall is a call under way; done is closed when claims and problem are set.
type exchangeCall struct {
	done    chan bool
	claims  *routes.Claims
	problem int
}

func newExchange(s *shared) *exchange {
	return &exchange{shared: s, known: newCache(cacheSize), refused: newCache(cacheSize),
		calls: make(map[string]*exchangeCall), tokens: exchangeBurst, filled: time.Now()}
}

// claims says who bears the API token, asking the control plane if need be.
func (x *exchange) claims(token string) (*routes.Claims, int) {
	sum := sha256.Sum256([]byte(token))
	hash := string(sum[:])
	now := time.Now().Unix()
	if known, ok := lookup(x.known, hash, now).(*routes.Claims); ok {
		switch revoked(x.shared.state, known) {
		case notRevoked:
			return known, somebody
		case revokedForGood:
			return nil, nobody
		}
		x.known.remove(hash) // "sign out everywhere" ends browser sessions; whether the API token goes on, the hub says
	}
	if lookup(x.refused, hash, now) != nil {
		return nil, nobody
	}
	return x.join(hash, token)
}

// join waits for the call for this token, and makes it if nobody else does.
func (x *exchange) join(hash, token string) (*routes.Claims, int) {
	x.mu.Lock()
	call := x.calls[hash]
	if call != nil {
		x.mu.Unlock()
		<-call.done
		return call.claims, call.problem
	}
	if !x.allowed() {
		x.mu.Unlock()
		x.shared.counts.add(exchangeFlooded, 1)
		return nil, flooded
	}
	call = &exchangeCall{done: make(chan bool), problem: unavailable}
	x.calls[hash] = call
	x.mu.Unlock()
	defer func() { // also when the call panics: the others must not wait for ever
		x.mu.Lock()
		delete(x.calls, hash)
		x.mu.Unlock()
		close(call.done)
	}()
	call.claims, call.problem = x.ask(hash, token)
	return call.claims, call.problem
}

// allowed takes one token out of the bucket. The caller holds the lock.
func (x *exchange) allowed() bool {
	now := time.Now()
	x.tokens += now.Sub(x.filled).Seconds() * exchangeRate
	x.filled = now
	if x.tokens > exchangeBurst {
		x.tokens = exchangeBurst
	}
	if x.tokens < 1 {
		return false
	}
	x.tokens--
	return true
}

// ask makes the call.
func (x *exchange) ask(hash, token string) (*routes.Claims, int) {
	s := x.shared
	fresh, status := s.control.edgeToken("/hub/api/edge/exchange", token)
	now := time.Now().Unix()
	if status == http.StatusForbidden || status == http.StatusUnauthorized || status == http.StatusNotFound {
		s.counts.add(exchangeRefused, 1)
		x.refused.put(hash, true, now+refusedLife, now)
		return nil, nobody
	}
	if status != http.StatusOK {
		s.counts.add(exchangeFailed, 1)
		return nil, unavailable
	}
	keys, keyGen := s.state.keyring()
	claims := s.verdicts.check(fresh, keys, keyGen, now)
	if claims == nil {
		s.counts.add(exchangeFailed, 1)
		s.log.printf("exchange", "the control plane gave an edge token that cannot be verified (its key has not arrived, or the clocks differ)")
		return nil, unavailable
	}
	s.counts.add(exchangeOK, 1)
	if revoked(s.state, claims) != notRevoked {
		return nil, nobody
	}
	if until := claims.Expires - exchangeEarly; until > now {
		x.known.put(hash, claims, until, now)
	}
	return claims, somebody
}
