package operators

import (
	"os"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	edgetest.StopSharedEtcd()
	os.Exit(code)
}
