package account_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// BenchmarkPages is a page of 100 users, first and last, of EDGEHUB_BENCH_USERS users (10,000), with what etcd keeps of each.
func BenchmarkPages(b *testing.B) {
	n, err := strconv.Atoi(os.Getenv("EDGEHUB_BENCH_USERS"))
	if err != nil {
		n = 10_000
	}
	f := newFixture(b)
	f.must("Load", f.Load(b.Context(), n, func(i int) hub.User {
		return hub.User{Name: hub.UserName(fmt.Sprintf("student-%07d", i)), Created: time.Now(), LastActivity: time.Now().Add(-time.Duration(i*7919%n) * time.Second)}
	}))
	status, err := f.client.Status(b.Context(), f.client.Endpoints()[0])
	f.must("Status", err)
	for _, sort := range []string{account.ByID, account.ByName, account.ByActivity} {
		// The page by the cursor behind it is the last one of the opposite order.
		last := account.Query{Window: account.Window{Limit: 1, Offset: n - 102}, Sort: sort}
		p, err := f.ListUsers(b.Context(), last)
		f.must("ListUsers", err)
		for what, w := range map[string]account.Window{
			"first": {Limit: 100}, "last-by-cursor": {Limit: 100, Cursor: p.Next}, "last-by-offset": {Limit: 100, Offset: n - 100},
		} {
			b.Run(sort+"/"+what, func(b *testing.B) {
				for b.Loop() {
					if p, err := f.ListUsers(b.Context(), account.Query{Window: w, Sort: sort}); err != nil || len(p.Items) != 100 || p.Total != n {
						b.Fatalf("%d users of %d, %v", len(p.Items), p.Total, err)
					}
				}
				b.ReportMetric(float64(status.DbSizeInUse)/float64(n), "etcd-B/user")
			})
		}
	}
	b.Run("name_filter", func(b *testing.B) {
		for b.Loop() {
			if _, err := f.ListUsers(b.Context(), account.Query{Window: account.Window{Limit: 100}, Sort: account.ByID, Name: "99"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
