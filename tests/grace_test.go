package tests

import (
	"strings"
	"testing"
	"time"
)

// With grace, an outage turns away nobody who is known, and lets in nobody who is not;
// when the server is back, its word counts at once.
func TestGrace(t *testing.T) {
	for name, outage := range map[string]struct {
		begin, end func(*testing.T, *dovecot)
	}{
		"stopped": {
			func(t *testing.T, d *dovecot) { d.stop(t) },
			func(t *testing.T, d *dovecot) { d.start(t) },
		},
		"hung": {
			func(t *testing.T, d *dovecot) { d.hang(t) },
			func(t *testing.T, d *dovecot) { d.resume(t) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			imap := startDovecot(t, dovecotOptions{users: accounts})
			d := serveConfig(t, serverTOML(imap.url())+"[cache]\npositive_ttl = \"2s\"\nnegative_ttl = \"1s\"\ngrace = \"1h\"\n")
			d.hides(accounts["alice"])
			openToAll(t, d.socket)
			e := startExim(t, snippet("extended.conf"), d.socket)
			expect := func(step, user, password string, want int) {
				t.Helper()
				if got := e.dial(t).plain("", user, password); got.code != want {
					t.Errorf("%s: %s with %q: got %v, want %d", step, user, password, got, want)
				}
			}
			const changed = "a new password"
			expect("before", "alice", accounts["alice"], authAccepted)
			outage.begin(t, imap)
			eventually(t, "grace to begin", func() bool {
				expect("as it ends", "alice", accounts["alice"], authAccepted)
				return countLines(d.out.String(), "authcid=alice", "source=grace") > 0
			})
			imap.writeUsers(t, map[string]string{"alice": changed, "bob": accounts["bob"]})
			expect("known", "alice", accounts["alice"], authAccepted)
			expect("unknown", "bob", accounts["bob"], authTempFail)
			expect("wrong", "alice", "a wrong password", authTempFail)
			expect("not known yet", "alice", changed, authTempFail)
			for range 10 {
				start := time.Now()
				expect("known", "alice", accounts["alice"], authAccepted)
				if took := time.Since(start); took > quick {
					t.Errorf("by grace a login took %v", took)
				}
			}
			if n := strings.Count(d.out.String(), "grace begins"); n != 1 {
				t.Errorf("the log says %d times that grace begins, want 1", n)
			}

			outage.end(t, imap)
			back := time.Now()
			old := extendedRequest("alice", accounts["alice"])
			eventually(t, "the old password to end", func() bool { return ask(t, d.socket, old) == no })
			t.Logf("%v after Dovecot's return its word counted", time.Since(back))
			expect("back", "alice", accounts["alice"], authRejected)
			expect("back", "alice", "a wrong password", authRejected)
			expect("back", "alice", changed, authAccepted)
			expect("back", "bob", accounts["bob"], authAccepted)
			eventually(t, "the log to say so", func() bool { return strings.Contains(d.out.String(), "grace is over") })
		})
	}
}
