// Package account knows who there is and who is asking: users with their passwords, services, and the caller behind an
// API token or a session with the rights that are true now. It writes no answers and starts no servers.
//
// Invariant: rights are computed at each use from the stored roles of the owner, never taken from what a credential said
// when it was issued.
package account

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/token"
	"github.com/edgehub/edgehub/routes"
)

// Accounts is the service. It is safe for concurrent use.
type Accounts struct {
	users    store.Table[hub.User]
	services store.Table[hub.Service]
	byHand   store.Table[hub.Route]
	shares   store.Table[hub.Share]
	// sharedWith has the shares once more, by who they are with.
	sharedWith store.Table[hub.Share]
	codes      store.Table[hub.ShareCode]
	codesOf    store.Table[serverCode]
	store      *store.Store
	roles      store.Table[hub.Role]
	holders    store.Table[hub.RoleHolder]
	changes    store.Table[hub.RoleChanges]
	regroups   store.Table[hub.Regroup]
	book       atomic.Pointer[book] // what was last read of all roles
	catalog    *access.Catalog
	tokens     *token.Service
	// hashing bounds how many passwords are hashed at once: each takes 64 MiB.
	hashing chan struct{}
	decoy   string
}

// New returns the accounts in s.
func New(s *store.Store, tokens *token.Service) (*Accounts, error) {
	decoy, err := argon2id.CreateHash("no user has this password", argon2id.DefaultParams)
	if err != nil {
		return nil, err
	}
	return &Accounts{
		users:      store.NewTable[hub.User](s, store.Users, "user"),
		services:   store.NewTable[hub.Service](s, store.Services, "service"),
		shares:     store.NewTable[hub.Share](s, store.Shares, "share"),
		sharedWith: store.NewTable[hub.Share](s, store.SharedWith, "share"),
		codes:      store.NewTable[hub.ShareCode](s, store.ShareCodes, "share code"),
		codesOf:    store.NewTable[serverCode](s, store.ServerCodes, "share code"),
		byHand:     store.NewTable[hub.Route](s, store.HandRoutes, "route"),
		store:      s,
		roles:      store.NewTable[hub.Role](s, store.Roles, "role"),
		holders:    store.NewTable[hub.RoleHolder](s, store.RoleHolders, "role"),
		changes:    store.NewTable[hub.RoleChanges](s, store.RoleChanges, "role"),
		regroups:   store.NewTable[hub.Regroup](s, store.Regroups, "change of groups"),
		catalog:    access.Builtin(),
		tokens:     tokens,
		hashing:    make(chan struct{}, runtime.GOMAXPROCS(0)),
		decoy:      decoy,
	}, nil
}

// NewUser says what a new user has. An empty password means that nobody can sign in with one.
type NewUser struct {
	Name     hub.UserName
	Admin    bool
	Password string
	// Groups and Identity are what a login provider says of a user who signs in for the first time.
	Groups   []string
	Identity *hub.Identity
}

// MinPassword is the shortest password that is accepted, in bytes.
const MinPassword = 8

// Create stores a new user. It returns a Conflict error if the name is taken, and Invalid for a short password.
func (a *Accounts) Create(ctx context.Context, n NewUser) (hub.User, error) {
	u := hub.User{Schema: hub.Schema, ID: newUserID(), Name: n.Name, Admin: n.Admin, Created: time.Now().UTC(), Identity: n.Identity}
	if err := checkGroups(&n.Groups); err != nil {
		return u, err
	}
	u.Groups = n.Groups
	if n.Password != "" {
		h, err := a.hash(ctx, n.Password)
		if err != nil {
			return u, err
		}
		u.Password = h
	}
	err := a.users.Create(ctx, store.ID(string(u.Name)), u)
	if hub.KindOf(err) == hub.Conflict {
		err = hub.Errorf(hub.Conflict, "User %s already exists", u.Name)
	}
	return u, err
}

