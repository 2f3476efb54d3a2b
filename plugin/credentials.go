package plugin

import (
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/edgehub/edgehub/routes"
)

// plainCookie is the name of the edge's cookie without TLS, before the suffix of the hub's base; with TLS it has hostPrefix.
const (
	plainCookie = "edgehub"
	hostPrefix  = "__Host-"
)

// cookieNames are the names of the edge's cookie.
type cookieNames struct {
	secure string
	plain  string
}

func cookieNamesOf(base routes.Base) cookieNames {
	name := plainCookie + base.CookieSuffix()
	return cookieNames{secure: hostPrefix + name, plain: name}
}

// cookieName is the name of the edge's cookie.
func cookieName(set *settings, secure bool) string {
	if secure {
		return set.cookies.secure
	}
	return set.cookies.plain
}

// Outcomes of identify. nobody is also "nothing is wrong" of the functions that only read a header.
const (
	nobody      = iota // no credential, or none that is valid
	somebody           // who it is has been found
	ambiguous          // two of what there must be one of
	unavailable        // only the control plane can tell, and it does not answer
	flooded            // too many unknown tokens
)

// identity is the bearer of a request.
type identity struct {
	claims *routes.Claims
	cookie string // the name of the cookie that said so, empty for a header
	token  string // the edge token in that cookie
}

// identify finds the bearer of a request. A header counts before a cookie, as in JupyterHub; a header that is not valid
// does not spoil a valid cookie, because programs behind the edge send tokens of their own from the visitor's browser.
//
// bound is the host that an edge token must be bound to.
func identify(s *shared, r *http.Request, f *found, secure bool, bound string, now int64) (*identity, int) {
	token, problem := headerToken(r)
	if problem != nobody {
		return nil, problem
	}
	name := cookieName(s.set, secure)
	cookie, problem := cookieValue(r.Header["Cookie"], name)
	if problem != nobody {
		return nil, problem
	}
	outcome := nobody
	if token != "" && !ofServer(token, f.route) {
		claims, problem := headerClaims(s, token, f, bound, now)
		if problem == somebody {
			return &identity{claims: claims}, somebody
		}
		outcome = problem
	}
	if cookie != "" {
		if claims := verify(s, cookie, f, bound, now); claims != nil {
			return &identity{claims: claims, cookie: name, token: cookie}, somebody
		}
	}
	return nil, outcome
}

// ofServer reports a token that the program behind the route gave to its own pages: its secret, which JupyterLab's page
// sends back, or a visitor ticket. Such a token says nothing about the visitor.
func ofServer(token string, r *routes.Route) bool {
	return routes.IsTicket(token) || subtle.ConstantTimeCompare([]byte(token), []byte(r.Secret)) == 1
}

// headerToken returns the token of the Authorization header, or "" if there is none.
func headerToken(r *http.Request) (string, int) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return "", nobody
	}
	if len(values) > 1 {
		return "", ambiguous
	}
	scheme, token, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
	if !strings.EqualFold(scheme, "token") && !strings.EqualFold(scheme, "bearer") {
		return "", nobody
	}
	return strings.TrimSpace(token), nobody
}

// cookieValue returns the value of the cookie name. Its name is compared byte for byte and nothing but blanks and tabs is
// trimmed, so no other name decodes to it. A second one is refused: a sibling host or a script may have planted it.
func cookieValue(headers []string, name string) (string, int) {
	value, n := "", 0
	for _, line := range headers {
		if !strings.Contains(line, name) {
			continue
		}
		for _, pair := range strings.Split(line, ";") {
			k, v, ok := strings.Cut(pair, "=")
			if ok && strings.Trim(k, " \t") == name {
				value = strings.Trim(v, " \t")
				n++
			}
		}
	}
	if n > 1 {
		return "", ambiguous
	}
	return value, nobody
}

// headerClaims says who bears a token from a header: an edge token, or an API token that the control plane exchanges.
func headerClaims(s *shared, token string, f *found, bound string, now int64) (*routes.Claims, int) {
	if routes.IsEdgeToken(token) {
		if claims := verify(s, token, f, bound, now); claims != nil {
			return claims, somebody
		}
		return nil, nobody
	}
	if !apiTokenShape(token) {
		return nil, nobody
	}
	return s.exchange.claims(token)
}

// apiTokenShape reports whether token can be an API token at all. Anything else is refused without asking.
func apiTokenShape(token string) bool {
	if len(token) < 16 || len(token) > 256 {
		return false
	}
	return strings.Trim(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.~+/=") == ""
}

// verify returns the claims of an edge token that is valid on the host that it came to, and not revoked, or nil.
func verify(s *shared, token string, f *found, bound string, now int64) *routes.Claims {
	claims := s.verdicts.check(token, f.keys, f.keyGen, now)
	if claims == nil || claims.Host != bound || revoked(s.state, claims) != notRevoked {
		return nil
	}
	return claims
}

// verdictLife is how long a verified token is believed, in seconds, before its signature and its key are looked at
// again. The token's end and its key's end it before.
const verdictLife = 60

// verdicts remembers which tokens have been verified, by their exact bytes, and with which set of keys: a verdict dies
// with any change of the keys. Revocation is not its business.
type verdicts struct {
	known *cache
}

type verdict struct {
	claims *routes.Claims
	keyGen int64
}

func newVerdicts() *verdicts { return &verdicts{known: newCache(cacheSize)} }

func (v *verdicts) check(token string, keys map[string]*routes.Key, keyGen, now int64) *routes.Claims {
	if known, ok := lookup(v.known, token, now).(*verdict); ok && known.keyGen == keyGen {
		return known.claims
	}
	claims, err := routes.VerifyToken(token, keys, now)
	if err != nil {
		return nil
	}
	until := now + verdictLife
	if claims.Expires+routes.Leeway < until {
		until = claims.Expires + routes.Leeway
	}
	v.known.put(token, &verdict{claims: claims, keyGen: keyGen}, until, now)
	return claims
}
