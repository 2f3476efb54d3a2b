package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/store/storetest"
)

// page reads a journal's page as the numbers of its records, and the id of the last.
func page(t *testing.T, j *store.Journal[int], before string, n int) ([]int, string) {
	t.Helper()
	records, err := j.Before(t.Context(), before, n)
	if err != nil {
		t.Fatal(err)
	}
	var numbers []int
	last := ""
	for _, r := range records {
		numbers, last = append(numbers, r.Value), r.ID
	}
	return numbers, last
}

func TestAJournalIsReadInPagesFromItsEnd(t *testing.T) {
	t.Parallel()
	s, client := storetest.Open(t)
	j := store.NewJournal[int](s, store.Audit, time.Hour, 100)
	if got, _ := page(t, j, "", 10); len(got) != 0 {
		t.Errorf("an empty journal has %v", got)
	}
	start := time.Now()
	for i := range 5 {
		if err := j.Append(t.Context(), start.Add(time.Duration(i)*time.Second), i); err != nil {
			t.Fatal(err)
		}
	}
	first, last := page(t, j, "", 2)
	second, last := page(t, j, last, 2)
	third, last := page(t, j, last, 2)
	none, _ := page(t, j, last, 2)
	if got := fmt.Sprint(first, second, third, none); got != "[4 3] [2 1] [0] []" {
		t.Errorf("pages %s", got)
	}
	if _, err := j.Before(t.Context(), "../users/", 1); hub.KindOf(err) != hub.Invalid {
		t.Errorf("an id that leads out of the journal: %v", err)
	}
	resp, err := client.Get(t.Context(), s.Key(store.Audit, ""), clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	lease := resp.Kvs[0].Lease
	if lease == 0 || slices.ContainsFunc(resp.Kvs[1:], func(kv *mvccpb.KeyValue) bool { return kv.Lease != lease }) {
		t.Error("the records do not share a lease")
	}
	ttl, err := client.TimeToLive(t.Context(), clientv3.LeaseID(lease))
	if err != nil || ttl.GrantedTTL != 7200 {
		t.Errorf("lease %+v, %v: want the life of a record and an hour", ttl, err)
	}
}

func TestAJournalForgetsTheOldestIfThereAreTooMany(t *testing.T) {
	t.Parallel()
	s, _ := storetest.Open(t)
	start := time.Now()
	add := func(n int) *store.Journal[int] {
		j := store.NewJournal[int](s, store.Audit, time.Hour, 3) // as a replica that begins: it looks with its first record
		if err := j.Append(t.Context(), start.Add(time.Duration(n)), n); err != nil {
			t.Fatal(err)
		}
		return j
	}
	var last *store.Journal[int]
	for i := range 6 {
		last = add(i)
	}
	if got, _ := page(t, last, "", 10); !slices.Equal(got, []int{5, 4, 3, 2}) {
		t.Errorf("left are %v, want three and the newest", got)
	}
}
