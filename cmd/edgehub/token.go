package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// apiToken is what tables show of a token as the API has it.
type apiToken struct {
	ID           string   `json:"id"`
	User         string   `json:"user"`
	Note         string   `json:"note"`
	Scopes       []string `json:"scopes"`
	Client       string   `json:"oauth_client"`
	Created      string   `json:"created"`
	LastActivity string   `json:"last_activity"`
	Expires      string   `json:"expires_at"`
	Token        string   `json:"token"`
}

// program is what a token was given to, if its owner did not ask for it as such: the API says JupyterHub then.
func (t apiToken) program() string {
	if t.Client == "JupyterHub" {
		return "-"
	}
	return orDash(t.Client)
}

var tokenColumns = []column[apiToken]{
	{"TOKEN", func(t apiToken) string { return t.ID }},
	{"NOTE", func(t apiToken) string { return orDash(t.Note) }},
	{"CREATED", func(t apiToken) string { return when(t.Created) }},
	{"LAST USE", func(t apiToken) string { return when(t.LastActivity) }},
	{"EXPIRES", func(t apiToken) string { return when(t.Expires) }},
	{"FOR", apiToken.program},
}

func tokenCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "token",
		Short: "List, create and revoke API tokens",
		Long: `List, create and revoke API tokens: your own, or those of --user. A token never may do more than its owner, nor more than the
token it was made with. What is revoked is refused from then on, and what is open through it is cut.`,
		Example: "  edgehub token create --note backup --expires-in 30d --scope list:users\n  edgehub token list --user alice",
	}, tokenListCommand(), tokenCreateCommand(), tokenRevokeCommand())
}

// userFlag adds --user to a command about things that users have.
func userFlag(c *cobra.Command) *string {
	name := c.Flags().String("user", "", "those of `NAME` (default: yours)")
	flagCompletion(c, "user", userNames)
	return name
}

// orMe is the user given, or the one whose token it is.
func (c *client) orMe(ctx context.Context, name string) (string, error) {
	if name != "" {
		return name, nil
	}
	me, err := c.whoami(ctx)
	if err != nil {
		return "", err
	}
	if me.Kind != "user" {
		return "", misused("the token is the %s %s's. Say whose they are: --user NAME", me.Kind, me.Name)
	}
	return me.Name, nil
}

func tokenListCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List a user's API tokens",
		Long: `List a user's API tokens, those used longest ago first. FOR is the program that a token was given to when the user
signed in there. --json shows the scopes, too: what each may do now. Secrets are not shown: the hub does not have them.`,
		Example: "  edgehub token list\n  edgehub token list --user alice --json",
	}
	user := userFlag(c)
	return verb(c, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		tokens, err := api.tokens(cmd.Context(), *user)
		if err != nil {
			return err
		}
		return printList(out, whole(tokens), tokenColumns...)
	})
}

func (c *client) tokens(ctx context.Context, user string) ([]json.RawMessage, error) {
	user, err := c.orMe(ctx, user)
	if err != nil {
		return nil, err
	}
	var all struct {
		Tokens []json.RawMessage `json:"api_tokens"`
	}
	err = c.call(ctx, http.MethodGet, userPath(user)+"/tokens", nil, &all)
	return all.Tokens, err
}

func tokenCreateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "create", Short: "Create an API token",
		Long: `Create an API token and print its secret: alone on the output, what else there is to say beside it. It is not shown again.
Without --scope the token may do all that its owner may.`,
		Example: `  edgehub token create --note backup --expires-in 30d --scope list:users --scope read:servers
  edgehub token create --user alice --note "from the administrator" > token`,
	}
	user, note := userFlag(c), c.Flags().String("note", "", "`TEXT` by which you know the token again")
	var life lifetime
	c.Flags().Var(&life, "expires-in", "how long it is good, `TIME` like 12h or 30d (default: as long as the hub allows)")
	scopes := c.Flags().StringSlice("scope", nil, "what it may do, `SCOPE,...` as JupyterHub writes them (default: inherit, all that its owner may)")
	return verb(c, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		owner, err := api.orMe(cmd.Context(), *user)
		if err != nil {
			return err
		}
		made, err := api.createToken(cmd.Context(), owner, *note, time.Duration(life), *scopes)
		if err != nil {
			return err
		}
		return out.value(made, func() error { return out.newToken(made) })
	})
}

// createToken makes a token; life 0 is for ever, no scopes are all of the owner's.
func (c *client) createToken(ctx context.Context, owner, note string, life time.Duration, scopes []string) (json.RawMessage, error) {
	body := map[string]any{"note": note}
	if life > 0 {
		body["expires_in"] = int(life.Seconds())
	}
	if len(scopes) > 0 {
		body["scopes"] = scopes
	}
	var made json.RawMessage
	err := c.call(ctx, http.MethodPost, userPath(owner)+"/tokens", body, &made)
	return made, err
}

func (o output) newToken(made json.RawMessage) error {
	var t apiToken
	if err := json.Unmarshal(made, &t); err != nil {
		return err
	}
	end := "it does not expire"
	if t.Expires != "" {
		end = "it is good until " + when(t.Expires)
	}
	o.note("Token %s of %s; %s. Its secret, which is not shown again:", t.ID, t.User, end)
	return o.say("%s", t.Token)
}

func tokenRevokeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "revoke TOKEN...", Aliases: []string{"delete", "rm"}, Short: "Revoke API tokens", ValidArgsFunction: every(tokenIDs),
		Args: oneOrMore("the tokens to revoke by their ids, as 'edgehub token list' shows them"),
		Long: `Revoke API tokens, by the ids that "edgehub token list" shows. Those of a program that the user signed in to go together.
With - the ids are read from the input, one a line.`,
		Example: "  edgehub token revoke a1b2c3\n  edgehub token revoke a1b2c3 --user alice",
	}
	user := userFlag(c)
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		owner, err := api.orMe(cmd.Context(), *user)
		if err != nil {
			return err
		}
		return api.deleteEach(cmd, out, args, func(id string) string { return tokenPath(owner, id) })
	})
}

func tokenPath(owner, id string) string { return userPath(owner) + "/tokens/" + url.PathEscape(id) }

// lifetime is a flag: a duration that may be in days.
type lifetime time.Duration

func (l *lifetime) String() string {
	if *l == 0 {
		return ""
	}
	return time.Duration(*l).String()
}

func (l *lifetime) Type() string { return "time" }

func (l *lifetime) Set(text string) error {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		day, err := time.ParseDuration(days + "h")
		*l = lifetime(day * 24)
		return positive(*l, err)
	}
	d, err := time.ParseDuration(text)
	*l = lifetime(d)
	return positive(*l, err)
}

func positive(l lifetime, err error) error {
	if err != nil || time.Duration(l) < time.Second {
		return misused("write a time such as 12h or 30d")
	}
	return nil
}
