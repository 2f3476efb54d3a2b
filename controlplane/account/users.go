// Package account knows who there is and who is asking: users with their passwords, services, and the caller behind an
// API token or a session with the rights that are true now. It writes no answers and starts no servers.
//
// Invariant: rights are computed at each use from the stored roles of the owner, never taken from what a credential said
// when it was issued.
package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"runtime"
	"slices"
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
	store    *store.Store
	users    store.Table[hub.User]
	index    index
	rulers   rulers
	groups   store.Table[hub.Group]
	servers  store.Table[hub.Server]
	services store.Table[hub.Service]
	byHand   store.Table[hub.Route]
	roles    store.Table[hub.Role]
	holders  store.Table[hub.RoleHolder]
	changes  store.Table[hub.RoleChanges]
	Sharing
	book    atomic.Pointer[book] // what was last read of all roles
	catalog *access.Catalog
	tokens  *token.Service
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
		store:    s,
		users:    store.NewTable[hub.User](s, store.Users, "user"),
		index:    newIndex(s),
		rulers:   rulers{kept: map[string]keptRuler{}},
		groups:   store.NewTable[hub.Group](s, store.Groups, "group"),
		servers:  store.NewTable[hub.Server](s, store.Servers, "server"),
		services: store.NewTable[hub.Service](s, store.Services, "service"),
		byHand:   store.NewTable[hub.Route](s, store.HandRoutes, "route"),
		roles:    store.NewTable[hub.Role](s, store.Roles, "role"),
		holders:  store.NewTable[hub.RoleHolder](s, store.RoleHolders, "role"),
		changes:  store.NewTable[hub.RoleChanges](s, store.RoleChanges, "role"),
		Sharing:  NewSharing(s),
		catalog:  access.Builtin(),
		tokens:   tokens,
		hashing:  make(chan struct{}, runtime.GOMAXPROCS(0)),
		decoy:    decoy,
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
	if n.Password != "" {
		h, err := a.hash(ctx, n.Password)
		if err != nil {
			return u, err
		}
		u.Password = h
	}
	made, more := u, false
	err := a.store.Transact(ctx, func(tx *store.Txn) error {
		made = u
		if _, taken, err := a.users.Read(tx, store.ID(string(u.Name))); taken || err != nil {
			return cmp.Or(err, hub.Errorf(hub.Conflict, "User %s already exists", u.Name))
		}
		var err error
		if more, err = a.approach(tx, &made, n.Groups); err != nil {
			return err
		}
		return a.put(tx, nil, &made)
	})
	if more && err == nil {
		return a.Update(ctx, u.Name, Change{Groups: &n.Groups})
	}
	return made, err
}

// usersAtOnce is how many users one transaction creates: each takes two of its operations, and what they share some more.
const usersAtOnce = 60

// CreateMany stores those of many users who do not exist, without passwords, and returns them. Their names are different. It
// makes a part at a time: with an error it returns those that it has made, and can be called again for the others.
func (a *Accounts) CreateMany(ctx context.Context, names []hub.UserName, admin bool) ([]hub.User, error) {
	var all []hub.User
	for part := range slices.Chunk(names, usersAtOnce) {
		made, err := a.createPart(ctx, part, admin)
		if err != nil {
			return all, err
		}
		all = append(all, made...)
	}
	return all, nil
}

func (a *Accounts) createPart(ctx context.Context, names []hub.UserName, admin bool) ([]hub.User, error) {
	var made []hub.User
	now := time.Now().UTC()
	err := a.store.Transact(ctx, func(tx *store.Txn) error {
		made = nil
		keys := make([]string, len(names))
		for i, name := range names {
			keys[i] = a.users.Key(store.ID(string(name)))
		}
		if err := tx.Fetch(keys...); err != nil {
			return err
		}
		for _, name := range names {
			if _, exists, err := a.users.Read(tx, store.ID(string(name))); exists || err != nil {
				if err != nil {
					return err
				}
				continue
			}
			u := hub.User{Schema: hub.Schema, ID: newUserID(), Name: name, Admin: admin, Created: now}
			if err := a.put(tx, nil, &u); err != nil {
				return err
			}
			made = append(made, u)
		}
		return nil
	})
	return made, err
}

