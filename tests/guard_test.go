package tests

import (
	"fmt"
	"testing"
)

// Whoever guesses is soon answered without Dovecot: that account from that address alone,
// and no password that was accepted before. Exim tells the address by -oMa.
func TestGuard(t *testing.T) {
	const here, there = "192.0.2.1", "192.0.2.2"
	imap := startDovecot(t, dovecotOptions{users: accounts})
	d := serveConfig(t, serverTOML(imap.url())+"[guard]\nattempts = 5\n[cache]\npositive_ttl = \"1ms\"\n")
	e := configureExim(t, snippet("extended.conf"), d.socket, "AUTH_SERVER_ALLOW_NOTLS_PASSWORDS = yes")
	expect := func(address, user string, want int) {
		t.Helper()
		c := e.session(t, "-oMa", address)
		defer c.goesOn()
		if got := c.plain("", user, accounts[user]); got.code != want {
			t.Errorf("right password of %s from %s: got %v, want %d", user, address, got, want)
		}
	}
	expect(here, "bob", authAccepted)
	for i := range 20 {
		for _, user := range []string{"alice", "bob"} {
			if got := ask(t, d.socket, from(here, user, fmt.Sprint("guess ", i))); got != no {
				t.Errorf("guess %d: got %q, want %q", i, got, no)
			}
		}
	}
	expect(here, "alice", authRejected)
	expect(here, "bob", authAccepted) // was accepted before
	expect(here, "carol", authAccepted)
	expect(there, "alice", authAccepted)
	imap.expectLogins(t, d, "alice", 1, 5)
	if a, r := imap.logins(t, "bob"); a != 2 || r != 5 {
		t.Errorf("Dovecot's log has %d accepted and %d rejected logins of bob, want 2 and 5", a, r)
	}
	log := d.out.String()
	if n := countLines(log, `level=INFO msg="account blocked for an address" authcid=alice rip=192.0.2.1 server=default attempts=5 block=1m0s`); n != 1 {
		t.Errorf("the log says %d times that alice is blocked, want once", n)
	}
	if n := countLines(log, "level=DEBUG", "authcid=alice", "verdict=reject source=guard server=default"); n != 16 {
		t.Errorf("the log has %d guarded logins of alice, want 16", n)
	}
}
