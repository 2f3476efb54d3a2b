package main

import (
	"encoding/json"
	"net/http"

	"github.com/spf13/cobra"
)

func userRenameCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "rename NAME NEW-NAME", Short: "Give a user another name", Args: exactly(2, "the user and the new name"), ValidArgsFunction: first(userNames),
		Long: `Give a user another name. Servers must be stopped before; groups, API tokens and roles stay. The user has to sign in
again. Files stay where they are: a home directory that has the name in it has the old one.`,
		Example: "  edgehub user rename alice alicia",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		var u json.RawMessage
		if err := api.call(cmd.Context(), http.MethodPatch, userPath(args[0]), map[string]string{"name": args[1]}, &u); err != nil {
			return err
		}
		return out.value(u, func() error { return out.say("%s is %s now.", args[0], args[1]) })
	})
}

func userUnbindCommand() *cobra.Command {
	return verb(&cobra.Command{
		Use: "unbind NAME", Short: "Forget with which identity a user signs in", Args: exactly(1, "one user"), ValidArgsFunction: first(userNames),
		Long: `Forget which identity of a login provider is a user's. The first who then signs in by that name gets the user, by the rules of
the provider's configuration: for a provider that gave somebody a new identity.`,
		Example: "  edgehub user unbind alice",
	}, func(cmd *cobra.Command, api *client, out output, args []string) error {
		if err := api.call(cmd.Context(), http.MethodDelete, userPath(args[0])+"/identity", nil, nil); err != nil {
			return err
		}
		return out.value(map[string]string{"unbound": args[0]}, func() error { return out.say("%s has no identity of a login provider now.", args[0]) })
	})
}
