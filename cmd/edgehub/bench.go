package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/edgehub/edgehub/bench/edge"
)

// benchCommand measures. Its parts run in child processes: this program again, with the hidden command part.
func benchCommand() *cobra.Command {
	bench := &cobra.Command{
		Use:   "bench",
		Short: "Measure what edgehub costs on this machine",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	part := &cobra.Command{Use: "part", Hidden: true, Args: cobra.ArbitraryArgs, RunE: func(cmd *cobra.Command, args []string) error {
		return edge.Part(cmd.Context(), args, cmd.InOrStdin(), cmd.OutOrStdout())
	}}
	bench.AddCommand(benchEdgeCommand(), part)
	return bench
}

func benchEdgeCommand() *cobra.Command {
	o := edge.Options{Routes: 10000, Seconds: 10, Connections: 32, Traefik: os.Getenv("EDGEHUB_TRAEFIK")}
	c := &cobra.Command{
		Use:   "edge",
		Short: "Compare the edge with plain Traefik and other proxies",
		Long: `Measure a request of a signed-in browser through each of these sides, in turn and in several rounds, with the
same client and the same user server behind it:

  direct       the user server without a proxy
  plain        a Traefik route: one router for everything with one service
  forwardauth  the same with Traefik's ForwardAuth middleware and an auth service that says yes
  plugin       Traefik with the edgehub plugin, interpreted, and --routes routes in etcd
  embedded     the same edge compiled: "edgehub edge"
  chp          configurable-http-proxy with --routes routes, JupyterHub's own proxy

Each proxy is a process of its own. "CPU" is the processor time, user and system, of that process alone; for
forwardauth it is Traefik's, and the auth service's is shown beside it. docs/performance.md says more.`,
		Example: "  edgehub bench edge\n  edgehub bench edge --sides plain,plugin --seconds 20 --json\n  edgehub bench edge --sides plugin --profile /tmp/profiles",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBench(cmd, o, edge.Compare) },
	}
	fs := c.Flags()
	fs.SortFlags = false
	fs.IntVar(&o.Routes, "routes", o.Routes, "routes in etcd, `N`")
	fs.Float64Var(&o.Seconds, "seconds", o.Seconds, "how long to measure each side, `S`, in all rounds together")
	fs.Var(list{&o.Sides}, "sides", "sides to compare, `A,B` of "+strings.Join(edge.Sides, ",")+" (default: all; chp where npm is)")
	fs.BoolVar(&o.JSON, "json", o.JSON, "print one JSON object a line for each side")
	fs.StringVar(&o.Traefik, "traefik", o.Traefik, "traefik `PROGRAM` (default: the one on PATH, or the one that make setup has built)")
	fs.IntVar(&o.Connections, "connections", o.Connections, "connections that the client keeps busy, `N`")
	fs.StringVar(&o.Profile, "profile", o.Profile, "save processor and memory profiles of the proxies in `DIR`, taken after the rounds")
	return c
}

// runBench runs a measurement of package edge.
func runBench(cmd *cobra.Command, o edge.Options, measure func(context.Context, edge.Options) error) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	o.Program, o.Out, o.Progress = program, cmd.OutOrStdout(), cmd.ErrOrStderr()
	err = measure(cmd.Context(), o)
	if cmd.Context().Err() != nil {
		return errors.New("interrupted: nothing was measured, and everything that ran for it was stopped")
	}
	return err
}
