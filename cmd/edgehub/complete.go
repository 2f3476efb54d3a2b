package main

import (
	"context"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// candidates names things of the hub that may begin with what was typed.
type candidates func(ctx context.Context, cmd *cobra.Command, api *client, typed string) ([]string, error)

// completeTime is how long a shell waits.
const completeTime = 2 * time.Second

// complete gives a shell those that do. The shell waits for it, so that it gives up soon, and says nothing of what is wrong.
func complete(cmd *cobra.Command, typed string, names candidates) ([]string, cobra.ShellCompDirective) {
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

// flagCompletion completes the value of a flag of c.
func flagCompletion(c *cobra.Command, flag string, names candidates) {
	_ = c.RegisterFlagCompletionFunc(flag, every(names)) // fails only if there is no such flag
}

// every completes all arguments, first the first one only, and then the first one by other names than the rest.
func every(names candidates) cobra.CompletionFunc { return then(names, names) }

func first(names candidates) cobra.CompletionFunc {
	return then(names, func(context.Context, *cobra.Command, *client, string) ([]string, error) { return nil, nil })
}

func then(first, others candidates) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return complete(cmd, typed, first)
		}
		return complete(cmd, typed, others)
	}
}

// maxCandidates is how many names a shell gets at most.
const maxCandidates = 100

func userNames(ctx context.Context, _ *cobra.Command, api *client, typed string) ([]string, error) {
	users, err := firstUsers(ctx, api, url.Values{"name_filter": {typed}})
	var names []string
	for _, u := range users {
		names = append(names, u.Name)
	}
	return names, err
}

func firstUsers(ctx context.Context, api *client, query url.Values) ([]user, error) {
	var users []user
	for items, err := range api.pages(ctx, "/users", query, maxCandidates) {
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

// serverNames names users, whose default servers they are, and their named servers.
func serverNames(ctx context.Context, _ *cobra.Command, api *client, typed string) ([]string, error) {
	owner, _, _ := strings.Cut(typed, "/")
	users, err := firstUsers(ctx, api, url.Values{"name_filter": {owner}, "include_stopped_servers": {"1"}})
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

func tokenIDs(ctx context.Context, cmd *cobra.Command, api *client, _ string) ([]string, error) {
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
