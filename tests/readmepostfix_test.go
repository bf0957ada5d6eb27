package tests

import (
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// postfixGroup stands in for Postfix's own group where a machine has Exim: in a root of
// startPostfix's both have one number.
var postfixGroup = strings.NewReplacer(`group = "postfix"`, `group = "nogroup"`, "-g postfix", "-g nogroup")

// readmePostfixMore is what Debian's main.cf has already, and what takes no mail.
const readmePostfixMore = `
smtpd_tls_security_level = may
smtpd_tls_cert_file = /srv/cert.pem
smtpd_tls_key_file = /srv/key.pem
smtpd_recipient_restrictions = reject
`

// tryPostfix runs Postfix with the block, imapauthd with the listener of the same heading,
// and Dovecot with the page's mechanisms, and has others' clients log in, at an smtpd that
// is confined to the queue's folder and at one that is not.
func tryPostfix(t *testing.T, page *readmePage, b readmeBlock) {
	imap := startDovecot(t, dovecotOptions{users: map[string]string{relayUser: relayPassword}, failureDelay: "0s"})
	imap.add(t, page.under("In Dovecot and Cyrus", "dovecot")[0].text)
	p := startPostfix(t)
	p.stop(t)
	for name, more := range map[string]string{"etc/postfix/main.cf": b.text + readmePostfixMore, "etc/postfix/master.cf": relayPostfixMaster} {
		text, err := os.ReadFile(p.path(name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, p.path(name), string(text)+more)
	}
	listen := postfixGroup.Replace(page.under(b.heading, "toml")[0].text)
	socket := regexp.MustCompile(`socket = "(.*)"`).FindStringSubmatch(listen)[1]
	needGroup(t, listen)
	if err := os.MkdirAll(filepath.Dir(p.path(socket)), 0o755); err != nil {
		t.Fatal(err)
	}
	d := startSaslauthdListeners(t, strings.Replace(listen, socket, p.path(socket), 1)+"\n"+fmt.Sprintf("[[server]]\nurl = [%q]\n", imap.url()))
	d.hides(relayPassword)
	p.start(t)
	for _, port := range []int{p.port, p.jailPort} {
		m := &relayMailer{port: port, ca: p.ca, host: "localhost"}
		if auth := m.dial(t).auth; len(auth) != 0 {
			t.Errorf("AUTH %v is offered without TLS", auth)
		}
		for _, mechanism := range []string{"PLAIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
			for password, want := range map[string]reply{relayPassword: relayPostfixAccepted, "a wrong password": relayPostfixRejected} {
				got, said, _ := saslClientNamed("gsasl").login(t, m.call("gsasl", mechanism, password))
				if got != want.String() {
					t.Errorf("%s, %q: got %q, want %q:\n%s", mechanism, password, got, want, said)
				}
			}
		}
		c := m.dialTLS(t)
		c.opening("CRAM-MD5")
		if got := c.command("*"); got != relayPostfixAborted {
			t.Errorf("aborted: got %v, want %v", got, relayPostfixAborted)
		}
	}
	imap.stop(t)
	// Of another smtpd than the one where an exchange was aborted just now.
	c := (&relayMailer{port: p.domainPort, ca: p.ca, host: "localhost"}).dialTLS(t)
	if got := c.plain("", "bob", "secret"); got != relayPostfixTempFail {
		t.Errorf("no IMAP server: got %v, want %v", got, relayPostfixTempFail)
	}
	imap.start(t)
	p.stop(t)
	d.stop()
	p.spawn(t, p.command("/usr/lib/postfix/sbin/master", "-d"))
	p.greets(t, loopback(p.port))
	clear := (&relayMailer{port: p.port}).dial(t)
	if r := clear.command("STARTTLS"); r.code != 220 {
		t.Fatalf("STARTTLS: %v", r)
	}
	tls.Client(clear.conn, &tls.Config{RootCAs: p.ca.pool, ServerName: "localhost"}).Handshake()
	eventually(t, "smtpd to end for want of imapauthd", func() bool {
		return strings.Contains(p.log.String(), "fatal: no SASL authentication mechanisms")
	})
}

// The replies of Postfix 3.7 to what the auth socket says.
var (
	relayPostfixAccepted = reply{authAccepted, "2.7.0 Authentication successful"}
	relayPostfixRejected = reply{authRejected, "5.7.8 Error: authentication failed: (reason unavailable)"}
	relayPostfixAborted  = reply{501, "5.7.0 Authentication aborted"}
	relayPostfixTempFail = reply{454, "4.7.0 Temporary authentication failure: Connection lost to authentication server"}
)
