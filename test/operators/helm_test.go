package operators

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// TestHelm starts Traefik with the arguments that the chart makes of the manual's values, on the manifests of the manual.
func TestHelm(t *testing.T) {
	values := block(t, "values.yaml")
	args := chartArguments(t, values)
	p := newPlace(t)
	etcd := edgetest.StartEtcd(t, false)
	w := newHub(t, etcd, routes.DefaultPrefix)
	inside := []string{edgetest.FreeAddr(t), edgetest.FreeAddr(t)}
	args = p.arguments(t, args, ":8000/tcp", ":8443/tcp")
	text := replaced(t, strings.Join(args, "\n"),
		"traefik.address=:8080/tcp", "traefik.address="+inside[0], "metrics.address=:9100/tcp", "metrics.address="+inside[1])
	tr := p.start(t, append(strings.Split(text, "\n"), "--providers.kubernetesCRD.endpoint="+p.cluster(t, etcd))...)
	tr.serves(t, w, "hub.example.org")
	tr.hardened(t, "hub.example.org")
	tr.listensOnlyOn(t, p.web, p.websecure, inside[0], inside[1])
}

// chartArguments are what the chart makes of the values: Helm's output is in testdata, with the hash of its input.
func chartArguments(t *testing.T, values string) []string {
	t.Helper()
	const file = "testdata/chart-arguments.txt"
	text := read(t, file)
	hash := sha256.Sum256([]byte(values))
	if !strings.Contains(text, "# values.yaml "+hex.EncodeToString(hash[:])+"\n") {
		t.Fatalf("values.yaml in docs/traefik.md has changed. %s tells how to make it anew; its hash is %x", file, hash)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(text), "\n"), func(line string) bool { return line[0] == '#' })
}

// TestTheChartPublishesNoManagementPort looks at the ports that the chart's service has, and at where the secret's files are.
func TestTheChartPublishesNoManagementPort(t *testing.T) {
	values := parse(t, block(t, "values.yaml"))
	for _, port := range []string{"traefik", "metrics"} {
		if dig(values, "ports", port, "expose", "default") != false {
			t.Errorf("the port %s is published", port)
		}
	}
	if dig(values, "api", "dashboard") != false {
		t.Error("the chart would switch the API on")
	}
	volumes, _ := values["volumes"].([]any)
	if len(volumes) != 1 {
		t.Fatalf("volumes: %v", volumes)
	}
	mount, _ := volumes[0].(section)["mountPath"].(string)
	for _, option := range []string{"etcdPasswordFile", "etcdCAFile"} {
		if !strings.Contains(block(t, "kubernetes.yaml"), option+": "+mount+"/") {
			t.Errorf("%s is not in %s, where the values mount the secret", option, mount)
		}
	}
}
