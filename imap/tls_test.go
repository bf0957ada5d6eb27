package imap

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"imapauthd/proto"
)

// certificate makes a self-signed certificate for names, valid until notAfter, and
// a file that trusts it.
func certificate(t *testing.T, notAfter time.Time, names ...string) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "test"},
		NotBefore:    time.Now().Add(-48 * time.Hour),
		NotAfter:     notAfter,
		IsCA:         true, BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// abroad is a connection that seems to have crossed a network.
type abroad struct{ *net.TCPConn }

func (abroad) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 143} }

// dialAbroad makes all of a router's connections seem to cross a network.
func dialAbroad(r *Router) {
	for _, s := range r.byName {
		for _, p := range s.pools {
			dial := p.dialer
			p.dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := dial(ctx, network, address)
				if err != nil {
					return nil, err
				}
				return abroad{c.(*net.TCPConn)}, nil
			}
		}
	}
}

// startTLSServer serves one connection: in clear up to STARTTLS, with clear behind
// the answer to it, then under TLS.
func startTLSServer(t *testing.T, cert tls.Certificate, greeting, behind string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(c, "* OK [CAPABILITY %s] ready\r\n", greeting)
		if line, _ := bufio.NewReader(c).ReadString('\n'); line != "b STARTTLS\r\n" {
			return
		}
		io.WriteString(c, "b OK go\r\n"+behind)
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}})
		in := bufio.NewReader(s)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			tag, rest, _ := strings.Cut(line, " ")
			switch {
			case strings.HasPrefix(rest, "CAPABILITY"):
				fmt.Fprintf(s, "* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n%s OK\r\n", tag)
			case strings.HasPrefix(rest, "AUTHENTICATE"):
				fmt.Fprintf(s, "%s OK in\r\n", tag)
			}
		}
	}()
	return l.Addr().String()
}

func login(t *testing.T, r *Router) (proto.Verdict, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	v, err := r.Authenticate(ctx, &proto.Request{Authcid: "alice", Password: proto.NewPassword("secret")})
	return v, fmt.Sprint(err)
}

// TestClearText holds DESIGN's promise 3: what is sent in clear, and when.
func TestClearText(t *testing.T) {
	cert, ca := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	const plain, start = "IMAP4rev1 SASL-IR AUTH=PLAIN", "IMAP4rev1 STARTTLS LOGINDISABLED"
	tests := []struct {
		name, greeting, behind string
		abroad, trust          bool
		want                   proto.Verdict
		text                   string
	}{
		{"abroad, no STARTTLS", plain, "", true, true, proto.TempFail, "never crosses a network in clear"},
		{"abroad, STARTTLS", start, "", true, true, proto.Accept, ""},
		{"abroad, STARTTLS and PLAIN in clear", "STARTTLS " + plain, "", true, true, proto.Accept, ""},
		{"abroad, unknown certificate", start, "", true, false, proto.TempFail, "certificate"},
		{"loopback, LOGINDISABLED", start, "", false, true, proto.Accept, ""},
		{"injection", start, "b OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] in\r\n", true, true, proto.TempFail, "in clear behind"},
		{"stripped", "IMAP4rev1 LOGINDISABLED", "", true, true, proto.TempFail, "never crosses a network in clear"},
		{"found, on loopback", "STARTTLS " + plain, "", false, true, proto.Accept, ""},
		{"found, stripped, on loopback", plain, "", false, true, proto.TempFail, "never crosses a network in clear"},
		{"found, unknown certificate, on loopback", "STARTTLS " + plain, "", false, false, proto.TempFail, "certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := startTLSServer(t, cert, tt.greeting, tt.behind)
			r := newRouter(t, "imap://"+addr, func(c *Config) {
				if tt.trust {
					c.CAFile = ca
				}
			})
			defer r.Close()
			if tt.abroad {
				dialAbroad(r)
			}
			r.fallback.pools[0].strict = strings.HasPrefix(tt.name, "found")
			if v, text := login(t, r); v != tt.want || !strings.Contains(text, tt.text) {
				t.Errorf("got %v (%s) want %v (%s)", v, text, tt.want, tt.text)
			}
		})
	}
}

