package hub

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/token"
)

// tokenUsers is how many users there are while tokens are measured.
const tokenUsers = 1000

// known is of how many tokens the client uses one after the other, at most.
const known = 1000

// lookUp asks who somebody is, with another token each time.
func (b *bench) lookUp(ctx context.Context, s *side, tokens []string, of int) error {
	r := s.get("/hub/api/user", nil)
	r.token = func(n int64) string { return tokens[n%int64(len(tokens))] }
	result, err := b.measure(ctx, s, r, 0)
	if err != nil {
		return err
	}
	b.add(result, tokenUsers, whoami).Tokens = of
	return nil
}

func (b *bench) edgehubTokens(ctx context.Context) error {
	for _, n := range b.Tokens {
		dir, err := b.world()
		if err != nil {
			return err
		}
		b.say("edgehub: %d tokens", n)
		if err := b.edgehubToken(ctx, dir, n); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) edgehubToken(ctx context.Context, dir string, n int) error {
	e, err := newEdgehub(ctx, b.Options, dir)
	defer e.close()
	if err != nil {
		return err
	}
	if err := e.createUsers(ctx, tokenUsers); err != nil {
		return err
	}
	tokens, err := e.issue(ctx, n)
	if err != nil {
		return err
	}
	if _, err := e.restart(ctx); err != nil {
		return err
	}
	return b.lookUp(ctx, &e.side, tokens, n)
}

// issue makes tokens of the administrator and returns some of them.
func (e *edgehub) issue(ctx context.Context, n int) ([]string, error) {
	st := store.New(e.client, "")
	signing, err := token.OpenSigning(ctx, st)
	if err != nil {
		return nil, err
	}
	boss, err := store.NewTable[hub.User](st, store.Users, "user").Get(ctx, store.ID("boss"))
	if err != nil {
		return nil, err
	}
	service := token.New(st, signing)
	some := make([]string, min(n, known))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for i := range n {
		group.Go(func() error {
			_, secret, err := service.Issue(ctx, hub.Token{User: boss.Value.Name, UserID: boss.Value.ID, Scopes: []string{"inherit"}})
			if i < len(some) {
				some[i] = secret
			}
			return err
		})
	}
	return some, group.Wait()
}

func (b *bench) jupyterhubTokens(ctx context.Context, python string) error {
	for _, n := range b.Tokens {
		dir, err := b.world()
		if err != nil {
			return err
		}
		b.say("jupyterhub: %d tokens", n)
		if err := b.jupyterhubToken(ctx, python, dir, n); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) jupyterhubToken(ctx context.Context, python, dir string, n int) error {
	j, err := newJupyterHub(ctx, python, dir, tokenUsers, n)
	defer j.stop()
	if err != nil {
		return err
	}
	if _, err := j.start(ctx); err != nil {
		return err
	}
	if _, err := j.ask(ctx, http.DefaultClient, http.MethodGet, "/hub/api/user", "", http.StatusOK); err != nil {
		return fmt.Errorf("after the start: %w", err)
	}
	return b.lookUp(ctx, &j.side, j.tokens[:min(n, known)], n)
}
