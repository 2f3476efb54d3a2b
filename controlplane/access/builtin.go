package access

import (
	"maps"
	"slices"
)

// The names that are not scopes of their own but stand for something else.
const (
	// NoScope grants nothing; its holder is only identified.
	NoScope = "(no_scope)"
	// Self stands for a user's own resources, and for nothing on a service.
	Self = "self"
	// Inherit stands for everything the owner of a token holds.
	Inherit = "inherit"
)

// selfScopes is what Self stands for, each limited to the user.
var selfScopes = []string{
	"read:users", "users:shares", "read:shares", "users:activity", "servers", "tokens", "access:servers",
}

// contained lists the direct children of every built-in scope.
var contained = map[string][]string{
	"admin-ui":            nil,
	"admin:users":         {"admin:auth_state", "users", "read:roles:users", "delete:users"},
	"admin:auth_state":    nil,
	"users":               {"read:users", "list:users", "users:activity"},
	"delete:users":        nil,
	"list:users":          {"read:users:name"},
	"read:users":          {"read:users:name", "read:users:groups", "read:users:activity"},
	"read:users:name":     nil,
	"read:users:groups":   nil,
	"read:users:activity": nil,
	"users:activity":      {"read:users:activity"},
	"read:roles":          {"read:roles:users", "read:roles:services", "read:roles:groups"},
	"read:roles:users":    nil,
	"read:roles:services": nil,
	"read:roles:groups":   nil,
	"admin:servers":       {"admin:server_state", "servers"},
	"admin:server_state":  nil,
	"servers":             {"read:servers", "start:servers", "delete:servers"},
	"read:servers":        {"read:users:name"},
	"start:servers":       nil,
	"delete:servers":      nil,
	"tokens":              {"read:tokens"},
	"read:tokens":         nil,
	"admin:groups":        {"groups", "read:roles:groups", "delete:groups"},
	"groups":              {"read:groups", "list:groups"},
	"list:groups":         {"read:groups:name"},
	"read:groups":         {"read:groups:name"},
	"read:groups:name":    nil,
	"delete:groups":       nil,
	"admin:services":      {"list:services", "read:services", "read:roles:services"},
	"list:services":       {"read:services:name"},
	"read:services":       {"read:services:name"},
	"read:services:name":  nil,
	"read:hub":            nil,
	"access:servers":      nil,
	"access:services":     nil,
	"shares":              {"access:servers", "read:shares", "users:shares", "groups:shares"},
	"read:shares":         nil,
	"users:shares":        {"read:users:shares"},
	"groups:shares":       {"read:groups:shares"},
	"read:users:shares":   nil,
	"read:groups:shares":  nil,
	"proxy":               nil,
	"shutdown":            nil,
	"read:metrics":        nil,
}

// All lists the 45 built-in scope names, sorted. The metascopes self and
// inherit, and (no_scope), are not among them.
func All() []string { return slices.Sorted(maps.Keys(contained)) }

// Contains lists the direct children of a built-in scope. A holder of the scope
// also holds these, with the same filter.
func Contains(scope string) []string { return slices.Clone(contained[scope]) }
