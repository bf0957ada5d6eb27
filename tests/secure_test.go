package tests

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
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

// TestPin: the pin that the README's command computes is the one that counts, and
// with it no other thing in the certificate does.
func TestPin(t *testing.T) {
	imap, box := readmePeers(t)
	openssl := slices.IndexFunc(readReadme(t).blocks, func(b readmeBlock) bool { return strings.HasPrefix(b.text, "$ openssl ") })
	if openssl < 0 {
		t.Fatal("the page has no command for it")
	}
	command, _, _ := strings.Cut(readReadme(t).blocks[openssl].text, "\n")
	pin, err := box.run(t, strings.TrimPrefix(command, "$ "), "")
	if err != nil {
		t.Fatalf("%v: %s", err, pin)
	}
	other := "tls_name = \"elsewhere.example.com\"\n" // which the certificate has not
	for _, tt := range []struct{ pins, want string }{
		{strconv.Quote(strings.TrimSpace(pin)), yes},
		{strconv.Quote(base64.StdEncoding.EncodeToString(make([]byte, 32))), temp},
		{"", temp},
	} {
		d := serveConfig(t, serverTOML("imaps://"+imap.tlsAddr(), other+"pin_sha256 = ["+tt.pins+"]"))
		if got := ask(t, d.socket, "alice\tsecret\n"); got != tt.want {
			t.Errorf("pins %s: got %q want %q", tt.pins, got, tt.want)
		}
	}
}
