package token

import (
	"context"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Rename writes a user's new name into the user's API tokens, in a transaction of which it says how much room it takes.
func (s *Service) Rename(ctx context.Context, tx *store.Txn, userID string, to hub.UserName) (int, error) {
	entries, err := s.owners.All(ctx, store.ID("user", userID)+"/")
	if err != nil {
		return 0, err
	}
	if len(entries) > store.MaxOps {
		return len(entries), nil // no transaction has so much room
	}
	for _, e := range entries {
		t, found, err := s.tokens.Read(tx, e.Value.Hash)
		if err != nil {
			return 0, err
		}
		if t.User = to; !found {
			continue
		}
		if err := s.tokens.Write(tx, e.Value.Hash, t); err != nil {
			return 0, err
		}
	}
	return len(entries), nil
}
