package tests

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRelay has clients that others wrote log in by each mechanism to Exim and to
// Postfix, which ask a Dovecot's own auth socket and then imapauthd's in its place, with
// the same Dovecot behind it. What is said on the two sockets is compared line by line
// (relaytranscript_test.go), and what the clients get with the README's table
// (relaytable_test.go).
func TestRelay(t *testing.T) {
	t.Parallel()
	columns := make([]*relaySeen, len(relayMailers))
	t.Run("mail servers", func(t *testing.T) {
		for i, mailer := range relayMailers {
			t.Run(mailer.name, func(t *testing.T) {
				t.Parallel()
				d := startRelayDovecot(t)
				reference := tryRelay(t, d, mailer.start(t, d.authSocket), false)
				judgeTranscript(t, mailer.name, d, reference)
				socket, daemon := serveRelay(t, d.url())
				daemon.hides(d.token)
				daemon.hides(d.forged)
				daemon.hides("a wrong password")
				ours := tryRelay(t, d, mailer.start(t, socket), true)
				compareTranscripts(t, reference, ours)
				columns[i] = ours
			})
		}
	})
	judgeMechanisms(t, columns)
}

// serveRelay starts an imapauthd that asks an IMAP server, and returns its auth socket.
func serveRelay(t *testing.T, url string) (socket string, d *daemon) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "auth")
	d = startSaslauthdListeners(t, fmt.Sprintf("timeout = \"4s\"\n[[listen]]\nprotocol = \"dovecot\"\nsocket = %q\nmode = \"0666\"\n"+
		"[[server]]\nurl = [%q]\n[cache]\npositive_ttl = \"0s\"\nnegative_ttl = \"0s\"\n", socket, url))
	d.hides(relayPassword)
	return socket, d
}

// relaySocket is an auth socket that mail servers can ask.
type relaySocket struct{ name, path string }

// relaySockets are Dovecot's own and imapauthd's.
func relaySockets(t *testing.T, d *relayDovecot) []relaySocket {
	t.Helper()
	socket, _ := serveRelay(t, d.url())
	return []relaySocket{{"Dovecot", d.authSocket}, {"imapauthd", socket}}
}

// The columns of the table.
const (
	relayRight   = "right"
	relayWrong   = "wrong"
	relayAborted = "aborted with `*`"
	relayGone    = "IMAP server gone mid-exchange"
)

// relayCodes are the replies that a mail client should get: temporary failures differ.
var relayCodes = map[string][]string{relayRight: {"235"}, relayWrong: {"535"}, relayAborted: {"501"}, relayGone: {"435", "454"}}

// relaySeen is what became of the logins by way of one mail server.
type relaySeen struct {
	handshakes [][]string
	cases      []relayCase
}

type relayCase struct {
	mechanism, outcome, client string
	reply                      string
	lines                      []string // on the auth socket
}

// rawClient sends lines as they are (smtpClient).
const rawClient = "raw lines"

// tryRelay asks by each mechanism. mayGo is whether the IMAP server may go away while
// the auth socket stays.
func tryRelay(t *testing.T, d *relayDovecot, m *relayMailer, mayGo bool) *relaySeen {
	t.Helper()
	seen := &relaySeen{}
	var aborted time.Time // the last exchange that was
	add := func(mechanism, outcome, client, reply string) {
		t.Helper()
		var lines []string
		for _, line := range m.recorder.take() {
			lines = append(lines, relayPlain(line))
		}
		seen.cases = append(seen.cases, relayCase{mechanism, outcome, client, reply, lines})
		if code, _, _ := strings.Cut(reply, " "); !slices.Contains(relayCodes[outcome], code) {
			t.Errorf("%s, %s, %s: got %q, want %v; on the auth socket:\n%s", mechanism, outcome, client, reply, relayCodes[outcome], strings.Join(lines, "\n"))
		}
	}
	for _, mechanism := range relayMechanisms {
		right, wrong := d.secrets(mechanism)
		for i := range saslClients {
			client := &saslClients[i]
			if !slices.Contains(client.mechanisms, mechanism) {
				continue
			}
			for _, try := range []struct{ outcome, secret string }{{relayRight, right}, {relayWrong, wrong}} {
				reply, said, err := client.login(t, m.call(client.name, mechanism, try.secret))
				add(mechanism, try.outcome, client.name, reply)
				if !client.mails && (err == nil) != (try.outcome == relayRight) {
					t.Errorf("%s, %s: %s ended with %v:\n%s", mechanism, try.outcome, client.name, err, said)
				}
			}
		}
		c := m.dialTLS(t)
		c.opening(mechanism)
		add(mechanism, relayAborted, rawClient, c.command("*").String())
		aborted = time.Now()
		// Nothing of the exchange is left for the next one of the session.
		if r := c.plain("", relayUser, relayPassword); r.code != authAccepted {
			t.Errorf("%s, and PLAIN after the abort: got %v", mechanism, r)
		}
		c.goesOn()
		m.recorder.take()
		if mayGo {
			c := m.dialTLS(t)
			answer := c.opening(mechanism)
			d.stop(t)
			// Postfix does not tell of an abort, so for 3 s that exchange is one in
			// flight, for whose sake this one would be told FAIL.
			eventually(t, "the aborted exchange to be given up", func() bool { return time.Since(aborted) > 3*time.Second })
			add(mechanism, relayGone, rawClient, c.command(answer).String())
			c.goesOn()
			d.start(t)
		}
	}
	seen.handshakes = m.recorder.handshakes()
	return seen
}

// opening begins an exchange, which the mail server leaves open for an answer.
func (c *smtpClient) opening(mechanism string) (answer string) {
	c.t.Helper()
	lines := []string{"AUTH " + mechanism}
	switch mechanism {
	case "PLAIN":
		answer = "\x00" + relayUser + "\x00" + relayPassword
	case "LOGIN":
		lines = append(lines, encode(relayUser))
		answer = relayPassword
	case "CRAM-MD5":
		answer = relayUser + " 0123456789abcdef0123456789abcdef"
	case "DIGEST-MD5":
		answer = `username="` + relayUser + `",realm="",nonce="x",cnonce="y",nc=00000001,qop=auth,digest-uri="smtp/localhost",response=0123456789abcdef0123456789abcdef`
	case "SCRAM-SHA-1", "SCRAM-SHA-256":
		lines[0] += " " + encode("n,,n="+relayUser+",r=abcdefghijkl")
		answer = "c=biws,r=abcdefghijkl,p=AAAA"
	case "XOAUTH2":
		answer = "user=" + relayUser + "\x01auth=Bearer x.y.z\x01\x01"
	case "OAUTHBEARER":
		answer = "n,a=" + relayUser + ",\x01auth=Bearer x.y.z\x01\x01"
	}
	for _, line := range lines {
		if r := c.command(line); r.code != 334 {
			c.t.Fatalf("%s: got %v, want 334", line, r)
		}
	}
	return encode(answer)
}
