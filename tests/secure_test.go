package tests

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// Each way to reach Dovecot, through the daemon.
func TestSecureWays(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts, tlsRequired: true})
	ca := fmt.Sprintf("ca_file = %q", imap.ca.caFile)
	for _, tt := range []struct {
		name, url string
		more      []string
		right     string // the reply to the right password
		wrong     string
	}{
		{"imaps", "imaps://" + imap.tlsAddr(), []string{ca}, yes, no},
		{"imaps, by name", "imaps://localhost:" + fmt.Sprint(imap.tlsPort), []string{ca}, yes, no},
		{"STARTTLS", imap.strictURL(), []string{ca}, yes, no},
		{"loopback in clear", imap.url(), nil, yes, no},
		{"unix", "unix://" + imap.socket(), nil, yes, no},
		{"imaps, name given", "imaps://127.0.0.3:" + fmt.Sprint(imap.tlsPort), []string{ca, `tls_name = "localhost"`}, yes, no},

		{"imaps, certificate of nobody we trust", "imaps://" + imap.tlsAddr(), nil, temp, temp},
		{"imaps, certificate for another name", "imaps://127.0.0.3:" + fmt.Sprint(imap.tlsPort), []string{ca}, temp, temp},
		{"imaps, another name given", "imaps://" + imap.tlsAddr(), []string{ca, `tls_name = "other.test"`}, temp, temp},
		{"STARTTLS, certificate of nobody we trust", imap.strictURL(), nil, temp, temp},
		{"imaps where there is no TLS", "imaps://" + loopback(imap.port), []string{ca}, temp, temp},
		{"imap where there is TLS", "imap://" + imap.tlsAddr(), []string{ca}, temp, temp},
		{"unix, no socket", "unix://" + filepath.Join(imap.dir, "none"), nil, temp, temp},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := serveConfig(t, "timeout = \"6s\"\n"+serverTOML(tt.url, tt.more...))
			d.hides(accounts["alice"])
			if got := ask(t, d.socket, plainRequest("alice", accounts["alice"])); got != tt.right {
				t.Errorf("right password: got %q, want %q", got, tt.right)
			}
			if got := ask(t, d.socket, plainRequest("alice", "a wrong password")); got != tt.wrong {
				t.Errorf("wrong password: got %q, want %q", got, tt.wrong)
			}
		})
	}
}

// A server on the way that strips STARTTLS gets no password; one that offers no
// login before it neither.
func TestSecureStripped(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts, tlsRequired: true})
	p := startProxy(t, strings.TrimPrefix(imap.strictURL(), "imap://"), " STARTTLS", "")
	d := serveConfig(t, serverTOML(p.url(), fmt.Sprintf("ca_file = %q", imap.ca.caFile)))
	if got := ask(t, d.socket, plainRequest("alice", accounts["alice"])); got != temp {
		t.Errorf("got %q, want %q", got, temp)
	}
	for _, leak := range leaks(p.heard.String(), []string{accounts["alice"]}) {
		t.Error("on the wire: ", leak)
	}
}
