package token

import (
	"context"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// DeleteForService ends all API tokens of a service but the one with the id keep, if that is not empty.
func (s *Service) DeleteForService(ctx context.Context, service, keep string) error {
	list := ownerID(hub.Token{Service: service}) + "/"
	entries, err := s.owners.All(ctx, list)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if keep != "" && e.ID == list+store.ID(keep) {
			continue
		}
		if err := s.deleteEntry(ctx, e); err != nil && hub.KindOf(err) != hub.NotFound {
			return err
		}
	}
	return nil
}
