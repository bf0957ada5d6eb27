package tests

import (
	"fmt"
	"testing"
	"time"
)

// from is the extended request with the mail client's address.
func from(rip, user, password string) string {
	return fmt.Sprintf("user=%s pass=%s rip=%s\n", encode(user), encode(password), rip)
}

// Dovecot delays an address that guesses, and that one only: it is told the mail
// client's address, and each connection serves one address.
func TestDelaysByAddress(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts, trustedNetworks: "127.0.0.0/8", failureDelay: "2s", penalty: true})
	d := serveConfig(t, "timeout = \"4s\"\n"+serverTOML(imap.url()))
	expect := func(request, want string, most time.Duration) {
		t.Helper()
		start := time.Now()
		if got := ask(t, d.socket, request); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		within(t, start, most)
	}
	// Rejected after 2 s. The connection could be used again, for this address
	// only: whoever is asked for over it next shares its delays.
	expect(from("192.0.2.1", "alice", "a wrong password"), no, 3*time.Second)
	expect(from("192.0.2.3", "carol", accounts["carol"]), yes, time.Second)
	// The second delay, and those of others if they shared it, would be 6 s.
	expect(from("192.0.2.1", "alice", "another wrong password"), temp, 6*time.Second)
	expect(from("192.0.2.2", "bob", accounts["bob"]), yes, time.Second)
	for user, rip := range map[string]string{"bob": "192.0.2.2", "carol": "192.0.2.3"} {
		eventually(t, "Dovecot to log the address of "+user, func() bool {
			return countLines(imap.logText(t), "Login: user=<"+user+">", "rip="+rip+",") == 1
		})
	}
}

// A right password that Dovecot delays past the timeout: 435 for the client, and
// 235 for its retry, from the cache. Exim is told the address by -oMa.
func TestDelaysRetry(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts, trustedNetworks: "127.0.0.0/8", failureDelay: "2s", penalty: true})
	d := serveConfig(t, "timeout = \"1s\"\n"+serverTOML(imap.url()))
	e := configureExim(t, snippet("extended.conf"), d.socket, "AUTH_SERVER_ALLOW_NOTLS_PASSWORDS = yes")
	authenticate := func(user, password string) reply {
		c := e.session(t, "-oMa", "192.0.2.1")
		defer c.goesOn()
		return c.plain("", user, password)
	}
	if got := authenticate("alice", "a wrong password"); got.code != authTempFail || got.text != authTempText {
		t.Errorf("wrong password: got %v, want %d", got, authTempFail)
	}
	// Dovecot counts the failure before its delay is over, so the right password
	// waits too.
	eventually(t, "Dovecot to count the failure", func() bool {
		_, rejected := imap.logins(t, "alice")
		return rejected == 1
	})
	if got := authenticate("bob", accounts["bob"]); got.code != authTempFail || got.text != authTempText {
		t.Errorf("right password, delayed: got %v, want %d", got, authTempFail)
	}
	eventually(t, "a retry to be accepted", func() bool {
		got := authenticate("bob", accounts["bob"])
		if got.code == authRejected {
			t.Error("a right password was rejected")
		}
		return got.code == authAccepted
	})
	if got := authenticate("alice", "a wrong password"); got.code != authRejected {
		t.Errorf("wrong password, again: got %v, want %d", got, authRejected)
	}
	// The retry was answered from the cache.
	imap.expectLogins(t, d, "bob", 1, 0)
}
