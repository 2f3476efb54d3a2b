package edge

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/edgehub/edgehub/routes"
)

const (
	hubID = "bench"
	kid   = "bench"
	// batch is how many routes one transaction writes; etcd takes 128 operations.
	batch = 100
)

// world is what all sides share: etcd with routes, the user server and the client.
type world struct {
	opts    *Options
	dir     string
	key     ed25519.PrivateKey
	etcd    string // endpoint
	client  *clientv3.Client
	backend string // address of the user server
	load    *process
	// processes are all that were started, also those that have ended.
	processes []*process
}

// newWorld starts what all sides share. The processes end with ctx; close removes the rest.
func newWorld(ctx context.Context, o *Options) (*world, error) {
	dir, err := os.MkdirTemp(o.temp, "edgehub-bench-")
	if err != nil {
		return nil, err
	}
	w := &world{opts: o, dir: dir}
	if err := w.start(ctx); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *world) start(ctx context.Context) error {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	w.key = key
	if _, w.backend, err = w.startPart(ctx, "backend", "one"); err != nil {
		return err
	}
	if _, w.etcd, err = w.startPart(ctx, "etcd", w.dir); err != nil {
		return err
	}
	if w.load, _, err = w.startPart(ctx, "load"); err != nil {
		return err
	}
	w.client, err = clientv3.New(clientv3.Config{Endpoints: []string{w.etcd}, DialTimeout: 10 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	w.opts.say("writing %d routes into etcd", w.opts.Routes)
	public := routes.Key{Schema: routes.Schema, ID: kid, Hub: hubID, Public: pub}
	if err := w.put(ctx, routes.SigningKeyKey(routes.DefaultPrefix, kid), public); err != nil {
		return err
	}
	return w.putRoutes(ctx, 0, w.opts.Routes)
}

// close ends all processes and removes their files.
func (w *world) close() {
	if w.client != nil {
		_ = w.client.Close()
	}
	for _, p := range w.processes {
		p.stop()
	}
	_ = os.RemoveAll(w.dir)
}

// put writes one record; when it returns, etcd has acknowledged it.
func (w *world) put(ctx context.Context, key string, record any) error {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	_, err = w.client.Put(ctx, key, string(text))
	return err
}

// putRoutes writes the routes of the users from to to-1.
func (w *world) putRoutes(ctx context.Context, from, to int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for start := from; start < to; start += batch {
		group.Go(func() error { return w.putBatch(ctx, start, min(start+batch, to)) })
	}
	return group.Wait()
}

func (w *world) putBatch(ctx context.Context, from, to int) error {
	ops := make([]clientv3.Op, 0, batch)
	for i := from; i < to; i++ {
		r := w.route(userName(i))
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		ops = append(ops, clientv3.OpPut(routes.RouteKey(routes.DefaultPrefix, r.Prefix), string(text)))
	}
	resp, err := w.client.Txn(ctx).Then(ops...).Commit()
	if err == nil && !resp.Succeeded {
		err = errors.New("etcd did not take the routes")
	}
	return err
}

func userName(i int) string { return fmt.Sprintf("user-%06d", i) }

// route is the record of a user's server as the hub writes it.
func (w *world) route(user string) *routes.Route {
	return &routes.Route{Schema: routes.Schema, Prefix: routes.UserPrefix(user, ""), Target: "http://" + w.backend,
		Auth: routes.AuthSecret, Secret: "bench-secret-of-" + user, Owner: user, OwnerID: "id-" + user, Gen: 1}
}

// token is a fresh edge token of a user, for the session of that name.
func (w *world) token(user, session string) (string, error) {
	issued := time.Now().Unix() - 1
	return routes.SignToken(kid, w.key, routes.Claims{Issuer: hubID, Subject: user, UserID: "id-" + user, Session: session,
		Scopes: []string{routes.ScopeInherit}, IssuedAt: issued, Expires: issued + routes.TokenLife})
}
