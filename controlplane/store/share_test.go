package store_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
)

// TestAReadLeadsNoLongerThanItMay is about a read that waited for its turn and then reads for others, too, from an etcd that
// does not answer. It ends when its own time is over, and the others go on.
func TestAReadLeadsNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	var silent atomic.Bool
	var calls atomic.Int64
	speaks := make(chan struct{})
	st, _ := storetest.Start(t).OpenAt(t, "/share/", grpc.WithUnaryInterceptor(
		func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if silent.Load() {
				calls.Add(1)
				select {
				case <-speaks:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return call(ctx, method, req, reply, cc, opts...)
		}))
	table := store.NewTable[counter](st, store.Servers, "counter")
	if err := table.Create(t.Context(), "user/a", counter{}); err != nil {
		t.Fatal(err)
	}
	silent.Store(true)
	read := func() (end context.CancelFunc, ended chan error) {
		ctx, cancel := context.WithCancel(context.Background())
		ended = make(chan error, 1)
		go func() {
			_, err := table.Get(ctx, "user/a")
			ended <- err
		}()
		return cancel, ended
	}
	await := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(storetest.Patience); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	endFirst, first := read()
	await("the first read has not begun", func() bool { return calls.Load() == 1 })
	endSecond, second := read()
	await("the second does not wait", func() bool { return st.Waiting() == 1 })
	endThird, third := read()
	defer endThird()
	await("the third does not wait", func() bool { return st.Waiting() == 2 })
	endFirst()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first read: %v", err)
	}
	await("the second does not lead", func() bool { return calls.Load() == 2 })
	endSecond()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("the second read: %v", err)
	}
	close(speaks)
	if err := <-third; err != nil {
		t.Errorf("the third read, which had time left: %v", err)
	}
}