// imapsServer accepts every login on every connection, and tells whether the
// last one resumed a session and whom its certificate named.
func imapsServer(t *testing.T, cfg *tls.Config) (addr string, last func() tls.ConnectionState) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	var state atomic.Pointer[tls.ConnectionState]
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				io.WriteString(c, "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready\r\n")
				if line, err := bufio.NewReader(c).ReadString('\n'); err == nil {
					s := c.(*tls.Conn).ConnectionState()
					state.Store(&s)
					fmt.Fprintf(c, "%s OK in\r\n", strings.Fields(line)[0])
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); served.Wait() })
	return l.Addr().String(), func() tls.ConnectionState { return *state.Load() }
}

// keyPin returns the pin of a certificate's key.
func keyPin(t *testing.T, c tls.Certificate) string {
	t.Helper()
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return pinOf(leaf).String()
}

// TestCertificates: imaps with the right certificate and with every wrong one.
func TestCertificates(t *testing.T) {
	good, goodCA := certificate(t, time.Now().Add(time.Hour), "127.0.0.1", "mail.example.com")
	expired, expiredCA := certificate(t, time.Now().Add(-time.Hour), "127.0.0.1")
	elsewhere, elsewhereCA := certificate(t, time.Now().Add(time.Hour), "elsewhere.example.com")
	tests := []struct {
		name      string
		cert      tls.Certificate
		ca, named string
		pins      []tls.Certificate
		want      proto.Verdict
		text      string
	}{
		{"good", good, goodCA, "", nil, proto.Accept, ""},
		{"by tls_name", good, goodCA, "mail.example.com", nil, proto.Accept, ""},
		{"wrong tls_name", good, goodCA, "other.example.com", nil, proto.TempFail, "other.example.com"},
		{"wrong name", elsewhere, elsewhereCA, "", nil, proto.TempFail, "127.0.0.1"},
		{"expired", expired, expiredCA, "", nil, proto.TempFail, "(the certificate of CN=test)"},
		{"self-signed, not trusted", good, "", "", nil, proto.TempFail, "unknown authority"},
		{"signed by another", good, expiredCA, "", nil, proto.TempFail, "unknown authority"},
		// A pin stands for all else.
		{"pinned", good, "", "", []tls.Certificate{good}, proto.Accept, ""},
		{"pinned among others", good, "", "", []tls.Certificate{expired, good}, proto.Accept, ""},
		{"pinned, expired", expired, "", "", []tls.Certificate{expired}, proto.Accept, ""},
		{"pinned, of another name", elsewhere, "", "", []tls.Certificate{elsewhere}, proto.Accept, ""},
		{"not pinned", good, "", "", []tls.Certificate{expired}, proto.TempFail, keyPin(t, good)},
		// With a ca_file both must hold.
		{"trusted and pinned", good, goodCA, "", []tls.Certificate{good}, proto.Accept, ""},
		{"trusted, not pinned", good, goodCA, "", []tls.Certificate{expired}, proto.TempFail, "not pinned"},
		{"pinned, not trusted", good, expiredCA, "", []tls.Certificate{good}, proto.TempFail, "unknown authority"},
		{"pinned, trusted, wrong name", good, goodCA, "other.example.com", []tls.Certificate{good}, proto.TempFail, "other.example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr, last := imapsServer(t, &tls.Config{Certificates: []tls.Certificate{tt.cert}})
			r := newRouter(t, "imaps://"+addr, func(c *Config) {
				c.CAFile, c.TLSName, c.Warm = tt.ca, tt.named, 0
				for _, p := range tt.pins {
					c.PinSHA256 = append(c.PinSHA256, keyPin(t, p))
				}
			})
			defer r.Close()
			for range 2 { // the second by a resumed session, which is judged alike
				if v, text := login(t, r); v != tt.want || !strings.Contains(text, tt.text) {
					t.Errorf("got %v (%s) want %v (%s)", v, text, tt.want, tt.text)
				}
			}
			// crypto/tls resumes none of a certificate that has expired.
			if tt.want == proto.Accept && !last().DidResume && tt.name != "pinned, expired" {
				t.Error("the second handshake resumed no session")
			}
		})
	}
}

