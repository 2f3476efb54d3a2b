package account

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
)

// fewBlocks is how many blocks a scan reads first. They hold most pages.
const fewBlocks = 2

// entry is one user in a block.
type entry struct {
	number int64
	name   hub.UserName
}

// tally says how many users there are, by parts of their numbers, in order.
type tally []store.Record[count]

func (x *index) tally(ctx context.Context) (tally, error) { return x.counts.Few(ctx) }

func (t tally) total() int {
	n := int64(0)
	for _, r := range t {
		n += r.Value.Users
	}
	return int(n)
}

// first and last are the numbers that the i-th part may have.
func (t tally) first(i int) int64 { return parseNumber(t[i].ID) << countBits }
func (t tally) last(i int) int64  { return t.first(i) + 1<<countBits - 1 }

// CountUsers is how many users there are.
func (a *Accounts) CountUsers(ctx context.Context) (int, error) {
	t, err := a.index.tally(ctx)
	return t.total(), err
}

// scan calls yield for the users whose numbers are in [from, to], in order or in reverse, until it returns false. It reads
// few blocks at first, because most who ask want one page.
func (x *index) scan(ctx context.Context, t tally, from, to int64, reverse bool, yield func(entry) bool) error {
	atOnce := int64(fewBlocks)
	for i := range t {
		if reverse {
			i = len(t) - 1 - i
		}
		first, last := max(from, t.first(i))>>blockBits, min(to, t.last(i))>>blockBits
		for first <= last {
			a, b := first, min(first+atOnce-1, last)
			if reverse {
				a, b = max(last-atOnce+1, first), last
			}
			more, err := x.scanBlocks(ctx, a, b, reverse, func(e entry) bool { return e.number < from || e.number > to || yield(e) })
			if !more || err != nil {
				return err
			}
			if reverse {
				last = a - 1
			} else {
				first = b + 1
			}
			atOnce = 1 << (countBits - blockBits)
		}
	}
	return nil
}

// scanBlocks calls yield for the users in the blocks from the first to the last, and reports whether it wants more.
func (x *index) scanBlocks(ctx context.Context, first, last int64, reverse bool, yield func(entry) bool) (bool, error) {
	blocks, err := x.blocks(ctx, first, last)
	if reverse {
		slices.Reverse(blocks)
	}
	for _, b := range blocks {
		if !eachEntry(b, reverse, yield) {
			return false, err
		}
	}
	return true, err
}

// blocks are those from the first to the last. A few are read by themselves: those of pages that are often asked for stay near.
func (x *index) blocks(ctx context.Context, first, last int64) ([]store.RawRecord, error) {
	if last-first >= fewBlocks {
		return x.store.RawPage(ctx, store.UserBlocks, store.Range{From: blockID(first << blockBits), To: blockID((last + 1) << blockBits)})
	}
	var ids []string
	for b := first; b <= last; b++ {
		ids = append(ids, blockID(b<<blockBits))
	}
	return x.store.RawMany(ctx, store.UserBlocks, ids)
}

// eachEntry calls yield for the users of one block.
func eachEntry(b store.RawRecord, reverse bool, yield func(entry) bool) bool {
	base := parseNumber(b.ID) << blockBits
	for rest := string(b.Value); rest != ""; {
		var line string
		line, rest = nextLine(rest, reverse)
		if len(line) < 4 {
			continue
		}
		low, err := strconv.ParseUint(line[:2], 16, blockBits)
		if err == nil && !yield(entry{base + int64(low), hub.UserName(line[3:])}) {
			return false
		}
	}
	return true
}

// nextLine takes the first line off text, or the last one.
func nextLine(text string, last bool) (line, rest string) {
	if !last {
		line, rest, _ = strings.Cut(text, "\n")
		return line, rest
	}
	text = strings.TrimSuffix(text, "\n")
	i := strings.LastIndexByte(text, '\n')
	return text[i+1:], text[:i+1]
}

// maxNumber is more than any user's number, and fits into the identity of a record.
const maxNumber = 1<<40 - 1

// listByNumber is the query for all users in the order of their creation: what most programs ask for.
func (a *Accounts) listByNumber(ctx context.Context, q Query) (Page[hub.User], error) {
	t, err := a.index.tally(ctx)
	if err != nil {
		return Page[hub.User]{}, err
	}
	from, to, skip, err := q.numbers(t)
	if err != nil {
		return Page[hub.User]{}, err
	}
	var entries []entry
	err = a.index.scan(ctx, t, from, to, q.Reverse, func(e entry) bool {
		if skip > 0 {
			skip--
			return true
		}
		entries = append(entries, e)
		return len(entries) <= q.Limit
	})
	if err != nil {
		return Page[hub.User]{}, err
	}
	return a.pageOf(ctx, q, t.total(), entries)
}

// numbers are those that a page in the order of creation may have, and how many of them come before it.
func (q *Query) numbers(t tally) (from, to int64, skip int, err error) {
	from, to = 0, maxNumber
	place, err := q.place(q.order())
	switch {
	case place != "" && q.Reverse:
		return from, parseNumber(place) - 1, 0, err
	case place != "":
		return parseNumber(place) + 1, to, 0, err
	}
	skip = q.Offset
	for i := range t {
		if q.Reverse {
			i = len(t) - 1 - i
		}
		if int(t[i].Value.Users) > skip {
			break
		}
		skip -= int(t[i].Value.Users)
		if q.Reverse {
			to = t.first(i) - 1
		} else {
			from = t.last(i) + 1
		}
	}
	return from, to, skip, err
}

// pageOf reads the records of a page's users. entries are those of the page, and one more if there is another page.
func (a *Accounts) pageOf(ctx context.Context, q Query, total int, entries []entry) (Page[hub.User], error) {
	page := cut(q.Window, q.order(), total, entries, func(e entry) string { return e.place(q.Sort) })
	names := make([]hub.UserName, len(page.Items))
	for i, e := range page.Items {
		names[i] = e.name
	}
	users, err := a.records(ctx, names)
	return Page[hub.User]{Items: users, Total: total, Next: page.Next}, err
}

// place is where the user is in the order of names or numbers.
func (e entry) place(sort string) string {
	if sort == ByName {
		return store.ID(string(e.name))
	}
	return numberID(e.number)
}
