package account

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/routes"
)

// BootstrapService is the service of the bootstrap token file. The configuration file has no say in it.
const BootstrapService = "bootstrap"

// Service returns a service, or a NotFound error.
func (a *Accounts) Service(ctx context.Context, name string) (hub.Service, error) {
	r, err := a.services.Get(ctx, store.ID(name))
	if hub.KindOf(err) == hub.NotFound {
		err = hub.Errorf(hub.NotFound, "No such service: %s", hub.Clip(name))
	}
	return r.Value, err
}

// Services returns every service in the order of names.
func (a *Accounts) Services(ctx context.Context) ([]hub.Service, error) {
	var all []hub.Service
	err := a.services.List(ctx, "", func(r store.Record[hub.Service]) bool {
		all = append(all, r.Value)
		return true
	})
	return all, err
}

// RolesOfService are the roles that a service has, sorted. The caller's rights have just been read, and the roles with them.
func (a *Accounts) RolesOfService(s hub.Service) []string { return a.lastBook().heldBy(s) }

// CreateService stores a new service with its route. secret, if not empty, becomes its API token. It returns a Conflict error
// if the name is taken, or the token.
func (a *Accounts) CreateService(ctx context.Context, s hub.Service, secret string) (hub.Service, error) {
	complete(&s)
	if err := a.checkService(ctx, &s); err != nil {
		return s, err
	}
	err := a.services.Create(ctx, store.ID(s.Name), s, a.serviceRoute(&s))
	if hub.KindOf(err) == hub.Conflict {
		return s, hub.Errorf(hub.Conflict, "Service %s already exists", s.Name)
	}
	if err != nil {
		return s, err
	}
	if secret == "" {
		// A token that was made while an earlier service of the name was removed is not this one's.
		return s, a.tokens.DeleteForService(ctx, s.Name, "")
	}
	if err = a.tokens.AdoptForService(ctx, serviceToken(s.Name), secret); err != nil {
		if undo := a.DeleteService(ctx, s.Name); undo != nil {
			return s, undo
		}
		if hub.KindOf(err) == hub.Conflict {
			err = hub.Errorf(hub.Conflict, "This api_token belongs to somebody else. Choose another one.")
		}
	}
	return s, err
}

// DeleteService removes a service with its tokens and its route. What is open through the route is cut.
func (a *Accounts) DeleteService(ctx context.Context, name string) error {
	if err := a.tokens.DeleteForService(ctx, name, ""); err != nil {
		return err
	}
	s := hub.Service{Name: name}
	err := a.services.Delete(ctx, store.ID(name), 0, store.Delete(a.routeKey(&s)))
	if hub.KindOf(err) == hub.NotFound {
		return hub.Errorf(hub.NotFound, "No such service: %s", hub.Clip(name))
	}
	return err
}

// ServiceSpec is a service as the configuration file describes it, with its token if that is in a file.
type ServiceSpec struct {
	hub.Service

	Token string
}

// SyncServices makes the services of the configuration file be what it says, and removes those that it named before and does
// not name any more. Replicas that start with the same file may do so at the same time.
func (a *Accounts) SyncServices(ctx context.Context, specs []ServiceSpec) error {
	named := map[string]bool{BootstrapService: true}
	for _, spec := range specs {
		named[spec.Name] = true
		if err := a.syncService(ctx, spec); err != nil {
			return fmt.Errorf("service %s: %w", spec.Name, err)
		}
	}
	all, err := a.Services(ctx)
	if err != nil {
		return err
	}
	for i := range all {
		if named[all[i].Name] || !all[i].FromConfig {
			continue
		}
		if err := a.DeleteService(ctx, all[i].Name); err != nil && hub.KindOf(err) != hub.NotFound {
			return fmt.Errorf("remove service %s: %w", all[i].Name, err)
		}
	}
	return nil
}

func (a *Accounts) syncService(ctx context.Context, spec ServiceSpec) error {
	spec.FromConfig = true
	if err := a.checkService(ctx, &spec.Service); err != nil {
		return err
	}
	if err := a.putService(ctx, spec.Service); err != nil {
		return err
	}
	switch {
	case spec.Token != "":
		return a.tokens.AdoptForService(ctx, serviceToken(spec.Name), spec.Token)
	case spec.Managed():
		return nil // it gets one at each start
	}
	return a.tokens.DeleteForService(ctx, spec.Name, "")
}

// putService writes a service, whether or not there is one of the name. How it runs and what it shares with the edge stays.
func (a *Accounts) putService(ctx context.Context, want hub.Service) error {
	for {
		changed := false
		_, err := a.services.Update(ctx, store.ID(want.Name), func(s *hub.Service) ([]store.Op, error) {
			changed = s.Admin != want.Admin || !slices.Equal(s.Scopes, want.Scopes)
			s2 := want
			s2.Run = s.Run
			if s2.Protect {
				s2.Secret = s.Secret
			}
			complete(&s2)
			*s = s2
			return []store.Op{a.serviceRoute(s)}, nil
		})
		if err == nil && changed {
			err = a.changeRoles(ctx, func(_ *book, v *revocations) error {
				v.revoke(routes.RevokedService, want.Name) // the edge tokens that say what it could do
				return nil
			})
		}
		if hub.KindOf(err) != hub.NotFound {
			return err
		}
		s := want
		complete(&s)
		if err := a.services.Create(ctx, store.ID(s.Name), s, a.serviceRoute(&s)); hub.KindOf(err) != hub.Conflict {
			return err
		}
	}
}

