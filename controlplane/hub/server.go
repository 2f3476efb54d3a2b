package hub

import (
	"encoding/json"
	"time"
)

// State of a server:
//
//	stopped ─start→ starting ─ready→ running ─stop→ stopping → stopped
//
// A failed start goes from starting back to stopped with Failure set. A server that exits by itself goes from running
// to stopped. Every arrow is a compare-and-swap on the record.
type State string

// The states.
const (
	Stopped  State = "stopped"
	Starting State = "starting"
	Running  State = "running"
	Stopping State = "stopping"
)

// Server is the record of one server's state machine. Its key in the store is (user, name).
type Server struct {
	Schema int `json:"v"`
	// ID tells the server from one of the same name that was removed. It is empty in records of older releases.
	ID     string     `json:"id,omitempty"`
	User   UserName   `json:"user"`
	UserID string     `json:"user_id"`
	Name   ServerName `json:"name"`
	// DisplayName is what people call it, empty for its name.
	DisplayName string `json:"display_name,omitempty"`
	State       State  `json:"state"`
	// Remove says that the record goes as soon as the server is stopped.
	Remove bool `json:"remove,omitempty"`
	// Gen counts starts. It only grows, and a worker that holds an older one has lost (invariant I5).
	Gen int64 `json:"gen"`
	// Owner is the replica that works on a starting or stopping server. It is void when that replica's lease is.
	Owner string `json:"owner,omitempty"`
	// Instance is what the spawner made, nil before it answered.
	Instance *Instance `json:"instance,omitempty"`
	// TokenID is the API token that the server got at its start.
	TokenID string `json:"token_id,omitempty"`
	// Secret is handed to the spawner at start; the edge presents it, or signs visitor tickets with it.
	Secret string `json:"secret,omitempty"`
	// Options are the user_options of the last start.
	Options map[string]any `json:"options,omitempty"`
	// Events are the progress of the current or last start, so that any replica can replay them.
	Events []Event `json:"events,omitempty"`
	// Failure says why the last start failed, until the next one.
	Failure      string    `json:"failure,omitempty"`
	Started      time.Time `json:"started,omitzero"`
	Deadline     time.Time `json:"deadline,omitzero"` // of the start in progress
	LastActivity time.Time `json:"last_activity,omitzero"`
}

// FullName is JupyterHub's name of a server: "alice/" or "alice/lab2".
func (s *Server) FullName() string { return string(s.User) + "/" + string(s.Name) }

// Active reports whether the server is anything but stopped.
func (s *Server) Active() bool { return s.State != Stopped && s.State != "" }

// Event is one step of a start, in the form of JupyterHub's progress stream.
type Event struct {
	Progress    int    `json:"progress"`
	Message     string `json:"message"`
	HTMLMessage string `json:"html_message,omitempty"`
	Ready       bool   `json:"ready,omitempty"`
	Failed      bool   `json:"failed,omitempty"`
	URL         string `json:"url,omitempty"`
}

// Instance is what a spawner made: where it answers and what the spawner needs to find it again.
type Instance struct {
	// URL is the origin of the server's HTTP port: "http://127.0.0.1:41234".
	URL string `json:"url"`
	// Auth is the routes.Auth constant that the program understands.
	Auth string `json:"auth"`
	// State is the spawner's own, for example a process id with its start time.
	State json.RawMessage `json:"state,omitempty"`
}
