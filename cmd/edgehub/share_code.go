package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// shareCode is what tables show of a share code as the API has it.
type shareCode struct {
	ID      string       `json:"id"`
	Server  sharedServer `json:"server"`
	Scopes  []string     `json:"scopes"`
	Expires string       `json:"expires_at"`
	Used    int          `json:"exchange_count"`
	LastUse string       `json:"last_exchanged_at"`
	// Accept and FullAccept are the link, in the answer that makes the code only.
	Accept     string `json:"accept_url"`
	FullAccept string `json:"full_accept_url"`
}

var shareCodeColumns = []column[shareCode]{
	{"CODE", func(c shareCode) string { return c.ID }},
	{"SERVER", func(c shareCode) string { return c.Server.String() }},
	{"SCOPES", func(c shareCode) string { return sharedScopes(c.Scopes) }},
	{"EXPIRES", func(c shareCode) string { return when(c.Expires) }},
	{"USED", func(c shareCode) string { return strconv.Itoa(c.Used) }},
	{"LAST USE", func(c shareCode) string { return when(c.LastUse) }},
}

func shareCodeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "code SERVER", Short: "Make a link that shares a server", Args: oneServer, ValidArgsFunction: first(serverNames),
		Long: `Make a share code and print its link: alone on the output, what else there is to say beside it. Everybody who opens it while
it is good, signed in, can accept the share. It is not shown again.`,
		Example: "  edgehub share code alice\n  edgehub share code alice/gpu --expires-in 7d --scope access:servers,start:servers",
	}
	var life lifetime
	c.Flags().Var(&life, "expires-in", "how long it is good, `TIME` like 12h or 30d, a minute at least (default: a day)")
	scopes := c.Flags().StringSlice("scope", nil, "what they may do, `SCOPE,...` (default: access:servers)")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		body := map[string]any{}
		if life > 0 {
			body["expires_in"] = int(time.Duration(life).Seconds())
		}
		if len(*scopes) > 0 {
			body["scopes"] = *scopes
		}
		var made json.RawMessage
		if err := api.call(cmd.Context(), http.MethodPost, sharePath("/share-codes", args[0]), body, &made); err != nil {
			return err
		}
		return out.value(made, func() error { return api.newShareCode(out, made) })
	})
}

func (c *client) newShareCode(out output, made json.RawMessage) error {
	var code shareCode
	if err := json.Unmarshal(made, &code); err != nil {
		return err
	}
	link, err := c.address(code.Accept, code.FullAccept)
	if err != nil {
		return err
	}
	out.note("Share code %s for %s; it is good until %s. Its link, which is not shown again:", code.ID, code.Server, when(code.Expires))
	return out.say("%s", link)
}

func shareCodesCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "codes [SERVER]", Short: "List share codes", ValidArgsFunction: first(serverNames), Args: between(0, 1, "one server, or a user"),
		Long: `List the share codes that are good: of a server, USER/SERVER, or of all servers of a user, USER; USER/ is the default server
alone. Without a name they are those of your own servers. The codes themselves are not shown: the hub does not have them.`,
		Example: "  edgehub share codes alice",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		path, err := api.sharesOf(cmd, "/share-codes", args)
		if err != nil {
			return err
		}
		return printList(out, api.pages(cmd.Context(), path, url.Values{}, 0), shareCodeColumns...)
	})
}

func shareRevokeCodeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "revoke-code SERVER [CODE...]", Short: "End share codes", ValidArgsFunction: then(serverNames, shareCodeIDs),
		Long: `End share codes of a server by the ids that "edgehub share codes" shows, or all of them with --all. Shares that were made with
them stay.`,
		Example: "  edgehub share revoke-code alice sc_123\n  edgehub share revoke-code alice/gpu --all",
	}
	all := c.Flags().Bool("all", false, "all codes of the server")
	c.Args = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 || *all == (len(args) > 1) {
			return misused("name a server, and its codes by their ids, or give --all")
		}
		return nil
	}
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		path := sharePath("/share-codes", args[0])
		if !*all {
			return api.deleteEach(cmd, out, args[1:], func(id string) string { return path + "?id=" + url.QueryEscape(id) })
		}
		if err := api.call(cmd.Context(), http.MethodDelete, path, nil, nil); err != nil {
			return err
		}
		return out.value(map[string]string{"server": args[0]}, func() error { return out.say("All share codes of %s have ended.", args[0]) })
	})
}

// shareCodeIDs are those of the server that a command line names first.
func shareCodeIDs(ctx context.Context, cmd *cobra.Command, api *client, _ string) ([]string, error) {
	var ids []string
	for items, err := range api.pages(ctx, sharePath("/share-codes", cmd.Flags().Arg(0)), url.Values{}, maxCandidates) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, idsIn(items)...)
	}
	return ids, nil
}
