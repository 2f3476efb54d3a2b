package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strconv"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// serverCode is the entry of a code in the list of a server's codes.
type serverCode struct {
	Schema int    `json:"v"`
	Hash   string `json:"hash"`
}

// maxCodes bounds how many codes of one server are good at once.
const maxCodes = 200

// NewShareCode makes a code for shares of a server with these scopes, and returns it with its record.
func (a *Accounts) NewShareCode(ctx context.Context, s SharedServer, scopes []string, life time.Duration) (hub.ShareCode, string, error) {
	known, err := a.ShareCodes(ctx, s.Owner, &s.Name)
	if err == nil && len(known) >= maxCodes {
		err = hub.Errorf(hub.Invalid, "A server can have %d share codes at most. Delete some.", maxCodes)
	}
	if err != nil {
		return hub.ShareCode{}, "", err
	}
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails since Go 1.24
	code := base64.RawURLEncoding.EncodeToString(b)
	n, err := rand.Int(rand.Reader, big.NewInt(1<<53-1))
	if err != nil {
		return hub.ShareCode{}, "", err
	}
	now := time.Now().UTC()
	rec := hub.ShareCode{Schema: hub.Schema, ID: "sc_" + strconv.FormatInt(n.Int64()+1, 10), Owner: s.Owner.Name, OwnerID: s.Owner.ID, Server: s.Name,
		Scopes: scopes, Created: now, Expires: now.Add(life)}
	h := codeHash(code)
	err = a.store.Transact(ctx, func(tx *store.Txn) error {
		if err := a.there(tx, s); err != nil {
			return err
		}
		tx.Do(store.Put(a.codesOf.Key(codeID(s, &rec)), serverCode{Schema: hub.Schema, Hash: h}), a.regroup(s.Owner.Name))
		return a.codes.Write(tx, h, rec)
	})
	return rec, code, err
}

// codeID is the place of a code among those of its server.
func codeID(s SharedServer, c *hub.ShareCode) string { return s.key() + "/" + store.ID(c.ID) }

func codeHash(code string) string {
	sum := sha256.Sum256([]byte(code))
	return hex.EncodeToString(sum[:])
}

// errShareCode is what everybody hears of a code that is not good: a NotFound error.
var errShareCode = hub.Errorf(hub.NotFound, "This share code is unknown, or too old. Ask for a new one.")

// ShareCode returns the record of a code with the server that it is for. It is NotFound if the code is not good.
func (a *Accounts) ShareCode(ctx context.Context, code string) (hub.ShareCode, SharedServer, error) {
	r, err := a.codes.Get(ctx, codeHash(code))
	if hub.KindOf(err) == hub.NotFound || err == nil && !time.Now().Before(r.Value.Expires) {
		return hub.ShareCode{}, SharedServer{}, errShareCode
	}
	if err != nil {
		return hub.ShareCode{}, SharedServer{}, err
	}
	owner, err := a.Get(ctx, r.Value.Owner)
	if hub.KindOf(err) == hub.NotFound || err == nil && owner.ID != r.Value.OwnerID {
		err = errShareCode
	}
	return r.Value, SharedServer{Owner: owner, Name: r.Value.Server}, err
}

// Exchange makes the share of a code for a user.
func (a *Accounts) Exchange(ctx context.Context, code string, u hub.User) (SharedServer, error) {
	c, s, err := a.ShareCode(ctx, code)
	if err != nil {
		return s, err
	}
	if s.Owner.ID == u.ID {
		return s, hub.Errorf(hub.Invalid, "This is your own server.")
	}
	// First, because a code that was deleted a moment ago gives nothing.
	_, err = a.codes.Update(ctx, codeHash(code), func(c *hub.ShareCode) ([]store.Op, error) {
		c.Exchanged, c.LastExchanged = c.Exchanged+1, time.Now().UTC()
		return nil, nil
	})
	if hub.KindOf(err) == hub.NotFound {
		err = errShareCode
	}
	if err == nil {
		_, err = a.Share(ctx, s, With{User: &u}, c.Scopes)
	}
	return s, err
}
