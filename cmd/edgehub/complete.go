package main

import (
	"context"
	"encoding/json"
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

// then completes the first argument by one and all others by another.
func then(one, others completer) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return one(cmd, args, typed)
		}
		return others(cmd, args, typed)
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
	var names []string
	for _, u := range users {
		names = append(names, u.Name)
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
	return idsIn(tokens), err
}

// idsIn and namesIn are what things of the API are called.
func idsIn(items []json.RawMessage) []string   { return fieldsIn(items, "id") }
func namesIn(items []json.RawMessage) []string { return fieldsIn(items, "name") }

func fieldsIn(items []json.RawMessage, field string) []string {
	var all []string
	for _, item := range items {
		var thing map[string]any
		if json.Unmarshal(item, &thing) != nil {
			continue
		}
		if text, ok := thing[field].(string); ok {
			all = append(all, text)
		}
	}
	return all
}

// named completes the names of a list that the hub has at path in pages.
func named(path string) completer {
	return completing(func(ctx context.Context, _ *cobra.Command, api *client, _ string) ([]string, error) {
		var names []string
		for items, err := range api.pages(ctx, path, url.Values{}, maxCandidates) {
			if err != nil {
				return nil, err
			}
			names = append(names, namesIn(items)...)
		}
		return names, nil
	})
}
