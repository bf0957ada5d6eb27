package tests

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// relayCyrusMechanisms is what Cyrus has beside PLAIN and LOGIN.
const relayCyrusMechanisms = "CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256"

// startRelayCyrus starts a Cyrus that has them. It keeps passwords in clear (sasldb),
// without which it could do none.
func startRelayCyrus(t *testing.T) *cyrus {
	t.Helper()
	c := startCyrus(t, cyrusOptions{users: map[string]string{relayUser: relayPassword}, loginPause: "0s"})
	c.stop(t)
	text, err := os.ReadFile(c.path("etc/imapd.conf"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, c.path("etc/imapd.conf"), strings.Replace(string(text), "sasl_mech_list: PLAIN LOGIN", "sasl_mech_list: PLAIN LOGIN "+relayCyrusMechanisms, 1))
	c.start(t)
	return c
}

// DIGEST-MD5's response names the service that the client speaks to (digest-uri, RFC
// 2831 §2.1.2). A mail client says smtp, whoever checks it in the end: Dovecot does not
// look at it, and Cyrus refuses what is not for imap. So it cannot be relayed to Cyrus.
func TestRelayDigestURI(t *testing.T) {
	d, c := startRelayDovecot(t), startRelayCyrus(t)
	for _, tt := range []struct {
		server    string
		port      int
		mechanism string
		service   string
		accepted  bool
	}{
		{"Dovecot", d.port, "DIGEST-MD5", "imap", true},
		{"Dovecot", d.port, "DIGEST-MD5", "smtp", true},
		{"Cyrus", c.port, "DIGEST-MD5", "imap", true},
		{"Cyrus", c.port, "DIGEST-MD5", "smtp", false},
		// The others name no service.
		{"Cyrus", c.port, "CRAM-MD5", "smtp", true},
		{"Cyrus", c.port, "SCRAM-SHA-1", "smtp", true},
		{"Cyrus", c.port, "SCRAM-SHA-256", "smtp", true},
	} {
		t.Run(fmt.Sprint(tt.server, " ", tt.mechanism, " ", tt.service), func(t *testing.T) {
			cmd := exec.Command(needPeer(t, "gsasl", "gsasl"), "--imap", "--verbose", "--connect", loopback(tt.port), "--no-starttls",
				"--mechanism", tt.mechanism, "--service", tt.service, "--hostname", "localhost", "--quality-of-protection", "qop-auth",
				"--authentication-id", relayUser, "--password", relayPassword)
			out, err := cmd.CombinedOutput()
			if (err == nil) != tt.accepted {
				t.Errorf("gsasl ended with %v:\n%s", err, out)
			}
		})
	}
	const cause = "bad digest-uri: doesn't match service"
	eventually(t, "Cyrus to log why", func() bool { return countLines(c.logText(t), "SASL "+cause) == 1 })
}

// Cyrus behind imapauthd: what names no service is relayed, and DIGEST-MD5 is not
// announced. Exim, which does not look at that, says 435.
func TestRelayCyrus(t *testing.T) {
	t.Parallel()
	c := startRelayCyrus(t)
	socket, _ := serveRelay(t, c.url())
	for _, mailer := range relayMailers {
		t.Run(mailer.name, func(t *testing.T) {
			m := mailer.start(t, socket)
			judge := func(mechanism, secret string, codes []string) {
				t.Helper()
				reply, said, _ := saslClientNamed("gsasl").login(t, m.call("gsasl", mechanism, secret))
				if code, _, _ := strings.Cut(reply, " "); !slices.Contains(codes, code) {
					t.Errorf("%s, %q: got %q, want %v:\n%s", mechanism, secret, reply, codes, said)
				}
			}
			for _, mechanism := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
				judge(mechanism, relayPassword, relayCodes[relayRight])
				judge(mechanism, "a wrong password", relayCodes[relayWrong])
			}
			if mailer.name == "Exim" {
				judge("DIGEST-MD5", relayPassword, []string{"435"})
			} else if auth := m.dialTLS(t).auth; slices.Contains(auth, "DIGEST-MD5") {
				t.Errorf("AUTH %v is offered", auth)
			}
			for _, each := range m.recorder.handshakes() {
				if text := strings.Join(each, "\n"); strings.Contains(text, "DIGEST-MD5") {
					t.Errorf("announced:\n%s", text)
				}
			}
		})
	}
}