// TestOldTLS: what RFC 8996 has put to rest is refused.
func TestOldTLS(t *testing.T) {
	cert, ca := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	for max, want := range map[uint16]proto.Verdict{tls.VersionTLS11: proto.TempFail, tls.VersionTLS12: proto.Accept, tls.VersionTLS13: proto.Accept} {
		addr, _ := imapsServer(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: max})
		r := newRouter(t, "imaps://"+addr, func(c *Config) { c.CAFile = ca })
		if v, text := login(t, r); v != want {
			t.Errorf("%s: got %v (%s) want %v", tls.VersionName(max), v, text, want)
		}
		r.Close()
	}
}

// TestLongCertificate: a certificate's names do not fill the log.
func TestLongCertificate(t *testing.T) {
	var names []string
	for i := range 99 {
		names = append(names, fmt.Sprintf("%d.%s.example.com", i, strings.Repeat("x.", 100)))
	}
	cert, ca := certificate(t, time.Now().Add(time.Hour), names...)
	addr, _ := imapsServer(t, &tls.Config{Certificates: []tls.Certificate{cert}})
	r := newRouter(t, "imaps://"+addr, func(c *Config) { c.CAFile, c.TLSName = ca, "imap.example.com" })
	defer r.Close()
	if v, text := login(t, r); v != proto.TempFail || len(text) > 500 {
		t.Errorf("got %v and %d bytes: %.600s", v, len(text), text)
	}
}

// TestNoName: an empty name is no name, not every name.
func TestNoName(t *testing.T) {
	cert, ca := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	cfg := &Config{CAFile: ca}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots, err := cfg.roots()
	if err != nil {
		t.Fatal(err)
	}
	v := &verifier{roots: roots, names: []string{""}}
	if err := v.verify([]*x509.Certificate{leaf}); !errors.Is(err, errNoName) {
		t.Errorf("got %v", err)
	}
}

// TestHungHandshake: a server that never speaks TLS is called that, not by the
// library's words for a deadline.
func TestHungHandshake(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("after a while"))
	defer cancel()
	go io.Copy(io.Discard, theirs)
	_, err := preamble(ctx, ours, URL{Scheme: "imaps"}, false, newClientTLS(&tls.Config{ServerName: "x"}))
	if err == nil || err.Error() != "no answer: after a while" {
		t.Errorf("got %v", err)
	}
}

// TestResumedTogether: connections that are dialled at the same time resume the same
// session, as one after the other do. Each learns of a session to resume before
// its greeting, without a login.
func TestResumedTogether(t *testing.T) {
	cert, ca := certificate(t, time.Now().Add(time.Hour), "127.0.0.1")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			var all, resumed atomic.Int32
			addr, _ := imapsServer(t, &tls.Config{
				Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version,
				VerifyConnection: func(s tls.ConnectionState) error {
					all.Add(1)
					if s.DidResume {
						resumed.Add(1)
					}
					return nil
				},
			})
			r := newRouter(t, "imaps://"+addr, func(c *Config) { c.CAFile = ca })
			defer r.Close()
			p := r.fallback.pools[0]
			conn, err := p.get(t.Context(), true)
			if err != nil {
				t.Fatal(err)
			}
			p.release(conn)
			for range 3 { // a session may serve once only
				var wg sync.WaitGroup
				var conns [15]*warmConn
				for i := range conns {
					wg.Go(func() { conns[i], _ = p.get(t.Context(), true) })
				}
				wg.Wait()
				for _, c := range conns {
					if c == nil {
						t.Fatal("no connection")
					}
					p.discard(c)
				}
			}
			if n, m := all.Load(), resumed.Load(); m != n-1 {
				t.Errorf("%d of %d handshakes resumed a session", m, n)
			}
		})
	}
}
