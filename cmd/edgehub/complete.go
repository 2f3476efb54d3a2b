package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completer names things of the hub that begin with what was typed. A shell waits for it, so that it gives up soon, and says
// nothing of what is wrong.
type completer func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// completeTime is how long a shell waits.
const completeTime = 2 * time.Second

// completing makes a completer of a function that names candidates.
func completing(names func(ctx context.Context, cmd *cobra.Command, api *client, typed string) ([]string, error)) completer {
	return func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		api, err := clientOf(cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
		defer cancel()
		all, err := names(ctx, cmd, api, typed)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found := []string{}
		for _, name := range all {
			if strings.HasPrefix(name, typed) {
				found = append(found, name)
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// first completes the first argument only, every all of them.
func first(c completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c(cmd, args, typed)
	}
}

func every(c completer) cobra.CompletionFunc { return cobra.CompletionFunc(c) }

// maxCandidates is how many names a shell gets at most.
const maxCandidates = 100

var (
	userNames   = completing(completeUsers)
	serverNames = completing(completeServers)
	tokenIDs    = completing(completeTokens)
)

func completeUsers(ctx context.Context, _ *cobra.Command, api *client, typed string) ([]string, error) {
	users, err := firstUsers(ctx, api, typed)
	names := make([]string, len(users))
	for i, u := range users {
		names[i] = u.Name
	}
	return names, err
}

func firstUsers(ctx context.Context, api *client, typed string) ([]user, error) {
	var users []user
	for items, err := range api.pages(ctx, "/users", url.Values{"name_filter": {typed}}, maxCandidates) {
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			var u user
			if err := json.Unmarshal(item, &u); err != nil {
				return nil, err
			}
			users = append(users, u)
		}
	}
	return users, nil
}

// completeServers names users, whose default servers they are, and their named servers that run.
func completeServers(ctx context.Context, _ *cobra.Command, api *client, typed string) ([]string, error) {
	owner, _, _ := strings.Cut(typed, "/")
	users, err := firstUsers(ctx, api, owner)
	var names []string
	for _, u := range users {
		names = append(names, u.Name)
		for name := range u.Servers {
			if name != "" {
				names = append(names, u.Name+"/"+name)
			}
		}
	}
	return names, err
}

func completeTokens(ctx context.Context, cmd *cobra.Command, api *client, _ string) ([]string, error) {
	tokens, err := api.tokens(ctx, cmd.Flag("user").Value.String())
	return ids(tokens), err
}

// ids are the ids of things of the API.
func ids(items []json.RawMessage) []string {
	var all []string
	for _, item := range items {
		var thing struct{ ID string }
		if json.Unmarshal(item, &thing) == nil && thing.ID != "" {
			all = append(all, thing.ID)
		}
	}
	return all
}

// named completes the names of a list that the hub has at path, in pages or not.
func named(path string) completer {
	return completing(func(ctx context.Context, _ *cobra.Command, api *client, _ string) ([]string, error) {
		var all []struct{ Name string }
		if err := api.call(ctx, http.MethodGet, path, nil, &all); err != nil {
			return nil, err
		}
		var names []string
		for _, thing := range all {
			names = append(names, thing.Name)
		}
		return names, nil
	})
}