// Get returns a user, or a NotFound error.
func (a *Accounts) Get(ctx context.Context, name hub.UserName) (hub.User, error) {
	r, err := a.users.Get(ctx, store.ID(string(name)))
	if hub.KindOf(err) == hub.NotFound {
		err = hub.Errorf(hub.NotFound, "No such user: %s", name)
	}
	return r.Value, err
}

// All returns every user in the order of names.
func (a *Accounts) All(ctx context.Context) ([]hub.User, error) {
	var all []hub.User
	err := a.users.List(ctx, "", func(r store.Record[hub.User]) bool {
		all = append(all, r.Value)
		return true
	})
	return all, err
}

// Change says what to change of a user; nil leaves it.
type Change struct {
	Admin    *bool
	Groups   *[]string
	Roles    *[]string // those that the user has without a group's help
	Password *string
	// Identity is bound to a user who has none; see hub.User.Bind.
	Identity *hub.Identity
}

// maxGroups bounds the names of a user's groups, as JSON, in bytes: edge tokens carry them and have a longest length.
const maxGroups = 2000

// maxAhead is how many seconds TokensAfter may be ahead of the clock, when rights change more than once a second. Edges
// refuse tokens that were issued more than routes.Leeway in the future.
const maxAhead = routes.Leeway - 10

// Update changes a user. A change of rights ends the edge tokens issued before it, so that edges see it within their
// revocation time; a change of the password ends all sessions. Too many changes of rights in a row are Exhausted.
func (a *Accounts) Update(ctx context.Context, name hub.UserName, c Change) (hub.User, error) {
	if err := checkGroups(c.Groups); err != nil {
		return hub.User{}, err
	}
	var password string
	if c.Password != nil {
		h, err := a.hash(ctx, *c.Password)
		if err != nil {
			return hub.User{}, err
		}
		password = h
	}
	b, err := a.readBook(ctx)
	if err != nil {
		return hub.User{}, err
	}
	r, err := a.users.Update(ctx, store.ID(string(name)), func(u *hub.User) ([]store.Op, error) {
		if password != "" {
			u.Password = password
		}
		if c.Identity != nil {
			if err := u.Bind(*c.Identity); err != nil {
				return nil, err
			}
		}
		return a.changeRights(u, b, c)
	})
	if err == nil && password != "" {
		err = a.tokens.EndSessions(ctx, r.Value.ID)
	}
	return r.Value, err
}

// changeRights changes what u may do, and returns the writes that go with that of u.
func (a *Accounts) changeRights(u *hub.User, b *book, c Change) ([]store.Op, error) {
	var ops []store.Op
	visits := c.Admin != nil || c.Groups != nil
	if c.Roles != nil {
		held, err := b.heldAs(u, *c.Roles)
		if err != nil {
			return nil, err
		}
		more, changes, err := a.setHeld(u, b, held)
		if err != nil {
			return nil, err
		}
		ops, visits = more, visits || changes
	}
	if c.Admin != nil {
		u.Admin = *c.Admin
	}
	if c.Groups != nil {
		u.Groups = *c.Groups
		ops = append(ops, a.regroup(u.Name))
	}
	if !visits {
		return ops, nil
	}
	revoke, err := a.revokeUser(u)
	return append(ops, revoke...), err
}

// regroup is the write that has the routes of the user's servers follow a change of groups.
func (a *Accounts) regroup(name hub.UserName) store.Op {
	return store.Put(a.regroups.Key(store.ID(string(name))), hub.Regroup{Schema: hub.Schema, User: name})
}

// revokeUser ends the edge tokens of a user whose rights change: the write that goes with that of u.
func (a *Accounts) revokeUser(u *hub.User) ([]store.Op, error) {
	now := time.Now().Unix()
	u.TokensAfter = max(now, u.TokensAfter+1)
	if u.TokensAfter > now+maxAhead {
		return nil, hub.Errorf(hub.Exhausted, "The rights of %s change too often. Try again shortly.", u.Name)
	}
	return []store.Op{a.tokens.RevokeUser(u.ID, u.TokensAfter)}, nil
}

func checkGroups(groups *[]string) error {
	if groups == nil {
		return nil
	}
	if data, err := json.Marshal(*groups); err != nil || len(data) > maxGroups {
		return hub.Errorf(hub.Invalid, "These are too many groups for one user.")
	}
	return nil
}

