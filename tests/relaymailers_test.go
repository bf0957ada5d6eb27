package tests

import (
	"crypto/tls"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"testing"
)

// relayMailer is a mail server that asks an auth socket, with a recorder between.
type relayMailer struct {
	port     int
	ca       *authority
	host     string // of its certificate
	clear    string // a client that does not come under its TLS
	recorder *relayRecorder
}

// relayMailers start one that asks authSocket.
var relayMailers = []struct {
	name  string
	start func(t *testing.T, authSocket string) *relayMailer
}{
	{"Exim", func(t *testing.T, authSocket string) *relayMailer {
		return startRelayExim(t, authSocket, "IMAPAUTHD_ALLOW_NOTLS_CHALLENGES = yes", "AUTH_SERVER_ALLOW_NOTLS_PASSWORDS = yes")
	}},
	{"Postfix", startRelayPostfix},
}

func startRelayExim(t *testing.T, authSocket string, macros ...string) *relayMailer {
	t.Helper()
	socket := filepath.Join(shortDir(t), "auth")
	r := startRelayRecorder(t, socket, authSocket)
	e := startExim(t, snippet("dovecot.conf"), "/nonexistent", append(macros, "acl_smtp_predata = deny", "IMAPAUTHD_DOVECOT_SOCKET = "+socket)...)
	// Exim answers STARTTLS before EHLO with 503.
	return &relayMailer{port: e.port, ca: e.ca, host: "exim.test", clear: "gsasl", recorder: r}
}

// relayPostfixMain is what an administrator writes for imapauthd. The path is one below the
// queue.s folder, for an smtpd that has gone there (chroot) and one that has not. Passwords go
// under TLS only.
const relayPostfixMain = `
smtpd_sasl_type = dovecot
smtpd_sasl_path = private/imapauthd
smtpd_sasl_security_options = noanonymous, noplaintext
smtpd_sasl_tls_security_options = noanonymous
smtpd_tls_security_level = may
smtpd_tls_cert_file = /srv/cert.pem
smtpd_tls_key_file = /srv/key.pem
smtpd_recipient_restrictions = reject
`

const relayPostfixMaster = `
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
`

func startRelayPostfix(t *testing.T, authSocket string) *relayMailer {
	t.Helper()
	p := startPostfix(t)
	p.stop(t)
	for name, more := range map[string]string{"etc/postfix/main.cf": relayPostfixMain, "etc/postfix/master.cf": relayPostfixMaster} {
		text, err := os.ReadFile(p.path(name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, p.path(name), string(text)+more)
	}
	// Before Postfix, whose smtpd ends at once if nobody listens.
	r := startRelayRecorder(t, p.path("var/spool/postfix/private/imapauthd"), authSocket)
	p.start(t)
	return &relayMailer{port: p.port, ca: p.ca, host: "localhost", recorder: r}
}

// dial opens an SMTP session.
func (m *relayMailer) dial(t *testing.T) *smtpClient {
	t.Helper()
	conn, err := net.Dial("tcp", loopback(m.port))
	if err != nil {
		t.Fatal(err)
	}
	return newSMTPClient(t, conn)
}

// dialTLS opens one and brings it under TLS.
func (m *relayMailer) dialTLS(t *testing.T) *smtpClient {
	t.Helper()
	c := m.dial(t)
	if r := c.command("STARTTLS"); r.code != 220 {
		t.Fatalf("STARTTLS: %v", r)
	}
	c.conn = tls.Client(c.conn, &tls.Config{RootCAs: m.ca.pool, ServerName: m.host})
	c.text = textproto.NewConn(c.conn)
	c.hello()
	return c
}

// call is a client's login to this mail server, under TLS if it can.
func (m *relayMailer) call(client, mechanism, secret string) saslCall {
	c := saslCall{mechanism: mechanism, port: m.port, user: relayUser, secret: secret, caFile: m.ca.caFile}
	if client == m.clear {
		c.caFile = ""
	}
	return c
}
