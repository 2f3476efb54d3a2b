package env

import "testing"

// Edge is a kind of front door.
type Edge string

// The two front doors: `edgehub edge` with the plugin compiled in, and a real Traefik that interprets it.
const (
	Embedded Edge = "embedded"
	Traefik  Edge = "traefik"
)

// EachEdge runs a test with each front door, at the same time.
func EachEdge(t *testing.T, run func(t *testing.T, e Edge)) {
	t.Helper()
	for _, e := range []Edge{Embedded, Traefik} {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			run(t, e)
		})
	}
}