// put writes a user's record and what follows from it. A nil before is a new user, a nil after one that goes.
func (a *Accounts) put(tx *store.Txn, before, after *hub.User) error {
	if before != nil && before.Number == 0 && after != nil {
		for _, group := range after.Groups { // of a release in which groups were only names
			if err := a.joinable(tx, group); err != nil {
				return err
			}
		}
	}
	if err := a.index.change(tx, before, after); err != nil {
		return err
	}
	if after == nil {
		return a.users.Remove(tx, store.ID(string(before.Name)))
	}
	if before != nil && !slices.Equal(before.Groups, after.Groups) {
		tx.Do(a.regroup(after.Name))
	}
	if before != nil && before.Name != after.Name {
		tx.Do(a.renameHolder(after)...)
		if err := a.users.Move(tx, store.ID(string(before.Name)), store.ID(string(after.Name))); err != nil {
			return err
		}
	}
	return a.users.Write(tx, store.ID(string(after.Name)), *after)
}

// update changes a user's record and what follows from it in one transaction. change may run several times.
func (a *Accounts) update(ctx context.Context, name hub.UserName, change func(*store.Txn, *hub.User) error) (hub.User, error) {
	var u hub.User
	err := a.store.Transact(ctx, func(tx *store.Txn) error {
		var err error
		u, err = a.edit(tx, name, change)
		return err
	})
	return u, err
}

// edit is update within a transaction.
func (a *Accounts) edit(tx *store.Txn, name hub.UserName, change func(*store.Txn, *hub.User) error) (hub.User, error) {
	id := store.ID(string(name))
	before, found, err := a.users.Read(tx, id)
	if err == nil && !found {
		err = hub.Errorf(hub.NotFound, "No such user: %s", name)
	}
	if err != nil {
		return before, err
	}
	after, _, err := a.users.Read(tx, id) // again, because change may write into what a copy would share
	if err == nil {
		err = change(tx, &after)
	}
	if err == nil {
		err = a.put(tx, &before, &after)
	}
	return after, err
}

// Get returns a user, or a NotFound error.
func (a *Accounts) Get(ctx context.Context, name hub.UserName) (hub.User, error) {
	r, err := a.users.Get(ctx, store.ID(string(name)))
	if hub.KindOf(err) == hub.NotFound {
		err = hub.Errorf(hub.NotFound, "No such user: %s", name)
	}
	return r.Value, err
}

// Change says what to change of a user; nil leaves it.
type Change struct {
	Name     *hub.UserName
	Admin    *bool
	Groups   *[]string
	Roles    *[]string // those that the user has without a group's help
	Password *string
	// Identity is bound to a user who has none; see hub.User.Bind.
	Identity *hub.Identity
}

// maxAhead is how many seconds TokensAfter may be ahead of the clock, when rights change more than once a second. Edges
// refuse tokens that were issued more than routes.Leeway in the future.
const maxAhead = routes.Leeway - 10

// Update changes a user. A change of rights ends the edge tokens issued before it, so that edges see it within their
// revocation time; a change of the password or of the name ends all sessions. Too many changes of rights in a row are Exhausted.
func (a *Accounts) Update(ctx context.Context, name hub.UserName, c Change) (hub.User, error) {
	var password string
	if c.Password != nil {
		h, err := a.hash(ctx, *c.Password)
		if err != nil {
			return hub.User{}, err
		}
		password = h
		if err := a.endSessions(ctx, name); err != nil {
			return hub.User{}, err
		}
	}
	b, err := a.readBook(ctx)
	if err != nil {
		return hub.User{}, err
	}
	var more bool
	change := func(tx *store.Txn, u *hub.User) error {
		if password != "" {
			u.Password = password
		}
		if c.Identity != nil {
			if err := u.Bind(*c.Identity); err != nil {
				return err
			}
		}
		if c.Groups != nil {
			var err error
			if more, err = a.approach(tx, u, *c.Groups); err != nil {
				return err
			}
		}
		ops, visits, err := a.hand(u, b, c)
		if err != nil {
			return err
		}
		tx.Do(ops...)
		if c.Name != nil && !more {
			if err := a.rename(ctx, tx, u, *c.Name); err != nil {
				return err
			}
		}
		if !visits && c.Groups == nil && u.Name == name {
			return nil
		}
		return a.rightsChanged(tx, u)
	}
	u, err := a.update(ctx, name, change)
	for more && err == nil {
		u, err = a.update(ctx, name, change)
	}
	if err == nil && (password != "" || u.Name != name) {
		err = a.tokens.EndSessions(ctx, u.ID)
	}
	return u, err
}

