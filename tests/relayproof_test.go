package tests

import (
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

// By SCRAM and DIGEST-MD5 the server proves that it knows the password too, and the
// client checks it: a proof that is altered on its way is a failed login there.
func TestRelayServerProof(t *testing.T) {
	d := startRelayDovecot(t)
	for _, socket := range relaySockets(t, d) {
		for _, mailer := range relayMailers {
			t.Run(socket.name+" "+mailer.name, func(t *testing.T) {
				m := mailer.start(t, socket.path)
				for _, tt := range []struct{ mechanism, proof string }{
					{"SCRAM-SHA-1", "v="}, {"SCRAM-SHA-256", "v="}, {"DIGEST-MD5", "rspauth="},
				} {
					for _, altered := range []bool{false, true} {
						var proofs atomic.Int32
						m.recorder.alter(func(line string) string {
							other, found := alterProof(line, tt.proof)
							if found {
								proofs.Add(1)
							}
							if altered {
								return other
							}
							return line
						})
						reply, said, err := saslClientNamed("gsasl").login(t, m.call("gsasl", tt.mechanism, relayPassword))
						if (err == nil) == altered || strings.HasPrefix(reply, "235") == altered {
							t.Errorf("%s, proof altered %v: gsasl ended with %v, reply %q:\n%s", tt.mechanism, altered, err, reply, said)
						}
						if n := proofs.Load(); n != 1 {
							t.Errorf("%s: %d proofs came, want 1", tt.mechanism, n)
						}
					}
				}
			})
		}
	}
}

// alterProof changes the first character of a proof in a line of the auth socket, and
// reports whether there is one.
func alterProof(line, proof string) (altered string, found bool) {
	fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	message, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if fields[0] != "CONT" || err != nil || !strings.HasPrefix(string(message), proof) {
		return line, false
	}
	first := &message[len(proof)]
	if *first == 'a' {
		*first = 'b'
	} else {
		*first = 'a'
	}
	return fmt.Sprintf("CONT\t%s\t%s\n", fields[1], base64.StdEncoding.EncodeToString(message)), true
}
