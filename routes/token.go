package routes

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// Limits and fixed values of edge tokens, in seconds and bytes.
const (
	// TokenLife is the longest life of an edge token. A revocation need not be kept longer than TokenLife + Leeway.
	TokenLife = 3600
	// Leeway is how far the clocks of hub and edge may differ.
	Leeway = 30
	// MaxTokenLen is the length of the longest edge token that is looked at.
	MaxTokenLen = 3800

	tokenAudience = "edge"
	// The header is compared, never parsed: there is one algorithm, one type, and a key id between them (RFC 8725, 3.1).
	headerStart = `{"alg":"EdDSA","typ":"edgehub-edge+jwt","kid":"`
	headerEnd   = `"}`
)

// Errors of VerifyToken. All of them mean that the bearer is nobody.
var (
	ErrToken   = errors.New("not a valid edge token")
	ErrExpired = errors.New("edge token has expired")
)

// ScopeInherit in Claims.Scopes means everything the user may do; ScopeAccess means every server and ScopeServices every
// service (administrators).
const (
	ScopeInherit  = "inherit"
	ScopeAccess   = "access:servers"
	ScopeServices = "access:services"
)

// ServiceID is how the UserID of a service begins, which is no id of a user.
const ServiceID = RevokedService + "/"

// Claims are what an edge token says about its bearer (RFC 7519 names where there are some).
type Claims struct {
	Issuer   string `json:"iss"` // the hub's id
	Audience string `json:"aud"`
	Subject  string `json:"sub"` // user name
	UserID   string `json:"uid"` // never used again, unlike the name
	// Session is the browser session, empty for API tokens; Token is the id of the API token it was exchanged for.
	Session string `json:"sid,omitempty"`
	Token   string `json:"tid,omitempty"`
	Admin   bool   `json:"adm,omitempty"`
	// Groups at the time of issue, for the visitor model; Scopes are the access scopes (ScopeInherit, ScopeAccess,
	// ScopeServices, or one of the latter two with a filter).
	Groups []string `json:"groups,omitempty"`
	Scopes []string `json:"scopes"`
	// Grants are access:servers with a filter that roles of the bearer give: they are good without the route's list. Roles
	// are the marks of the roles that the rights of the bearer depend on, and Revision is the revision in etcd of the last change
	// of roles before the token was issued.
	Grants   []string `json:"grants,omitempty"`
	Roles    []string `json:"roles,omitempty"`
	Revision int64    `json:"rev,omitempty"`
	// UserRevision is the revision in etcd of the user's record that the token was made from, 0 if there is none. A change of
	// rights at a later revision revokes it, whatever the clocks say.
	UserRevision int64 `json:"urev,omitempty"`
	// Host is the one host of a user on which the token is good; empty for the hub's own.
	Host      string `json:"host,omitempty"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf,omitempty"`
	Expires   int64  `json:"exp"`
	// Epoch is that of the key that signed the token, see Key.Epoch. It is no part of the token.
	Epoch int64 `json:"-"`
}

// SignToken makes the edge token for c. It sets the audience; the caller sets everything else.
func SignToken(kid string, key ed25519.PrivateKey, c Claims) (string, error) {
	if !validKeyID(kid) || len(key) != ed25519.PrivateKeySize {
		return "", ErrToken
	}
	c.Audience = tokenAudience
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(headerStart+kid+headerEnd)) + "." + enc.EncodeToString(payload)
	token := signed + "." + enc.EncodeToString(ed25519.Sign(key, []byte(signed)))
	if len(token) > MaxTokenLen {
		return "", ErrToken
	}
	return token, nil
}

// tokenStart is how every edge token begins: the part of the header that the key id does not change.
var tokenStart = base64.RawURLEncoding.EncodeToString([]byte(headerStart[:len(headerStart)/3*3]))

// IsEdgeToken reports whether token has the shape of an edge token, so that it is never taken for an API token.
func IsEdgeToken(token string) bool { return strings.HasPrefix(token, tokenStart) }

