package access

import "slices"

// userFields says which fields of the user model a scope reveals.
var userFields = []struct {
	scope  string
	fields Fields
}{
	{"read:users", fields(
		"kind", "name", "user_info", "admin", "roles", "groups", "server", "pending", "created", "last_activity",
	)},
	{"read:users:name", fields("kind", "name", "user_info", "admin")},
	{"read:users:groups", fields("kind", "name", "groups")},
	{"read:users:activity", fields("kind", "name", "last_activity")},
	{"read:servers", fields("kind", "name", "servers")},
	{"read:roles:users", fields("kind", "name", "roles", "admin")},
	{"admin:auth_state", fields("kind", "name", "auth_state")},
}

// Fields are fields of a user's model.
type Fields uint16

// fieldNames are all there are, each at its bit.
var fieldNames = [...]string{
	"kind", "name", "user_info", "admin", "roles", "groups", "server", "pending", "created", "last_activity", "auth_state", "servers",
}

func fields(names ...string) Fields {
	var f Fields
	for _, name := range names {
		f |= 1 << slices.Index(fieldNames[:], name)
	}
	return f
}

// Has reports whether a field is among them.
func (f Fields) Has(name string) bool {
	i := slices.Index(fieldNames[:], name)
	return i >= 0 && f&(1<<i) != 0
}

// Empty reports whether there are none.
func (f Fields) Empty() bool { return f == 0 }

// UserFields says which fields of the user's model the holder may see. A user
// with none is left out of lists. The resource's server plays no part.
//
// The field servers is there if the holder may read all servers of the user.
// Each server is still asked for by itself with Allows("read:servers", ...): a
// holder who sees some field of the user, and may read one server only, sees
// servers with that one in it.
func (s Set) UserFields(res Resource) Fields {
	res.Server = nil
	var visible Fields
	for _, row := range userFields {
		if s.Allows(row.scope, res) {
			visible |= row.fields
		}
	}
	return visible
}
