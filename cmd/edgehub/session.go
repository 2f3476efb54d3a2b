package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"
)

// session is what tables show of a session as the API has it.
type session struct {
	ID           string `json:"id"`
	Created      string `json:"created"`
	LastActivity string `json:"last_activity"`
	Expires      string `json:"expires_at"`
	Address      string `json:"address"`
	Agent        string `json:"user_agent"`
}

var sessionColumns = []column[session]{
	{"SESSION", func(s session) string { return s.ID }},
	{"SIGNED IN", func(s session) string { return when(s.Created) }},
	{"LAST ACTIVITY", func(s session) string { return when(s.LastActivity) }},
	{"EXPIRES", func(s session) string { return when(s.Expires) }},
	{"ADDRESS", func(s session) string { return orDash(s.Address) }},
	{"BROWSER", func(s session) string { return orDash(s.Agent) }},
}

func sessionCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "session",
		Short: "List and end sessions",
		Long: `List and end sessions, the browsers in which somebody is signed in: your own, or those of --user. With a session end the tokens
that programs got through it, and what is open through it is cut. API tokens stay.`,
		Example: "  edgehub session list --user alice\n  edgehub session end --all --user alice",
	}, sessionListCommand(), sessionEndCommand())
}

func sessionListCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List a user's sessions",
		Long:    "List a user's sessions, the newest last, with the address and the browser that signed in.",
		Example: "  edgehub session list --user alice",
	}
	user := userFlag(c)
	return verb(c, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		sessions, err := api.sessions(cmd.Context(), *user)
		if err != nil {
			return err
		}
		return printList(out, whole(sessions), sessionColumns...)
	})
}

func (c *client) sessions(ctx context.Context, user string) ([]json.RawMessage, error) {
	user, err := c.orMe(ctx, user)
	if err != nil {
		return nil, err
	}
	var all struct{ Sessions []json.RawMessage }
	err = c.call(ctx, http.MethodGet, sessionPath(user), nil, &all)
	return all.Sessions, err
}

// sessionPath is where the API has a user's sessions.
func sessionPath(user string) string { return userPath(user) + "/sessions" }

func sessionEndCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "end SESSION...", Short: "End sessions", ValidArgsFunction: every(sessionIDs),
		Long:    "End sessions by the ids that \"edgehub session list\" shows, or all of a user with --all. Whoever has them open has to sign in again.",
		Example: "  edgehub session end a1b2c3 --user alice\n  edgehub session end --all --user alice",
	}
	user := userFlag(c)
	all := c.Flags().Bool("all", false, "all sessions of the user")
	c.Args = func(_ *cobra.Command, args []string) error {
		if *all == (len(args) > 0) {
			return misused("name the sessions to end by their ids, or give --all")
		}
		return nil
	}
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		owner, err := api.orMe(cmd.Context(), *user)
		if err != nil {
			return err
		}
		if !*all {
			return api.deleteEach(cmd, out, args, func(id string) string { return sessionPath(owner) + "/" + url.PathEscape(id) })
		}
		if err := api.call(cmd.Context(), http.MethodDelete, sessionPath(owner), nil, nil); err != nil {
			return err
		}
		return out.value(map[string]string{"user": owner}, func() error { return out.say("All sessions of %s have ended.", owner) })
	})
}
