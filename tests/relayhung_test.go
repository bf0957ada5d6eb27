package tests

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// An IMAP server that hangs in the middle of an exchange is a temporary failure, when the
// listener's time is over, also where the client has aborted another exchange just before.
func TestRelayHung(t *testing.T) {
	t.Parallel()
	d := startRelayDovecot(t)
	socket, _ := serveRelay(t, d.url())
	for _, mailer := range relayMailers {
		t.Run(mailer.name, func(t *testing.T) {
			m := mailer.start(t, socket)
			// One that is no relay, one where the server speaks first, one where it does not.
			for _, mechanism := range []string{"LOGIN", "CRAM-MD5", "SCRAM-SHA-256"} {
				c := m.dialTLS(t)
				// Postfix does not tell the auth socket of an abort.
				c.opening(mechanism)
				if r := c.command("*"); r.code != 501 {
					t.Errorf("%s, aborted: got %v", mechanism, r)
				}
				answer := c.opening(mechanism)
				d.hang(t)
				r := c.command(answer)
				d.resume(t)
				if !slices.Contains(relayCodes[relayGone], fmt.Sprint(r.code)) {
					t.Errorf("%s: got %v, on the auth socket %q", mechanism, r, strings.Join(m.recorder.take(), "\n"))
				}
				// The session goes on, and the next login in it is sound.
				if r := c.plain("", relayUser, relayPassword); r.code != authAccepted {
					t.Errorf("%s, and PLAIN after it: got %v", mechanism, r)
				}
				c.goesOn()
			}
		})
	}
}
