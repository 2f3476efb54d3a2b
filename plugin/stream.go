package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// watch opens the stream of changes below prefix from revision start on.
func (m *member) watch(ctx context.Context, prefix string, start int64) (*watchStream, error) {
	token, err := m.authorize(ctx)
	if err != nil {
		return nil, err
	}
	request := &watchRequest{Create: watchCreate{
		Key: []byte(prefix), RangeEnd: prefixEnd(prefix), StartRevision: start, ProgressNotify: true,
	}}
	resp, err := m.post(ctx, "/v3/watch", token, request)
	if err != nil {
		return nil, err
	}
	in := &boundedReader{from: resp.Body}
	return &watchStream{gateway: m.gateway, body: resp.Body, in: in, dec: json.NewDecoder(in)}, nil
}

// watchStream is an open watch.
type watchStream struct {
	gateway *gateway
	body    io.ReadCloser
	in      *boundedReader
	dec     *json.Decoder
}

// next waits for the next message. Everything after which the stream is worth nothing is an error: a stream that ends,
// an error object, and "canceled", after which etcd leaves the stream open and silent.
func (s *watchStream) next() (*watchResult, error) {
	s.in.left = maxMessage
	m := &watchMessage{}
	if err := s.dec.Decode(m); err != nil {
		return nil, fmt.Errorf("watch ended: %w", err)
	}
	if m.Error.Code != 0 || m.Error.Message != "" {
		return nil, s.gateway.refusal(m.Error, "watch ended")
	}
	if m.Result.Canceled {
		return nil, fmt.Errorf("watch canceled by etcd (compacted at %d): %s", m.Result.CompactRevision, clip(m.Result.CancelReason))
	}
	return &m.Result, nil
}

// boundedReader refuses to read more than left bytes; left is set anew for each message.
type boundedReader struct {
	from io.Reader
	left int
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	if len(p) > b.left {
		p = p[:b.left]
	}
	n, err := b.from.Read(p)
	b.left -= n
	return n, err
}
