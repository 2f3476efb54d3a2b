package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

func loginCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "login", Short: "Sign in to a hub",
		Long: `Sign in to a hub with an API token. It is typed, and not shown, or piped in. The token is kept in
$XDG_CONFIG_HOME/edgehub/logins (~/.config), in a file for this hub that only you can read; it goes to no other hub. From then on
commands use this hub, unless --url says another, and this token, unless --token-file does.`,
		Example: "  edgehub login --url https://hub.example.org --with-token\n  edgehub login --with-token < token",
	}
	return stranger(c, func(cmd *cobra.Command, api *client, out output) error {
		var err error
		if api.token, err = ask(cmd, "API token of "+api.base); err != nil {
			return err
		}
		return api.keep(cmd.Context(), out, "")
	})
}

// keep finds out whose token it is and keeps it. id is that of a token which was made for this.
func (c *client) keep(ctx context.Context, out output, id string) error {
	var me struct{ Kind, Name string }
	if err := c.call(ctx, http.MethodGet, "/user", nil, &me); err != nil {
		return err
	}
	if err := (login{URL: c.base, User: me.Name, Token: c.token, TokenID: id}).save(); err != nil {
		return err
	}
	return out.value(map[string]string{"url": c.base, "kind": me.Kind, "name": me.Name}, func() error {
		return out.say("You are signed in to %s as %s.", c.base, me.Name)
	})
}

func logoutCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "logout", Short: "Sign out from a hub",
		Long: `Sign out from a hub: what "edgehub login" kept of it is removed from this machine. A token that was made by the login is
revoked; one that you gave it stays good. If the hub cannot be reached, the command fails and the token is not revoked.`,
		Example: "  edgehub logout\n  edgehub logout --url https://hub.example.org",
	}
	return stranger(c, func(cmd *cobra.Command, api *client, out output) error {
		l, err := findLogin(api.base)
		if err != nil {
			return err
		}
		if l.Token == "" {
			return fmt.Errorf("you are not signed in to %s", api.base)
		}
		api.token = l.Token
		if err := errors.Join(l.forget(), api.revoke(cmd.Context(), l)); err != nil {
			return err
		}
		return out.value(map[string]string{"url": l.URL, "name": l.User}, func() error {
			return out.say("You are signed out from %s, where you were %s.", l.URL, l.User)
		})
	})
}

// revoke ends the token of a login that was made for it. One that has ended already is fine.
func (c *client) revoke(ctx context.Context, l login) error {
	if l.TokenID == "" {
		return nil
	}
	err := c.call(ctx, http.MethodDelete, tokenPath(l.User, l.TokenID), nil, nil)
	var refused *refusal
	if errors.As(err, &refused) && (refused.status == http.StatusForbidden || refused.status == http.StatusNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the token is removed from this machine, but not revoked: %w", err)
	}
	return nil
}
