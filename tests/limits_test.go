package tests

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// occupy takes n of the daemon's connections and says nothing on them. It returns
// when the daemon has taken them all, and frees them at the end of the test.
func occupy(t *testing.T, d *daemon, n int) {
	t.Helper()
	conns := make([]*net.UnixConn, n)
	for i := range conns {
		conn, err := dialSocket(d.socket)
		if err != nil {
			t.Fatalf("connection %d of %d: %v", i+1, n, err)
		}
		t.Cleanup(func() { conn.Close() })
		conns[i] = conn
	}
}

// Past max_connections everybody gets a reply, at once and in full.
func TestLimitConnections(t *testing.T) {
	server := startIMAP(t, verdicts(users(map[string]string{"alice": "correct horse"})))
	d := serveConfig(t, strings.Replace(serverTOML(server.url()), "mode =", "max_connections = 4\nmode =", 1))
	occupy(t, d, 4)
	var wg sync.WaitGroup
	for i := range 200 {
		request := fmt.Sprintf("alice\tcorrect horse%s\n", strings.Repeat("!", i))
		if i%4 == 0 {
			request = strings.Repeat("x", 100_000+i) // more than anyone would read
		}
		wg.Go(func() {
			start := time.Now()
			// A stranger's mistakes are told apart from a limit here too: what
			// does not parse is rejected, whoever is busy.
			want := temp
			if request[0] == 'x' {
				want = no
			}
			if got := ask(t, d.socket, request); got != want {
				t.Errorf("%.20q: got %q, want %q", request, got, want)
			}
			within(t, start, 5*time.Second)
		})
	}
	wg.Wait()
	if n := len(server.attempts()); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
}

// The default cap, seen by a mail client: connection number 1025 is 435, with its
// text, and the dialogue goes on. A free place is used at once.
func TestLimitConnectionsExim(t *testing.T) {
	server := startIMAP(t, verdicts(users(map[string]string{"alice": "correct horse"})))
	d := serveConfig(t, serverTOML(server.url()))
	e := startExim(t, snippet("extended.conf"), d.socket)
	c := e.dial(t)
	t.Run("full", func(t *testing.T) {
		occupy(t, d, 1024)
		if got := c.plain("", "alice", "correct horse"); got.code != authTempFail || got.text != authTempText {
			t.Errorf("got %v, want %d %s", got, authTempFail, authTempText)
		}
		if got := c.login("alice", strings.Repeat("p", 12_000)); got.code != authRejected {
			t.Errorf("over-long: got %v, want %d", got, authRejected)
		}
	})
	eventually(t, "a free place to be used", func() bool {
		return c.plain("", "alice", "correct horse").code == authAccepted
	})
	c.goesOn()
}

// The longest requests that SMTP can carry: PLAIN on one line, LOGIN on two, 32 KB
// and more together. No reply is lost, and the dialogue goes on.
func TestLimitLongRequestsExim(t *testing.T) {
	long := strings.Repeat("p", 1024)
	server := startIMAP(t, verdicts(users(map[string]string{"alice": long})))
	d := serveConfig(t, serverTOML(server.url()))
	for _, file := range []string{"extended.conf", "plain.conf"} {
		t.Run(file, func(t *testing.T) {
			e := startExim(t, snippet(file), d.socket)
			c := e.dial(t)
			for _, n := range []int{1025, 4_000, 12_000} {
				if got := c.plain("", "alice", strings.Repeat("p", n)); got.code != authRejected {
					t.Errorf("PLAIN, password of %d bytes: got %v, want %d", n, got, authRejected)
				}
				if got := c.login(strings.Repeat("u", n), strings.Repeat("p", n)); got.code != authRejected {
					t.Errorf("LOGIN, name and password of %d bytes: got %v, want %d", n, got, authRejected)
				}
				if log := e.logText(t); strings.Contains(log, "eset by peer") || strings.Contains(log, "socket") {
					t.Fatalf("a reply was lost:\n%s", log)
				}
			}
			if got := c.plain("", "alice", long); got.code != authAccepted {
				t.Errorf("a password of %d bytes: got %v, want %d", len(long), got, authAccepted)
			}
			c.goesOn()
		})
	}
}

// A client that goes away in the middle, or before its reply, disturbs nobody.
func TestLimitHangUps(t *testing.T) {
	release := make(chan struct{})
	server := startIMAP(t, verdicts(func(l login) string {
		if l.authcid == "slow" {
			<-release
		}
		return "OK in"
	}))
	d := serve(t, server.url())
	for _, request := range []string{"", "al", "alice\tpass", "slow\tpass word\n"} {
		conn, err := dialSocket(d.socket)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, request)
		conn.Close()
	}
	if got := ask(t, d.socket, "alice\tcorrect horse\n"); got != yes {
		t.Errorf("got %q, want %q", got, yes)
	}
	close(release)
}
