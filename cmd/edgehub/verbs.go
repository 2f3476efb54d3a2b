package main

import "github.com/spf13/cobra"

// verbs are the commands that talk to a running hub.
func verbs() []*cobra.Command {
	return []*cobra.Command{loginCommand(), logoutCommand(), userCommand(), tokenCommand(), serverCommand(),
		groupCommand(), roleCommand(), shareCommand(), sessionCommand(), serviceCommand(), routeCommand(), keyCommand(), auditCommand()}
}

// verb makes a command that talks to a running hub. Its own flags are on c already; --url, --token-file and --json are added.
func verb(c *cobra.Command, run func(cmd *cobra.Command, api *client, out output, args []string) error) *cobra.Command {
	asJSON := hubFlags(c, "url", "token-file", "config")
	if c.Args == nil {
		c.Args = noArgs
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := clientOf(cmd)
		if err != nil {
			return err
		}
		return run(cmd, api, output{cmd.OutOrStdout(), cmd.ErrOrStderr(), *asJSON}, args)
	}
	return c
}

// stranger makes a command that talks to a running hub before it has a token.
func stranger(c *cobra.Command, run func(cmd *cobra.Command, api *client, out output) error) *cobra.Command {
	asJSON := hubFlags(c, "url", "config")
	c.Args = noArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := hubSettings(cmd, "url", "config")
		if err != nil {
			return err
		}
		api, err := newClient(s)
		if err != nil {
			return err
		}
		return run(cmd, api, output{cmd.OutOrStdout(), cmd.ErrOrStderr(), *asJSON})
	}
	return c
}

// hubFlags adds --json and the flags of settings, after those that c has.
func hubFlags(c *cobra.Command, names ...string) *bool {
	parsed := settings{}
	parsed.flags(c.Flags(), names...)
	c.Flags().SortFlags = false
	return c.Flags().Bool("json", false, "print JSON, for programs")
}

// hubSettings are what a command's flags, environment and file say of the hub to talk to. If they do not, it is that of the last
// login.
func hubSettings(cmd *cobra.Command, names ...string) (settings, error) {
	s, err := resolve(settings{}, cmd.Flags(), names)
	if err == nil && s.URL == "" {
		s.URL = currentHub()
	}
	return s, err
}

// clientOf is the client that a command's flags, environment and file ask for, with its token.
func clientOf(cmd *cobra.Command) (*client, error) {
	s, err := hubSettings(cmd, "url", "token-file", "config")
	if err != nil {
		return nil, err
	}
	c, err := newClient(s)
	if err != nil {
		return nil, err
	}
	return c, c.authenticate(s.TokenFile)
}

// group is a command that only has others below it.
func group(c *cobra.Command, below ...*cobra.Command) *cobra.Command {
	c.Args = noArgs
	c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	c.AddCommand(below...)
	return c
}
