package edge

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"golang.org/x/sync/errgroup"

	"github.com/edgehub/edgehub/routes"
)

// kvRoot is where Traefik's own etcd provider reads.
const kvRoot = "traefik"

// kvTime is how long it may take to load its routes.
const kvTime = time.Minute

// putTarget makes a user's route lead to another server; when it returns, etcd has acknowledged it.
func (s *side) putTarget(ctx context.Context, user, target string) error {
	if s.name == EtcdProvider {
		_, err := s.w.client.Txn(ctx).Then(kvRoute(user, target)...).Commit()
		return err
	}
	r := s.w.route(user)
	r.Target = "http://" + target
	return s.w.put(ctx, routes.RouteKey(routes.DefaultPrefix, r.Prefix), r)
}

// kvRoute writes one route for Traefik's etcd provider, by the keys that JupyterHub's traefik-proxy uses.
func kvRoute(user, target string) []clientv3.Op {
	router, service := kvRoot+"/http/routers/router_"+user+"/", kvRoot+"/http/services/service_"+user+"/loadBalancer/"
	return []clientv3.Op{
		clientv3.OpPut(router+"rule", "PathPrefix(`"+routes.UserPrefix(user, "")+"`)"),
		clientv3.OpPut(router+"entryPoints/0", "web"),
		clientv3.OpPut(router+"service", "service_"+user),
		clientv3.OpPut(service+"servers/0/url", "http://"+target),
		clientv3.OpPut(service+"passHostHeader", "true"),
	}
}

// startEtcdProvider starts a Traefik that reads its routes from etcd itself, without the throttle that traefik-proxy also
// turns off. It starts with as many routes as it can load in kvTime.
func (w *world) startEtcdProvider(ctx context.Context, s *side) error {
	for s.loaded = w.opts.Routes; ; s.loaded /= 10 {
		err := w.tryEtcdProvider(ctx, s)
		if err == nil || !errors.Is(err, errNotReady) || s.loaded/10 < w.opts.Users {
			return err
		}
		s.stop()
		w.opts.say("%s does not serve %d routes within %s, trying with fewer", s.name, s.loaded, kvTime)
		if _, err := w.client.Delete(ctx, kvRoot+"/", clientv3.WithPrefix()); err != nil {
			return err
		}
	}
}

func (w *world) tryEtcdProvider(ctx context.Context, s *side) (err error) {
	if err := w.putKV(ctx, s.loaded); err != nil {
		return err
	}
	if s.addr, err = freeAddr(); err != nil {
		return err
	}
	dir := filepath.Join(w.dir, s.name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	static, err := w.static(s)
	if err != nil {
		return err
	}
	static["providers"] = section{
		"providersThrottleDuration": "0s",
		"etcd":                      section{"endpoints": []string{strings.TrimPrefix(w.etcd, "http://")}, "rootKey": kvRoot},
	}
	file := filepath.Join(dir, "traefik.yml")
	if err := writeConfig(file, static); err != nil {
		return err
	}
	if s.proxy, err = w.startProcess(ctx, "traefik", dir, w.opts.Traefik, "--configFile="+file); err != nil {
		return err
	}
	return w.await(ctx, s, kvTime)
}

// putKV writes n routes.
func (w *world) putKV(ctx context.Context, n int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	const routesPerTxn = 20 // of five keys each
	for start := 0; start < n; start += routesPerTxn {
		group.Go(func() error {
			var ops []clientv3.Op
			for i := start; i < min(start+routesPerTxn, n); i++ {
				ops = append(ops, kvRoute(userName(i), w.backend)...)
			}
			_, err := w.client.Txn(ctx).Then(ops...).Commit()
			return err
		})
	}
	return group.Wait()
}
