package local

import (
	"os"
	"testing"

	"github.com/edgehub/edgehub/controlplane/hub"
	"github.com/edgehub/edgehub/controlplane/spawn/spawntest"
	"go.uber.org/goleak"
)

// TestMain is also what the hub's binary is to the spawner, the server it spawns, and a hub that gets killed.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && os.Args[1] == "spawn-exec":
		if ExecShim(os.Args[2:]) != nil {
			os.Exit(1)
		}
	case spawntest.ProgramWanted():
		os.Exit(spawntest.Program())
	case len(os.Args) > 1 && os.Args[1] == "doomed-hub":
		doomedHub(os.Args[2:])
	}
	goleak.VerifyTestMain(m)
}

func TestContract(t *testing.T) {
	t.Parallel()
	spawntest.Run(t, func(t *testing.T) spawntest.Backend {
		opt := testOptions(t)
		return spawntest.Backend{
			Spawner: func(t *testing.T) hub.Spawner { return newSpawner(t, opt) },
			Live:    func(t *testing.T, name string) int { return len(livePrograms(t, opt.Dir, name)) },
			Serves:  true,
		}
	})
}
