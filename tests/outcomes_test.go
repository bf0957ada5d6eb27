package tests

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// accounts are the users of most tests.
var accounts = map[string]string{"alice": "correct horse", "bob": "battery staple", "carol": "dodgy stapler"}

// Each shipped snippet, between a real Exim and a real Dovecot: 235, 535, and 435
// with Dovecot stopped and hung. The SMTP dialogue goes on after each.
func TestOutcomes(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	// A fresh cache for every step would need a daemon for every step; without
	// lifetimes there is no cache.
	d := serveConfig(t, "timeout = \"2s\"\n"+serverTOML(imap.url())+"[cache]\npositive_ttl = \"0s\"\nnegative_ttl = \"0s\"\n")
	d.hides(accounts["alice"])
	d.hides("a wrong password")
	peers := make(map[string]*exim)
	for _, file := range []string{"extended.conf", "plain.conf", "20_local_imapauthd"} {
		peers[file] = startExim(t, snippet(file), d.socket)
	}
	// All snippets and mechanisms in turn: password, code, text ("" for any).
	all := func(t *testing.T, password string, want reply) {
		for file, e := range peers {
			for mechanism, authenticate := range mechanisms {
				t.Run(file+" "+mechanism, func(t *testing.T) {
					t.Parallel()
					c := e.dial(t)
					if got := authenticate(c, "alice", password); got != want {
						t.Errorf("got %v, want %v", got, want)
					}
					c.goesOn()
				})
			}
		}
	}
	t.Run("right password", func(t *testing.T) {
		all(t, accounts["alice"], reply{authAccepted, "Authentication succeeded"})
	})
	t.Run("wrong password", func(t *testing.T) {
		all(t, "a wrong password", reply{authRejected, "Incorrect authentication data"})
	})
	imap.hang(t)
	t.Run("hung", func(t *testing.T) { all(t, accounts["alice"], reply{authTempFail, authTempText}) })
	imap.resume(t)
	t.Run("after the hang", func(t *testing.T) {
		all(t, accounts["alice"], reply{authAccepted, "Authentication succeeded"})
	})
	imap.stop(t)
	t.Run("stopped", func(t *testing.T) { all(t, accounts["alice"], reply{authTempFail, authTempText}) })
	t.Run("stopped, wrong password", func(t *testing.T) {
		all(t, "a wrong password", reply{authTempFail, authTempText})
	})
	imap.start(t)
	t.Run("after the restart", func(t *testing.T) {
		all(t, accounts["alice"], reply{authAccepted, "Authentication succeeded"})
	})
	if n := strings.Count(imap.logText(t), "user=<alice>, method=PLAIN, rip=127.0.0.1"); n == 0 {
		t.Error("no login of alice in Dovecot's log: who answered?")
	}
}

// "exim -bs" knows no address; the request must parse all the same.
func TestOutcomesSession(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	d := serveConfig(t, serverTOML(imap.url()))
	for _, file := range []string{"extended.conf", "plain.conf"} {
		t.Run(file, func(t *testing.T) {
			e := configureExim(t, snippet(file), d.socket, "AUTH_SERVER_ALLOW_NOTLS_PASSWORDS = yes")
			for mechanism, authenticate := range mechanisms {
				for password, want := range map[string]int{accounts["alice"]: authAccepted, "a wrong password": authRejected} {
					c := e.session(t)
					if got := authenticate(c, "alice", password); got.code != want {
						t.Errorf("%s: got %v, want %d", mechanism, got, want)
					}
					c.goesOn()
				}
			}
		})
	}
}

// By hand, as the issue and the manual have it.
func TestOutcomesNetcat(t *testing.T) {
	nc := needPeer(t, "nc", "netcat-openbsd")
	imap := startDovecot(t, dovecotOptions{users: map[string]string{"alice": "secret"}})
	d := serve(t, imap.url())
	for _, tt := range []struct{ request, want string }{
		{`alice\tsecret\n`, yes}, {`alice\tSecret\n`, no}, {`alice\n`, temp},
	} {
		out, err := exec.Command("sh", "-c", "printf '"+tt.request+"' | "+nc+" -NU "+d.socket).CombinedOutput()
		if err != nil || string(out) != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.request, out, err, tt.want)
		}
	}
}

// A client that nobody here wrote.
func TestOutcomesSwaks(t *testing.T) {
	swaks := needPeer(t, "swaks", "swaks")
	imap := startDovecot(t, dovecotOptions{users: accounts})
	d := serve(t, imap.url())
	openToAll(t, d.socket)
	e := startExim(t, snippet("extended.conf"), d.socket)
	for _, mechanism := range []string{"PLAIN", "LOGIN"} {
		for password, want := range map[string]string{
			accounts["alice"]:  "<~  235 Authentication succeeded",
			"a wrong password": "<~* 535 Incorrect authentication data",
		} {
			cmd := exec.Command(swaks, "--server", "127.0.0.1", "--port", e.portText(), "--tls", "--auth", mechanism,
				"--auth-user", "alice", "--auth-password", password, "--helo", "client.test", "--from", "<>",
				"--to", "a@example.com", "--quit-after", "AUTH")
			out, _ := cmd.CombinedOutput()
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: want %q in:\n%s", mechanism, want, out)
			}
		}
	}
}

// The budget is the daemon's: a hung server is answered before Exim's own timeout.
func TestOutcomesBudget(t *testing.T) {
	server := startIMAP(t, func(s *imapSession) { s.hold() })
	d := serve(t, server.url())
	start := time.Now()
	if got := ask(t, d.socket, "alice\tcorrect horse\n"); got != temp {
		t.Errorf("got %q, want %q", got, temp)
	}
	within(t, start, 10*time.Second)
}
