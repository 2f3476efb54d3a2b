package access

// userFields says which fields of the user model a scope reveals.
var userFields = []struct {
	scope  string
	fields []string
}{
	{"read:users", []string{
		"kind", "name", "user_info", "admin", "roles", "groups", "server", "pending", "created", "last_activity",
	}},
	{"read:users:name", []string{"kind", "name", "user_info", "admin"}},
	{"read:users:groups", []string{"kind", "name", "groups"}},
	{"read:users:activity", []string{"kind", "name", "last_activity"}},
	{"read:servers", []string{"kind", "name", "servers"}},
	{"read:roles:users", []string{"kind", "name", "roles", "admin"}},
	{"admin:auth_state", []string{"kind", "name", "auth_state"}},
}

// UserFields says which fields of the user's model the holder may see. A user
// with none is left out of lists. The resource's server plays no part.
//
// The field servers is there if the holder may read all servers of the user.
// Each server is still asked for by itself with Allows("read:servers", ...): a
// holder who sees some field of the user, and may read one server only, sees
// servers with that one in it.
func (s Set) UserFields(res Resource) map[string]bool {
	res.Server = nil
	visible := make(map[string]bool, 12)
	for _, row := range userFields {
		if !s.Allows(row.scope, res) {
			continue
		}
		for _, field := range row.fields {
			visible[field] = true
		}
	}
	return visible
}
