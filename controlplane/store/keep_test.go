package store

import (
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// TestAnAnswerFromBeforeAChangeIsNotKept is about a read that is overtaken by the watch.
func TestAnAnswerFromBeforeAChangeIsNotKept(t *testing.T) {
	t.Parallel()
	n := &near{}
	resp := &answer{GetResponse: &clientv3.GetResponse{Kvs: []*mvccpb.KeyValue{{Key: []byte("/x/a"), Value: []byte("old")}}}}
	if n.keep("/x/a", resp, 5); n.get("/x/a") != nil {
		t.Error("kept without a watch")
	}
	n.reset(5)
	n.apply([]*clientv3.Event{{Kv: &mvccpb.KeyValue{Key: []byte("/x/a"), ModRevision: 9}}})
	if n.keep("/x/a", resp, 8); n.get("/x/a") != nil {
		t.Error("kept an answer that a later change has made wrong")
	}
	if n.keep("/x/a", resp, 9); n.get("/x/a") == nil {
		t.Error("an answer of now is not kept")
	}
	n.keep("/x/", resp, 9)
	n.apply([]*clientv3.Event{{Kv: &mvccpb.KeyValue{Key: []byte("/x/b"), ModRevision: 10}}})
	if n.get("/x/") != nil || n.get("/x/a") == nil {
		t.Error("a change belongs to the lists above it, and to no other record")
	}
}

func answerOf(bytes int) *answer {
	return &answer{GetResponse: &clientv3.GetResponse{Kvs: []*mvccpb.KeyValue{{Value: make([]byte, bytes)}}}}
}

// TestWhatIsKeptNearIsBounded keeps more than there is room for.
func TestWhatIsKeptNearIsBounded(t *testing.T) {
	t.Parallel()
	n := &near{}
	n.reset(1)
	for i := range 6 * nearBytes / nearLargest {
		key := string(rune(i))
		n.keep(key, answerOf(nearLargest/8), 1)
	}
	sum := 0
	for key, resp := range n.answers {
		sum += size(key, resp)
	}
	if n.bytes != sum || sum > nearBytes || sum < nearBytes/2 {
		t.Errorf("%d bytes are kept, %d counted", sum, n.bytes)
	}
	if n.keep("large", answerOf(nearLargest), 1); n.get("large") != nil {
		t.Error("a large answer is kept")
	}
}
