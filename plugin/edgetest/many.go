package edgetest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/routes"
)

// UserOf is the owner of the i-th route of PutRoutes.
func UserOf(i int) string { return fmt.Sprintf("user%d", i) }

// PutRoutes writes n routes, 100 in a transaction.
func (w *World) PutRoutes(n int) {
	w.T.Helper()
	batches := make(chan []clientv3.Op)
	failed := make(chan error, 8)
	wg := sync.WaitGroup{}
	for range cap(failed) {
		wg.Go(func() {
			var err error
			for ops := range batches {
				if err == nil {
					_, err = w.Etcd.Client.Txn(context.Background()).Then(ops...).Commit()
				}
			}
			failed <- err
		})
	}
	for i := 0; i < n; i += 100 {
		batches <- w.putOps(i, min(i+100, n))
	}
	close(batches)
	wg.Wait()
	for range cap(failed) {
		if err := <-failed; err != nil {
			w.T.Fatal(err)
		}
	}
}

func (w *World) putOps(from, to int) []clientv3.Op {
	ops := []clientv3.Op{}
	for i := from; i < to; i++ {
		r := Route(UserOf(i), fmt.Sprintf("http://10.%d.%d.%d:8888", i>>16, i>>8&255, i&255))
		value, err := json.Marshal(r)
		if err != nil {
			w.T.Fatal(err)
		}
		ops = append(ops, clientv3.OpPut(routes.RouteKey(w.Prefix, r.Prefix), string(value)))
	}
	return ops
}
