package tests

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// postfix is a Postfix of the test's own. Its smtpd has libsasl2 check passwords, and
// that asks a saslauthd at mux.
type postfix struct {
	*rooted
	port       int
	domainPort int    // where smtpd_sasl_local_domain is local.test
	jailPort   int    // where smtpd has gone to the queue's folder (chroot), as Debian has it
	mux        string // the socket's path outside of the root
	jailMux    string // the same, of the smtpd at jailPort

	ended int // sessions, by end
}

// saslGroup is the group of those who may ask a saslauthd, by Debian's number. Debian
// gives /run/saslauthd to it, and an administrator puts the user postfix into it.
const saslGroup = 45

// The replies that Postfix 3.7 makes of the three verdicts.
var (
	postfixAccepted = reply{authAccepted, "2.7.0 Authentication successful"}
	postfixRejected = reply{authRejected, "5.7.8 Error: authentication failed: authentication failure"}
	postfixTempFail = reply{454, "4.7.0 Temporary authentication failure: generic failure"}
)

// postfixMainCF is what an administrator writes for SASL by saslauthd, and what spares
// a Postfix that takes no mail the rest of its services. AUTH is offered in clear.
const postfixMainCF = `
compatibility_level = 3.6
myhostname = postfix.test
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
smtpd_sasl_security_options = noanonymous
smtpd_tls_auth_only = no
smtpd_tls_security_level = none
smtpd_peername_lookup = no
mynetworks = 127.0.0.0/8
local_recipient_maps =
alias_maps =
maillog_file =
`

const postfixMasterCF = `
127.0.0.1:%d inet n - n - - smtpd
127.0.0.1:%d inet n - n - - smtpd
  -o smtpd_sasl_local_domain=local.test
127.0.0.1:%d inet n - y - - smtpd
`

// postfixSASL is for libsasl2, in the folder where Debian's Postfix has it look.
const postfixSASL = `
pwcheck_method: saslauthd
saslauthd_path: /run/saslauthd/mux
mech_list: PLAIN LOGIN
`

// startPostfix starts Postfix and waits until it greets. Nothing listens at its socket
// before asks.
func startPostfix(t testing.TB) *postfix {
	t.Helper()
	p := &postfix{rooted: newRooted(t, "postfix"), port: freePort(t), domainPort: freePort(t), jailPort: freePort(t)}
	p.mux, p.jailMux = p.path("run/saslauthd/mux"), p.path("var/spool/postfix/run/saslauthd/mux")
	writeFile(t, p.path("etc/passwd"), "root:x:0:0::/:/bin/sh\npostfix:x:65534:65534::/srv:/bin/sh\nnobody:x:65533:65533::/srv:/bin/sh\n")
	writeFile(t, p.path("etc/group"), fmt.Sprintf("root:x:0:\npostfix:x:65534:\npostdrop:x:65532:\nsasl:x:%d:postfix\n", saslGroup))
	for _, dir := range []string{"etc/postfix/sasl", "var/lib/postfix", "var/spool/postfix/pid", "var/spool/postfix/private", "var/spool/postfix/public"} {
		if err := os.MkdirAll(p.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(dir, "var/") {
			p.own(t, dir)
		}
	}
	for _, mux := range []string{p.mux, p.jailMux} {
		dir := filepath.Dir(mux)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o710), os.Chown(dir, 0, saslGroup)); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, p.path("etc/postfix/main.cf"), postfixMainCF)
	writeFile(t, p.path("etc/postfix/master.cf"), fmt.Sprintf(postfixMasterCF, p.port, p.domainPort, p.jailPort))
	writeFile(t, p.path("etc/postfix/sasl/smtpd.conf"), postfixSASL)
	p.start(t)
	return p
}

// start runs Postfix as configured, its master in the foreground; stop ends it.
func (p *postfix) start(t testing.TB) {
	t.Helper()
	p.spawn(t, p.command("/usr/lib/postfix/sbin/master", "-d"))
	p.greets(t, loopback(p.port), loopback(p.domainPort), loopback(p.jailPort))
}

// asks makes a socket of another folder the one that libsasl2 connects to. It is a
// link, which follows no restart of who listens there.
func (p *postfix) asks(t testing.TB, socket string) {
	t.Helper()
	p.asksNobody(t)
	if err := os.Link(socket, p.mux); err != nil {
		t.Fatal(err)
	}
}

// asksNobody leaves no socket.
func (p *postfix) asksNobody(t testing.TB) {
	t.Helper()
	if err := os.RemoveAll(p.mux); err != nil {
		t.Fatal(err)
	}
}

// dial opens an SMTP session.
func (p *postfix) dial(t *testing.T) *smtpClient {
	t.Helper()
	return p.dialPort(t, p.port)
}

func (p *postfix) dialPort(t *testing.T, port int) *smtpClient {
	t.Helper()
	conn, err := net.Dial("tcp", loopback(port))
	if err != nil {
		t.Fatal(err)
	}
	c := newSMTPClient(t, conn)
	if got := strings.Join(c.auth, " "); got != "PLAIN LOGIN" {
		t.Fatalf("AUTH %s is advertised, want PLAIN LOGIN", got)
	}
	return c
}

// judge authenticates by every mechanism, and compares the reply with what is wanted,
// and what Postfix logs with causes: for a temporary failure, what libsasl2 says.
func (p *postfix) judge(t *testing.T, user, password string, want reply, causes ...string) {
	t.Helper()
	for name, authenticate := range mechanisms {
		mark := len(p.log.String())
		c := p.dial(t)
		if got := authenticate(c, user, password); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		p.end(t, c)
		said := p.log.String()[mark:]
		mechanism, _, _ := strings.Cut(name, " ")
		failed := "]: SASL " + mechanism + " authentication failed: "
		line := map[reply]string{
			postfixAccepted: " auth=1 ",
			postfixRejected: failed + "authentication failure, sasl_username=" + user + "\n",
			postfixTempFail: failed + "generic failure, sasl_username=" + user + "\n",
		}[want]
		if line == "" || !strings.Contains(said, line) {
			t.Errorf("%s: no %q in the log:\n%s", name, line, said)
		}
		if len(causes) > 0 && !slices.ContainsFunc(causes, func(cause string) bool {
			return strings.Contains(said, ": warning: SASL authentication failure: "+cause+"\n")
		}) {
			t.Errorf("%s: none of %q in the log:\n%s", name, causes, said)
		}
	}
}

// end checks that the dialogue is intact, ends it, and waits until all of it is in the
// log. Every session ends so, or the log of one would be taken for the next one's.
func (p *postfix) end(t *testing.T, c *smtpClient) {
	t.Helper()
	c.goesOn()
	p.ended++
	eventually(t, "the log to show the session's end", func() bool {
		return countLines(p.log.String(), " disconnect from ", " quit=1 ") == p.ended
	})
}
