package tests

import (
	"fmt"
	"testing"
)

// serveMux starts an imapauthd that listens on a Postfix's socket, for the group that
// listen, more lines of the listener's table, says.
func serveMux(t *testing.T, mux, url, listen string) *daemon {
	t.Helper()
	return startSaslauthdListeners(t, fmt.Sprintf("timeout = \"4s\"\n[[listen]]\nprotocol = \"saslauthd\"\nsocket = %q\n%s\n"+
		"[[server]]\nurl = [%q]\n[cache]\npositive_ttl = \"0s\"\nnegative_ttl = \"0s\"\n", mux, listen, url))
}

// inGroup is saslGroup by its name.
const inGroup = `group = "sasl"`

// Postfix before imapauthd, Dovecot behind it: 235, 535, and 454 with Dovecot stopped
// or hung, or imapauthd itself stopped. The SMTP dialogue goes on after each.
func TestPostfixOutcomes(t *testing.T) {
	t.Parallel()
	users := map[string]string{
		"alice": accounts["alice"],
		// libsasl2 takes it apart, and the listener puts it together again.
		"alice@example.test": "battery staple",
		"odd":                ` '"\$ `,
		"euro":               "10 €",
	}
	p := startPostfix(t)
	imap := startDovecot(t, dovecotOptions{users: users, failureDelay: "0s"})
	d := serveMux(t, p.mux, imap.url(), inGroup)
	for user, password := range users {
		d.hides(password)
		p.judge(t, user, password, postfixAccepted)
	}
	d.hides("a wrong password")
	p.judge(t, "alice@example.test", "a wrong password", postfixRejected)
	p.judge(t, "alice@example.test", accounts["alice"], postfixRejected)
	p.judge(t, "nobody", "a wrong password", postfixRejected)

	imap.hang(t)
	p.judge(t, "alice", accounts["alice"], postfixTempFail, "size read failed")
	imap.resume(t)
	imap.stop(t)
	p.judge(t, "alice", accounts["alice"], postfixTempFail, "size read failed")
	p.judge(t, "alice", "a wrong password", postfixTempFail, "size read failed")

	c := p.dial(t)
	for range 2 {
		if got := c.plain("", "alice", accounts["alice"]); got != postfixTempFail {
			t.Errorf("stopped: got %v, want %v", got, postfixTempFail)
		}
	}
	imap.start(t)
	if got := c.plain("", "alice", accounts["alice"]); got != postfixAccepted {
		t.Errorf("after the restart, in the same session: got %v, want %v", got, postfixAccepted)
	}
	p.end(t, c)

	d.stop()
	p.judge(t, "alice", accounts["alice"], postfixTempFail, "cannot connect to saslauthd server: No such file or directory")
}

// Without a group the socket is not Postfix's to connect to.
func TestPostfixPermission(t *testing.T) {
	t.Parallel()
	p := startPostfix(t)
	imap := startIMAP(t, verdicts(users(accounts)))
	d := serveMux(t, p.mux, imap.url(), "")
	p.judge(t, "alice", accounts["alice"], postfixTempFail, "cannot connect to saslauthd server: Permission denied")
	d.stop()
	serveMux(t, p.mux, imap.url(), inGroup)
	p.judge(t, "alice", accounts["alice"], postfixAccepted)
}

// As Debian's master.cf has it, smtpd sees no socket but those below its queue's folder.
func TestPostfixChroot(t *testing.T) {
	t.Parallel()
	p := startPostfix(t)
	imap := startIMAP(t, verdicts(users(accounts)))
	ask := func() reply {
		t.Helper()
		c := p.dialPort(t, p.jailPort)
		defer p.end(t, c)
		return c.plain("", "alice", accounts["alice"])
	}
	d := serveMux(t, p.mux, imap.url(), inGroup)
	if got := ask(); got != postfixTempFail {
		t.Errorf("socket outside: got %v, want %v", got, postfixTempFail)
	}
	d.stop()
	serveMux(t, p.jailMux, imap.url(), inGroup)
	if got := ask(); got != postfixAccepted {
		t.Errorf("socket inside: got %v, want %v", got, postfixAccepted)
	}
}

// Which account the IMAP server is asked for.
func TestPostfixRealm(t *testing.T) {
	t.Parallel()
	p := startPostfix(t)
	imap := startIMAP(t, verdicts(func(login) string { return "OK in" }))
	for _, tt := range []struct {
		realm   string
		domain  bool // smtpd_sasl_local_domain
		user    string
		authcid string
	}{
		{"join", false, "alice", "alice"},
		{"join", false, "alice@example.test", "alice@example.test"},
		{"join", false, "alice@one@example.test", "alice@one@example.test"},
		{"join", false, "alice@", "alice"},
		{"join", true, "alice", "alice@local.test"},
		{"join", true, "alice@example.test", "alice@example.test"},
		{"ignore", false, "alice", "alice"},
		{"ignore", false, "alice@example.test", "alice"},
		{"ignore", false, "alice@one@example.test", "alice@one"},
		{"ignore", true, "alice", "alice"},
		{"ignore", true, "alice@example.test", "alice"},
	} {
		t.Run(fmt.Sprint(tt.realm, " ", tt.domain, " ", tt.user), func(t *testing.T) {
			d := serveMux(t, p.mux, imap.url(), inGroup+"\nrealm = \""+tt.realm+"\"")
			defer d.stop()
			port := p.port
			if tt.domain {
				port = p.domainPort
			}
			for name, authenticate := range mechanisms {
				asked := len(imap.attempts())
				c := p.dialPort(t, port)
				if got := authenticate(c, tt.user, "p w"); got != postfixAccepted {
					t.Errorf("%s: got %v, want %v", name, got, postfixAccepted)
				}
				p.end(t, c)
				want := []login{{authcid: tt.authcid, password: "p w"}}
				if got := imap.attempts()[asked:]; fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s: the server was asked for %v, want %v", name, got, want)
				}
			}
		})
	}
}
