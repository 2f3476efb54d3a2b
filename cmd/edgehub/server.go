package main

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// server is what tables show of a server as the API has it.
type server struct {
	Name         string `json:"name"`
	FullName     string `json:"full_name"`
	Ready        bool   `json:"ready"`
	Pending      string `json:"pending"`
	Started      string `json:"started"`
	LastActivity string `json:"last_activity"`
	URL          string `json:"url"`
	DisplayName  string `json:"display_name"`
}

// label is what people call the server, if that is not its name.
func (s server) label() string {
	if s.DisplayName == s.Name {
		return "-"
	}
	return orDash(s.DisplayName)
}

// state is the server's in a word.
func (s server) state() string {
	switch {
	case s.Pending == "spawn":
		return "starting"
	case s.Pending == "stop":
		return "stopping"
	case s.Pending != "":
		return s.Pending
	case s.Ready:
		return "running"
	}
	return "stopped"
}

var serverColumns = []column[server]{
	{"SERVER", func(s server) string { return strings.TrimSuffix(s.FullName, "/") }},
	{"STATE", server.state},
	{"STARTED", func(s server) string { return when(s.Started) }},
	{"LAST ACTIVITY", func(s server) string { return when(s.LastActivity) }},
	{"URL", func(s server) string { return s.URL }},
	{"CALLED", server.label},
}

func serverCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "server",
		Short: "List, start, open, stop and remove users' servers",
		Long: `List, start, open, stop and remove users' servers. A user's default server goes by the name of the user, alice, and a named one by both
names, alice/gpu.`,
		Example: "  edgehub server list\n  edgehub server start alice --option profile=small\n  edgehub server stop alice/gpu",
	}, serverListCommand(), serverGetCommand(), serverStartCommand(), serverProgressCommand(), serverOpenCommand(), serverStopCommand())
}

// serverPath is where the API has a server, by the name of the user or both names.
func serverPath(fullName string) string {
	owner, name, _ := strings.Cut(fullName, "/")
	if name == "" {
		return userPath(owner) + "/server"
	}
	return userPath(owner) + "/servers/" + url.PathEscape(name)
}

func serverListCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "list", Short: "List servers",
		Long: `List the servers of all users that run, start or stop, by the users' names. Those of one user with --user; with --all those
that are stopped, too. They are printed as they come from the hub.`,
		Example: "  edgehub server list\n  edgehub server list --user alice --all\n  edgehub server list --json | jq -r '.[] | select(.ready) | .full_name'",
	}
	user := c.Flags().String("user", "", "only servers of `NAME`")
	flagCompletion(c, "user", userNames)
	all := c.Flags().Bool("all", false, "also servers that are stopped")
	return verb(c, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		return printList(out, api.servers(cmd.Context(), *user, *all), serverColumns...)
	})
}

// servers visits the servers of a user, or of everybody.
func (c *client) servers(ctx context.Context, owner string, all bool) iter.Seq2[[]json.RawMessage, error] {
	query := url.Values{}
	if all {
		query.Set("include_stopped_servers", "1")
	} else {
		query.Set("state", "active")
	}
	users := c.pages(ctx, "/users", query, 0)
	if owner != "" {
		var u json.RawMessage
		if err := c.call(ctx, http.MethodGet, userPath(owner)+"?"+query.Encode(), nil, &u); err != nil {
			return func(yield func([]json.RawMessage, error) bool) { yield(nil, err) }
		}
		users = whole([]json.RawMessage{u})
	}
	return func(yield func([]json.RawMessage, error) bool) {
		for page, err := range users {
			var found []json.RawMessage
			if err == nil {
				found, err = serversOf(page)
			}
			if !yield(found, err) {
				return
			}
		}
	}
}

// serversOf are the servers of some users, in the order of users and then of names.
func serversOf(users []json.RawMessage) ([]json.RawMessage, error) {
	var found []json.RawMessage
	for _, item := range users {
		var u struct{ Servers map[string]json.RawMessage }
		if err := json.Unmarshal(item, &u); err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(u.Servers)) {
			found = append(found, u.Servers[name])
		}
	}
	return found, nil
}

func oneServer(cmd *cobra.Command, args []string) error {
	return exactly(1, "one server: USER for the user's default one, or USER/SERVER")(cmd, args)
}

func serverGetCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "get SERVER", Short: "Show one server", Args: oneServer, ValidArgsFunction: first(serverNames),
		Long:    "Show one server, running or not. --json has the options that it was started with.",
		Example: "  edgehub server get alice\n  edgehub server get alice/gpu --json",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		var s json.RawMessage
		if err := api.call(cmd.Context(), http.MethodGet, serverPath(args[0]), nil, &s); err != nil {
			return err
		}
		return one(out, s, serverColumns...)
	})
}
