package tests

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The first in priority is asked while it is there, and the second when it is not.
func TestSRVPriority(t *testing.T) {
	t.Parallel()
	cert := names(t, "example.test")
	first, second := startNamed(t, "imaps", cert), startNamed(t, "imaps", cert)
	mail := here("mail.example.test")
	dns := startDNS(t, mail, srvRecord("imaps", "mail.example.test", second.port, 20, 65535), srvRecord("imaps", "mail.example.test", first.port, 10, 0))
	c := serveSRV(t, dns, trusting(t, cert))
	for range 5 {
		if got := c.right(t); got != yes {
			t.Errorf("got %q, want %q", got, yes)
		}
	}
	if a, b := len(first.attempts()), len(second.attempts()); a != 5 || b != 0 {
		t.Errorf("first %d logins, second %d; want 5 and 0", a, b)
	}

	dns = startDNS(t, mail, srvRecord("imaps", "mail.example.test", second.port, 20), srvRecord("imaps", "mail.example.test", freePort(t), 10))
	c = serveSRV(t, dns, trusting(t, cert))
	for range 5 {
		start := time.Now()
		if got := c.right(t); got != yes {
			t.Errorf("first down: got %q, want %q", got, yes)
		}
		within(t, start, 5*time.Second)
	}
	if n := len(second.attempts()); n != 5 {
		t.Errorf("second %d logins, want 5", n)
	}
}

// Logins go by weight: hardly one in 65,536 to a server of weight 0 beside another.
func TestSRVWeight(t *testing.T) {
	t.Parallel()
	cert := names(t, "example.test")
	one, two, none := startNamed(t, "imaps", cert), startNamed(t, "imaps", cert), startNamed(t, "imaps", cert)
	dns := startDNS(t, here("mail.example.test"),
		srvRecord("imaps", "mail.example.test", none.port, 10, 0),
		srvRecord("imaps", "mail.example.test", one.port, 10, 65535),
		srvRecord("imaps", "mail.example.test", two.port, 10, 65535))
	c := serveSRV(t, dns, trusting(t, cert))
	logins := 0
	for len(one.attempts()) < 5 || len(two.attempts()) < 5 {
		if logins++; logins > 200 {
			t.Fatalf("after 200 logins: %d and %d", len(one.attempts()), len(two.attempts()))
		}
		if got := c.right(t); got != yes {
			t.Errorf("got %q, want %q", got, yes)
		}
	}
	if n := len(none.attempts()); n > 0 {
		t.Errorf("the server of weight 0 got %d of %d logins", n, logins)
	}
}

// The record moves to another server, and the daemon follows when the TTL is over,
// without an answer that is not yes. It does not follow a forged one.
func TestSRVMoves(t *testing.T) {
	t.Parallel()
	cert, evil := names(t, "mail.example.test"), names(t, "attacker.test")
	before, after, attacker := startNamed(t, "imaps", cert), startNamed(t, "imap", cert), startNamed(t, "imaps", evil)
	mail, ttl := here("mail.example.test"), "local-ttl=1"
	dns := startDNS(t, mail, ttl, srvRecord("imaps", "mail.example.test", before.port))
	c := serveSRV(t, dns, trusting(t, cert, evil))
	if got := c.right(t); got != yes {
		t.Fatalf("before: got %q, want %q", got, yes)
	}
	dns.set(t, mail, ttl, srvRecord("imap", "mail.example.test", after.port))
	eventually(t, "the new server to be asked", func() bool {
		if got := c.right(t); got != yes {
			t.Errorf("on the way: got %q, want %q", got, yes)
		}
		return len(after.attempts()) > 0
	})
	asked := len(before.attempts())
	for range 3 {
		if got := c.right(t); got != yes {
			t.Errorf("after: got %q, want %q", got, yes)
		}
	}
	if n := len(before.attempts()); n != asked {
		t.Errorf("the old server got %d logins more", n-asked)
	}

	dns.set(t, mail, here("attacker.test"), ttl, srvRecord("imaps", "attacker.test", attacker.port))
	eventually(t, "the forged answer to be followed to the certificate", func() bool { return c.right(t) == temp })
	if got := c.right(t); got != temp {
		t.Errorf("forged: got %q, want %q", got, temp)
	}
	attacker.expectUntold(t)
	dns.set(t, mail, ttl, srvRecord("imaps", "mail.example.test", before.port))
	eventually(t, "the true answer to be found again", func() bool { return c.right(t) == yes })
	attacker.expectUntold(t)
}

