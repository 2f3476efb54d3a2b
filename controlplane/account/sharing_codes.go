package account

import (
	"context"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// ShareCodes lists the codes of a user's servers, or of one of them, that are still good. Those that are not are removed.
func (x Sharing) ShareCodes(ctx context.Context, owner hub.User, server *hub.ServerName) ([]hub.ShareCode, error) {
	var good []hub.ShareCode
	err := x.DeleteShareCodes(ctx, owner, server, func(c *hub.ShareCode) bool {
		if c.OwnerID == owner.ID && time.Now().Before(c.Expires) {
			good = append(good, *c)
			return false
		}
		return true
	})
	return good, err
}

// DeleteShareCodes removes those codes of a user's servers, or of one of them, that match says.
func (x Sharing) DeleteShareCodes(ctx context.Context, owner hub.User, server *hub.ServerName, match func(*hub.ShareCode) bool) error {
	entries, codes, err := x.codesBelow(ctx, owner.Name, server)
	if err != nil {
		return err
	}
	for _, e := range entries {
		c, ok := codes[e.Value.Hash]
		if !ok || !match(&c.Value) {
			continue
		}
		err := x.codes.Delete(ctx, e.Value.Hash, 0, store.Delete(x.codesOf.Key(e.ID)))
		if err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return nil
}

// codesBelow are the entries of the codes of a user's servers, or of one of them, and the codes by their hashes.
func (x Sharing) codesBelow(ctx context.Context, owner hub.UserName, server *hub.ServerName) ([]store.Record[serverCode], map[string]store.Record[hub.ShareCode], error) {
	entries, err := x.codesOf.All(ctx, belowServers(owner, server))
	if err != nil {
		return nil, nil, err
	}
	var hashes []string
	for _, e := range entries {
		hashes = append(hashes, e.Value.Hash)
	}
	codes, err := x.codes.GetMany(ctx, hashes)
	return entries, codes, err
}
