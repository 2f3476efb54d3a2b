package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// sharedServer is the server of a share or a share code as the API has it.
type sharedServer struct {
	User struct{ Name string } `json:"user"`
	Name string                `json:"name"`
}

func (s sharedServer) String() string { return strings.TrimSuffix(s.User.Name+"/"+s.Name, "/") }

// share is what tables show of a share as the API has it.
type share struct {
	Server  sharedServer           `json:"server"`
	User    *struct{ Name string } `json:"user"`
	Group   *struct{ Name string } `json:"group"`
	Scopes  []string               `json:"scopes"`
	Created string                 `json:"created_at"`
}

// with is who has the share.
func (s share) with() string {
	switch {
	case s.User != nil:
		return s.User.Name
	case s.Group != nil:
		return "group " + s.Group.Name
	}
	return "-"
}

// sharedScopes are what a share gives, without its server: that has a column of its own.
func sharedScopes(scopes []string) string {
	var names []string
	for _, scope := range scopes {
		name, _, _ := strings.Cut(scope, "!")
		names = append(names, name)
	}
	return orDash(strings.Join(names, ","))
}

var shareColumns = []column[share]{
	{"SERVER", func(s share) string { return s.Server.String() }},
	{"WITH", share.with},
	{"SCOPES", func(s share) string { return sharedScopes(s.Scopes) }},
	{"SINCE", func(s share) string { return when(s.Created) }},
}

func shareCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "share",
		Short: "Share servers with others",
		Long: `Share servers with users and groups, and end that. A share lets them visit the server, unless --scope says what else or
instead. Who may share is for the operator to say: users may not unless a role gives them the scope shares, as in JupyterHub.`,
		Example: "  edgehub share give alice --user bob\n  edgehub share list alice\n  edgehub share code alice/gpu --expires-in 7d",
	}, shareListCommand(), shareGiveCommand(), shareRevokeCommand(), shareCodeCommand(), shareCodesCommand(), shareRevokeCodeCommand())
}

// sharePath is where the API has what belongs to a server below tree, by the name of the user or both names.
func sharePath(tree, fullName string) string {
	owner, name, _ := strings.Cut(fullName, "/")
	return tree + "/" + url.PathEscape(owner) + "/" + url.PathEscape(name)
}

// sharesPath is sharePath for lists: the name of the user alone stands for all servers, with a slash behind it for the default one.
func sharesPath(tree, name string) string {
	if !strings.Contains(name, "/") {
		return tree + "/" + url.PathEscape(name)
	}
	return sharePath(tree, name)
}

func shareListCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "list [SERVER]", Short: "List shares", ValidArgsFunction: first(serverNames), Args: between(0, 1, "one server, or a user"),
		Long: `List the shares of a server, USER/SERVER, or of all servers of a user, USER; USER/ is the default server alone. Without a name
they are those of your own servers. With --with or --with-group it is the servers of others that are shared with a user, by
their groups too, or with a group.`,
		Example: "  edgehub share list alice\n  edgehub share list alice/gpu --json\n  edgehub share list --with bob",
	}
	with := c.Flags().String("with", "", "what is shared with the user `NAME`")
	flagCompletion(c, "with", userNames)
	withGroup := c.Flags().String("with-group", "", "what is shared with the group `NAME`")
	flagCompletion(c, "with-group", groupNames)
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		path, err := api.listedShares(cmd, args, *with, *withGroup)
		if err != nil {
			return err
		}
		return printList(out, api.pages(cmd.Context(), path, url.Values{}, 0), shareColumns...)
	})
}

// listedShares is where the API has the shares that a command asks for.
func (c *client) listedShares(cmd *cobra.Command, args []string, with, withGroup string) (string, error) {
	switch {
	case len(args) > 0 && with+withGroup != "" || with != "" && withGroup != "":
		return "", misused("name a server, or give --with, or --with-group")
	case with != "":
		return userPath(with) + "/shared", nil
	case withGroup != "":
		return groupPath(withGroup) + "/shared", nil
	}
	return c.sharesOf(cmd, "/shares", args)
}