// DNS is down, or hangs, when the daemon starts: it starts all the same, and
// recovers by itself.
func TestSRVDownAtStart(t *testing.T) {
	cert := names(t, "example.test")
	for name, tt := range map[string]struct{ fail, mend func(*dnsServer, *testing.T) }{
		"down": {(*dnsServer).stop, (*dnsServer).start},
		"hung": {(*dnsServer).hang, (*dnsServer).resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startNamed(t, "imaps", cert)
			dns := startDNS(t, here("mail.example.test"), srvRecord("imaps", "mail.example.test", server.port))
			tt.fail(dns, t)
			c := serveSRV(t, dns, trusting(t, cert))
			start := time.Now()
			if got := c.right(t); got != temp {
				t.Errorf("got %q, want %q", got, temp)
			}
			within(t, start, 10*time.Second) // the budget of 9 s, which Exim waits for
			tt.mend(dns, t)
			eventually(t, "the daemon to recover", func() bool { return c.right(t) == yes })
		})
	}
}

// DNS goes down, or hangs, later: the last good answers stay in use, about the servers
// and about their addresses.
func TestSRVDownLater(t *testing.T) {
	cert := names(t, "example.test")
	for name, fail := range map[string]func(*dnsServer, *testing.T){
		"down": (*dnsServer).stop,
		"hung": (*dnsServer).hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := startNamed(t, "imaps", cert)
			dns := startDNS(t, here("imap.example.test"), "local-ttl=1", srvRecord("imaps", "imap.example.test", server.port))
			c := serveSRV(t, dns, trusting(t, cert))
			if got := c.right(t); got != yes {
				t.Fatalf("got %q, want %q", got, yes)
			}
			fail(dns, t)
			eventually(t, "the daemon to notice that DNS fails", func() bool {
				start := time.Now()
				if got := c.right(t); got != yes {
					t.Errorf("got %q, want %q", got, yes)
				}
				within(t, start, 5*time.Second)
				return strings.Contains(c.out.String(), "_imaps._tcp.example.test")
			})
			for range 3 {
				if got := c.right(t); got != yes {
					t.Errorf("after it: got %q, want %q", got, yes)
				}
			}
		})
	}
}

// An account of a domain that is not listed asks DNS nothing: a mail client would
// choose the question.
func TestSRVUnlisted(t *testing.T) {
	t.Parallel()
	cert := names(t, "example.test")
	server := startNamed(t, "imaps", cert)
	dns := startDNS(t, here("mail.example.test"), srvRecord("imaps", "mail.example.test", server.port),
		fmt.Sprintf("srv-host=_imaps._tcp.other.test,mail.example.test,%d", server.port))
	c := serveSRV(t, dns, trusting(t, cert))
	for _, account := range []string{"alice@other.test", "alice@sub.example.test", "alice@test", "alice@example.test.other.test", "alice@", "alice"} {
		if got := ask(t, c.socket, plainRequest(account, passwordOf(account))); got != no {
			t.Errorf("%s: got %q, want %q", account, got, no)
		}
	}
	if got := c.right(t); got != yes {
		t.Errorf("got %q, want %q", got, yes)
	}
	if n := len(server.attempts()); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	dns.stop(t) // and the log is whole
	for line := range strings.Lines(dns.out.String()) {
		if strings.Contains(line, "query[") && !strings.Contains(line, "harness.test") && !strings.Contains(line, " _imaps._tcp.example.test ") &&
			!strings.Contains(line, " _imap._tcp.example.test ") && !strings.Contains(line, " mail.example.test ") {
			t.Errorf("the DNS server was asked: %s", line)
		}
	}
}
