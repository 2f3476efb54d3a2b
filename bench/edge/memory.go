package edge

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"
)

// settled is the proxy's resident memory when it has collected its garbage and given back what it does not need. That
// takes a Go program some seconds.
func (s *side) settled(ctx context.Context) (int64, error) {
	lowest, steady := int64(0), 0
	for range 30 {
		if _, err := s.look(ctx, "heap?gc=1"); err != nil {
			return 0, err
		}
		if err := pause(ctx, time.Second); err != nil {
			return 0, err
		}
		now, err := s.memory()
		if err != nil {
			return 0, s.failed(ctx, err)
		}
		if steady++; lowest == 0 || now < lowest-lowest/200 {
			steady = 0
		}
		if lowest == 0 || now < lowest {
			lowest = now
		}
		if steady == 3 {
			break
		}
	}
	return lowest, nil
}

// inUse is what the proxy's heap and stacks hold after a collection, in bytes, and its number of goroutines.
func (s *side) inUse(ctx context.Context) (heap, stacks, goroutines int64, err error) {
	var text []byte
	// Two collections: what pools hold survives one.
	for range 2 {
		if text, err = s.look(ctx, "heap?debug=1&gc=1"); err != nil {
			return 0, 0, 0, err
		}
	}
	if heap, err = after(text, "# HeapAlloc = "); err != nil {
		return 0, 0, 0, err
	}
	if stacks, err = after(text, "# Stack = "); err != nil {
		return 0, 0, 0, err
	}
	if text, err = s.look(ctx, "goroutine?debug=1"); err != nil {
		return 0, 0, 0, err
	}
	goroutines, err = after(text, "goroutine profile: total ")
	return heap, stacks, goroutines, err
}

// after is the number that follows mark.
func after(text []byte, mark string) (int64, error) {
	_, rest, ok := bytes.Cut(text, []byte(mark))
	n := 0
	for n < len(rest) && '0' <= rest[n] && rest[n] <= '9' {
		n++
	}
	if !ok || n == 0 {
		return 0, fmt.Errorf("the profile has no %q", mark)
	}
	return strconv.ParseInt(string(rest[:n]), 10, 64)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
