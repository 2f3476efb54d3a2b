package plugin

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/edgehub/edgehub/plugin/edgetest"
)

// authority is a private certificate authority.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{}
	a.cert, a.key = issue(t, nil, time.Now().Add(time.Hour))
	a.file = writePEM(t, "CERTIFICATE", a.cert.Raw)
	return a
}

// pair makes a certificate for this machine without a common name, which etcd's gateway would refuse, and its key.
func (a *authority) pair(t *testing.T, end time.Time, at ...net.IP) (certFile, keyFile string) {
	t.Helper()
	cert, key := issue(t, a, end, at...)
	text, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writePEM(t, "CERTIFICATE", cert.Raw), writePEM(t, "EC PRIVATE KEY", text)
}

func issue(t *testing.T, by *authority, end time.Time, at ...net.IP) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: end,
		IPAddresses: append(at, net.IPv4(127, 0, 0, 1)), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	parent, signer := c, key
	if by == nil {
		c.Subject, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = pkix.Name{CommonName: "test"}, true, true, x509.KeyUsageCertSign
	} else {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func writePEM(t *testing.T, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startSecureEtcd starts an etcd that asks its clients for certificates of the authority.
func startSecureEtcd(t *testing.T, a *authority) *edgetest.Etcd {
	t.Helper()
	addr := netip.MustParseAddrPort(edgetest.FreeAddr(t))
	cert, key := a.pair(t, time.Now().Add(time.Hour), addr.Addr().AsSlice())
	etcd := edgetest.StartEtcdWith(t, edgetest.Settings{Addr: addr.String(), CertFile: cert, KeyFile: key, ClientCAFile: a.file})
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	etcd.Client, err = clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint}, Logger: zap.NewNop(), DialTimeout: 5 * time.Second,
		TLS: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { etcd.Client.Close() })
	return etcd
}

func TestEtcdWithTLS(t *testing.T) {
	notShort(t)
	t.Parallel() // the only one of these that looks at the log
	lines := captureLog(t)
	ours, theirs := newAuthority(t), newAuthority(t)
	etcd := startSecureEtcd(t, ours)
	link, endpoint := edgetest.LinkTo(t, etcd)
	w := edgetest.NewWorld(t, etcd)
	putUser(w, "alice")

	// The files begin as wrong as can be, and each correction is found without a restart.
	c := config(w)
	dir := t.TempDir()
	c.Etcd = []string{endpoint}
	c.EtcdCAFile, c.EtcdCertFile, c.EtcdKeyFile = filepath.Join(dir, "ca"), filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	h, _ := New(t.Context(), nil, c, t.Name())
	e := h.(*Edge)
	t.Cleanup(e.Close)
	goodCert, goodKey := ours.pair(t, time.Now().Add(time.Hour))
	oldCert, oldKey := ours.pair(t, time.Now().Add(-time.Hour))
	strangeCert, strangeKey := theirs.pair(t, time.Now().Add(time.Hour))
	for _, step := range []struct {
		ca, cert, key string
		says          string
	}{
		{"", "", "", "etcdCAFile: open "},
		{goodKey, "", "", "etcdCAFile: no certificate in "},
		{ours.file, "", "", "etcdCertFile: open "},
		{ours.file, goodCert, "", "etcdKeyFile: open "},
		{ours.file, goodCert, strangeKey, "private key does not match"},
		{ours.file, oldCert, oldKey, "the certificate has expired at "},
		{theirs.file, goodCert, goodKey, "certificate signed by unknown authority"},
		{ours.file, strangeCert, strangeKey, "tls: unknown certificate authority"},
	} {
		for from, to := range map[string]string{step.ca: c.EtcdCAFile, step.cert: c.EtcdCertFile, step.key: c.EtcdKeyFile} {
			if from != "" {
				copyFile(t, from, to)
			}
		}
		eventually(t, "the log says "+step.says, func() bool {
			e.shared.log.forget()
			return strings.Contains(lines.String(), step.says)
		})
		if e.Ready() {
			t.Fatal("ready before: " + step.says)
		}
	}
	copyFile(t, goodCert, c.EtcdCertFile)
	copyFile(t, goodKey, c.EtcdKeyFile)
	eventually(t, "ready with the right files", e.Ready)

	putUser(w, "carol")
	eventually(t, "the watch is open", func() bool { return e.shared.has("carol") })

	// The files are read again when a connection was lost.
	copyFile(t, strangeCert, c.EtcdCertFile)
	copyFile(t, strangeKey, c.EtcdKeyFile)
	link.Cut()
	link.Heal()
	strange, err := os.ReadFile(strangeCert)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the next certificate is used", func() bool {
		e.shared.gateway.mu.Lock()
		defer e.shared.gateway.mu.Unlock()
		return strings.Contains(e.shared.gateway.files, string(strange))
	})
	copyFile(t, goodCert, c.EtcdCertFile)
	copyFile(t, goodKey, c.EtcdKeyFile)
	putUser(w, "bob")
	eventually(t, "the watch goes on", func() bool { return e.shared.has("bob") && e.shared.has("alice") })
}

// forget makes the logger log every reason again at once.
func (l *logger) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = make(map[string]time.Time)
}
