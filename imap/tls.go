package imap

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// roots returns the certificates to trust; nil: the system's.
func (c *Config) roots() (*x509.CertPool, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", c.CAFile)
	}
	return pool, nil
}

// tlsConfig returns the configuration for connections to u. The certificate must
// verify, always; there is no key to turn that off.
func (c *Config) tlsConfig(u URL) (*tls.Config, error) {
	roots, err := c.roots()
	if err != nil {
		return nil, err
	}
	name := c.TLSName
	if name == "" {
		name = u.Host
	}
	return &tls.Config{
		RootCAs:    roots,
		ServerName: name,
		MinVersion: tls.VersionTLS12, // RFC 8314 §4.1, RFC 8996
		NextProtos: []string{"imap"}, // RFC 7301's registry
		// A resumed session makes dialling ahead cheap for both ends.
		ClientSessionCache: tls.NewLRUClientSessionCache(4),
	}, nil
}
