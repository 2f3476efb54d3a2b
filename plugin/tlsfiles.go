package plugin

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"
)

// tlsFiles are the files that say how to speak TLS with etcd, as they are at one moment.
type tlsFiles struct {
	text   string // of all of them: something to compare
	config *tls.Config
}

// readTLSFiles reads them all and says which one is no good.
func readTLSFiles(set *settings) (*tlsFiles, error) {
	files := &tlsFiles{config: &tls.Config{MinVersion: tls.VersionTLS12}}
	if set.caFile != "" {
		pem, err := readOption("etcdCAFile", set.caFile, files)
		if err != nil {
			return nil, err
		}
		files.config.RootCAs = x509.NewCertPool()
		if !files.config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("etcdCAFile: no certificate in %s", set.caFile)
		}
	}
	if set.certFile != "" {
		pair, err := readPair(set, files)
		if err != nil {
			return nil, err
		}
		files.config.Certificates = []tls.Certificate{pair}
	}
	return files, nil
}

// readPair reads the certificate that this edge shows to etcd. etcd would refuse an expired one without saying which.
func readPair(set *settings, files *tlsFiles) (tls.Certificate, error) {
	none := tls.Certificate{}
	cert, err := readOption("etcdCertFile", set.certFile, files)
	if err != nil {
		return none, err
	}
	key, err := readOption("etcdKeyFile", set.keyFile, files)
	if err != nil {
		return none, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return none, fmt.Errorf("etcdCertFile %s, etcdKeyFile %s: %w", set.certFile, set.keyFile, err)
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return none, fmt.Errorf("etcdCertFile %s: %w", set.certFile, err)
	}
	if time.Now().After(leaf.NotAfter) {
		return none, fmt.Errorf("etcdCertFile %s: the certificate has expired at %s", set.certFile, leaf.NotAfter.Format(time.RFC3339))
	}
	return pair, nil
}

// readOption reads the file of an option.
func readOption(option, file string, files *tlsFiles) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", option, err)
	}
	files.text = strings.Join([]string{files.text, string(text)}, "\n")
	return text, nil
}
