package plugin

import (
	"context"
	"flag"
	"net/http"
	"os"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait more than they compute
		panic(err)
	}
	code := m.Run()
	edgetest.StopSharedEtcd()
	os.Exit(code)
}

// makeEdge makes a compiled edge for the suite.
func makeEdge(t testing.TB, o edgetest.Options) http.Handler {
	t.Helper()
	config := CreateConfig()
	config.Etcd, config.Prefix, config.Hub, config.PublicURL = o.Etcd, o.Prefix, o.Hub, o.PublicURL
	config.StoppedStatus, config.UserDomain, config.APIHosts, config.QueryTokens = o.StoppedStatus, o.UserDomain, o.APIHosts, o.QueryTokens
	config.ActivityInterval = o.ActivityInterval
	config.LogFields, config.StatusPath, config.StatusTokenFile = o.LogFields, o.StatusPath, o.StatusTokenFile
	h, err := New(context.Background(), nil, config, t.Name())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.(*Edge).Close)
	if o.AccessLog != "" {
		return edgetest.Logged(h, o.AccessLog)
	}
	return h
}

func TestCompiled(t *testing.T) { edgetest.Run(t, makeEdge) }
