package edge

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// traffic keeps a side busy with requests and with messages over WebSockets, and counts what is lost.
type traffic struct {
	side     *side
	get      *process // the client for requests
	talk     *process // the client for sockets
	requests int
	messages int

	lostRequests, lostSockets int

	stop  context.CancelFunc
	group *errgroup.Group
}

// startTraffic opens the sockets and lets the traffic flow.
func (w *world) startTraffic(ctx context.Context, s *side) (*traffic, error) {
	t := &traffic{side: s, get: w.load}
	var err error
	if t.talk, _, err = w.startPart(ctx, "load"); err != nil {
		return nil, err
	}
	requests, err := s.requests()
	if err != nil {
		return nil, err
	}
	o := &outcome{}
	if err := t.talk.ask(ctx, t.job(true, requests), o); err != nil {
		return nil, err
	}
	if o.Error != "" {
		return nil, s.failed(ctx, errText(o.Error))
	}
	t.resume(ctx)
	return t, nil
}

// job is a short turn of one of the clients. They keep their connections from turn to turn.
func (t *traffic) job(sockets bool, requests []string) *job {
	return &job{Addr: t.side.addr, Seconds: 0.5, Connections: t.side.w.opts.Connections, Sockets: sockets, Requests: requests}
}

// resume lets the traffic flow until pause.
func (t *traffic) resume(ctx context.Context) {
	flowing, stop := context.WithCancel(ctx)
	t.stop, t.group = stop, &errgroup.Group{}
	t.group.Go(func() error { return t.flow(ctx, flowing, t.get, false, &t.requests, &t.lostRequests) })
	t.group.Go(func() error { return t.flow(ctx, flowing, t.talk, true, &t.messages, &t.lostSockets) })
}

func (t *traffic) flow(ctx, flowing context.Context, client *process, sockets bool, done, lost *int) error {
	for flowing.Err() == nil {
		o := &outcome{}
		if err := client.ask(ctx, t.job(sockets, nil), o); err != nil {
			return err
		}
		*done += len(o.Latencies)
		*lost += o.Failed
		if o.Error != "" {
			t.side.w.opts.say("lost: %s", o.Error)
		}
	}
	return nil
}

// pause ends the traffic of both clients. The connections for requests are closed, the sockets stay open.
func (t *traffic) pause(ctx context.Context) error {
	t.stop()
	if err := t.group.Wait(); err != nil {
		return err
	}
	return t.get.ask(ctx, &job{Addr: t.side.addr}, &outcome{})
}

// errText is an error that a client has reported.
type errText string

func (e errText) Error() string { return string(e) }