// VerifyToken checks the signature and the times of token and returns its claims. now is in Unix seconds. It looks at
// nothing before the size and the shape are right, and at no claim before the signature is. Revocation is the caller's.
func VerifyToken(token string, keys map[string]*Key, now int64) (*Claims, error) {
	if len(token) > MaxTokenLen || strings.Count(token, ".") != 2 {
		return nil, ErrToken
	}
	i, j := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	header, ok := decode64(token[:i])
	if !ok || !strings.HasPrefix(header, headerStart) || !strings.HasSuffix(header, headerEnd) ||
		len(header) <= len(headerStart)+len(headerEnd) {
		return nil, ErrToken
	}
	key := keys[header[len(headerStart):len(header)-len(headerEnd)]]
	if key == nil || len(key.Public) != ed25519.PublicKeySize {
		return nil, ErrToken
	}
	sig, ok := decode64(token[j+1:])
	if !ok || len(sig) != ed25519.SignatureSize {
		return nil, ErrToken
	}
	if !ed25519.Verify(ed25519.PublicKey(key.Public), []byte(token[:j]), []byte(sig)) {
		return nil, ErrToken
	}
	payload, ok := decode64(token[i+1 : j])
	if !ok {
		return nil, ErrToken
	}
	c, err := parseClaims([]byte(payload))
	if err != nil {
		return nil, ErrToken
	}
	if err := checkClaims(c, key, now); err != nil {
		return nil, err
	}
	c.Epoch = key.Epoch
	if key.NotAfter != 0 && c.Expires > key.NotAfter {
		c.Expires = key.NotAfter // so that nobody remembers a token longer than its key is good
	}
	return c, nil
}

func checkClaims(c *Claims, key *Key, now int64) error {
	// One condition for each case: of "case a, b:" without a tag, Yaegi 0.16.1 looks at a only.
	switch {
	case c.Issuer != key.Hub || c.Audience != tokenAudience || c.Subject == "" || c.UserID == "":
		return ErrToken
	case c.Session == "" && c.Token == "":
		return ErrToken
	case c.IssuedAt <= 0 || c.Expires <= c.IssuedAt || c.Expires-c.IssuedAt > TokenLife:
		return ErrToken
	case c.IssuedAt > now+Leeway || c.NotBefore > now+Leeway || key.NotBefore > now+Leeway:
		return ErrToken
	case c.Expires <= now-Leeway || key.NotAfter != 0 && key.NotAfter <= now-Leeway:
		return ErrExpired
	}
	return nil
}

// decode64 is base64url without padding in its only spelling: Strict refuses stray bits in the last character, and line
// breaks, which encoding/base64 skips, are refused before.
func decode64(s string) (string, bool) {
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 {
		return "", false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return string(b), err == nil
}

// parseClaims decodes the payload and refuses a claim that appears twice or in another case, because encoding/json
// would let it replace the right one.
func parseClaims(payload []byte) (*Claims, error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, ErrToken
	}
	seen := make(map[string]bool, 12)
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		folded := strings.ToLower(strings.ToUpper(name))
		if err != nil || !ok || seen[folded] || folded != name {
			return nil, ErrToken
		}
		seen[folded] = true
		var skip json.RawMessage
		if err := dec.Decode(&skip); err != nil {
			return nil, ErrToken
		}
	}
	c := &Claims{}
	if err := json.Unmarshal(payload, c); err != nil {
		return nil, ErrToken
	}
	return c, nil
}

// Allows decides whether the bearer of c may visit r. The route's own list says who may, the token's scopes only narrow
// that down; the exceptions are ScopeAccess, which administrators hold, what roles grant, and ScopeServices on a service.
func Allows(r *Route, c *Claims) bool {
	if r.Open() {
		return true
	}
	listed := Listed(r, c)
	whole, ofUser, ofServer := ScopeAccess, ScopeAccess+"!user="+r.Owner, ScopeAccess+"!server="+r.Owner+"/"+r.Server
	if r.Service != "" {
		whole, ofUser, ofServer = ScopeServices, ScopeInherit, ScopeInherit
	}
	for _, s := range c.Scopes {
		if s == whole || r.Service != "" && s == ScopeServices+"!service="+r.Service {
			return true
		}
		// No switch: Yaegi 0.16.1 looks only at the first of several values of a case if they are not constants.
		if listed && (s == ScopeInherit || s == ofUser || s == ofServer) {
			return true
		}
	}
	return granted(r, c.Grants, ofUser, ofServer)
}

// granted decides whether one of the grants is for r.
func granted(r *Route, grants []string, ofUser, ofServer string) bool {
	if len(grants) == 0 || r.Owner == "" {
		return false
	}
	if contains(grants, ofUser) || contains(grants, ofServer) {
		return true
	}
	for _, g := range r.OwnerGroups {
		if contains(grants, ScopeAccess+"!group="+g) {
			return true
		}
	}
	return false
}

// Listed reports whether the route's own list has the bearer of c.
func Listed(r *Route, c *Claims) bool {
	return c.UserID == r.OwnerID || contains(r.Users, c.UserID) || intersects(r.Groups, c.Groups) || named(r, c)
}

// named reports whether the list has the bearer's name. A service of the same name is somebody else.
func named(r *Route, c *Claims) bool {
	return contains(r.Names, c.Subject) && !strings.HasPrefix(c.UserID, ServiceID)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func intersects(a, b []string) bool {
	for _, x := range a {
		if contains(b, x) {
			return true
		}
	}
	return false
}
