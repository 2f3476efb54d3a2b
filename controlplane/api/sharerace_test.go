package api

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn"
	"github.com/edgehub/edgehub/controlplane/store"
)

// wantNoStrays checks that all that is shared belongs to a user who is there by that name, and to a server that is.
func (h *testHub) wantNoStrays(what string) {
	h.t.Helper()
	check := func(kind string, owner hub.UserName, id string, server hub.ServerName) {
		u, err := h.accounts.Get(h.t.Context(), owner)
		if err != nil || u.ID != id {
			h.t.Errorf("%s: a %s of %s/%s is left, who is %v, %v", what, kind, owner, server, u.ID, err)
		}
		if s, err := h.servers.Get(h.t.Context(), owner, server); server != "" && (err != nil || s.UserID != id) {
			h.t.Errorf("%s: a %s of %s/%s is left, which is not there: %v", what, kind, owner, server, err)
		}
	}
	for _, tree := range []string{store.Shares, store.SharedWith} {
		all, err := store.NewTable[hub.Share](h.opts.Store, tree, "share").All(h.t.Context(), "")
		if err != nil {
			h.t.Fatal(err)
		}
		for _, r := range all {
			check("record in "+tree, r.Value.Owner, r.Value.OwnerID, r.Value.Server)
		}
	}
	codes, err := store.NewTable[hub.ShareCode](h.opts.Store, store.ShareCodes, "share code").All(h.t.Context(), "")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range codes {
		check("code", r.Value.Owner, r.Value.OwnerID, r.Value.Server)
	}
}

// share shares a server and makes a code for it until that fails, or there are many.
func (h *testHub) share(s account.SharedServer, with []hub.User) {
	scopes := []string{"access:servers!server=" + s.FullName()}
	for i := range with {
		if _, err := h.accounts.Share(h.t.Context(), s, account.With{User: &with[i]}, scopes); err != nil {
			return
		}
		if _, _, err := h.accounts.NewShareCode(h.t.Context(), s, scopes, time.Hour); err != nil {
			return
		}
	}
}

// TestNothingIsSharedBehindAChange has somebody share a server while it is removed, or its owner gets another name or is deleted.
func TestNothingIsSharedBehindAChange(t *testing.T) {
	t.Parallel()
	h := sharing(t)
	var others []hub.User
	for i := range 8 {
		others = append(others, h.user(fmt.Sprintf("other%d", i), false))
	}
	changes := map[string]func(hub.User) error{
		"removed": func(u hub.User) error {
			_, err := h.servers.Remove(t.Context(), u.Name, "gpu")
			return err
		},
		"server renamed": func(u hub.User) error {
			to := hub.ServerName("tpu")
			_, err := h.servers.Configure(t.Context(), u, "gpu", spawn.Settings{}, &to)
			return err
		},
		"owner renamed": func(u hub.User) error {
			to := u.Name + "x"
			_, err := h.accounts.Update(t.Context(), u.Name, account.Change{Name: &to})
			return err
		},
		"owner deleted": func(u hub.User) error {
			if err := h.servers.Forget(t.Context(), u.Name); err != nil {
				return err
			}
			return h.accounts.Delete(t.Context(), u)
		},
	}
	n := 0
	for what, change := range changes {
		for range 3 {
			n++
			owner := h.user(fmt.Sprintf("owner%d", n), false)
			if _, err := h.servers.Create(t.Context(), owner, "gpu", spawn.Settings{}); err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			for _, name := range []hub.ServerName{"gpu", ""} {
				if name == "" && what == "removed" {
					continue
				}
				all.Go(func() { h.share(account.SharedServer{Owner: owner, Name: name}, others) })
			}
			all.Go(func() {
				if err := change(owner); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			})
			all.Wait()
			h.wantNoStrays(what)
		}
	}
}
