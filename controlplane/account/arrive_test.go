package account_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

func identity(subject string) hub.Identity {
	return hub.Identity{Issuer: "https://op.test", Subject: subject}
}

// Many people with one name arrive at once: one of them gets it, every time.
func TestOnlyOneIdentityGetsAName(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.user("made", false)
	for _, name := range []hub.UserName{"new", "made"} {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var in []string
		for i := range 12 {
			wg.Go(func() {
				subject := fmt.Sprint(i % 6) // each twice
				u, err := f.Arrive(t.Context(), account.Arrival{Name: name, Identity: identity(subject), Adopt: true})
				if err != nil && hub.KindOf(err) != hub.Conflict {
					t.Errorf("%s: %v", name, err)
				}
				if err == nil {
					mu.Lock()
					in = append(in, u.Identity.Subject+subject)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		slices.Sort(in)
		if in = slices.Compact(in); len(in) != 1 || in[0][0] != in[0][1] {
			t.Errorf("%s belongs to %q", name, in)
		}
	}
}

func TestArriveChangesOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	yes, no := true, false
	arrive := func(admin *bool, groups ...string) hub.User {
		t.Helper()
		a := account.Arrival{Name: "ann", Identity: identity("1"), Admin: admin}
		if groups != nil {
			a.Groups = &groups
		}
		u, err := f.Arrive(t.Context(), a)
		f.must("Arrive", err)
		return u
	}
	first := arrive(&yes, "a", "b")
	if !first.Admin || !slices.Equal(first.Groups, []string{"a", "b"}) || first.TokensAfter != 0 {
		t.Errorf("new: %+v", first)
	}
	if same := arrive(nil); !same.Admin || len(same.Groups) != 2 || same.ID != first.ID || same.TokensAfter != 0 {
		t.Errorf("with nothing to say: %+v", same)
	}
	if same := arrive(&yes, "a", "b"); same.TokensAfter != 0 {
		t.Errorf("edge tokens ended although nothing changed: %+v", same)
	}
	if less := arrive(&no, "a"); less.Admin || !slices.Equal(less.Groups, []string{"a"}) || less.TokensAfter == 0 {
		t.Errorf("with less: %+v, want it, and that earlier edge tokens end", less)
	}
}

func TestUnbind(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	u, err := f.Arrive(t.Context(), account.Arrival{Name: "ann", Identity: identity("1")})
	f.must("Arrive", err)
	_, secret, err := f.tokens.StartSession(t.Context(), u)
	f.must("StartSession", err)
	f.must("Unbind", f.Unbind(t.Context(), "ann"))
	if _, err := f.BySession(t.Context(), secret); hub.KindOf(err) != hub.Unauthenticated {
		t.Errorf("still signed in: %v", err)
	}
	again, err := f.Arrive(t.Context(), account.Arrival{Name: "ann", Identity: identity("2"), Adopt: true})
	if err != nil || again.ID != u.ID || again.Identity.Subject != "2" {
		t.Errorf("the next who comes: %+v, %v", again, err)
	}
	if err := f.Unbind(t.Context(), "nobody"); hub.KindOf(err) != hub.NotFound {
		t.Errorf("of nobody: %v", err)
	}
}
