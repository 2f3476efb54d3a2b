package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"
)

func loginCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "login", Short: "Sign in to a hub",
		Long: `Sign in to a hub through the browser: an address is printed, and opened if there is a browser. You sign in there and agree,
and this machine gets an API token of its own, which may do all that you may. "edgehub token list" shows it, and "edgehub logout" ends it.

With --with-token nothing of that happens: the token that you have is typed, without being shown, or piped in. So it is with a
hub that does not know "edgehub login".

The token is kept in $XDG_CONFIG_HOME/edgehub/logins (~/.config), in a file for this hub that only you can read; it goes to no other
hub. From then on commands use this hub, unless --url says another, and this token, unless --token-file does.`,
		Example: "  edgehub login --url https://hub.example.org\n  edgehub login --url https://hub.example.org --with-token < token",
	}
	withToken := c.Flags().Bool("with-token", false, "read a token in place of using a browser")
	noBrowser := c.Flags().Bool("no-browser", false, "print the address only")
	life := lifetime(30 * 24 * time.Hour)
	c.Flags().Var(&life, "expires-in", "how long you stay signed in, `TIME` like 12h or 30d")
	return stranger(c, func(cmd *cobra.Command, api *client, out output) error {
		if *withToken {
			return api.loginWithToken(cmd, out)
		}
		known, err := api.knowsLogin(cmd.Context())
		if err != nil {
			return err
		}
		if !known {
			out.note("%s does not know edgehub login. Get an API token there, at %s/hub/token if it has that page, and paste it.", api.base, api.base)
			return api.loginWithToken(cmd, out)
		}
		return api.login(cmd.Context(), out, !*noBrowser, time.Duration(life))
	})
}

func (c *client) loginWithToken(cmd *cobra.Command, out output) error {
	var err error
	if c.token, err = ask(cmd, "API token of "+c.base); err != nil {
		return err
	}
	me, err := c.whoami(cmd.Context())
	if err != nil {
		return err
	}
	return out.signedIn(me, signIn{URL: c.base, User: me.Name, Token: c.token})
}

// login turns the OAuth token of a sign-in in the browser, which ends with the browser's session, into an API token for this
// machine.
func (c *client) login(ctx context.Context, out output, open bool, life time.Duration) error {
	token, err := c.byBrowser(ctx, out.errs, open)
	if err != nil {
		return err
	}
	c.token = token
	me, err := c.whoami(ctx)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "a machine without a name"
	}
	made, err := c.createToken(ctx, me.Name, "edgehub login on "+host, life, nil)
	if err != nil {
		return err
	}
	var t apiToken
	if err := json.Unmarshal(made, &t); err != nil {
		return err
	}
	if err := c.call(ctx, http.MethodDelete, tokenPath(me.Name, me.TokenID), nil, nil); err != nil {
		return err
	}
	return out.signedIn(me, signIn{URL: c.base, User: me.Name, Token: t.Token, TokenID: t.ID})
}

// identity is whose token it is.
type identity struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	TokenID string `json:"token_id"`
}

func (c *client) whoami(ctx context.Context) (identity, error) {
	var me identity
	err := c.call(ctx, http.MethodGet, "/user", nil, &me)
	return me, err
}

// signedIn keeps a sign-in, and says so.
func (o output) signedIn(me identity, s signIn) error {
	if err := s.save(); err != nil {
		return err
	}
	return o.value(map[string]string{"url": s.URL, "kind": me.Kind, "name": me.Name}, func() error {
		return o.say("You are signed in to %s as %s.", s.URL, me.Name)
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
func (c *client) revoke(ctx context.Context, l signIn) error {
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
