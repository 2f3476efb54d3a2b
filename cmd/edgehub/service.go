package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
)

// service is what tables show of a service as the API has it.
type service struct {
	Name    string   `json:"name"`
	Admin   bool     `json:"admin"`
	URL     string   `json:"url"`
	Prefix  string   `json:"prefix"`
	Command []string `json:"command"`
	PID     int      `json:"pid"`
	Failure string   `json:"failure"`
}

// state says of a service that the hub runs how it is.
func (s service) state() string {
	switch {
	case len(s.Command) == 0:
		return "external"
	case s.PID > 0:
		return "running, process " + strconv.Itoa(s.PID)
	case s.Failure != "":
		return "failed: " + s.Failure
	}
	return "stopped"
}

var serviceColumns = []column[service]{
	{"SERVICE", func(s service) string { return s.Name }},
	{"ADMIN", func(s service) string { return yesNo(s.Admin) }},
	{"PREFIX", func(s service) string { return orDash(s.Prefix) }},
	{"URL", func(s service) string { return orDash(s.URL) }},
	{"STATE", service.state},
}

func serviceCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "service",
		Short: "List, add and delete services",
		Long: `List services, and add and delete external ones while the hub runs. Services that the hub itself starts are in its
configuration file only.`,
		Example: "  edgehub service list\n  edgehub service create dash --spec dash.json",
	}, serviceListCommand(), serviceGetCommand(), serviceCreateCommand(), serviceDeleteCommand())
}

func servicePath(name string) string { return "/services/" + url.PathEscape(name) }

func serviceListCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "list", Short: "List services",
		Long:    "List services by name. STATE is of those that the hub runs itself; all others are external.",
		Example: "  edgehub service list",
	}, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		services, err := api.services(cmd.Context())
		if err != nil {
			return err
		}
		var all []json.RawMessage
		for _, name := range slices.Sorted(maps.Keys(services)) {
			all = append(all, services[name])
		}
		return printList(out, whole(all), serviceColumns...)
	})
}

func (c *client) services(ctx context.Context) (map[string]json.RawMessage, error) {
	all := map[string]json.RawMessage{}
	err := c.call(ctx, http.MethodGet, "/services", nil, &all)
	return all, err
}

func serviceGetCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "get SERVICE", Short: "Show one service", Args: exactly(1, "one service"), ValidArgsFunction: first(serviceNames),
		Long:    "Show one service. --json has all that the hub says of it.",
		Example: "  edgehub service get dash --json",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		var s json.RawMessage
		if err := api.call(cmd.Context(), http.MethodGet, servicePath(args[0]), nil, &s); err != nil {
			return err
		}
		return one(out, s, serviceColumns...)
	})
}

func serviceCreateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "create SERVICE", Short: "Add an external service", Args: exactly(1, "one service"),
		Long: `Add an external service. What it is like is in the JSON object of --spec, with JupyterHub's keys: url, api_token, admin,
oauth_client_id, oauth_redirect_uri, oauth_no_confirm, oauth_client_allowed_scopes, info, display; and the hub's own scopes, protect, users
and groups. If the service is protected by the front door, the secret that signs its headers is printed once.`,
		Example: "  edgehub service create dash --spec dash.json\n  edgehub service create backup --api-token-file token",
	}
	spec := c.Flags().String("spec", "", "`FILE` with a JSON object that says what the service is like")
	tokenFile := c.Flags().String("api-token-file", "", "`FILE` with the API token that the service is going to use")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		body, err := serviceSpec(*spec, *tokenFile)
		if err != nil {
			return err
		}
		var made json.RawMessage
		if err := api.call(cmd.Context(), http.MethodPost, servicePath(args[0]), body, &made); err != nil {
			return err
		}
		return out.value(made, func() error { return out.newService(made) })
	})
}

func serviceSpec(file, tokenFile string) (map[string]any, error) {
	body := map[string]any{}
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read what the service is like: %w", err)
		}
		if json.Unmarshal(data, &body) != nil || body == nil {
			return nil, fmt.Errorf("%s is not a JSON object", file)
		}
	}
	if tokenFile != "" {
		token, err := secretFile(tokenFile, "API token")
		if err != nil {
			return nil, err
		}
		body["api_token"] = token
	}
	return body, nil
}

func (o output) newService(made json.RawMessage) error {
	var s struct {
		service
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal(made, &s); err != nil {
		return err
	}
	if s.Secret == "" {
		return o.say("%s is added.", s.Name)
	}
	return o.say("%s is added. X-Edgehub-Ticket is signed with this secret, which is not shown again:\n  %s", s.Name, s.Secret)
}

func serviceDeleteCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "delete SERVICE...", Aliases: []string{"rm"}, Short: "Delete external services", Args: oneOrMore("the services to delete"),
		ValidArgsFunction: every(serviceNames),
		Long:              "Delete services that were added while the hub runs, with their tokens. Those of the configuration file are deleted there.",
		Example:           "  edgehub service delete dash --yes",
	}
	yes := yesFlag(c)
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		if err := confirmed(*yes, "this deletes services with their API tokens"); err != nil {
			return err
		}
		return api.deleteEach(cmd, out, args, servicePath)
	})
}
