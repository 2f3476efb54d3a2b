package main

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"slices"

	"github.com/spf13/cobra"
)

func userCreateCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "create NAME...", Short: "Create users", Args: oneOrMore("the users to create, or - to read their names"),
		Long: `Create users. With - the names are read from the input, one a line. Users who exist are left as they are; it fails if all do.
People sign in through a provider, or with a password: --password-file sets one for one new user, and so does
"edgehub user set" later.`,
		Example: "  edgehub user create alice bob\n  edgehub user create root --admin --password-file password\n  cut -d, -f1 course.csv | edgehub user create -",
	}
	admin := c.Flags().Bool("admin", false, "make them administrators")
	password := c.Flags().String("password-file", "", "`FILE` with the password, - to type it; for one user only")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		names, err := namesOf(cmd, args)
		if err != nil {
			return err
		}
		if *password != "" {
			if len(names) > 1 || args[0] == "-" {
				return misused("--password-file is for one new user. Give each a password of their own")
			}
			return createOne(cmd, api, out, names[0], *admin, *password)
		}
		return created(out, api.createUsers(cmd.Context(), names, *admin), len(names))
	})
}

func createOne(cmd *cobra.Command, api *client, out output, name string, admin bool, passwordFile string) error {
	password, err := readPassword(cmd, passwordFile, "Password for "+name)
	if err != nil {
		return err
	}
	var made json.RawMessage
	if err := api.call(cmd.Context(), http.MethodPost, userPath(name), map[string]any{"admin": admin, "password": password}, &made); err != nil {
		return err
	}
	return created(out, whole([]json.RawMessage{made}), 1)
}

// createUsers makes users in batches and visits those that did not exist. That nobody is new is an error at the end.
func (c *client) createUsers(ctx context.Context, names []string, admin bool) iter.Seq2[[]json.RawMessage, error] {
	return func(yield func([]json.RawMessage, error) bool) {
		var exist error
		made := 0
		for part := range slices.Chunk(names, batch) {
			var users []json.RawMessage
			err := c.call(ctx, http.MethodPost, "/users", map[string]any{"usernames": part, "admin": admin}, &users)
			var refused *refusal
			if errors.As(err, &refused) && refused.status == http.StatusConflict {
				exist, err = err, nil
			}
			made += len(users)
			if !yield(users, err) || err != nil {
				return
			}
		}
		if made == 0 {
			yield(nil, exist)
		}
	}
}

// created says who was made, of so many.
func created(out output, users iter.Seq2[[]json.RawMessage, error], asked int) error {
	if out.json {
		return out.array(users)
	}
	made := 0
	for some, err := range users {
		if err != nil {
			return err
		}
		rows, err := rowsOf(some, userColumns[:1])
		if err != nil {
			return err
		}
		for _, row := range rows {
			if err := out.say("%s is created.", row[0]); err != nil {
				return err
			}
		}
		made += len(some)
	}
	if made < asked {
		out.note("%d of %d existed already; they are as they were.", asked-made, asked)
	}
	return nil
}

func userSetCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "set NAME", Short: "Change a user", Args: exactly(1, "one user"), ValidArgsFunction: first(userNames),
		Long: `Change a user: administrator or not, all groups at once, or the password. What you do not give stays.
A new password is typed with --password-file -, and never echoed.`,
		Example: "  edgehub user set alice --admin\n  edgehub user set alice --no-admin --groups staff,ops\n  edgehub user set alice --password-file -",
	}
	admin := c.Flags().Bool("admin", false, "make the user an administrator")
	noAdmin := c.Flags().Bool("no-admin", false, "make the user no administrator any more")
	groups := c.Flags().StringSlice("groups", nil, "`NAME,...` of all groups of the user; empty for none")
	password := c.Flags().String("password-file", "", "`FILE` with the new password, - to type it")
	return verb(c, func(cmd *cobra.Command, api *client, out output, args []string) error {
		change := map[string]any{}
		if *admin && *noAdmin {
			return misused("give --admin or --no-admin, not both")
		}
		if *admin || *noAdmin {
			change["admin"] = *admin
		}
		if cmd.Flags().Changed("groups") {
			change["groups"] = append([]string{}, *groups...)
		}
		if *password != "" {
			var err error
			if change["password"], err = readPassword(cmd, *password, "New password for "+args[0]); err != nil {
				return err
			}
		}
		if len(change) == 0 {
			return misused("say what to change: --admin, --no-admin, --groups or --password-file")
		}
		var u json.RawMessage
		if err := api.call(cmd.Context(), http.MethodPatch, userPath(args[0]), change, &u); err != nil {
			return err
		}
		return one(out, u, userColumns...)
	})
}
