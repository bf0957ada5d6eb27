package tests

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// namedServer is an IMAP server with a certificate, at 127.0.0.1. It knows every
// account, with passwordOf it, and keeps all that it hears, less the TLS.
type namedServer struct {
	*imapServer
	heard *output
}

func passwordOf(account string) string { return "the password of " + account }

// startNamed starts one. Under imap:// it offers STARTTLS, and nothing before.
func startNamed(t *testing.T, scheme string, cert *authority) *namedServer {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert.certFile, cert.keyFile)
	if err != nil {
		t.Fatal(err)
	}
	s := &namedServer{heard: &output{}}
	serve := verdicts(func(l login) string {
		if l.password == passwordOf(l.authcid) {
			return "OK in"
		}
		return "NO [AUTHENTICATIONFAILED] no"
	})
	s.imapServer = startIMAP(t, func(c *imapSession) {
		hear := func(conn net.Conn) { c.conn, c.r = conn, bufio.NewReader(io.TeeReader(conn, s.heard)) }
		hear(c.conn)
		if scheme == "imap" && !c.startTLS() {
			return
		}
		conn := tls.Server(c.conn, &tls.Config{Certificates: []tls.Certificate{pair}})
		if conn.Handshake() != nil {
			return
		}
		if hear(conn); scheme == "imap" {
			c.conn = &ungreeting{Conn: conn} // RFC 9051 §6.2.1: no second greeting
		}
		serve(c)
	})
	return s
}

// startTLS speaks until the client begins TLS.
func (s *imapSession) startTLS() bool {
	s.send("* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready")
	for {
		line, ok := s.line()
		if !ok {
			return false
		}
		switch tag, verb, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "CAPABILITY":
			s.send("* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n%s OK done", tag)
		case "STARTTLS":
			s.send("%s OK begin", tag)
			return true
		default:
			s.send("%s NO first TLS", tag)
		}
	}
}

// ungreeting leaves out the first thing that is written.
type ungreeting struct {
	net.Conn
	begun bool
}

