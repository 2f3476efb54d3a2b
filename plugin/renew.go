package plugin

import (
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// Bounds of the renewal.
const (
	renewRetry   = 30 // seconds between two attempts for one session
	renewAtOnce  = 8  // calls under way at the same time; a session that finds no place tries with its next request
	cookieMaxAge = "3600"
)

// renewal gets newer edge tokens for browser sessions whose token is past half of its life. It never delays a request:
// the call runs in the background, and a later answer to the old token carries the new one as a cookie.
type renewal struct {
	shared *shared
	fresh  *cache // session and host -> *renewed
	tried  *cache // session and host -> true, while no new attempt may start

	mu      sync.Mutex
	running int
}

type renewed struct {
	token  string
	claims *routes.Claims
}

func newRenewal(s *shared) *renewal {
	return &renewal{shared: s, fresh: newCache(cacheSize), tried: newCache(cacheSize)}
}

// renewalDue is when a browser session's token is past half of its life, or never.
func renewalDue(who *identity) int64 {
	if who.cookie == "" || who.claims.Session == "" {
		return math.MaxInt64
	}
	return who.claims.IssuedAt + (who.claims.Expires-who.claims.IssuedAt)/2
}

// refresh is for a token whose renewal is due. It returns the Set-Cookie header for a visitor whose session has a newer token, or starts a renewal and returns "".
func (n *renewal) refresh(who *identity, now int64) string {
	c := who.claims
	key := c.Session + "\n" + c.Host
	if f, ok := lookup(n.fresh, key, now).(*renewed); ok && f.claims.IssuedAt > c.IssuedAt && f.claims.UserID == c.UserID {
		return setCookie(who.cookie, f.token)
	}
	if lookup(n.tried, key, now) == nil && n.enter() {
		n.tried.put(key, true, now+renewRetry, now)
		token := who.token
		n.shared.background("renewal", func() {
			defer n.leave()
			n.renew(key, token, c)
		})
	}
	return ""
}

func setCookie(name, token string) string {
	return cookieLine(name, name, token, cookieMaxAge)
}

// cookieLine is the Set-Cookie header of a cookie of the edge. kind is the name of the cookie for edge tokens, which says
// whether there is TLS.
func cookieLine(name, kind, value, maxAge string) string {
	cookie := name + "=" + value + "; Path=/; Max-Age=" + maxAge + "; HttpOnly; SameSite=Lax"
	if strings.HasPrefix(kind, hostPrefix) {
		cookie += "; Secure"
	}
	return cookie
}

func (n *renewal) enter() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.running >= renewAtOnce {
		return false
	}
	n.running++
	return true
}

func (n *renewal) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running--
}

// renew asks the control plane once and keeps its answer.
func (n *renewal) renew(key, old string, c *routes.Claims) {
	s := n.shared
	token, status := s.control.edgeToken("/hub/api/edge/renew", old)
	if status != http.StatusOK {
		s.counts.add(renewalFailed, 1)
		s.log.printf("renew", "the control plane did not renew a session (status %d)", status)
		return
	}
	now := time.Now().Unix()
	keys, keyGen := s.state.keyring()
	claims := s.verdicts.check(token, keys, keyGen, now)
	if claims == nil || claims.Session != c.Session || claims.UserID != c.UserID || claims.Host != c.Host {
		s.counts.add(renewalFailed, 1)
		s.log.printf("renew", "the control plane renewed a session with a token that cannot be used")
		return
	}
	s.counts.add(renewalOK, 1)
	n.fresh.put(key, &renewed{token: token, claims: claims}, claims.Expires, now)
}
