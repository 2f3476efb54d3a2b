package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
)

// rightsSettings are who may do what, by JupyterHub's names. They are set in the file only.
type rightsSettings struct {
	// Roles are roles with who has them. The file is authoritative for the roles that it names.
	Roles []roleSettings `yaml:"roles"`
	// CustomScopes are scopes for services, to which the hub gives no meaning.
	CustomScopes map[string]customScopeSettings `yaml:"custom_scopes"`
	// ExtraUserScopes are added to the role user.
	ExtraUserScopes []string `yaml:"extra_user_scopes"`
	// TokenExpiresInMaxSeconds is the longest life of a token made by API, and the default; zero is for ever.
	TokenExpiresInMaxSeconds int64 `yaml:"token_expires_in_max_seconds"`
}

// roleSettings are one role.
type roleSettings struct {
	// Name is the role's; the default roles are user, admin, server and token.
	Name string `yaml:"name"`
	// Description is for people.
	Description *string `yaml:"description"`
	// Scopes are what the role gives.
	Scopes *[]string `yaml:"scopes"`
	// Users, Groups and Services have the role.
	Users    *[]string `yaml:"users"`
	Groups   *[]string `yaml:"groups"`
	Services *[]string `yaml:"services"`
}

// customScopeSettings are one custom scope.
type customScopeSettings struct {
	// Description is for people.
	Description string `yaml:"description"`
	// Subscopes are the custom scopes that it contains.
	Subscopes []string `yaml:"subscopes"`
}

func (s *rightsSettings) rights() account.Config {
	c := account.Config{ExtraUserScopes: s.ExtraUserScopes, CustomScopes: map[string][]string{}}
	for _, r := range s.Roles {
		c.Roles = append(c.Roles, account.RoleConfig(r))
	}
	for name, scope := range s.CustomScopes {
		c.CustomScopes[name] = scope.Subscopes
	}
	return c
}

func (s *rightsSettings) maxTokenLife() time.Duration {
	return time.Duration(s.TokenExpiresInMaxSeconds) * time.Second
}

// auditLog opens the file for audit records. It is nil if there is none.
func (s *settings) auditLog(stderr io.Writer) (io.Writer, func(), error) {
	switch s.AuditLog {
	case "":
		return nil, func() {}, nil
	case "-":
		return stderr, func() {}, nil
	}
	f, err := os.OpenFile(s.AuditLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open the audit log: %w. Choose another file with --audit-log FILE", err)
	}
	return f, func() { _ = f.Close() }, nil
}
