package tests

import (
	"slices"
	"strings"
	"testing"
)

// What mail servers offer in clear and under TLS. Postfix goes by what the auth socket
// says of each mechanism ("plaintext"), Exim by the shipped file.
func TestRelayWithheld(t *testing.T) {
	d := startRelayDovecot(t)
	const challenges = "CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256"
	all := strings.Join(relayMechanisms, " ")
	for _, socket := range relaySockets(t, d) {
		for _, tt := range []struct {
			name       string
			start      func(t *testing.T) *relayMailer
			clear, tls string
		}{
			{"Exim", func(t *testing.T) *relayMailer { return startRelayExim(t, socket.path) }, "", all},
			{"Exim with challenges", func(t *testing.T) *relayMailer {
				return startRelayExim(t, socket.path, "IMAPAUTHD_ALLOW_NOTLS_CHALLENGES = yes")
			}, challenges, all},
			{"Exim with passwords", func(t *testing.T) *relayMailer {
				return startRelayExim(t, socket.path, "AUTH_SERVER_ALLOW_NOTLS_PASSWORDS = yes")
			}, "PLAIN LOGIN XOAUTH2 OAUTHBEARER", all},
			{"Postfix", func(t *testing.T) *relayMailer { return startRelayPostfix(t, socket.path) }, challenges, all},
		} {
			t.Run(socket.name+" "+tt.name, func(t *testing.T) {
				m := tt.start(t)
				c := m.dial(t)
				if got := sortedWords(c.auth); got != sortedWords(strings.Fields(tt.clear)) {
					t.Errorf("in clear: got %s, want %s", got, tt.clear)
				}
				c.goesOn()
				// What is not offered is not taken either. Exim ends a session with three
				// such commands.
				for _, mechanism := range relayMechanisms {
					if !slices.Contains(strings.Fields(tt.clear), mechanism) {
						c := m.dial(t)
						if r := c.command("AUTH " + mechanism); r.code < 500 {
							t.Errorf("AUTH %s in clear: %v", mechanism, r)
						}
						c.goesOn()
					}
				}
				if lines := m.recorder.take(); len(lines) != 0 {
					t.Errorf("on the auth socket: %q", lines)
				}
				c = m.dialTLS(t)
				if got := sortedWords(c.auth); got != sortedWords(strings.Fields(tt.tls)) {
					t.Errorf("under TLS: got %s, want %s", got, tt.tls)
				}
				c.goesOn()
			})
		}
	}
}

func sortedWords(words []string) string {
	words = slices.Clone(words)
	slices.Sort(words)
	return strings.Join(words, " ")
}
