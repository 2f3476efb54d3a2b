package plugin

import (
	"context"
	"flag"
	"io"
	"log"
	"net/http"
	"os"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
)

// logged is what the edge wrote into its log in all tests.
var logged = &safeBuffer{}

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // they wait more than they compute
		panic(err)
	}
	log.SetOutput(io.MultiWriter(os.Stderr, logged))
	code := m.Run()
	edgetest.StopSharedEtcd()
	for _, secret := range edgetest.Leaked(logged.String()) {
		log.Printf("the log of the edge shows the secret %q", secret)
		code = 1
	}
	os.Exit(code)
}

// makeEdge makes a compiled edge for the suite.
func makeEdge(t testing.TB, o edgetest.Options) http.Handler {
	t.Helper()
	config := CreateConfig()
	config.Etcd, config.Prefix, config.Hub, config.PublicURL = o.Etcd, o.Prefix, o.Hub, o.PublicURL
	config.BaseURL = o.BaseURL
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