// endSessions ends a user's sessions before the password changes, as Update does afterwards with those of the meantime: nobody else
// would if this process died in between.
func (a *Accounts) endSessions(ctx context.Context, name hub.UserName) error {
	u, err := a.Get(ctx, name)
	if err != nil {
		return err
	}
	return a.tokens.EndSessions(ctx, u.ID)
}

// hand changes the roles and the admin flag of u. It returns the writes that go with that, and whether it changes where u may go.
func (a *Accounts) hand(u *hub.User, b *book, c Change) (ops []store.Op, visits bool, err error) {
	if c.Roles != nil {
		held, err := b.heldAs(u, *c.Roles)
		if err != nil {
			return nil, false, err
		}
		if ops, visits, err = a.setHeld(u, b, held); err != nil {
			return nil, false, err
		}
	}
	if c.Admin != nil {
		u.Admin = *c.Admin
	}
	return ops, visits || c.Admin != nil, nil
}

// rightsChanged ends the edge tokens that the user had until now, in the transaction of the change.
func (a *Accounts) rightsChanged(tx *store.Txn, u *hub.User) error {
	now := time.Now().Unix()
	u.TokensAfter = max(now, u.TokensAfter+1)
	if u.TokensAfter > now+maxAhead {
		return hub.Errorf(hub.Exhausted, "The rights of %s change too often. Try again shortly.", u.Name)
	}
	tx.Do(a.tokens.RevokeUser(u.ID, u.TokensAfter))
	return nil
}

// Delete removes a user with all tokens and sessions, and from all groups. The user's servers must be stopped. It is NotFound
// if the user is gone, also when somebody else has the name by now.
func (a *Accounts) Delete(ctx context.Context, u hub.User) error {
	if err := errors.Join(a.tokens.DeleteAll(ctx, u.ID), a.dropShares(ctx, u)); err != nil {
		return err
	}
	err := a.store.Transact(ctx, func(tx *store.Txn) error {
		now, found, err := a.users.Read(tx, store.ID(string(u.Name)))
		if err != nil {
			return err
		}
		if !found || now.ID != u.ID {
			return hub.Errorf(hub.NotFound, "No such user: %s", u.Name)
		}
		if len(now.Servers) > 0 {
			return hub.Errorf(hub.Invalid, "%s's server is in the process of stopping, please wait.", u.Name)
		}
		tx.Do(a.dropHolder(now)...)
		if err := a.forgetServers(ctx, tx, u.Name); err != nil {
			return err
		}
		// Revoked once more, because a change of rights meanwhile replaces a revocation for good by one until then.
		tx.Do(a.tokens.RevokeUser(u.ID, 0))
		return a.put(tx, &now, nil)
	})
	if err != nil {
		return err
	}
	return a.End(ctx, u, nil) // what came in between: nobody shares anything of a user who is gone
}

// forgetServers removes what a user who goes has prepared and never started, or it would be the next user's of the name.
func (a *Accounts) forgetServers(ctx context.Context, tx *store.Txn, name hub.UserName) error {
	ids, err := a.servers.IDs(ctx, below(name))
	for i := 0; i < len(ids) && err == nil; i++ {
		err = a.servers.Remove(tx, ids[i])
	}
	return err
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
	_, err := a.update(ctx, name, func(_ *store.Txn, u *hub.User) error {
		if !moves(u.LastActivity) {
			return store.ErrUnchanged
		}
		u.LastActivity = at.UTC()
		return nil
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
