package plugin

import (
	"context"
	"errors"
	"time"
)

// read is a linearizable range. It signs in again once if the token has died.
func (m *member) read(ctx context.Context, request *rangeRequest, timeout time.Duration) (*rangeResponse, error) {
	answer, err := m.readOnce(ctx, request, timeout)
	if err != nil && errors.Is(err, errCredentials) {
		return m.readOnce(ctx, request, timeout)
	}
	return answer, err
}

func (m *member) readOnce(ctx context.Context, request *rangeRequest, timeout time.Duration) (*rangeResponse, error) {
	token, err := m.authorize(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer := &rangeResponse{}
	if err := m.call(ctx, "/v3/kv/range", token, request, answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// count asks for the newest revision and the number of keys below prefix, at an older revision if that is not 0. It is
// cheap, and a member that cannot answer it in time is not one to read from.
func (m *member) count(ctx context.Context, prefix string, revision int64) (*rangeResponse, error) {
	request := &rangeRequest{Key: []byte(prefix), RangeEnd: prefixEnd(prefix), CountOnly: true, Revision: revision}
	return m.read(ctx, request, checkTimeout)
}

// pages reads the whole tree below prefix page by page, all at the newest revision of its beginning.
func (m *member) pages(ctx context.Context, prefix string, each func(page *rangeResponse)) error {
	newest, err := m.count(ctx, prefix, 0)
	if err != nil {
		return err
	}
	request := &rangeRequest{Key: []byte(prefix), RangeEnd: prefixEnd(prefix), Limit: pageSize, Revision: newest.Header.Revision}
	for {
		page, err := m.read(ctx, request, listTimeout)
		if err != nil && errors.Is(err, errTooLong) && request.Limit > 1 {
			request.Limit /= 2 // some records are very long
			continue
		}
		if err != nil {
			return err
		}
		more := page.More && len(page.Kvs) > 0
		if more {
			request.Key = append([]byte(page.Kvs[len(page.Kvs)-1].Key), 0)
		}
		page.Header.Revision = request.Revision // a page's header names the newest revision, not the one read at
		each(page)
		if !more {
			return nil
		}
	}
}

// changed reads which keys below prefix have changed after a revision, and the newest revision. Of very many it reads a
// part.
func (m *member) changed(ctx context.Context, prefix string, after int64) (*rangeResponse, error) {
	request := &rangeRequest{Key: []byte(prefix), RangeEnd: prefixEnd(prefix), Limit: pageSize, KeysOnly: true, MinMod: after + 1}
	return m.read(ctx, request, listTimeout)
}

// prefixEnd is the first key behind all keys that start with prefix. Prefixes end with a slash here, so the last byte
// can always be raised.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	end[len(end)-1]++
	return end
}
