package imap

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

// identity is whose certificate a connection must show.
type identity struct {
	sni   string   // name in the handshake, RFC 6066 §3
	names []string // names or addresses, of which the certificate must have one, RFC 9525
}

// named is the identity of one name or address.
func named(name string) identity {
	if ascii, err := hostName(name); err == nil { // Validate has seen to that
		name = ascii
	}
	return identity{name, []string{name}}
}

// identity returns whom a URL of the file names.
func (c *Config) identity(u URL) identity {
	if c.TLSName != "" {
		return named(c.TLSName)
	}
	return named(strings.TrimSuffix(u.Host, "."))
}

// clientTLS returns the TLS for connections to who, from the files as they
// are now. The certificate must verify, always: by a chain to a trusted one and by
// name, or by a pinned key. There is no key to turn that off.
func (c *Config) clientTLS(who identity) (*clientTLS, error) {
	roots, err := c.roots()
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	own, err := c.clientCertificate()
	if err != nil {
		return nil, fmt.Errorf("client_cert: %w", err)
	}
	pins, err := c.pins()
	if err != nil {
		return nil, fmt.Errorf("pin_sha256: %w", err)
	}
	v := &verifier{roots: roots, names: who.names, pins: pins, chain: c.CAFile != ""}
	return newClientTLS(&tls.Config{
		RootCAs:      roots,
		Certificates: own,
		ServerName:   who.sni,
		MinVersion:   tls.VersionTLS12, // RFC 8314 §4.1, RFC 8996
		NextProtos:   []string{"imap"}, // RFC 7301's registry
		// A resumed session makes dialling ahead cheap for both ends.
		ClientSessionCache: tls.NewLRUClientSessionCache(4),
		// crypto/tls knows one name and no pins. It calls verify for new and for
		// resumed sessions alike.
		InsecureSkipVerify: true,
		VerifyConnection:   func(s tls.ConnectionState) error { return v.verify(s.PeerCertificates) },
	}), nil
}

// verifier judges a server's certificates.
type verifier struct {
	roots *x509.CertPool // nil: the system's
	names []string
	pins  map[pin]bool // none: the chain alone decides
	chain bool         // with pins, the chain must verify too

	last atomic.Pointer[proof]
}

var (
	errNoCertificate = errors.New("the server shows no certificate")
	errNoName        = errors.New("there is no name that the certificate could have")
)

// verify returns nil for a chain to a root and one of the names, or for a pinned
// key. A pinned certificate may be of any name and age, as in RFC 7671 §5.1: who
// pins knows the server by its key. Where the file names a ca_file too, both
// must hold.
func (v *verifier) verify(certs []*x509.Certificate) error {
	if len(certs) == 0 {
		return errNoCertificate
	}
	leaf := certs[0]
	if len(v.pins) > 0 {
		if p := pinOf(leaf); !v.pins[p] {
			return fmt.Errorf("the server's key is not pinned: its pin is %q, which is to be compared at the server before it is trusted", p)
		}
		if !v.chain {
			return nil
		}
	}
	now := time.Now()
	if v.last.Load().holds(certs, now) {
		return nil
	}
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	err := errNoName
	for _, name := range v.names {
		if name == "" { // for x509 every certificate would do
			continue
		}
		var chains [][]*x509.Certificate
		chains, err = leaf.Verify(x509.VerifyOptions{Roots: v.roots, Intermediates: between, DNSName: name, CurrentTime: now})
		if err == nil {
			v.last.Store(newProof(certs, chains[0], now))
			return nil
		}
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Cert != nil {
		err = fmt.Errorf("%w (the certificate of %s)", err, invalid.Cert.Subject) // a server's, or an authority's
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: certs, Err: shortError{err}}
}

// shortError is an error whose text a server has chosen in part: a certificate may
// hold 200 kB of names, and controls for a terminal.
type shortError struct{ error }

func (e shortError) Error() string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, cut(e.error.Error()))
}

func (e shortError) Unwrap() error { return e.error }

// pin is the SHA-256 of a public key's SubjectPublicKeyInfo: RFC 7469 §2.4, TLSA
// "3 1 1".
type pin [sha256.Size]byte

func pinOf(c *x509.Certificate) pin { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

func (p pin) String() string { return base64.StdEncoding.EncodeToString(p[:]) }

// pins returns Config.PinSHA256 decoded.
func (c *Config) pins() (map[pin]bool, error) {
	set := make(map[pin]bool, len(c.PinSHA256))
	for _, text := range c.PinSHA256 {
		p, err := parsePin(text)
		if err != nil {
			return nil, err
		}
		set[p] = true
	}
	return set, nil
}

func parsePin(text string) (p pin, err error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != len(p) {
		return p, fmt.Errorf("%q is not the base64 of 32 bytes", text)
	}
	return pin(b), nil
}

// roots returns the certificates to trust; nil: the system's.
func (c *Config) roots() (*x509.CertPool, error) {
	if c.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", c.CAFile)
	}
	// That call passes over what it cannot read: the end of a file half written.
	if begun, ended := bytes.Count(text, []byte("-----BEGIN ")), bytes.Count(text, []byte("-----END ")); begun != ended {
		return nil, fmt.Errorf("%s is cut short: it begins %d PEM blocks and ends %d", c.CAFile, begun, ended)
	}
	return pool, nil
}

// clientCertificate returns what we show to a server that asks; none: nothing.
func (c *Config) clientCertificate() ([]tls.Certificate, error) {
	if c.ClientCert == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientKey)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", c.ClientCert, c.ClientKey, err)
	}
	return []tls.Certificate{pair}, nil
}