// Delete removes a user with all tokens and sessions. The user's servers must be stopped. It is NotFound if the user is gone,
// also when somebody else has the name by now.
func (a *Accounts) Delete(ctx context.Context, u hub.User) error {
	if err := errors.Join(a.tokens.DeleteAll(ctx, u.ID), a.dropShares(ctx, u)); err != nil {
		return err
	}
	id := store.ID(string(u.Name))
	for {
		r, err := a.users.Get(ctx, id)
		if err != nil {
			return err
		}
		if r.Value.ID != u.ID {
			return hub.Errorf(hub.NotFound, "No such user: %s", u.Name)
		}
		// Revoked once more, because a change of rights meanwhile replaces a revocation for good by one until then.
		err = a.users.Delete(ctx, id, r.Revision, append(a.dropHolder(r.Value), a.tokens.RevokeUser(u.ID, 0))...)
		if hub.KindOf(err) != hub.Conflict {
			return err
		}
	}
}

// Active notes that a user was active now, at most once a minute.
func (a *Accounts) Active(ctx context.Context, name hub.UserName) error {
	now := time.Now()
	return a.active(ctx, name, now, func(last time.Time) bool { return now.Sub(last) >= time.Minute })
}

// ActiveAt notes that a user was active at a time, to hub.ActivityResolution. The time only moves forward.
func (a *Accounts) ActiveAt(ctx context.Context, name hub.UserName, at time.Time) error {
	return a.active(ctx, name, at, func(last time.Time) bool { return hub.ActivityMoves(last, at) })
}

func (a *Accounts) active(ctx context.Context, name hub.UserName, at time.Time, moves func(last time.Time) bool) error {
	_, err := a.users.Update(ctx, store.ID(string(name)), func(u *hub.User) ([]store.Op, error) {
		if !moves(u.LastActivity) {
			return nil, store.ErrUnchanged
		}
		u.LastActivity = at.UTC()
		return nil, nil
	})
	return err
}

// Authenticate checks a password. Wrong password, no password and no such user take the same time and give the same
// Unauthenticated error.
func (a *Accounts) Authenticate(ctx context.Context, name, password string) (hub.User, error) {
	refused := hub.Errorf(hub.Unauthenticated, "Invalid username or password")
	stored := a.decoy
	var u hub.User
	parsed, err := hub.ParseUserName(name)
	if err == nil {
		u, err = a.Get(ctx, parsed)
		if err != nil && hub.KindOf(err) != hub.NotFound {
			return u, err
		}
		if err == nil && u.Password != "" {
			stored = u.Password
		}
	}
	if len(password) > 1024 {
		return hub.User{}, refused
	}
	match, cmpErr := a.compare(ctx, password, stored)
	if cmpErr != nil {
		return u, cmpErr
	}
	if err != nil || !match || u.Password == "" {
		return hub.User{}, refused
	}
	return u, nil
}

func (a *Accounts) compare(ctx context.Context, password, stored string) (bool, error) {
	if err := a.turn(ctx); err != nil {
		return false, err
	}
	defer func() { <-a.hashing }()
	return argon2id.ComparePasswordAndHash(password, stored)
}

func (a *Accounts) hash(ctx context.Context, password string) (string, error) {
	if len(password) < MinPassword || len(password) > 1024 {
		return "", hub.Errorf(hub.Invalid, "A password must have 8 to 1024 characters.")
	}
	if err := a.turn(ctx); err != nil {
		return "", err
	}
	defer func() { <-a.hashing }()
	return argon2id.CreateHash(password, argon2id.DefaultParams)
}

// turn waits until fewer than the allowed number of passwords are being hashed.
func (a *Accounts) turn(ctx context.Context) error {
	select {
	case a.hashing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return hub.WithCause(hub.Errorf(hub.Unavailable, "Too many people are signing in at once. Try again shortly."), ctx.Err())
	}
}

func newUserID() string {
	b := make([]byte, 12)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}
