package operators

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/edgehub/edgehub/plugin/edgetest"
	"github.com/edgehub/edgehub/routes"
)

// newHub is a world with alice's server and a hub that is found in etcd, at the prefix that the manual has.
func newHub(t *testing.T, etcd *edgetest.Etcd, prefix string) *edgetest.World {
	t.Helper()
	w := edgetest.NewWorld(t, etcd)
	w.Prefix = prefix
	w.Put(routes.SigningKeyKey(prefix, w.Kid), routes.Key{Schema: 1, ID: w.Kid, Hub: edgetest.HubID, Public: w.Key.Public().(ed25519.PublicKey)})
	w.Put(routes.HubKey(prefix, "one"), routes.Hub{Schema: 1, URL: w.Hub.URL})
	w.PutRoute(edgetest.Route("alice", edgetest.Server(t, "alice").URL))
	return w
}

// endpoints replaces the manual's etcd members by one that is there.
func endpoints(scheme, endpoint string) []string {
	var pairs []string
	for _, member := range []string{"etcd-1", "etcd-2", "etcd-3"} {
		pairs = append(pairs, scheme+"://"+member+":2379", endpoint)
	}
	return pairs
}

// certificate makes a certificate for hosts that is its own authority, and trusts it.
func (p *place) certificate(t *testing.T, hosts ...string) (cert, key string) {
	t.Helper()
	cert, key = newCertificate(t, hosts...)
	p.roots = x509.NewCertPool()
	p.roots.AppendCertsFromPEM([]byte(cert))
	return cert, key
}

func newCertificate(t *testing.T, hosts ...string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: hosts[0]}, DNSNames: hosts, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return encode("CERTIFICATE", der), encode("PRIVATE KEY", bytes)
}
