package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	goimap "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// demoIMAP is the embedded IMAP server, under TLS on a loopback address, with a
// certificate that it made itself.
type demoIMAP struct {
	addr   string // host:port, kept over a restart
	caFile string // its certificate, PEM
	tls    *tls.Config
	memory *imapmemserver.Server
	server *imapserver.Server
	socket *trackingListener
	done   chan struct{} // closed when Serve has returned
}

// newDemoIMAP starts a server with these accounts and their passwords. The
// certificate is written into dir.
func newDemoIMAP(dir string, accounts map[string]string) (*demoIMAP, error) {
	cert, err := demoCertificate()
	if err != nil {
		return nil, fmt.Errorf("demo: certificate: %w", err)
	}
	d := &demoIMAP{
		addr:   "127.0.0.1:0",
		caFile: filepath.Join(dir, "ca.pem"),
		tls:    &tls.Config{Certificates: []tls.Certificate{cert}},
		memory: imapmemserver.New(),
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})
	if err := os.WriteFile(d.caFile, block, 0o600); err != nil {
		return nil, err
	}
	for name, password := range accounts {
		d.memory.AddUser(imapmemserver.NewUser(name, password))
	}
	return d, d.start()
}

// start listens, on the same port as before.
func (d *demoIMAP) start() error {
	l, err := net.Listen("tcp", d.addr)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	d.addr = l.Addr().String()
	d.server = imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return d.memory.NewSession(), nil, nil
		},
		Caps:   goimap.CapSet{goimap.CapIMAP4rev1: {}},
		Logger: log.New(io.Discard, "", 0),
	})
	d.socket = &trackingListener{Listener: l}
	d.done = make(chan struct{})
	go func() {
		defer close(d.done)
		d.server.Serve(tls.NewListener(d.socket, d.tls))
	}()
	return nil
}

// stop closes the server and all its connections.
func (d *demoIMAP) stop() {
	d.server.Close()
	<-d.done
	d.socket.closeAll()
}

// trackingListener closes its connections with itself. imapserver's Close
// overlooks one that was accepted just before it and is not registered yet.
type trackingListener struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn // protected by mu; a demo's worth
}

func (l *trackingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.conns = append(l.conns, c)
		l.mu.Unlock()
	}
	return c, err
}

func (l *trackingListener) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		c.Close()
	}
}

// demoCertificate makes a self-signed certificate for 127.0.0.1.
func demoCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "imapauthd demo"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
