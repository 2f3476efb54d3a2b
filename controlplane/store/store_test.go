package store_test

import (
	"testing"

	"github.com/edgehub/edgehub/controlplane/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

func TestConformance(t *testing.T) { storetest.Conformance(t) }
