package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"github.com/spf13/cobra"
)

var (
	groupNames   = named("/groups")
	roleNames    = completing(completeRoles)
	serviceNames = completing(completeServices)
	sessionIDs   = completing(completeSessions)
)

func completeRoles(ctx context.Context, _ *cobra.Command, api *client, _ string) ([]string, error) {
	var roles []json.RawMessage
	err := api.call(ctx, http.MethodGet, "/roles", nil, &roles)
	return namesIn(roles), err
}

func completeServices(ctx context.Context, _ *cobra.Command, api *client, _ string) ([]string, error) {
	services, err := api.services(ctx)
	return slices.Sorted(maps.Keys(services)), err
}

func completeSessions(ctx context.Context, cmd *cobra.Command, api *client, _ string) ([]string, error) {
	sessions, err := api.sessions(ctx, cmd.Flag("user").Value.String())
	return idsIn(sessions), err
}
