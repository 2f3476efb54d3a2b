package account

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// index is what lists of users are made from, so that a page costs the same wherever it is and however many users there are.
// All of it follows from the users' records and changes in their transactions:
//
//	user-numbers/last               the number of the last user
//	user-blocks/<number/256>        number and name of up to 256 users, one on a line: what searches for names read
//	user-counts/<number/16384>      how many users there are among so many numbers
//	user-activity/<time><number>    the name of every user, in the order of last activity
//	active-users/<number>           the names of users with servers that are not stopped
//	ready-users/<number>            the names of users with a running server
//	group-members/<group>/<name>    the members of each group
type index struct {
	store    *store.Store
	numbers  store.Table[numbering]
	counts   store.Table[count]
	activity store.Table[hub.UserName]
	active   store.Table[hub.UserName]
	ready    store.Table[hub.UserName]
	members  store.Table[hub.UserName]
}

// numbering gives numbers to users.
type numbering struct {
	Schema int   `json:"v"`
	Last   int64 `json:"last"`
	// Complete says that users of releases without the index have been added to it.
	Complete bool `json:"complete,omitempty"`
}

type count struct {
	Schema int   `json:"v"`
	Users  int64 `json:"users"`
}

const (
	blockBits = 8  // of a number, that tell the users of one block apart
	countBits = 14 // of a number, that tell the users of one count apart
)

func newIndex(s *store.Store) index {
	names := func(tree string) store.Table[hub.UserName] { return store.NewTable[hub.UserName](s, tree, "user") }
	return index{
		store:    s,
		numbers:  store.NewTable[numbering](s, store.UserNumbers, "numbering"),
		counts:   store.NewTable[count](s, store.UserCounts, "count"),
		activity: names(store.UserActivity), active: names(store.ActiveUsers), ready: names(store.ReadyUsers), members: names(store.GroupMembers),
	}
}

// change makes the index follow a user's record from before to after, within the record's transaction. A nil before is a new
// user, a nil after one that goes. It numbers users that have no number yet.
func (x *index) change(tx *store.Txn, before, after *hub.User) error {
	if before != nil && before.Number == 0 {
		before = nil // of an older release: nothing of the index is there
	}
	if after != nil && after.Number == 0 {
		n, _, err := x.numbers.Read(tx, "last")
		if err != nil {
			return err
		}
		n.Schema, n.Last = hub.Schema, n.Last+1
		after.Number = n.Last
		if err := x.numbers.Write(tx, "last", n); err != nil {
			return err
		}
	}
	old, now := x.entries(before), x.entries(after)
	for key := range old {
		if _, stays := now[key]; !stays {
			tx.Do(store.Delete(key))
		}
	}
	for key, name := range now {
		if old[key] != name {
			tx.Do(store.Put(key, name))
		}
	}
	return x.changeBlocks(tx, before, after)
}

// entries are the keys of the index that a user's record makes, all with the user's name as their value.
func (x *index) entries(u *hub.User) map[string]hub.UserName {
	if u == nil {
		return nil
	}
	all := map[string]hub.UserName{x.activity.Key(activityID(u)): u.Name}
	for _, group := range u.Groups {
		all[x.members.Key(store.ID(group, string(u.Name)))] = u.Name
	}
	if len(u.Servers) > 0 {
		all[x.active.Key(numberID(u.Number))] = u.Name
	}
	if slices.Contains(slices.Collect(maps.Values(u.Servers)), hub.Running) {
		all[x.ready.Key(numberID(u.Number))] = u.Name
	}
	return all
}

// changeBlocks keeps names and counts.
func (x *index) changeBlocks(tx *store.Txn, before, after *hub.User) error {
	if before != nil && after != nil && before.Name == after.Name && before.Number == after.Number {
		return nil
	}
	if before != nil {
		if err := x.changeBlock(tx, before.Number, ""); err != nil {
			return err
		}
	}
	if after == nil {
		return nil
	}
	return x.changeBlock(tx, after.Number, after.Name)
}

// changeBlock gives a number a name, or none, and counts.
func (x *index) changeBlock(tx *store.Txn, number int64, name hub.UserName) error {
	key := x.store.Key(store.UserBlocks, blockID(number))
	data, err := tx.Raw(key)
	if err != nil {
		return err
	}
	next := blockWith(data, number, name)
	grown := bytes.Count(next, []byte("\n")) - bytes.Count(data, []byte("\n"))
	if len(next) == 0 {
		next = nil
	}
	tx.SetRaw(key, next)
	id := countID(number)
	c, _, err := x.counts.Read(tx, id)
	if err != nil || grown == 0 {
		return err
	}
	c.Schema, c.Users = hub.Schema, c.Users+int64(grown)
	if c.Users == 0 {
		return x.counts.Remove(tx, id)
	}
	return x.counts.Write(tx, id, c)
}

// blockWith is a block in which number has a name, or none.
func blockWith(block []byte, number int64, name hub.UserName) []byte {
	own := fmt.Sprintf("%02x ", number&(1<<blockBits-1))
	var out []byte
	placed := name == ""
	place := func() {
		if !placed {
			out = append(out, own+string(name)+"\n"...)
			placed = true
		}
	}
	for line := range strings.Lines(string(block)) {
		if line[:3] >= own {
			place()
		}
		if line[:3] != own {
			out = append(out, line...)
		}
	}
	place()
	return out
}

func numberID(number int64) string { return fmt.Sprintf("%010x", number) }

func blockID(number int64) string { return fmt.Sprintf("%08x", number>>blockBits) }

func countID(number int64) string { return fmt.Sprintf("%08x", number>>countBits) }

// activityID orders users by last activity, those without any first, and by number.
func activityID(u *hub.User) string {
	var at int64
	if !u.LastActivity.IsZero() {
		at = max(u.LastActivity.UnixMicro(), 0)
	}
	return fmt.Sprintf("%014x", at) + numberID(u.Number)
}
