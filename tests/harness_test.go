package tests

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// These tests prove the harness alone, with no imapauthd in sight: when one of
// them fails, the others say nothing about the daemon.

func TestHarnessDovecot(t *testing.T) {
	d := startDovecot(t, dovecotOptions{users: map[string]string{"alice": "correct horse"}})
	if got := imapLogin(t, d, "alice", "correct horse"); !strings.HasPrefix(got, "a OK") {
		t.Errorf("right password: got %q", got)
	}
	if got := imapLogin(t, d, "alice", "wrong horse"); !strings.HasPrefix(got, "a NO [AUTHENTICATIONFAILED]") {
		t.Errorf("wrong password: got %q", got)
	}
	d.setUsers(t, map[string]string{"alice": "battery staple"})
	if got := imapLogin(t, d, "alice", "battery staple"); !strings.HasPrefix(got, "a OK") {
		t.Errorf("changed password: got %q", got)
	}
	eventually(t, "the log to show the logins", func() bool {
		accepted, rejected := d.logins(t, "alice")
		return accepted == 2 && rejected == 1
	})
	d.hang(t)
	conn, err := net.Dial("tcp", loopback(d.port))
	if err != nil {
		t.Fatalf("a hung dovecot should still be connected to: %v", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if b, err := bufio.NewReader(conn).ReadByte(); err == nil {
		t.Errorf("a hung dovecot said %q", b)
	}
	d.resume(t)
	if got := imapLogin(t, d, "alice", "battery staple"); !strings.HasPrefix(got, "a OK") {
		t.Errorf("after the hang: got %q", got)
	}
	d.stop(t)
	if conn, err := net.Dial("tcp", loopback(d.port)); err == nil {
		conn.Close()
		t.Error("a stopped dovecot can be connected to")
	}
	d.start(t)
	if got := imapLogin(t, d, "alice", "battery staple"); !strings.HasPrefix(got, "a OK") {
		t.Errorf("after the restart: got %q", got)
	}
}

// imapLogin logs in by hand and returns the tagged answer.
func imapLogin(t testing.TB, d *dovecot, user, password string) string {
	t.Helper()
	conn, err := net.Dial("tcp", loopback(d.port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "a LOGIN %s %q\r\n", user, password)
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("login of %s: %v", user, err)
		}
		if strings.HasPrefix(line, "a ") {
			io.WriteString(conn, "b LOGOUT\r\n")
			return line
		}
	}
}

// The snippets against a stand-in: what Exim sends, byte by byte, and what it makes
// of each reply.
func TestHarnessExim(t *testing.T) {
	extended := "user=" + encode("alice") + " pass=" + encode("p w") + " rip=127.0.0.1 lip=127.0.0.1 secured\n"
	for _, tt := range []struct{ snippet, want string }{
		{"extended.conf", extended},
		{"20_local_imapauthd", extended},
		{"plain.conf", "alice\tp w\n"},
	} {
		for reply, code := range map[string]int{
			yes: authAccepted, no: authRejected, temp: authTempFail,
			"": authRejected, // why the daemon never closes without a reply
		} {
			t.Run(fmt.Sprintf("%s %q", tt.snippet, reply), func(t *testing.T) {
				requests := make(chan string, 1)
				e := startExim(t, snippet(tt.snippet), standIn(t, recorder(requests, reply)))
				for name, authenticate := range mechanisms {
					c := e.dial(t)
					if got := authenticate(c, "alice", "p w"); got.code != code {
						t.Errorf("%s: got %v, want %d", name, got, code)
					}
					if got := <-requests; got != tt.want {
						t.Errorf("%s: sent %q, want %q", name, got, tt.want)
					}
					c.goesOn()
				}
			})
		}
	}
}

// A newline behind the reply is no "yes", and it breaks the SMTP dialogue.
func TestHarnessEximNewline(t *testing.T) {
	e := startExim(t, snippet("plain.conf"), standIn(t, recorder(make(chan string, 1), yes+"\n")))
	if got := e.dial(t).plain("", "alice", "p w"); got.code != authTempFail {
		t.Errorf("got %v, want %d", got, authTempFail)
	}
}

// Under "exim -bs" there are no addresses and no TLS.
func TestHarnessEximSession(t *testing.T) {
	requests := make(chan string, 1)
	e := configureExim(t, snippet("extended.conf"), standIn(t, recorder(requests, yes)),
		"AUTH_SERVER_ALLOW_NOTLS_PASSWORDS = yes")
	c := e.session(t)
	if got := c.plainLater("", "alice", "p w"); got.code != authAccepted {
		t.Errorf("got %v, want %d", got, authAccepted)
	}
	if got, want := <-requests, "user="+encode("alice")+" pass="+encode("p w")+" rip= lip=\n"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
	c.goesOn()
}

// A reply that is followed by a reset is lost, and the tests can tell.
func TestHarnessReset(t *testing.T) {
	socket := standIn(t, hasty)
	if reply, err := exchange(socket, strings.Repeat("x", 100_000)+"\n", true); err == nil {
		t.Errorf("a close with bytes unread went unnoticed; reply %q", reply)
	}
	e := startExim(t, snippet("extended.conf"), socket)
	c := e.dial(t)
	if got := c.login("alice", strings.Repeat("p", 12_000)); got.code != authRejected {
		t.Errorf("Exim made %v of a reset, want %d", got, authRejected)
	}
	c.goesOn()
}
