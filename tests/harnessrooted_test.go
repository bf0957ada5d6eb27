package tests

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// These tests prove the harness alone, with no imapauthd in sight.

// rootedServer is what the tests do alike with Cyrus and Courier.
type rootedServer interface {
	hang(testing.TB)
	resume(testing.TB)
	stop(testing.TB)
	start(testing.TB)
	logins(t testing.TB, user string) (accepted, rejected int)
}

func TestHarnessCyrus(t *testing.T) {
	c := startCyrus(t, cyrusOptions{users: accounts, denied: []string{"bob"}, loginPause: "0s"})
	judgeRooted(t, c, c.port, c.tlsPort, c.ca, "a NO Login failed: authentication failure")
	if got, want := sayLogin(t, dialPort(t, c.port), "bob", accounts["bob"]), "a NO Login failed: authorization failure"; got != want {
		t.Errorf("denied: got %q, want %q", got, want)
	}
	judgeStrict(t, c.strictURL(), c.ca, "a NO Login only available under a layer")
	if got, want := sayLogin(t, dialPort(t, c.orphanPort), "alice", accounts["alice"]), "a NO Login failed: generic failure"; got != want {
		t.Errorf("no backend: got %q, want %q", got, want)
	}
	c.setUsers(t, map[string]string{"alice": "battery staple"})
	if got := sayLogin(t, dialPort(t, c.port), "alice", "battery staple"); !strings.HasPrefix(got, "a OK") {
		t.Errorf("changed password: got %q", got)
	}
}

func TestHarnessCourier(t *testing.T) {
	c := startCourier(t, courierOptions{users: accounts, denied: []string{"bob"}})
	judgeRooted(t, c, c.port, c.tlsPort, c.ca, "a NO Login failed.")
	// With its next line, "* BYE IMAP access disabled for this account.", it hangs up.
	if got, want := sayLogin(t, dialPort(t, c.port), "bob", accounts["bob"]), "a OK LOGIN Ok."; got != want {
		t.Errorf("denied: got %q, want %q", got, want)
	}
	judgeStrict(t, c.strictURL(), c.ca, "a NO STARTTLS required")
	c.stopAuth(t)
	if got, want := sayLogin(t, dialPort(t, c.port), "alice", accounts["alice"]), "* BYE Temporary problem, please try again later"; got != want {
		t.Errorf("no backend: got %q, want %q", got, want)
	}
	c.startAuth(t)
	if got := sayLogin(t, dialPort(t, c.port), "alice", accounts["alice"]); !strings.HasPrefix(got, "a OK") {
		t.Errorf("the backend is back: got %q", got)
	}
}

// judgeRooted logs alice in, in every state of a server.
func judgeRooted(t *testing.T, s rootedServer, port, tlsPort int, ca *authority, refusal string) {
	t.Helper()
	expectOK := func(when string, conn net.Conn) {
		t.Helper()
		if got := sayLogin(t, conn, "alice", accounts["alice"]); !strings.HasPrefix(got, "a OK") {
			t.Errorf("%s: got %q", when, got)
		}
	}
	expectOK("right password", dialPort(t, port))
	secured, err := tls.Dial("tcp", loopback(tlsPort), &tls.Config{RootCAs: ca.pool})
	if err != nil {
		t.Fatal(err)
	}
	expectOK("under TLS", secured)
	if got := sayLogin(t, dialPort(t, port), "alice", "a wrong password"); got != refusal {
		t.Errorf("wrong password: got %q, want %q", got, refusal)
	}
	eventually(t, "the log to show the logins", func() bool {
		accepted, rejected := s.logins(t, "alice")
		return accepted == 2 && rejected == 1
	})
	s.hang(t)
	conn := dialPort(t, port)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if b, err := bufio.NewReader(conn).ReadByte(); err == nil {
		t.Errorf("a hung server said %q", b)
	}
	s.resume(t)
	expectOK("after the hang", dialPort(t, port))
	s.stop(t)
	if conn, err := net.Dial("tcp", loopback(port)); err == nil {
		conn.Close()
		t.Error("a stopped server can be connected to")
	}
	s.start(t)
	expectOK("after the restart", dialPort(t, port))
}

// judgeStrict logs alice in where passwords in clear are refused, before and behind
// STARTTLS.
func judgeStrict(t *testing.T, url string, ca *authority, refusal string) {
	t.Helper()
	addr := strings.TrimPrefix(url, "imap://")
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	if got := sayLogin(t, dial(), "alice", accounts["alice"]); got != refusal {
		t.Errorf("in clear: got %q, want %q", got, refusal)
	}
	conn := dial()
	conn.SetDeadline(time.Now().Add(patience))
	io.WriteString(conn, "s STARTTLS\r\n")
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(line, "s OK") {
			break
		}
	}
	secured := tls.Client(conn, &tls.Config{RootCAs: ca.pool, ServerName: "localhost"})
	if got := sayLogin(t, secured, "alice", accounts["alice"]); !strings.HasPrefix(got, "a OK") {
		t.Errorf("behind STARTTLS: got %q", got)
	}
}

func dialPort(t *testing.T, port int) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", loopback(port))
	if err != nil {
		t.Fatalf("a server, hung or not, should be connected to: %v", err)
	}
	return conn
}

// sayLogin logs in by hand, and returns the answer: the tagged line or a BYE.
func sayLogin(t *testing.T, conn net.Conn, user, password string) string {
	t.Helper()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "a LOGIN %s %q\r\n", user, password)
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("login of %s: %v", user, err)
		}
		if strings.HasPrefix(line, "a ") || strings.HasPrefix(line, "* BYE") {
			io.WriteString(conn, "b LOGOUT\r\n")
			return strings.TrimSpace(line)
		}
	}
}
