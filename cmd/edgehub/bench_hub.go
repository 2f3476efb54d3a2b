package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/edgehub/edgehub/bench/hub"
)

func benchHubCommand() *cobra.Command {
	o := hub.Defaults()
	c := &cobra.Command{
		Use:   "hub",
		Short: "Compare the hub's API with JupyterHub",
		Long: `Measure requests to the API with each number of users: who am I, one user, the first and the last page of 100 users,
creating users, finding one of many tokens, and the start of the hub. Sides:

  edgehub      "edgehub hub" and an etcd, each a process of its own; "CPU" is what both have used
  jupyterhub   JupyterHub with its default database, SQLite, where one is installed

docs/performance.md says more.`,
		Example: "  edgehub bench hub\n  edgehub bench hub --users 1000,1000000 --max-jupyterhub 10000 --json",
		Args:    noArgs,
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.IntSliceVar(&o.Users, "users", o.Users, "numbers of users, `N,N`")
	fs.IntVar(&o.MaxJupyterHub, "max-jupyterhub", o.MaxJupyterHub, "most users for JupyterHub, `N`: its database takes long to fill and to start with")
	fs.IntSliceVar(&o.Tokens, "tokens", o.Tokens, "numbers of API tokens to look one up among, `N,N`")
	fs.IntVar(&o.Create, "create", o.Create, "users to create one by one, `N`")
	fs.Float64Var(&o.Seconds, "seconds", o.Seconds, "how long each figure is measured, `S`")
	fs.IntVar(&o.Connections, "connections", o.Connections, "connections that the client keeps busy, `N`")
	fs.Var(list{&o.Sides}, "sides", "sides to measure, `A,B` of those above (default: all)")
	fs.StringVar(&o.JupyterHub, "jupyterhub", o.JupyterHub, "jupyterhub `PROGRAM` (default: the one on PATH, or the one that make setup has installed)")
	fs.BoolVar(&o.JSON, "json", o.JSON, "print one JSON object a line")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		o.Program, o.Out, o.Progress = program, cmd.OutOrStdout(), cmd.ErrOrStderr()
		err = hub.Measure(cmd.Context(), o)
		if cmd.Context().Err() != nil {
			return errors.New("interrupted. Everything that ran for the measurement was stopped")
		}
		return err
	}
	return c
}