func (c *ungreeting) Write(p []byte) (int, error) {
	if !c.begun {
		c.begun = true
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// expectUntold fails the test unless the server was connected to and told nothing
// that has to do with a login.
func (s *namedServer) expectUntold(t *testing.T) {
	t.Helper()
	if _, total := s.conns.peak(); total == 0 {
		t.Error("nobody connected to the server, which proves nothing")
	}
	heard := strings.ToUpper(s.heard.String())
	for _, word := range []string{"LOGIN", "AUTHENTICATE", "USER", "PASSWORD"} {
		if strings.Contains(heard, word) {
			t.Errorf("the server heard %q", s.heard)
		}
	}
	if n := len(s.attempts()); n > 0 {
		t.Errorf("the server got %d logins", n)
	}
}

// names returns a certificate for the names by an authority of its own.
func names(t *testing.T, names ...string) *authority {
	t.Helper()
	return newAuthority(t, shortDir(t), names...)
}

// trusting returns the line that trusts the certificates' authorities.
func trusting(t *testing.T, certs ...*authority) string {
	t.Helper()
	var pem bytes.Buffer
	for _, c := range certs {
		text, err := os.ReadFile(c.caFile)
		if err != nil {
			t.Fatal(err)
		}
		pem.Write(text)
	}
	file := filepath.Join(shortDir(t), "ca.pem")
	writeFile(t, file, pem.String())
	return fmt.Sprintf("ca_file = %q", file)
}

// srvRecord is dnsmasq's option for the domain example.test; more is the priority
// and the weight.
func srvRecord(service, target string, port int, more ...int) string {
	record := fmt.Sprintf("srv-host=_%s._tcp.example.test,%s,%d", service, target, port)
	for _, n := range more {
		record += fmt.Sprint(",", n)
	}
	return record
}

// here is dnsmasq's option for a name of 127.0.0.1.
func here(name string) string { return "host-record=" + name + ",127.0.0.1" }

// srvClient asks a daemon about accounts of example.test, each time another one,
// so that no answer comes from the cache.
type srvClient struct {
	*daemon
	n int
}

// serveSRV starts a daemon that finds the servers of example.test by DNS.
func serveSRV(t *testing.T, dns *dnsServer, more ...string) *srvClient {
	t.Helper()
	text := serverTOML("srv", append([]string{`domains = ["example.test"]`}, more...)...)
	return &srvClient{daemon: serveDNS(t, dns, text)}
}

func (c *srvClient) right(t *testing.T) string {
	t.Helper()
	c.n++
	account := fmt.Sprintf("user%d@example.test", c.n)
	c.hides(passwordOf(account))
	return ask(t, c.socket, plainRequest(account, passwordOf(account)))
}

func (c *srvClient) wrong(t *testing.T) string {
	t.Helper()
	c.n++
	return ask(t, c.socket, plainRequest(fmt.Sprintf("user%d@example.test", c.n), "a wrong password"))
}

// Which certificates count, for which targets. Every server is there, and trusted
// unless the row says otherwise.
func TestSRVCertificates(t *testing.T) {
	const hoster = `srv_targets = ["mail.hoster.test"]`
	for _, tt := range []struct {
		name            string
		service, target string
		cert            []string
		more            []string
		untrusted       bool
		accepted        bool
	}{
		{name: "the domain's own, imaps", service: "imaps", target: "mail.hoster.test", cert: []string{"example.test"}, accepted: true},
		{name: "the domain's own, STARTTLS", service: "imap", target: "mail.hoster.test", cert: []string{"example.test"}, accepted: true},
		{name: "a target in the domain", service: "imaps", target: "mail.example.test", cert: []string{"mail.example.test"}, accepted: true},
		{name: "a target deep in the domain, STARTTLS", service: "imap", target: "a.b.EXAMPLE.test", cert: []string{"a.b.example.test"}, accepted: true},
		{name: "the domain as the target", service: "imaps", target: "example.test", cert: []string{"example.test"}, accepted: true},
		{name: "a wildcard in the domain", service: "imaps", target: "mail.example.test", cert: []string{"*.example.test"}, accepted: true},
		{name: "a hoster that is listed", service: "imaps", target: "mail.hoster.test", cert: []string{"mail.hoster.test"}, more: []string{hoster}, accepted: true},
		{name: "a hoster that is listed, STARTTLS", service: "imap", target: "mail.hoster.test", cert: []string{"mail.hoster.test"}, more: []string{hoster}, accepted: true},
		{name: "a hoster that is listed, with the domain's", service: "imaps", target: "mail.hoster.test", cert: []string{"example.test"}, more: []string{hoster}, accepted: true},

		{name: "a hoster that is not listed", service: "imaps", target: "mail.hoster.test", cert: []string{"mail.hoster.test"}},
		{name: "another than the listed", service: "imaps", target: "mail2.hoster.test", cert: []string{"mail2.hoster.test"}, more: []string{hoster}},
		{name: "listed, but not the target", service: "imaps", target: "attacker.test", cert: []string{"mail.hoster.test"}, more: []string{hoster}},
		{name: "forged, imaps", service: "imaps", target: "attacker.test", cert: []string{"attacker.test"}},
		{name: "forged, STARTTLS", service: "imap", target: "attacker.test", cert: []string{"attacker.test"}},
		{name: "forged, the domain as a prefix", service: "imaps", target: "example.test.attacker.test", cert: []string{"example.test.attacker.test"}},
		{name: "forged, the domain as a suffix", service: "imaps", target: "badexample.test", cert: []string{"badexample.test"}},
		{name: "forged, another name in the domain", service: "imaps", target: "mail.example.test", cert: []string{"attacker.test", "www.example.test"}},
		{name: "forged, the right name by nobody we trust", service: "imaps", target: "attacker.test", cert: []string{"example.test"}, untrusted: true},
		{name: "forged, the right name by nobody we trust, STARTTLS", service: "imap", target: "attacker.test", cert: []string{"example.test"}, untrusted: true},
		{name: "forged, this machine", service: "imap", target: "localhost", cert: []string{"localhost"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cert, other := names(t, tt.cert...), names(t, "other.test")
			ca := trusting(t, cert, other)
			if tt.untrusted {
				ca = trusting(t, other)
			}
			server := startNamed(t, tt.service, cert)
			dns := startDNS(t, srvRecord(tt.service, tt.target, server.port), here(strings.ToLower(tt.target)))
			c := serveSRV(t, dns, append(tt.more, ca)...)
			right, wrong := temp, temp
			if tt.accepted {
				right, wrong = yes, no
			}
			if got := c.right(t); got != right {
				t.Errorf("right password: got %q, want %q", got, right)
			}
			if got := c.wrong(t); got != wrong {
				t.Errorf("wrong password: got %q, want %q", got, wrong)
			}
			if !tt.accepted {
				server.expectUntold(t)
			}
		})
	}
}

// A server on the way that strips STARTTLS gets no password, though it is loopback,
// where imap:// would be allowed in clear.
func TestSRVStripped(t *testing.T) {
	t.Parallel()
	cert := names(t, "example.test")
	heard := &namedServer{heard: &output{}}
	serve := verdicts(func(login) string { return "OK in" })
	heard.imapServer = startIMAP(t, func(c *imapSession) {
		c.r = bufio.NewReader(io.TeeReader(c.conn, heard.heard))
		serve(c)
	})
	c := serveSRV(t, startDNS(t, srvRecord("imap", "mail.example.test", heard.port), here("mail.example.test")), trusting(t, cert))
	if got := c.right(t); got != temp {
		t.Errorf("got %q, want %q", got, temp)
	}
	heard.expectUntold(t)
}

// What DNS says, and who is asked then: "imaps" or "imap", or nobody.
func TestSRVServices(t *testing.T) {
	cert := names(t, "example.test")
	for _, tt := range []struct {
		name        string
		imaps, imap string // the target; "-": no record
		want        string
	}{
		{"both", "mail.example.test", "mail.example.test", "imaps"},
		{"imaps alone", "mail.example.test", "-", "imaps"},
		{"imap alone", "-", "mail.example.test", "imap"},
		{"imaps is none", "", "mail.example.test", "imap"},
		{"imap is none", "mail.example.test", "", "imaps"},
		{"both are none", "", "", ""},
		{"no record", "-", "-", ""},
		{"a target without an address", "nowhere.example.test", "mail.example.test", "imap"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			records := []string{here("mail.example.test")}
			servers := make(map[string]*namedServer)
			for service, target := range map[string]string{"imaps": tt.imaps, "imap": tt.imap} {
				servers[service] = startNamed(t, service, cert)
				switch target {
				case "-":
				case "":
					records = append(records, "srv-host=_"+service+"._tcp.example.test")
				default:
					records = append(records, srvRecord(service, target, servers[service].port))
				}
			}
			c := serveSRV(t, startDNS(t, records...), trusting(t, cert))
			want := yes
			if tt.want == "" {
				want = temp
			}
			if got := c.right(t); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			for service, server := range servers {
				if asked := len(server.attempts()) > 0; asked != (service == tt.want) {
					t.Errorf("the server of %s: asked %v, want %v", service, asked, !asked)
				}
			}
		})
	}
}
