// Package e2e holds the end-to-end tests: what a hub promises, shown with real processes, once with the embedded front door
// and once with a real Traefik. The world that they run in is package env.
package e2e

import (
	"os"
	"testing"

	"github.com/edgehub/edgehub/test/env"
)

func TestMain(m *testing.M) { os.Exit(env.Main(m)) }
