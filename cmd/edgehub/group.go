package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// userGroup is what tables show of a group as the API has it.
type userGroup struct {
	Name       string         `json:"name"`
	Users      []string       `json:"users"`
	Properties map[string]any `json:"properties"`
	Roles      []string       `json:"roles"`
}

var groupColumns = []column[userGroup]{
	{"GROUP", func(g userGroup) string { return g.Name }},
	{"USERS", func(g userGroup) string { return strconv.Itoa(len(g.Users)) }},
	{"ROLES", func(g userGroup) string { return orDash(strings.Join(g.Roles, ",")) }},
	{"PROPERTIES", func(g userGroup) string { return strconv.Itoa(len(g.Properties)) }},
}

func groupCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "group",
		Short: "List, create, fill and delete groups",
		Long: `List, create, fill and delete groups of users. A group has members, roles ("edgehub role add"), and properties: any JSON, for
programs that read it.`,
		Example: "  edgehub group create staff --user alice,bob\n  edgehub group add staff carol\n  edgehub group set staff quota=10",
	}, groupListCommand(), groupGetCommand(), groupCreateCommand(), groupDeleteCommand(), groupMembersCommand("add", http.MethodPost),
		groupMembersCommand("remove", http.MethodDelete), groupSetCommand())
}

func groupPath(name string) string { return "/groups/" + url.PathEscape(name) }

func groupListCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List groups",
		Long:    "List groups by name, as they come from the hub. USERS and PROPERTIES are how many there are; \"edgehub group get\" shows them.",
		Example: "  edgehub group list\n  edgehub group list --json | jq -r '.[] | select(.users | length == 0) | .name'",
	}
	limit := c.Flags().Int("limit", 0, "at most `N` groups; 0 for all")
	return verb(c, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		if *limit < 0 {
			return misused("--limit is the number of groups to list at most, or 0 for all")
		}
		return printList(out, api.pages(cmd.Context(), "/groups", url.Values{}, *limit), groupColumns...)
	})
}

func groupGetCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "get GROUP", Short: "Show one group", Args: exactly(1, "one group"), ValidArgsFunction: first(groupNames),
		Long:    "Show one group with its members and properties.",
		Example: "  edgehub group get staff\n  edgehub group get staff --json | jq -r '.users[]'",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		var g json.RawMessage
		if err := api.call(cmd.Context(), http.MethodGet, groupPath(args[0]), nil, &g); err != nil {
			return err
		}
		return out.value(g, func() error { return out.group(g) })
	})
}

// group shows all of a group, a line for each thing.
func (o output) group(raw json.RawMessage) error {
	var g userGroup
	if err := json.Unmarshal(raw, &g); err != nil {
		return err
	}
	properties, err := json.Marshal(g.Properties)
	if err != nil {
		return err
	}
	return o.details([][2]string{{"Group", g.Name}, {"Users", strings.Join(g.Users, ", ")}, {"Roles", strings.Join(g.Roles, ", ")},
		{"Properties", string(properties)}})
}

func groupCreateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "create GROUP...", Short: "Create groups", Args: oneOrMore("the groups to create, or - to read their names"),
		Long:    "Create groups, empty or with the users of --user in each. With - the names are read from the input, one a line. It is all of them or none.",
		Example: "  edgehub group create staff students\n  edgehub group create staff --user alice,bob",
	}
	users := c.Flags().StringSlice("user", []string{}, "users to put into each, `NAME,...`")
	flagCompletion(c, "user", userNames)
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		names, err := namesOf(cmd, args)
		if err != nil {
			return err
		}
		var made []json.RawMessage
		if err := api.call(cmd.Context(), http.MethodPost, "/groups", map[string][]string{"groups": names, "users": *users}, &made); err != nil {
			return err
		}
		return out.value(made, func() error { return printList(out, whole(made), groupColumns...) })
	})
}

func groupDeleteCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "delete GROUP...", Aliases: []string{"rm"}, Short: "Delete groups", Args: oneOrMore("the groups to delete, or - to read their names"),
		ValidArgsFunction: every(groupNames),
		Long: `Delete groups, one after the other. Their members stay users, and lose what the group gave them. At the first that fails
it stops; it has printed those that are gone.`,
		Example: "  edgehub group delete students --yes",
	}
	yes := yesFlag(c)
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		if err := confirmed(*yes, "this deletes groups; their members lose what the groups gave them"); err != nil {
			return err
		}
		return api.deleteEach(cmd, out, args, groupPath)
	})
}

// groupMembersCommand makes `add` and `remove`.
func groupMembersCommand(name, method string) *cobra.Command {
	c := &cobra.Command{
		Use: name + " GROUP USER...", Args: atLeast(2, "a group and users, or - to read their names"), ValidArgsFunction: then(groupNames, userNames),
		Short: "Put users into a group", Long: "Put users into a group. Who is in it already stays. With - the names are read from the input, one a line.",
		Example: "  edgehub group add staff alice bob\n  edgehub group add students - < students.txt",
	}
	if method == http.MethodDelete {
		c.Short, c.Long = "Take users out of a group", "Take users out of a group. Who is not in it is left alone. With - the names are read from the input, one a line."
		c.Example = "  edgehub group remove staff bob"
	}
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		names, err := namesOf(cmd, args[1:])
		if err != nil {
			return err
		}
		var g json.RawMessage
		if err := api.inBatches(cmd.Context(), method, groupPath(args[0])+"/users", "users", names, &g); err != nil {
			return err
		}
		return one(out, g, groupColumns...)
	})
}

func groupSetCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "set GROUP KEY=VALUE...", Short: "Change the properties of a group", Args: atLeast(1, "a group and KEY=VALUE"), ValidArgsFunction: first(groupNames),
		Long: `Change properties of a group. A value that is JSON counts as such, all else is text. Properties that you do not name
stay, unless you give --replace. They are read and then written: of two who do so at once, one wins.`,
		Example: "  edgehub group set staff quota=10 room='\"007\"' contact=alice\n  edgehub group set staff --unset quota",
	}
	unset := c.Flags().StringSlice("unset", nil, "properties to remove, `KEY,...`")
	replace := c.Flags().Bool("replace", false, "remove all properties that are not given")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		given, err := keyValues(args[1:])
		if err != nil {
			return err
		}
		if len(given) == 0 && len(*unset) == 0 && !*replace {
			return misused("say what to change: KEY=VALUE, --unset KEY or --replace")
		}
		var g userGroup
		if err := api.call(cmd.Context(), http.MethodGet, groupPath(args[0]), nil, &g); err != nil {
			return err
		}
		if *replace || g.Properties == nil {
			g.Properties = map[string]any{}
		}
		for key, value := range given {
			g.Properties[key] = value
		}
		for _, key := range *unset {
			delete(g.Properties, key)
		}
		var changed json.RawMessage
		if err := api.call(cmd.Context(), http.MethodPut, groupPath(args[0])+"/properties", g.Properties, &changed); err != nil {
			return err
		}
		return out.value(changed, func() error { return out.group(changed) })
	})
}