// sharesOf is where the API has what belongs to the server or the user named, or to one's own servers.
func (c *client) sharesOf(cmd *cobra.Command, tree string, args []string) (string, error) {
	if len(args) > 0 {
		return sharesPath(tree, args[0]), nil
	}
	me, err := c.orMe(cmd.Context(), "")
	return sharesPath(tree, me), err
}

// shareFlags are with whom a command shares, and what.
type shareFlags struct {
	user, group string
	scopes      []string
}

func (f *shareFlags) add(c *cobra.Command, scopes string) {
	c.Flags().StringVar(&f.user, "user", "", "with the user `NAME`")
	flagCompletion(c, "user", userNames)
	c.Flags().StringVar(&f.group, "group", "", "with the members of the group `NAME`")
	flagCompletion(c, "group", groupNames)
	c.Flags().StringSliceVar(&f.scopes, "scope", nil, scopes)
}

// body is what the API wants to hear.
func (f *shareFlags) body() (map[string]any, error) {
	if (f.user == "") == (f.group == "") {
		return nil, misused("say with whom: either --user NAME or --group NAME")
	}
	body := map[string]any{"user": f.user}
	if f.group != "" {
		body = map[string]any{"group": f.group}
	}
	if len(f.scopes) > 0 {
		body["scopes"] = f.scopes
	}
	return body, nil
}

func shareGiveCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "give SERVER", Short: "Share a server", Args: oneServer, ValidArgsFunction: first(serverNames),
		Long: `Share a server with a user or a group. Who has a share of it already keeps that, and gets what is new. It is true for
who visits from that moment on.`,
		Example: "  edgehub share give alice --user bob\n  edgehub share give alice/gpu --group staff --scope access:servers,start:servers",
	}
	var to shareFlags
	to.add(c, "what they may do, `SCOPE,...` of access:servers, read:servers, start:servers, delete:servers, servers (default: access:servers)")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		body, err := to.body()
		if err != nil {
			return err
		}
		var made json.RawMessage
		if err := api.call(cmd.Context(), http.MethodPost, sharePath("/shares", args[0]), body, &made); err != nil {
			return err
		}
		return one(out, made, shareColumns...)
	})
}

func shareRevokeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "revoke SERVER", Aliases: []string{"rm"}, Short: "End shares of a server", Args: oneServer, ValidArgsFunction: first(serverNames),
		Long: `End what a user or a group has of a server, or a part of it with --scope, or all shares of the server with --all. What is
open by it is cut.`,
		Example: "  edgehub share revoke alice --user bob\n  edgehub share revoke alice/gpu --all",
	}
	var from shareFlags
	from.add(c, "only these, `SCOPE,...`")
	all := c.Flags().Bool("all", false, "all shares of the server")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		if *all && (from.user != "" || from.group != "" || from.scopes != nil) {
			return misused("--all ends all shares of the server: leave out --user, --group and --scope, or --all")
		}
		if *all {
			return api.revokeShares(cmd, out, args[0])
		}
		body, err := from.body()
		if err != nil {
			return err
		}
		return api.revokeShare(cmd, out, args[0], body)
	})
}

func (c *client) revokeShares(cmd *cobra.Command, out output, server string) error {
	if err := c.call(cmd.Context(), http.MethodDelete, sharePath("/shares", server), nil, nil); err != nil {
		return err
	}
	return out.value(map[string]string{"revoked": server}, func() error { return out.say("%s is not shared with anybody any more.", server) })
}

// revokeShare prints what is left of a share, if something is.
func (c *client) revokeShare(cmd *cobra.Command, out output, server string, body map[string]any) error {
	var left json.RawMessage
	if err := c.call(cmd.Context(), http.MethodPatch, sharePath("/shares", server), body, &left); err != nil {
		return err
	}
	if string(left) != "{}" {
		return one(out, left, shareColumns...)
	}
	return out.value(map[string]string{"revoked": server}, func() error { return out.say("%s is not shared with them any more.", server) })
}
