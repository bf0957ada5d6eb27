package tests

import (
	"testing"
	"time"
)

// A remembered account costs no IMAP traffic, and is asked again after its
// lifetime.
func TestRemember(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	const lifetime = 4 * time.Second
	d := serveConfig(t, serverTOML(imap.url())+"[cache]\npositive_ttl = \"4s\"\nnegative_ttl = \"4s\"\n")
	d.hides(accounts["alice"])
	right, wrong := plainRequest("alice", accounts["alice"]), plainRequest("bob", "a wrong password")
	start := time.Now()
	for range 20 {
		if got := ask(t, d.socket, right); got != yes {
			t.Errorf("right password: got %q", got)
		}
		if got := ask(t, d.socket, wrong); got != no {
			t.Errorf("wrong password: got %q", got)
		}
	}
	logins := func(accepted, rejected int) bool {
		a, _ := imap.logins(t, "alice")
		_, r := imap.logins(t, "bob")
		return a == accepted && r == rejected
	}
	eventually(t, "both logins in Dovecot's log", func() bool { return logins(1, 1) })
	if took := time.Since(start); took < lifetime {
		eventually(t, "the lifetimes to end", func() bool {
			if ask(t, d.socket, right) != yes || ask(t, d.socket, wrong) != no {
				t.Error("the verdicts changed")
			}
			return logins(2, 2)
		})
		if took := time.Since(start); took < lifetime {
			t.Errorf("asked again after %v, before the lifetime of %v ended", took, lifetime)
		}
	} else {
		t.Errorf("40 requests took %v", took)
	}
}

// A server that is away is not missed by those who are remembered.
func TestRememberOutage(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	d := serveConfig(t, serverTOML(imap.url()))
	known, wrong := plainRequest("alice", accounts["alice"]), plainRequest("alice", "a wrong password")
	unknown := plainRequest("bob", accounts["bob"])
	for request, want := range map[string]string{known: yes, wrong: no} {
		if got := ask(t, d.socket, request); got != want {
			t.Errorf("before: %q: got %q, want %q", request, got, want)
		}
	}
	imap.stop(t)
	for request, want := range map[string]string{known: yes, wrong: no, unknown: temp} {
		if got := ask(t, d.socket, request); got != want {
			t.Errorf("without the server: %q: got %q, want %q", request, got, want)
		}
	}
	imap.start(t)
	// What could not be decided was not remembered. The server's return is
	// noticed at the latest when the daemon's patience with it ends.
	eventually(t, "the server to be asked again", func() bool { return ask(t, d.socket, unknown) == yes })
}

// A password changed at the server: the new one works at once, and from then on
// the old one does not.
func TestRememberPasswordChange(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	d := serveConfig(t, serverTOML(imap.url()))
	old, changed := plainRequest("alice", accounts["alice"]), plainRequest("alice", "a new password")
	expect := func(step, request, want string) {
		t.Helper()
		if got := ask(t, d.socket, request); got != want {
			t.Errorf("%s: got %q, want %q", step, got, want)
		}
	}
	expect("old password", old, yes)
	imap.setUsers(t, map[string]string{"alice": "a new password", "bob": accounts["bob"]})
	expect("old password, remembered", old, yes)
	expect("new password", changed, yes)
	expect("old password, after the new one", old, no)
	expect("old password, rejection remembered", old, no)
	expect("new password, remembered", changed, yes)
	imap.expectLogins(t, d, "alice", 2, 1)
}

// A password that was wrong becomes the right one: the rejection is remembered for
// its lifetime and no longer.
func TestRememberRejection(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	d := serveConfig(t, serverTOML(imap.url())+"[cache]\nnegative_ttl = \"1s\"\n")
	request := plainRequest("alice", "a new password")
	if got := ask(t, d.socket, request); got != no {
		t.Errorf("got %q, want %q", got, no)
	}
	imap.setUsers(t, map[string]string{"alice": "a new password"})
	eventually(t, "the new password to be accepted", func() bool { return ask(t, d.socket, request) == yes })
}