// UpdateRun notes how a managed service goes, if held is still true. It is NotFound if the service is gone.
func (a *Accounts) UpdateRun(ctx context.Context, name string, held store.Op, change func(*hub.ServiceRun)) (hub.Service, error) {
	r, err := a.services.Update(ctx, store.ID(name), func(s *hub.Service) ([]store.Op, error) {
		run := hub.ServiceRun{}
		if s.Run != nil {
			run = *s.Run
		}
		change(&run)
		s.Run = &run
		return []store.Op{held}, nil
	})
	return r.Value, err
}

// complete fills in what follows from the rest.
func complete(s *hub.Service) {
	s.Schema = hub.Schema
	if s.Protect && s.Secret == "" {
		b := make([]byte, 16)
		_, _ = rand.Read(b) // never fails since Go 1.24
		s.Secret = hex.EncodeToString(b)
	}
	if s.ClientID == "" {
		s.ClientID = hub.ServiceClientID + s.Name
	}
}

// checkService refuses a service that cannot work. Errors are Invalid or Conflict and say what to do.
func (a *Accounts) checkService(ctx context.Context, s *hub.Service) error {
	if err := CheckService(s); err != nil {
		return err
	}
	if _, err := a.catalog.Expand(access.Owner{Service: s.Name}, slices.Concat(s.Scopes, s.AllowedScopes)...); err != nil {
		return hub.WithCause(hub.Errorf(hub.Invalid, "A scope of service %s cannot be given: %s.", s.Name, err), err)
	}
	if err := a.ownClient(ctx, s); err != nil {
		return err
	}
	_, err := a.byHand.Get(ctx, store.ID(s.Prefix()))
	if err == nil {
		return hub.Errorf(hub.Conflict, "The prefix %s leads somewhere else by hand. Remove that with `edgehub route rm %s`, or choose another name for the service.",
			s.Prefix(), s.Prefix())
	}
	if hub.KindOf(err) == hub.NotFound {
		return nil
	}
	return err
}

// ownClient refuses a service that would be the OAuth client of another one.
func (a *Accounts) ownClient(ctx context.Context, s *hub.Service) error {
	all, err := a.Services(ctx)
	if err != nil {
		return err
	}
	id := cmp.Or(s.ClientID, hub.ServiceClientID+s.Name)
	for i := range all {
		if all[i].Name != s.Name && cmp.Or(all[i].ClientID, hub.ServiceClientID+all[i].Name) == id {
			return hub.Errorf(hub.Conflict, "The oauth_client_id %s is that of the service %s. Choose another one.", id, all[i].Name)
		}
	}
	return nil
}

// CheckService refuses a description that cannot work, whatever else there is. Errors are Invalid and say what to do.
func CheckService(s *hub.Service) error {
	if _, err := hub.ParseServiceName(s.Name); err != nil {
		return err
	}
	if s.Name == BootstrapService {
		return hub.Errorf(hub.Invalid, "The service bootstrap is that of bootstrap_token_file. Choose another name.")
	}
	if s.URL != "" && routes.CheckTarget(s.URL) != nil {
		return hub.Errorf(hub.Invalid, "The url must be http://HOST:PORT or https://HOST:PORT, without a path: the service gets requests for %s.", s.Prefix())
	}
	if s.Protect && s.URL == "" {
		return hub.Errorf(hub.Invalid, "A protected service needs a url: where edges find it.")
	}
	if !s.Protect && len(s.Users)+len(s.Groups) > 0 {
		return hub.Errorf(hub.Invalid, "users and groups are for services with protect: true. Others ask the hub: give people access:services!service=%s by a role.", s.Name)
	}
	for _, g := range s.Groups {
		if _, err := hub.ParseGroupName(g); err != nil {
			return err
		}
	}
	if s.ClientID != "" {
		if err := hub.CheckClientID(s.ClientID); err != nil {
			return err
		}
	}
	return hub.CheckRedirectURI(s.RedirectURI)
}

// serviceRoute is the write of what edges read of a service: its route, or that there is none.
func (a *Accounts) serviceRoute(s *hub.Service) store.Op {
	if s.URL == "" {
		return store.Delete(a.routeKey(s))
	}
	r := routes.Route{Schema: routes.Schema, Prefix: s.Prefix(), Target: s.URL, Auth: routes.AuthPass, Service: s.Name}
	if s.Protect {
		r.Auth, r.Secret, r.Groups = routes.AuthHeaders, s.Secret, s.Groups
		for _, u := range s.Users {
			r.Names = append(r.Names, string(u))
		}
	}
	return store.Put(a.routeKey(s), r)
}

func (a *Accounts) routeKey(s *hub.Service) string {
	return routes.RouteKey(a.store.Prefix(), s.Prefix())
}

func serviceToken(name string) hub.Token {
	return hub.Token{Service: name, Note: "token of service " + name, Scopes: []string{access.Inherit}}
}

// IssueServiceToken makes the token for one start of a managed service, if held is still true.
func (a *Accounts) IssueServiceToken(ctx context.Context, name string, held store.Op) (hub.Token, string, error) {
	return a.tokens.Issue(ctx, serviceToken(name), held)
}

// DeleteOtherServiceTokens ends the tokens of earlier starts of a managed service.
func (a *Accounts) DeleteOtherServiceTokens(ctx context.Context, name, keep string) error {
	return a.tokens.DeleteForService(ctx, name, keep)
}
