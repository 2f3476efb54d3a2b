package routes

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
)

// Schema is the version that this code writes into its records. Records of this and the previous version are read.
const Schema = 1

// How an edge presents a visitor to the program behind a route.
const (
	// AuthNone passes requests on without credentials. Everybody may visit.
	AuthNone = "none"
	// AuthPass passes requests on with the visitor's Authorization header and without the hub's cookies. Everybody may visit. It
	// is for a program that asks the hub itself who its visitors are (HubOAuth, jupyterhub-singleuser without tickets).
	AuthPass = "pass"
	// AuthSecret replaces the visitor's credentials by "Authorization: token <Secret>" (Jupyter Server's own token).
	AuthSecret = "secret"
	// AuthTicket replaces them by a visitor ticket that an unmodified jupyterhub-singleuser resolves at /hub/api/user.
	AuthTicket = "ticket"
	// AuthHeaders replaces them by headers that say who the visitor is, signed with Secret (see package plugin, identity.go).
	// It is for any other web app.
	AuthHeaders = "headers"
)

// Route is what an edge needs to serve one URL prefix. It is the value of one key below RoutesTree.
type Route struct {
	Schema int `json:"v"`
	// Prefix is the escaped URL prefix with a slash at both ends: "/user/alice/".
	Prefix string `json:"prefix"`
	// Target is the http URL of the program, without a path: "http://127.0.0.1:41234".
	Target string `json:"target"`
	// Auth is one of the Auth constants.
	Auth string `json:"auth"`
	// Secret belongs to this one instance of this one server: the token or the ticket key, as Auth says.
	Secret string `json:"secret,omitempty"`
	// Owner and OwnerID are the user whose server this is. The id is never used again, the name may be. Only a route that
	// was made by hand has none.
	Owner   string `json:"owner,omitempty"`
	OwnerID string `json:"owner_id,omitempty"`
	// Server is the name of the server, empty for the default one.
	Server string `json:"server,omitempty"`
	// Service is the name of the service whose route this is, else empty. Whoever holds ScopeServices on it may visit.
	Service string `json:"service,omitempty"`
	// OwnerGroups are the owner's groups, for visitors who may visit all servers of a group's members.
	OwnerGroups []string `json:"owner_groups,omitempty"`
	// Users (ids) and Groups may visit besides the owner.
	Users  []string `json:"users,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// Names are users whom the operator's configuration names, which need not exist yet. Whoever has the name may visit.
	Names []string `json:"names,omitempty"`
	// Gen is the generation of the server's start that made this route.
	Gen int64 `json:"gen,omitempty"`
}

// Open reports whether everybody may visit, without any credentials.
func (r *Route) Open() bool { return r.Auth == AuthNone || r.Auth == AuthPass }

// ErrRecord says that a record in etcd cannot be used. The edge then has no such route or key (fail closed).
var ErrRecord = errors.New("bad record")

// ParseRoute reads and checks a route record. key is the last segment of its etcd key and must name the same prefix.
func ParseRoute(key string, value []byte) (*Route, error) {
	r := &Route{}
	if err := json.Unmarshal(value, r); err != nil {
		return nil, ErrRecord
	}
	prefix, ok := UnescapeKey(key)
	if !ok || prefix != r.Prefix || r.Schema < 1 || r.Schema > Schema+1 {
		return nil, ErrRecord
	}
	if CheckPrefix(r.Prefix) != nil || CheckTarget(r.Target) != nil {
		return nil, ErrRecord
	}
	switch r.Auth {
	case AuthNone:
	case AuthPass:
	case AuthSecret, AuthTicket, AuthHeaders:
		if len(r.Secret) < 16 || r.OwnerID == "" && strings.HasPrefix(r.Prefix, usersTree) {
			return nil, ErrRecord
		}
	default:
		return nil, ErrRecord
	}
	return r, nil
}

// CheckTarget refuses a target that is not a plain http or https origin.
func CheckTarget(target string) error {
	u, err := url.Parse(target)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return ErrRecord
	}
	return nil
}

// Key is a public key that verifies edge tokens, the value of one key below KeysTree. Nothing in it helps to sign in.
type Key struct {
	Schema int    `json:"v"`
	ID     string `json:"kid"`
	// Hub is the id of the hub that signs with this key: the issuer that tokens must name.
	Hub string `json:"hub"`
	// Public is the Ed25519 public key, 32 bytes.
	Public []byte `json:"public"`
	// NotBefore and NotAfter bound the use of the key, in Unix seconds; zero NotAfter means no end yet.
	NotBefore int64 `json:"not_before"`
	NotAfter  int64 `json:"not_after,omitempty"`
	// Epoch is the hub's epoch when the key was made. A new one begins with each emergency rotation: nobody goes on who was
	// admitted with a key of an earlier one.
	Epoch int64 `json:"epoch,omitempty"`
}

// ParseKey reads and checks a key record. The length is checked because ed25519.Verify panics on any other.
func ParseKey(key string, value []byte) (*Key, error) {
	k := &Key{}
	if err := json.Unmarshal(value, k); err != nil {
		return nil, ErrRecord
	}
	id, ok := UnescapeKey(key)
	if !ok || id != k.ID || !validKeyID(k.ID) || k.Hub == "" || len(k.Public) != 32 || k.Schema < 1 || k.Schema > Schema+1 {
		return nil, ErrRecord
	}
	return k, nil
}

func validKeyID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := 0; i < len(id); i++ {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// What can be revoked: the middle segment of a key below RevokedTree.
const (
	RevokedSession = "session"
	RevokedToken   = "token"
	RevokedUser    = "user"
	// These concern all whose rights depend on a role, by its mark in their tokens, or on a group, and the tokens of a service.
	// They end what was issued with an earlier Claims.Revision than that of the record in etcd.
	RevokedRole    = "role"
	RevokedGroup   = "group"
	RevokedService = "service"
)

// AnyRole in Claims.Roles stands for more roles than fit: the revocation of any role concerns the token.
const AnyRole = "*"

// Revocation ends edge tokens before they expire. It is the value of one key below RevokedTree.
type Revocation struct {
	Schema int `json:"v"`
	// Before ends only tokens issued at or before it, in Unix seconds; zero ends all. It is used for users, whose later
	// sessions are good again.
	Before int64 `json:"before,omitempty"`
}

// ParseRevocation reads a revocation record. A record that cannot be read revokes everything it names: fail closed.
func ParseRevocation(value []byte) Revocation {
	r := Revocation{}
	if err := json.Unmarshal(value, &r); err != nil {
		return Revocation{Schema: Schema}
	}
	return r
}

// Hub says where one control-plane replica listens. It is the value of one key below HubsTree and lives by lease.
type Hub struct {
	Schema int `json:"v"`
	// URL is http://host:port, https://host:port or unix:///path/to/socket.
	URL string `json:"url"`
}

// ParseHub reads and checks a hub record.
func ParseHub(value []byte) (*Hub, error) {
	h := &Hub{}
	if err := json.Unmarshal(value, h); err != nil {
		return nil, ErrRecord
	}
	if strings.HasPrefix(h.URL, "unix:///") {
		return h, nil
	}
	if CheckTarget(h.URL) != nil {
		return nil, ErrRecord
	}
	return h, nil
}
