// Package audit says who did what to whom: one record for each call that changes something, and for each sign-in and sign-out.
// Records go to a file as JSON lines, if there is one, and those of what succeeded to etcd, where they expire.
//
// Invariant: a record never fails the action that it is about, and holds no secret: no body, no query, no token.
package audit

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/store"
	"github.com/edgehub/edgehub/controlplane/web"
)

// Bounds of what is kept in etcd: about 30 MB.
const (
	keepFor  = 30 * 24 * time.Hour
	keepMost = 100_000
)

// Actions that are no call of the API.
const (
	SignIn  = "sign in"
	SignOut = "sign out"
)

// Record is one action.
type Record struct {
	Time time.Time `json:"time"`
	// Actor is who did it, a user's or a service's name as Kind says.
	Actor string `json:"actor"`
	Kind  string `json:"kind"`
	// Token or Session is the id of what they presented.
	Token   string `json:"token,omitempty"`
	Session string `json:"session,omitempty"`
	// Action is the method and pattern of a call, "sign in" or "sign out"; Path is what it was done to.
	Action string `json:"action"`
	Path   string `json:"path,omitempty"`
	// Status is the HTTP status of the answer.
	Status    int    `json:"status"`
	Address   string `json:"address,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}

// Log takes and shows records. It is safe for concurrent use.
type Log struct {
	journal *store.Journal[Record]
	log     *slog.Logger

	mu    sync.Mutex
	lines io.Writer
}

// New returns the log of the hub in s. lines may be nil. log hears of records that could not be kept.
func New(s *store.Store, lines io.Writer, log *slog.Logger) *Log {
	return &Log{journal: store.NewJournal[Record](s, store.Audit, keepFor, keepMost), lines: lines, log: log}
}

// Add keeps a record of what has just happened. What was refused goes to the file only, so that nobody can push out what
// succeeded by being refused.
func (l *Log) Add(ctx context.Context, r Record) {
	r.Time = time.Now().UTC()
	r.Actor, r.Path = hub.Clip(r.Actor), clipPath(r.Path)
	l.write(r)
	if r.Status >= 400 {
		return
	}
	// The action is done, so its record is written even if the client is gone by now.
	if err := l.journal.Append(context.WithoutCancel(ctx), r.Time, r); err != nil {
		l.log.Warn("cannot keep an audit record in etcd", "actor", r.Actor, "action", r.Action, "path", r.Path, "err", err)
	}
}

// Around calls next and keeps rec as the record of the request, unless the request only reads or there is no log.
func (l *Log) Around(w http.ResponseWriter, r *http.Request, rec Record, next func(http.ResponseWriter) error) error {
	if l == nil || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return next(w)
	}
	tracked := web.Track(w)
	err := next(tracked)
	rec.Status = tracked.Status()
	if err != nil {
		rec.Status = web.Status(err)
	}
	l.AddOf(r, rec)
	return err
}

// AddOf is Add for what a request did. There may be no log.
func (l *Log) AddOf(r *http.Request, rec Record) {
	if l == nil {
		return
	}
	rec.Address, rec.RequestID = web.ClientAddress(r), web.RequestID(r)
	l.Add(r.Context(), rec)
}

func (l *Log) write(r Record) {
	if l.lines == nil {
		return
	}
	data, err := json.Marshal(r)
	if err == nil {
		l.mu.Lock()
		_, err = l.lines.Write(append(data, '\n'))
		l.mu.Unlock()
	}
	if err != nil {
		l.log.Warn("cannot write to the audit log", "err", err)
	}
}

// clipPath shortens a path, which the caller has escaped.
func clipPath(path string) string {
	const most = 300
	if len(path) > most {
		return path[:most] + "..."
	}
	return path
}

// Entry is a record with its place in the log.
type Entry struct {
	ID string `json:"id"`
	Record
}

// Before returns up to n records older than the one with this id, the newest first; with an empty id the newest of all.
func (l *Log) Before(ctx context.Context, id string, n int) ([]Entry, error) {
	records, err := l.journal.Before(ctx, id, n)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, len(records))
	for i, r := range records {
		entries[i] = Entry{ID: r.ID, Record: r.Value}
	}
	return entries, nil
}
