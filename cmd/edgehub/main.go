// Command edgehub is a JupyterHub that scales past one process: a hub (`edgehub hub`), its front door (`edgehub edge`, or the
// plugin in Traefik), and both with an etcd in one process for one machine (`edgehub up`).
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn/local"
)

// version is set by the build.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once: NotifyContext gives the default back when stop is called.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command and returns the exit code (exit.go): 0, or another after one line that says what is wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	code := exitCode(ctx, err)
	if code != exitOK && code != exitInterrupted {
		_, _ = fmt.Fprintln(stderr, "edgehub:", explain(err))
	}
	return code
}

// explain is the one line that the operator gets.
func explain(err error) string {
	var e *hub.Error
	if errors.As(err, &e) && e.Err != nil {
		return fmt.Sprintf("%s (%v)", e.Message, e.Err)
	}
	return err.Error()
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "edgehub",
		Short: "A JupyterHub that scales past one process",
		Long: `edgehub gives every user a Jupyter server of their own, behind one address.

For one machine, run "edgehub up": it has everything in it. For more, run "edgehub hub" on
several machines against one etcd, with Traefik and the edgehub plugin, or "edgehub edge",
in front.`,
		Example:       "  edgehub up\n  edgehub up --listen 0.0.0.0:8000 --data /var/lib/edgehub",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArgs,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return misused("%w. Run '%s --help' for the flags", err, cmd.CommandPath())
	})
	root.AddCommand(upCommand(), hubCommand(), edgeCommand(), benchCommand(), spawnExecCommand(), serviceKeepCommand())
	root.AddCommand(verbs()...)
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misused("unknown command or argument %q. Run '%s --help' for what there is", args[0], cmd.CommandPath())
	}
	return nil
}

// spawnExecCommand is the other end of the process spawner: the shim that becomes a user's server.
func spawnExecCommand() *cobra.Command {
	return &cobra.Command{
		Use: "spawn-exec", Hidden: true, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error { return local.ExecShim(args) },
	}
}
