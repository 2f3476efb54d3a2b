package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/spf13/cobra"
)

func groupNames(ctx context.Context, _ *cobra.Command, api *client, _ string) ([]string, error) {
	var names []string
	for items, err := range api.pages(ctx, "/groups", url.Values{}, maxCandidates) {
		if err != nil {
			return nil, err
		}
		names = append(names, namesIn(items)...)
	}
	return names, nil
}

func roleNames(ctx context.Context, _ *cobra.Command, api *client, _ string) ([]string, error) {
	var roles []json.RawMessage
	err := api.call(ctx, http.MethodGet, "/roles", nil, &roles)
	return namesIn(roles), err
}

func serviceNames(ctx context.Context, _ *cobra.Command, api *client, _ string) ([]string, error) {
	services, err := api.services(ctx)
	return slices.Sorted(maps.Keys(services)), err
}

func sessionIDs(ctx context.Context, cmd *cobra.Command, api *client, _ string) ([]string, error) {
	sessions, err := api.sessions(ctx, cmd.Flag("user").Value.String())
	return idsIn(sessions), err
}
