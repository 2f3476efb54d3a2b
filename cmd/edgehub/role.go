package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// role is what tables show of a role as the API has it.
type role struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Scopes      []string `json:"scopes"`
	Groups      []string `json:"groups"`
	Services    []string `json:"services"`
	ManagedBy   string   `json:"managed_by"`
}

var roleColumns = []column[role]{
	{"ROLE", func(r role) string { return r.Name }},
	{"FROM", func(r role) string { return r.ManagedBy }},
	{"GROUPS", func(r role) string { return orDash(strings.Join(r.Groups, ",")) }},
	{"SERVICES", func(r role) string { return orDash(strings.Join(r.Services, ",")) }},
	{"DESCRIPTION", func(r role) string { return orDash(r.Description) }},
	{"SCOPES", func(r role) string { return orDash(strings.Join(r.Scopes, ",")) }},
}

func roleCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "role",
		Short: "List, create and give roles",
		Long: `List, create and give roles: named lists of scopes, which say what may be done. Users, groups and services have roles. A role of
the configuration file is changed there. Whoever changes a role, or who has it, must hold all that it gives.`,
		Example: "  edgehub role create tutor --scope 'admin:servers!group=course'\n  edgehub role add tutor --user alice --group staff",
	}, roleListCommand(), roleGetCommand(), roleSetCommand("create", http.MethodPost), roleSetCommand("set", http.MethodPut), roleDeleteCommand(),
		roleUsersCommand(), roleMembersCommand("add", http.MethodPost), roleMembersCommand("remove", http.MethodDelete))
}

func rolePath(name string) string { return "/roles/" + url.PathEscape(name) }

func roleListCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "list", Short: "List roles",
		Long:    "List roles by name. FROM is where a role is managed: default, config (the hub's configuration file) or api. \"edgehub role users\" lists who has one.",
		Example: "  edgehub role list",
	}, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		var roles []json.RawMessage
		if err := api.call(cmd.Context(), http.MethodGet, "/roles", nil, &roles); err != nil {
			return err
		}
		return printList(out, whole(roles), roleColumns...)
	})
}

func roleGetCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "get ROLE", Short: "Show one role", Args: exactly(1, "one role"), ValidArgsFunction: first(roleNames),
		Long:    "Show one role with its scopes, and the groups and services that have it.",
		Example: "  edgehub role get tutor --json",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		var r json.RawMessage
		if err := api.call(cmd.Context(), http.MethodGet, rolePath(args[0]), nil, &r); err != nil {
			return err
		}
		return one(out, r, roleColumns...)
	})
}

// roleSetCommand makes `create` and `set`.
func roleSetCommand(name, method string) *cobra.Command {
	c := &cobra.Command{
		Use: name + " ROLE", Args: exactly(1, "one role"),
		Short: "Create a role", Long: "Create a role with its scopes. \"edgehub role add\" gives it to users, groups and services.",
		Example: "  edgehub role create tutor --scope 'admin:servers!group=course' --description 'helps in the course'",
	}
	if method == http.MethodPut {
		c.Short, c.Long = "Change a role", "Change the scopes or the description of a role, or create it. What you do not give stays."
		c.Example, c.ValidArgsFunction = "  edgehub role set tutor --scope 'servers!group=course'", first(roleNames)
	}
	scopes := c.Flags().StringSlice("scope", nil, "all that the role gives, `SCOPE,...` as JupyterHub writes them")
	description := c.Flags().String("description", "", "`TEXT` that says what the role is for")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		body := map[string]any{}
		if cmd.Flags().Changed("scope") {
			body["scopes"] = append([]string{}, *scopes...)
		}
		if cmd.Flags().Changed("description") {
			body["description"] = *description
		}
		if len(body) == 0 && method == http.MethodPut {
			return misused("say what to change: --scope or --description")
		}
		var r json.RawMessage
		if err := api.call(cmd.Context(), method, rolePath(args[0]), body, &r); err != nil {
			return err
		}
		return one(out, r, roleColumns...)
	})
}

func roleDeleteCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "delete ROLE...", Aliases: []string{"rm"}, Short: "Delete roles", Args: oneOrMore("the roles to delete"), ValidArgsFunction: every(roleNames),
		Long:    "Delete roles. Whoever has them loses what they gave. Default roles and those of the configuration file cannot be deleted here.",
		Example: "  edgehub role delete tutor --yes",
	}
	yes := yesFlag(c)
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		if err := confirmed(*yes, "this takes roles from all who have them"); err != nil {
			return err
		}
		return api.deleteEach(cmd, out, args, rolePath)
	})
}

func roleUsersCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "users ROLE", Short: "List the users who have a role", Args: exactly(1, "one role"), ValidArgsFunction: first(roleNames),
		Long:    "List the users who were given a role. Those who have it through a group are not among them.",
		Example: "  edgehub role users tutor",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		return printList(out, api.pages(cmd.Context(), rolePath(args[0])+"/users", url.Values{}, 0),
			column[string]{"NAME", func(name string) string { return name }})
	})
}

// roleMembersCommand makes `add` and `remove`.
func roleMembersCommand(name, method string) *cobra.Command {
	c := &cobra.Command{
		Use: name + " ROLE", Args: exactly(1, "one role"), ValidArgsFunction: first(roleNames),
		Short: "Give a role to users, groups or services", Long: "Give a role to users, groups or services. Who has it already keeps it.",
		Example: "  edgehub role add tutor --user alice,bob --group staff",
	}
	if method == http.MethodDelete {
		c.Short, c.Long = "Take a role from users, groups or services", "Take a role from users, groups or services. Who does not have it is left alone."
		c.Example = "  edgehub role remove tutor --user bob"
	}
	kinds := []string{"users", "groups", "services"}
	lists := make([]*[]string, len(kinds))
	for i, kind := range kinds {
		lists[i] = c.Flags().StringSlice(strings.TrimSuffix(kind, "s"), nil, kind+", `NAME,...`")
	}
	flagCompletion(c, "user", userNames)
	flagCompletion(c, "group", groupNames)
	flagCompletion(c, "service", serviceNames)
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		var r json.RawMessage
		for i, kind := range kinds {
			if err := api.inBatches(cmd.Context(), method, rolePath(args[0])+"/"+kind, kind, *lists[i], &r); err != nil {
				return err
			}
		}
		if r == nil {
			return misused("say whom: --user, --group or --service")
		}
		return one(out, r, roleColumns...)
	})
}
