package e2e

import (
	"os"
"testing"
	"time"
	"context"
	"github.com/coder/websocket"

	"github.com/edgehub/edgehub/test/env"
)

func TestMain(m *testing.M) { os.Exit(env.Main(m)) }

func TestSmoke(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		st := time.Now()
		w := env.New(t, env.Options{Edge: e})
		t.Log("ready", time.Since(st))
		w.AddUser(t, "alice")
		w.StartServer(t, "alice")
		t.Log("server", time.Since(st))
		c := w.Login(t, "alice")
		t.Logf("%+v", c.Get(t, "/user/alice/x").Report(t))
		ws := c.WebSocket(t, "/user/alice/ws")
		ws.Write(context.Background(), websocket.MessageText, []byte("hi"))
		_, d, err := ws.Read(context.Background())
		t.Log(string(d), err)
		tok := c.Token(t)
		t.Log(w.Bearer(tok.Secret).Get(t, "/user/alice/x"))
		t.Log(w.HubRequests(), w.Lives(t, "alice"), w.Server(t, "alice"))
		c.Logout(t)
		w.StopServer(t, "alice")
		t.Log("end", time.Since(st))
	})
}
func TestSmokeJupyter(t *testing.T) {
	env.EachEdge(t, func(t *testing.T, e env.Edge) {
		st := time.Now()
		w := env.New(t, env.Options{Edge: e, Jupyter: true})
		t.Log("ready", time.Since(st))
		w.AddUser(t, "alice")
		w.StartServer(t, "alice")
		t.Log("server", time.Since(st))
		c := w.Login(t, "alice")
		k := c.Kernel(t, "alice")
		t.Log(k.Run(t, "print(6*7)"), k.Run(t, "1+1"), k.Run(t, "1/0"))
		t.Log("end", time.Since(st))
	})
}
