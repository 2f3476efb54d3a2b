package edge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/edgehub/edgehub/routes"
)

// Revoke measures how long after etcd has acknowledged the revocation of a session its next request is refused, and its
// open WebSocket cut.
func Revoke(ctx context.Context, o Options) error {
	if err := o.check(Plugin, Embedded); err != nil {
		return err
	}
	if o.Count < 1 {
		return fmt.Errorf("--count %d: there must be one session at least", o.Count)
	}
	return measure(ctx, &o, "revoke", revocations)
}

func revocations(ctx context.Context, w *world, r *report) error {
	sides, err := w.startSides(ctx)
	if err != nil {
		return err
	}
	for _, s := range sides {
		var refused, cut []int
		for i := range w.opts.Count {
			toRefusal, toCut, err := s.revoke(ctx, s.user(i%w.opts.Users), fmt.Sprintf("%s-%d", s.name, i))
			if err != nil {
				return s.failed(ctx, err)
			}
			refused, cut = append(refused, int(toRefusal.Microseconds())), append(cut, int(toCut.Microseconds()))
		}
		slices.Sort(refused)
		slices.Sort(cut)
		note := fmt.Sprintf("%d sessions, one after the other", w.opts.Count)
		r.delays(figure{Side: s.name, What: "revocation to refused request", Note: note}, refused, 0, 100)
		r.delays(figure{Side: s.name, What: "revocation to cut socket", Note: note}, cut, 0, 200)
	}
	return nil
}

// revoke opens a session with a socket, ends it, and times both ends.
func (s *side) revoke(ctx context.Context, user, session string) (toRefusal, toCut time.Duration, err error) {
	token, err := s.w.token(user, session)
	if err != nil {
		return 0, 0, err
	}
	get := request(user, token, paths[0])
	client, err := dial(s.addr)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = client.conn.Close() }()
	socket, err := dial(s.addr)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = socket.conn.Close() }()
	if err := errors.Join(client.exchange([]byte(get)), socket.upgrade([]byte(get)), socket.echo()); err != nil {
		return 0, 0, err
	}
	ended := make(chan time.Time, 1)
	go func() {
		_ = socket.awaitEnd()
		ended <- time.Now()
	}()
	err = s.w.put(ctx, routes.RevokedKey(routes.DefaultPrefix, routes.RevokedSession, session), routes.Revocation{Schema: routes.Schema})
	if err != nil {
		return 0, 0, err
	}
	acknowledged := time.Now()
	toRefusal, err = awaitAnswer(ctx, client, get, acknowledged, func(status int, _ []byte) bool { return status == http.StatusForbidden })
	if err != nil {
		return 0, 0, err
	}
	return toRefusal, (<-ended).Sub(acknowledged), nil
}

// awaitEnd returns when the other side ends the socket, with or without a word of farewell.
func (c *conn) awaitEnd() error {
	_, err := c.in.ReadByte()
	return err
}
