package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// user is what tables show of a user as the API has it.
type user struct {
	Name         string            `json:"name"`
	Admin        bool              `json:"admin"`
	Groups       []string          `json:"groups"`
	Servers      map[string]server `json:"servers"`
	LastActivity string            `json:"last_activity"`
}

var userColumns = []column[user]{
	{"NAME", func(u user) string { return u.Name }},
	{"ADMIN", func(u user) string { return yesNo(u.Admin) }},
	{"GROUPS", func(u user) string { return orDash(strings.Join(u.Groups, ",")) }},
	{"SERVERS", func(u user) string { return strconv.Itoa(len(u.Servers)) }},
	{"LAST ACTIVITY", func(u user) string { return when(u.LastActivity) }},
}

func userCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "user",
		Short: "List, create, change and delete users",
		Long: `List, create, change and delete the users of a running hub. What you may do, and which users you see, depends on the
token: that of an administrator may do everything.`,
		Example: "  edgehub user list --state active\n  edgehub user create alice bob\n  edgehub user list --json | jq -r '.[].name'",
	}, userListCommand(), userGetCommand(), userCreateCommand(), userSetCommand(), userRenameCommand(), userUnbindCommand(),
		userDeleteCommand())
}

func userPath(name string) string { return "/users/" + url.PathEscape(name) }

func userListCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List users",
		Long: `List users. They are printed as they come from the hub, so that a list of any length begins at once.
SERVERS counts servers that run, start or stop.`,
		Example: "  edgehub user list\n  edgehub user list --filter ali --state ready --sort -last_activity --limit 20",
	}
	query := map[string]*string{
		"name_filter": c.Flags().String("filter", "", "only users with `TEXT` in their names"),
		"state":       c.Flags().String("state", "", "only users in `STATE`: active (a server runs, starts or stops), ready (a server runs) or inactive"),
		"sort":        c.Flags().String("sort", "", "sort by `FIELD`: id, name or last_activity, with a - in front the other way round (default: id, the order of creation)"),
	}
	limit := c.Flags().Int("limit", 0, "at most `N` users; 0 for all")
	return verb(c, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		if *limit < 0 {
			return misused("--limit is the number of users to list at most, or 0 for all")
		}
		q := url.Values{}
		for key, value := range query {
			if *value != "" {
				q.Set(key, *value)
			}
		}
		return printList(out, api.pages(cmd.Context(), "/users", q, *limit), userColumns...)
	})
}

func userGetCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "get [NAME]", Short: "Show one user", Args: between(0, 1, "one user, or none for yourself"), ValidArgsFunction: first(userNames),
		Long:    "Show one user, without a name the one whose token it is.",
		Example: "  edgehub user get alice\n  edgehub user get --json",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		path := "/user"
		if len(args) == 1 {
			path = userPath(args[0])
		}
		var u json.RawMessage
		if err := api.call(cmd.Context(), http.MethodGet, path, nil, &u); err != nil {
			return err
		}
		return one(out, u, userColumns...)
	})
}

func userDeleteCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "delete NAME...", Aliases: []string{"rm"}, Short: "Delete users", Args: oneOrMore("the users to delete, or - to read their names"),
		ValidArgsFunction: every(userNames),
		Long: `Delete users, one after the other, with their tokens, sessions and servers. Their files stay. With - the names are
read from the input, one a line. At the first that fails it stops; it has printed those that are gone.`,
		Example: "  edgehub user delete alice bob --yes\n  edgehub user list --filter guest --json | jq -r '.[].name' | edgehub user delete - --yes",
	}
	yes := yesFlag(c)
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		if err := confirmed(*yes, "this deletes users with their tokens, and stops their servers"); err != nil {
			return err
		}
		return api.deleteEach(cmd, out, args, userPath)
	})
}
