package tests

import (
	"fmt"
	"testing"
)

// What a Dovecot takes that was told to have PLAIN, LOGIN or both, by each value of
// auth. Without PLAIN it has LOGINDISABLED, under TLS too.
func TestMechanisms(t *testing.T) {
	for _, tt := range []struct {
		dovecot string
		auth    string
		want    string // to the right password; to a wrong one it is no, or the same
	}{
		{"plain login", "auto", yes},
		{"plain login", "plain", yes},
		{"plain login", "login", yes},
		{"plain login", "authenticate-login", yes},
		{"plain", "auto", yes},
		{"plain", "authenticate-login", temp},
		{"login", "auto", yes},
		{"login", "authenticate-login", yes},
		{"login", "plain", temp},
		{"login", "login", temp},
	} {
		t.Run(tt.dovecot+" by "+tt.auth, func(t *testing.T) {
			t.Parallel()
			imap := startDovecot(t, dovecotOptions{users: accounts, mechanisms: tt.dovecot})
			for _, ir := range []bool{true, false} {
				d := serveConfig(t, serverTOML(imap.url(), fmt.Sprintf("auth = %q\nsasl_ir = %v\nca_file = %q", tt.auth, ir, imap.ca.caFile)))
				d.hides(accounts["alice"])
				if got := ask(t, d.socket, extendedRequest("alice", accounts["alice"])); got != tt.want {
					t.Errorf("sasl_ir %v: got %q, want %q", ir, got, tt.want)
				}
				wrong := no
				if tt.want == temp {
					wrong = temp
				}
				if got := ask(t, d.socket, extendedRequest("alice", "a guess")); got != wrong {
					t.Errorf("sasl_ir %v, wrong: got %q, want %q", ir, got, wrong)
				}
			}
		})
	}
}
