package account

import (
	"context"
	"reflect"
	"slices"

	"github.com/edgehub/edgehub/controlplane/access"
	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// Config is what the configuration file says of rights. It is authoritative for the roles that it names.
type Config struct {
	Roles []RoleConfig
	// CustomScopes are the scopes that each custom scope contains.
	CustomScopes map[string][]string
	// ExtraUserScopes are added to the role user, unless Roles has it.
	ExtraUserScopes []string
}

// RoleConfig is one role. What is nil is not said: a default role keeps its default, and the API may change who has the role.
type RoleConfig struct {
	Name                    string
	Description             *string
	Scopes                  *[]string
	Users, Groups, Services *[]string
}

// Check refuses a configuration that cannot be meant.
func (c Config) Check() error {
	_, _, err := c.parse()
	return err
}

// parse returns the roles by name, and the scopes there are.
func (c Config) parse() (map[string]hub.Role, *access.Catalog, error) {
	catalog, err := access.NewCatalog(c.CustomScopes)
	if err != nil {
		return nil, nil, hub.Errorf(hub.Invalid, "custom_scopes: %s.", err)
	}
	checker := Accounts{catalog: catalog}
	roles := map[string]hub.Role{}
	for _, rc := range c.Roles {
		r, err := rc.role()
		if err == nil {
			err = checker.checkRole(r)
		}
		if _, twice := roles[rc.Name]; err == nil && twice {
			err = hub.Errorf(hub.Invalid, "it is there twice")
		}
		if err != nil {
			return nil, nil, hub.Errorf(hub.Invalid, "Role %s of the configuration: %s", hub.Clip(rc.Name), hub.MessageOf(err))
		}
		roles[r.Name] = r
	}
	if _, redefined := roles["user"]; len(c.ExtraUserScopes) > 0 && !redefined {
		r := hub.Role{Name: "user", Config: true, Scopes: append([]string{access.Self}, c.ExtraUserScopes...)}
		if err := checker.checkRole(r); err != nil {
			return nil, nil, hub.Errorf(hub.Invalid, "extra_user_scopes: %s", hub.MessageOf(err))
		}
		roles["user"] = r
	}
	return roles, catalog, nil
}

func (rc RoleConfig) role() (hub.Role, error) {
	r := hub.Role{Schema: hub.Schema, Name: rc.Name, Config: true}
	if rc.Name == "admin" && (rc.Scopes != nil || rc.Description != nil) {
		return r, hub.Errorf(hub.Invalid, "the scopes and the description of admin cannot be changed.")
	}
	if rc.Description != nil {
		r.Description = *rc.Description
	}
	if rc.Scopes != nil {
		r.Scopes = append([]string{}, *rc.Scopes...)
	} else if !hub.IsDefaultRole(rc.Name) {
		r.Scopes = []string{}
	}
	for _, kind := range []struct {
		name  string
		names *[]string
		to    *[]string
	}{{"groups", rc.Groups, &r.Groups}, {"services", rc.Services, &r.Services}} {
		if kind.names != nil {
			r.FromConfig, *kind.to = append(r.FromConfig, kind.name), tidy(slices.Clone(*kind.names))
		}
	}
	if rc.Users == nil {
		return r, nil
	}
	r.FromConfig = append(r.FromConfig, "users")
	for _, raw := range *rc.Users {
		name, err := hub.ParseUserName(raw)
		if err != nil {
			return r, err
		}
		r.Users = append(r.Users, name)
	}
	slices.Sort(r.Users)
	return r, nil
}

// Configure makes the roles of the hub what the configuration says. It comes before all use, on every start of a replica; one
// whose configuration is in force already writes nothing.
func (a *Accounts) Configure(ctx context.Context, c Config) error {
	roles, catalog, err := c.parse()
	if err != nil {
		return err
	}
	a.catalog = catalog
	b, err := a.readBook(ctx)
	if err != nil {
		return err
	}
	for name, r := range b.roles {
		if _, named := roles[name]; r.Config && !named && !r.Ending {
			if err := a.dropConfigured(ctx, name); err != nil {
				return err
			}
		}
	}
	for _, r := range roles {
		if err := a.putConfigured(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// dropConfigured removes a role that the configuration had. A default role is its default again.
func (a *Accounts) dropConfigured(ctx context.Context, name string) error {
	return a.changeRoles(ctx, func(b *book, rv *revocations) error {
		r := b.roles[name]
		switch {
		case !r.Config || r.Ending:
			return store.ErrUnchanged // another replica was first
		case hub.IsDefaultRole(name):
			rv.put(r, hub.Role{Schema: hub.Schema, ID: r.ID, Name: name})
			return nil
		}
		rv.end(r)
		return nil
	})
}

// putConfigured stores a role of the configuration. Who was given it otherwise keeps it, unless the configuration says who has it.
func (a *Accounts) putConfigured(ctx context.Context, r hub.Role) error {
	return a.changeRoles(ctx, func(b *book, rv *revocations) error {
		old := b.roles[r.Name]
		if old.Ending {
			old = hub.Role{}
		}
		r := r
		r.Schema, r.ID = hub.Schema, old.ID
		if !slices.Contains(r.FromConfig, "groups") {
			r.Groups = old.Groups
		}
		if !slices.Contains(r.FromConfig, "services") {
			r.Services = old.Services
		}
		listed := slices.Contains(r.FromConfig, "users")
		if r.ID == "" || listed && !slices.Contains(old.FromConfig, "users") {
			r.ID = newRoleID()
		}
		if reflect.DeepEqual(normal(r), normal(old)) {
			return store.ErrUnchanged
		}
		was, _ := b.role(r.Name)
		rv.put(was, r)
		return nil
	})
}

// normal is a role in which no list and an empty one are the same, but for the scopes.
func normal(r hub.Role) hub.Role {
	for _, list := range []*[]string{&r.Groups, &r.Services, &r.FromConfig} {
		if len(*list) == 0 {
			*list = nil
		}
	}
	if len(r.Users) == 0 {
		r.Users = nil
	}
	return r
}
