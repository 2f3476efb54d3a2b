package env

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Kernel is a Python kernel in a user's Jupyter server, reached as JupyterLab does: through the front door, over a WebSocket.
type Kernel struct {
	ID   string
	conn *websocket.Conn
	name string
}

// message is Jupyter's on the WebSocket, in JSON.
type message struct {
	Channel string         `json:"channel"`
	Header  messageHeader  `json:"header"`
	Parent  messageHeader  `json:"parent_header"`
	Meta    map[string]any `json:"metadata"`
	Content map[string]any `json:"content"`
}

type messageHeader struct {
	ID       string `json:"msg_id"`
	Type     string `json:"msg_type"`
	Username string `json:"username"`
	Session  string `json:"session"`
	Date     string `json:"date"`
	Version  string `json:"version"`
}

// Kernel starts a kernel in the server of a user, and opens its channels.
func (c *Client) Kernel(t testing.TB, user string) *Kernel {
	t.Helper()
	resp := c.Post(t, "/user/"+user+"/api/kernels", map[string]any{})
	var model struct {
		ID string `json:"id"`
	}
	if resp.Status != http.StatusCreated {
		t.Fatalf("start a kernel for %s: %s", user, resp)
	}
	resp.JSON(t, &model)
	k := &Kernel{ID: model.ID, name: c.who()}
	k.conn = c.WebSocket(t, "/user/"+user+"/api/kernels/"+k.ID+"/channels?session_id="+newSecret())
	return k
}

// Run runs code and returns what it printed, or else its value as text.
func (k *Kernel) Run(t testing.TB, code string) string {
	t.Helper()
	out, err := k.TryRun(code, time.Minute)
	if err != nil {
		t.Fatalf("kernel of %s: %s", k.name, err)
	}
	return out
}

// TryRun is Run for loops that count errors.
func (k *Kernel) TryRun(code string, atMost time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), atMost)
	defer cancel()
	request := message{Channel: "shell", Meta: map[string]any{},
		Header: messageHeader{ID: newSecret(), Type: "execute_request", Username: k.name, Session: k.ID, Version: "5.3", Date: time.Now().UTC().Format(time.RFC3339)},
		Content: map[string]any{"code": code, "silent": false, "store_history": false, "user_expressions": map[string]any{}, "allow_stdin": false,
			"stop_on_error": true}}
	data, err := json.Marshal(request)
	if err != nil {
		return "", err
	}
	if err := k.conn.Write(ctx, websocket.MessageText, data); err != nil {
		return "", err
	}
	var out strings.Builder
	for {
		_, data, err := k.conn.Read(ctx)
		if err != nil {
			return out.String(), err
		}
		var m message
		if err := json.Unmarshal(data, &m); err != nil {
			return out.String(), err
		}
		if m.Parent.ID != request.Header.ID {
			continue
		}
		text, idle := m.output()
		if out.WriteString(text); idle {
			return strings.TrimSpace(out.String()), nil
		}
	}
}

// output is the text of a message, and whether it says that the kernel is done.
func (m *message) output() (text string, idle bool) {
	switch m.Header.Type {
	case "stream":
		text, _ = m.Content["text"].(string)
	case "execute_result":
		data, _ := m.Content["data"].(map[string]any)
		text, _ = data["text/plain"].(string)
	case "error":
		text, _ = m.Content["evalue"].(string)
	case "status":
		idle = m.Content["execution_state"] == "idle"
	}
	return text, idle
}
