package env

import (
	"slices"
	"strings"
	"testing"
)

// AddHub starts another replica of the hub of New, and returns it with its own address. Browsers send it the cookies of the front
// door's address, as it has the same host.
func (w *World) AddHub(t testing.TB) (*Process, string) {
	t.Helper()
	address := strings.Replace(w.hub, ":8081", ":8082", 1)
	args := slices.Clone(w.Hub.args)
	args[slices.Index(args, "--listen")+1] = host(address)
	p := w.process("hub-2", Process{path: w.Hub.path, env: w.Hub.env, args: args, ready: w.answers(address+"/hub/health", "")})
	p.Start()
	return p, address
}
