package main

import (
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

// route is a route by hand as the API shows it, and as it takes one.
type route struct {
	Prefix  string   `json:"prefix,omitempty"`
	Target  string   `json:"target"`
	Auth    string   `json:"auth"`
	Secret  string   `json:"secret,omitempty"`
	Users   []string `json:"users"`
	Groups  []string `json:"groups"`
	Created *string  `json:"created,omitempty"`
}

func routeCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "route",
		Short: "Show and change routes to programs that the hub does not run",
		Long: `Show and change routes by hand: a part of the hub's site, such as /dashboard/, that leads to a program of yours. Front
doors check who visits it, so that the program needs no sign-in of its own. Servers of users get their routes by themselves.`,
		Example: "  edgehub route set /dashboard/ --target http://10.0.0.5:8050 --group staff --token-file token",
	}, routeListCommand(), routeGetCommand(), routeSetCommand(), routeRemoveCommand())
}

func routeListCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "list", Short: "List the routes by hand",
		Long:    "List the routes that were made by hand. Those of users' servers are not among them.",
		Example: "  edgehub route list --token-file token",
	}, func(cmd *cobra.Command, api *client, out output, _ []string) error {
		routes := []route{}
		if err := api.call(cmd.Context(), http.MethodGet, "/routes", nil, &routes); err != nil {
			return err
		}
		return out.value(routes, func() error { return out.routes(routes...) })
	})
}

func (o output) routes(routes ...route) error {
	rows := [][]string{}
	for _, r := range routes {
		rows = append(rows, []string{r.Prefix, r.Target, r.Auth, visitors(r, r.Users), visitors(r, r.Groups)})
	}
	return o.table([]string{"PREFIX", "TARGET", "AUTH", "USERS", "GROUPS"}, rows)
}

func visitors(r route, list []string) string {
	if r.Auth == "none" {
		return "everybody"
	}
	return orDash(strings.Join(list, ","))
}

func routeGetCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "get PREFIX", Short: "Show one route by hand", Args: onePrefix,
		Long:    "Show one route that was made by hand. Its secret is not shown again.",
		Example: "  edgehub route get /dashboard/ --json --token-file token",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		r := route{}
		if err := api.call(cmd.Context(), http.MethodGet, routePath(args[0]), nil, &r); err != nil {
			return err
		}
		return out.value(r, func() error { return out.routes(r) })
	})
}

func routeSetCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "set PREFIX --target URL", Short: "Make a route by hand, or replace it", Args: onePrefix,
		Long: `Make a route by hand, or replace it altogether. Administrators may visit it, and the users and groups that you list.

What the program behind it gets in place of the visitor's credentials is --auth:
  headers  X-Edgehub-User, -User-Id, -Groups, -Admin, and X-Edgehub-Ticket, which is signed with the route's secret. The
           secret is made and printed, unless you give one. The program needs no sign-in of its own.
  secret   "Authorization: token SECRET", with your --secret-file.
  none     nothing: everybody may visit, signed in or not.
  pass     the same with the visitor's own API token, for a program that asks the hub itself who visits (HubOAuth).

Let nobody but the front doors reach the program's port, or have it check the ticket: see docs/operating.md.`,
		Example: `  edgehub route set /dashboard/ --target http://10.0.0.5:8050 --user alice --group staff --token-file token
  edgehub route set /public/ --target http://10.0.0.5:8051 --auth none --token-file token`,
	}
	r, secret := &route{Users: []string{}, Groups: []string{}}, ""
	c.Flags().StringVar(&r.Target, "target", "", "the program's `URL`, http://HOST:PORT")
	c.Flags().StringVar(&r.Auth, "auth", "headers", "what the program gets: `KIND` headers, secret, pass or none")
	c.Flags().StringVar(&secret, "secret-file", "", "`FILE` with the secret for --auth=secret or headers, 16 characters or more")
	c.Flags().StringSliceVar(&r.Users, "user", r.Users, "users who may visit, `NAME,...`")
	c.Flags().StringSliceVar(&r.Groups, "group", r.Groups, "groups that may visit, `NAME,...`")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		if secret != "" {
			var err error
			if r.Secret, err = secretFile(secret, "secret"); err != nil {
				return err
			}
		}
		made := route{}
		if err := api.call(cmd.Context(), http.MethodPut, routePath(args[0]), r, &made); err != nil {
			return err
		}
		return out.value(made, func() error { return out.routeSet(made, r.Secret != "") })
	})
}

func (o output) routeSet(r route, given bool) error {
	if err := o.say("%s leads to %s now.", r.Prefix, r.Target); err != nil || r.Secret == "" || given {
		return err
	}
	return o.say("X-Edgehub-Ticket is signed with this secret, which is not shown again by get or list:\n  %s", r.Secret)
}

func routeRemoveCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "rm PREFIX", Aliases: []string{"remove"}, Short: "Remove a route by hand", Args: onePrefix,
		Long:    "Remove a route that was made by hand. What is open through it is cut.",
		Example: "  edgehub route rm /dashboard/ --token-file token",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		if err := api.call(cmd.Context(), http.MethodDelete, routePath(args[0]), nil, nil); err != nil {
			return err
		}
		return out.value(map[string]string{"removed": args[0]}, func() error { return out.say("%s is removed.", args[0]) })
	})
}

// onePrefix wants one argument.
func onePrefix(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return misused("name one prefix, such as /dashboard/. Run '%s --help' for an example", cmd.CommandPath())
	}
	return nil
}

// routePath is where the API has a route. A prefix may be given without its slashes. What would end the path of an address
// is escaped, for the hub to refuse.
func routePath(prefix string) string {
	return "/routes/" + strings.NewReplacer("?", "%3F", "#", "%23").Replace(strings.Trim(prefix, "/")) + "/"
}
