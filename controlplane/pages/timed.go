package pages

import (
	"net/http"
	"time"

	"github.com/edgehub/edgehub/controlplane/web"
)

// timedSignIn measures a handler that signs in, and then redirects.
func (p *Pages) timedSignIn(next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		start, tracked := time.Now(), web.Track(w)
		err := next(tracked, r)
		p.Metrics.SignedIn(err == nil && tracked.Status() < http.StatusBadRequest, time.Since(start))
		return err
	}
}

// timedSignOut measures a handler that signs out.
func (p *Pages) timedSignOut(next web.Handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		start := time.Now()
		err := next(w, r)
		if err == nil {
			p.Metrics.SignedOut(time.Since(start))
		}
		return err
	}
}
