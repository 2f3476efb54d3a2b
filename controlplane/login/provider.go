package login

// Provider is one OpenID Connect provider, as an operator writes it in the configuration file.
type Provider struct {
	// Name is the provider's in addresses: a-z, 0-9 and hyphens.
	Name string `yaml:"name"`
	// DisplayName is on the button, Name if empty.
	DisplayName string `yaml:"display_name"`
	// Issuer is the provider's address; its discovery document is below it.
	Issuer   string `yaml:"issuer"`
	ClientID string `yaml:"client_id"`
	// ClientSecretFile holds the client's secret; a public client has none.
	ClientSecretFile string `yaml:"client_secret_file"`
	ClientSecret     string `yaml:"-"`
	// Scopes are asked for besides openid; profile and email if empty.
	Scopes []string `yaml:"scopes"`
	// AuthorizeParams are added to the address where people sign in, such as prompt or hd.
	AuthorizeParams map[string]string `yaml:"authorize_params"`

	// UsernameClaim is what becomes the user name, preferred_username if empty. If it is email, the provider must say that
	// the address is verified, unless TrustEmail is set.
	UsernameClaim string `yaml:"username_claim"`
	TrustEmail    bool   `yaml:"trust_email"`
	// EmailDomains are the only ones whose addresses may sign in. With StripDomain, which needs exactly one, the user name
	// is what is before the @.
	EmailDomains []string `yaml:"email_domains"`
	StripDomain  bool     `yaml:"strip_domain"`
	// UsernameMap replaces names, as the provider tells them or in lower case. UsernamePrefix is put before all others.
	UsernameMap    map[string]string `yaml:"username_map"`
	UsernamePrefix string            `yaml:"username_prefix"`
	// AdoptUsers gives users that exist already, have no password and never signed in to the first who comes by their
	// name. Unset: if there is only one provider.
	AdoptUsers *bool `yaml:"adopt_users"`

	// GroupsClaim is where the user's groups are, "realm_access.roles" for a claim within another. Empty: groups are left as
	// they are. GroupsPattern is a regular expression; groups that it does not match are left out.
	GroupsClaim   string `yaml:"groups_claim"`
	GroupsPattern string `yaml:"groups_pattern"`

	// Who may sign in. Block wins over all others; administrators always may.
	AllowAll           bool     `yaml:"allow_all"`
	AllowExistingUsers bool     `yaml:"allow_existing_users"`
	AllowedUsers       []string `yaml:"allowed_users"`
	AllowedGroups      []string `yaml:"allowed_groups"`
	BlockedUsers       []string `yaml:"blocked_users"`
	AdminUsers         []string `yaml:"admin_users"`
	AdminGroups        []string `yaml:"admin_groups"`

	// AutoLogin leaves out the sign-in page. EndSession signs people out at the provider too.
	AutoLogin  bool `yaml:"auto_login"`
	EndSession bool `yaml:"end_session"`
}
