package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/edgehub/edgehub/controlplane/account"
	"github.com/edgehub/edgehub/controlplane/hub"
)

// keepAlive is how often an idle progress stream sends an empty line, as JupyterHub does.
const keepAlive = 8 * time.Second

// progress streams the events of a start as server-sent events, from the first one on, and ends after the last one. Any
// replica can serve it: the events are in the record.
func (a *API) progress(w http.ResponseWriter, r *http.Request, _ *account.Caller) error {
	u, s, err := a.known(r)
	if err != nil {
		return err
	}
	if s.State != hub.Starting && s.State != hub.Running && !failed(&s) {
		return hub.Errorf(hub.Invalid, "%s is not starting", u.Name)
	}
	return a.stream(w, r, u.Name, s.Name)
}

// failed reports whether the last start of s came to a bad end.
func failed(s *hub.Server) bool { return len(s.Events) > 0 && s.Events[len(s.Events)-1].Failed }

func (a *API) stream(w http.ResponseWriter, r *http.Request, user hub.UserName, name hub.ServerName) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	records := make(chan hub.Server)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(records)
		_ = a.Servers.Follow(ctx, user, name, func(s hub.Server) bool {
			select {
			case records <- s:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	defer func() {
		cancel()
		<-done
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Accel-Buffering", "no")
	out := &events{w: w, flush: http.NewResponseController(w)}
	out.write("\n\n")
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			out.write("\n\n")
		case s, ok := <-records:
			if !ok || out.tell(s) {
				return nil
			}
		}
		if out.failed {
			return nil
		}
	}
}

// events writes the events of one stream.
type events struct {
	w      http.ResponseWriter
	flush  *http.ResponseController
	gen    int64
	sent   int
	failed bool
}

// tell writes the events of s that were not sent yet and reports whether the last of them ends the stream.
func (e *events) tell(s hub.Server) bool {
	if s.Gen < e.gen {
		return s.State == hub.Stopped
	}
	e.gen = s.Gen
	if len(s.Events) < e.sent {
		e.sent = 0 // a new start, of which we missed the end of the one before
	}
	for ; e.sent < len(s.Events); e.sent++ {
		ev := s.Events[e.sent]
		data, err := json.Marshal(ev)
		if err != nil {
			return true
		}
		e.write("data: " + string(data) + "\n\n")
		if ev.Ready || ev.Failed {
			return true
		}
	}
	return !s.Active()
}

func (e *events) write(text string) {
	if _, err := e.w.Write([]byte(text)); err != nil {
		e.failed = true
		return
	}
	e.failed = e.flush.Flush() != nil
}
