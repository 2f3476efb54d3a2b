package api

import (
	"context"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/routes"
)

// Bounds of a route by hand. The list is part of a record that every edge keeps in memory.
const (
	maxListed    = 500
	minSecret    = 16
	maxSecret    = 256
	maxTargetLen = 500
)

// routeBody is a route as a client describes it.
type routeBody struct {
	Target string `json:"target"`
	// Auth is headers if it is empty: nobody gets a route that is open to all by leaving something out.
	Auth   string   `json:"auth"`
	Secret string   `json:"secret"`
	Users  []string `json:"users"`
	Groups []string `json:"groups"`
}

// routeOf checks a description and gives listed users their ids.
func (a *API) routeOf(ctx context.Context, prefix string, b routeBody) (hub.Route, error) {
	rec := hub.Route{Schema: hub.Schema, Prefix: prefix, Target: b.Target, Auth: b.Auth, Secret: b.Secret, Groups: b.Groups}
	if rec.Auth == "" {
		rec.Auth = routes.AuthHeaders
	}
	if err := b.check(rec.Auth); err != nil {
		return rec, err
	}
	for _, name := range b.Users {
		u, err := a.listed(ctx, name)
		if err != nil {
			return rec, err
		}
		if !slices.Contains(rec.Users, u) {
			rec.Users = append(rec.Users, u)
		}
	}
	return rec, nil
}

// listed is the user of a name on a list.
func (a *API) listed(ctx context.Context, name string) (hub.UserRef, error) {
	parsed, err := hub.ParseUserName(name)
	if err != nil {
		return hub.UserRef{}, err
	}
	u, err := a.Accounts.Get(ctx, parsed)
	if hub.KindOf(err) == hub.NotFound {
		err = hub.Errorf(hub.Invalid, "No such user: %s", parsed) // not a 404, which would be about the route
	}
	return hub.UserRef{ID: u.ID, Name: u.Name}, err
}

func (b *routeBody) check(auth string) error {
	if routes.CheckTarget(b.Target) != nil || len(b.Target) > maxTargetLen {
		return hub.Errorf(hub.Invalid, "The target must be http://HOST:PORT or https://HOST:PORT, without a path.")
	}
	if len(b.Users)+len(b.Groups) > maxListed {
		return hub.Errorf(hub.Invalid, "At most %d users and groups can be listed. Put people into a group.", maxListed)
	}
	for _, g := range b.Groups {
		if _, err := hub.ParseGroupName(g); err != nil {
			return err
		}
	}
	switch auth {
	case routes.AuthNone, routes.AuthPass:
		if len(b.Users)+len(b.Groups) > 0 || b.Secret != "" {
			return hub.Errorf(hub.Invalid, "With auth %s everybody may visit, so there is no list and no secret. Use headers to protect a program that does not sign people in itself.", auth)
		}
		return nil
	case routes.AuthHeaders:
		if b.Secret == "" {
			return nil // one is made
		}
	case routes.AuthSecret:
	default:
		return hub.Errorf(hub.Invalid, "Unknown auth '%s': use headers, secret, pass or none.", hub.Clip(auth))
	}
	return checkSecret(b.Secret)
}

// checkSecret refuses what is too short to be one, or what no header can carry.
func checkSecret(secret string) error {
	odd := strings.ContainsFunc(secret, func(c rune) bool { return c <= ' ' || c > '~' })
	if len(secret) < minSecret || len(secret) > maxSecret || odd {
		return hub.Errorf(hub.Invalid, "The secret must have %d to %d letters, digits and signs, without spaces.", minSecret, maxSecret)
	}
	return nil
}
