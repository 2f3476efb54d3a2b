package store_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/controlplane/store"
)

func TestIDsOfDifferentPartsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string][]string{}
	for _, parts := range [][]string{
		{""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"a", "b"}, {"a/b"}, {"a%2Fb"}, {"a%2F", "b"}, {"a/", "b"}, {"a", "/b"},
		{"%"}, {"%25"}, {"A"}, {"ä"}, {"a\u0308"}, {"\xff"}, {"a\x00b"}, {"a%00b"}, {"\x7f"},
	} {
		id := store.ID(parts...)
		if before, ok := seen[id]; ok {
			t.Errorf("ID(%q) and ID(%q) are both %q", before, parts, id)
		}
		seen[id] = parts
	}
}

func TestPartsRefusesWhatIDCannotHaveMade(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"%", "%2", "%2f", "%41", "a/%zz", "a\x00", "\x1f"} {
		if parts, ok := store.Parts(id); ok {
			t.Errorf("Parts(%q) = %q, want it refused", id, parts)
		}
	}
}

func FuzzID(f *testing.F) {
	f.Add("alice", "lab")
	f.Add("a/b", "%2F")
	f.Add("", "\x00\xff")
	f.Fuzz(func(t *testing.T, a, b string) {
		id := store.ID(a, b)
		if parts, ok := store.Parts(id); !ok || !slices.Equal(parts, []string{a, b}) {
			t.Errorf("Parts(ID(%q, %q)) = %q, %t", a, b, parts, ok)
		}
		if strings.Count(id, "/") != 1 || strings.ContainsAny(id, "\x00\n\r") {
			t.Errorf("ID(%q, %q) = %q: want one slash and no control character", a, b, id)
		}
		// A list of a's records must hold nobody else's: list prefixes end with a slash.
		if prefix := store.ID(a) + "/"; !strings.HasPrefix(id, prefix) || b != a && strings.HasPrefix(store.ID(b, a), prefix) {
			t.Errorf("ID(%q, ...) and ID(%q, ...) are in one list", a, b)
		}
		if parts, ok := store.Parts(a); ok && store.ID(parts...) != a {
			t.Errorf("ID(Parts(%q)...) = %q", a, store.ID(parts...))
		}
	})
}
