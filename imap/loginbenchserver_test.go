package imap

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// benchKind names, in the environment of a child of the test binary, the server that
// the child is instead of running tests: its CPU time is not ours then.
const benchKind = "IMAPAUTHD_BENCH_SERVER"

// benchServers are the servers there are; nil is one in clear. The chain is of a
// length and of kinds of keys that public authorities have.
var benchServers = map[string]*tls.Config{
	"clear":         nil,
	"tls13-resumed": {MinVersion: tls.VersionTLS13},
	// OpenSSL has ML-KEM from 3.5 on.
	"tls13-x25519":  {MinVersion: tls.VersionTLS13, CurvePreferences: []tls.CurveID{tls.X25519}},
	"tls13-full":    {MinVersion: tls.VersionTLS13, SessionTicketsDisabled: true},
	"tls12-resumed": {MaxVersion: tls.VersionTLS12},
	"tls12-full":    {MaxVersion: tls.VersionTLS12, SessionTicketsDisabled: true},
}

// chain makes a leaf for 127.0.0.1 under an intermediate under a root, and the file
// that trusts the root.
func chain(dir string) (cert tls.Certificate, ca string, err error) {
	type signer struct {
		cert *x509.Certificate
		key  *ecdsa.PrivateKey
	}
	var above *signer
	for i, curve := range []elliptic.Curve{elliptic.P384(), elliptic.P384(), elliptic.P256()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			return cert, "", err
		}
		template := &x509.Certificate{
			SerialNumber:          big.NewInt(int64(i + 1)),
			Subject:               pkix.Name{CommonName: fmt.Sprint("bench ", i)},
			NotBefore:             time.Now().Add(-time.Hour),
			NotAfter:              time.Now().Add(24 * time.Hour),
			BasicConstraintsValid: true,
			IsCA:                  i < 2,
		}
		if i == 2 {
			template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		}
		parent := signer{template, key}
		if above != nil {
			parent = *above
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
		if err != nil {
			return cert, "", err
		}
		if above == nil {
			ca = filepath.Join(dir, "ca.pem")
			if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
				return cert, "", err
			}
		} else {
			cert.Certificate = append([][]byte{der}, cert.Certificate...)
		}
		above = &signer{template, key}
		cert.PrivateKey = key
	}
	return cert, ca, nil
}

// benchMain is the child: it accepts every login until its standard input ends.
func benchMain(kind string) error {
	dir, err := os.MkdirTemp("", "imapauthd-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cert, ca, err := chain(dir)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if cfg := benchServers[kind]; cfg != nil {
		cfg.Certificates = []tls.Certificate{cert}
		l = tls.NewListener(l, cfg)
	}
	fmt.Println(l.Addr(), ca)
	var served sync.WaitGroup
	var all, resumed atomic.Int64
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer c.Close()
				benchSession(c)
				all.Add(1)
				if t, ok := c.(*tls.Conn); ok && t.ConnectionState().DidResume {
					resumed.Add(1)
				}
			})
		}
	})
	io.Copy(io.Discard, os.Stdin)
	l.Close()
	served.Wait()
	fmt.Println(all.Load(), resumed.Load())
	return nil
}

func benchSession(c net.Conn) {
	c.SetDeadline(time.Now().Add(time.Minute))
	io.WriteString(c, "* OK [CAPABILITY IMAP4rev1 SASL-IR LOGIN-REFERRALS ID ENABLE IDLE LITERAL+ AUTH=PLAIN] ready\r\n")
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		tag, command, _ := strings.Cut(line, " ")
		switch verb, _, _ := strings.Cut(command, " "); strings.TrimSpace(verb) {
		case "ID":
			fmt.Fprintf(c, "* ID NIL\r\n%s OK ID\r\n", tag)
		case "LOGOUT":
			fmt.Fprintf(c, "* BYE bye\r\n%s OK out\r\n", tag)
			return
		default:
			fmt.Fprintf(c, "%s OK [CAPABILITY IMAP4rev1 IDLE NAMESPACE] in\r\n", tag)
		}
	}
}

// startBenchServer runs a child. stop ends it and tells how many connections it had,
// and how many of them resumed a TLS session.
func startBenchServer(b *testing.B, kind string) (addr, ca string, stop func() (all, resumed int)) {
	b.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), benchKind+"="+kind)
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, &addr, &ca); err != nil {
		b.Fatal(err)
	}
	return addr, ca, func() (all, resumed int) {
		in.Close()
		fmt.Fscanln(out, &all, &resumed)
		if err := child.Wait(); err != nil {
			b.Error(err)
		}
		return all, resumed
	}
}
