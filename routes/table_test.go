package routes

import "testing"

func TestLoadKeepsWhatIsTheSame(t *testing.T) {
	record := func(id, value string, revision int64) *Record {
		return &Record{Key: []byte("/x/" + id), Value: []byte(value), Revision: revision}
	}
	known := NewTable()
	if others := known.Load([]*Record{record("a", "1", 1), record("b", "1", 1), record("c", "1", 1)}, "/x/", nil); len(others) != 0 {
		t.Fatalf("others: %v", others)
	}
	next := NewTable()
	stranger := &Record{Key: []byte("/y/a")}
	others := next.Load([]*Record{stranger, record("a", "1", 1), record("b", "1", 2), record("c", "2", 1)}, "/x/", known)
	if len(others) != 1 || others[0] != stranger {
		t.Errorf("others: %v", others)
	}
	if next.Len() != 3 || next.Get("a") != known.Get("a") {
		t.Error("an unchanged record was not kept")
	}
	// After the restore of a backup the same revision may come with another value.
	if next.Get("b") == known.Get("b") || next.Get("c") == known.Get("c") || string(next.Get("c").Value) != "2" {
		t.Error("an old record was kept")
	}
	next.Remove("a")
	if known.Len() != 3 || known.Copy().Len() != 3 {
		t.Error("two tables share their records' places")
	}
}
