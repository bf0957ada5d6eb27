package tests

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// 64 clients at once, every second of which stalls within a string for as long as the
// daemon lets it. The others are answered, rightly, as if they were alone.
func TestSaslauthdHammer(t *testing.T) {
	const clients, rounds = 64, 50
	passwords := make(map[string]string)
	for i := range clients {
		passwords[fmt.Sprintf("user%d@example.test", i)] = fmt.Sprintf("the password of %d", i)
	}
	imap := startIMAP(t, verdicts(users(passwords)))
	socket := filepath.Join(shortDir(t), "mux")
	d := startSaslauthdListeners(t, "timeout = \"5s\"\n"+saslauthdTOML(socket)+serverTOML(imap.url()))
	d.hides("the password of")

	var stalled []net.Conn
	for i := range clients / 2 {
		request := counted(fmt.Sprintf("user%d", i), "the password of", "smtp", "example.test")
		conn, err := dialSocket(socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request[:1+i]); err != nil { // from half a length to the service
			t.Fatal(err)
		}
		stalled = append(stalled, conn)
	}
	start := time.Now()
	var wg sync.WaitGroup
	for i := range clients / 2 {
		wg.Go(func() {
			for round := range rounds {
				password, want := passwords[fmt.Sprintf("user%d@example.test", i)], "OK"
				if round%5 == 4 {
					password, want = password+"?", "NO authentication failed"
				}
				parts := []string{counted(fmt.Sprint("user", i)), counted(password), counted("smtp"), counted("example.test")}
				if round%2 == 0 {
					parts = []string{strings.Join(parts, "")} // as libsasl2; else as Exim
				}
				if got, err := saslAsk(socket, parts...); got != counted(want) || err != nil {
					t.Errorf("client %d, round %d: got %q, %v, want %q", i, round, got, err, want)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d requests beside %d stalled clients in %v", clients/2*rounds, len(stalled), time.Since(start))
	for i, conn := range stalled {
		if got, err := io.ReadAll(conn); len(got) > 0 || err != nil {
			t.Errorf("stalled client %d: got %q, %v, want no reply", i, got, err)
		}
	}
	within(t, start, patience)
	d.stop() // and all of its log is there
	if n := countLines(d.out.String(), "request refused", "verdict=tempfail", "no verdict within the time limit"); n != 1 {
		t.Errorf("the log tells of the stalled ones %d times, want once", n)
	}
}

// saslAsk writes the parts one by one and reads the reply, without half-closing.
func saslAsk(socket string, parts ...string) (string, error) {
	conn, err := dialSocket(socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	for _, part := range parts {
		if _, err := io.WriteString(conn, part); err != nil {
			return "", err
		}
	}
	reply, err := io.ReadAll(conn)
	return string(reply), err
}

// Five clients that stall are enough for the original, as Debian starts it.
func TestSaslauthdHammerOriginal(t *testing.T) {
	t.Parallel()
	imap := startDovecot(t, dovecotOptions{users: accounts})
	s := startSaslauthd(t, shortDir(t), imap.port, "-n", "5")
	var stalled []net.Conn
	for range 5 {
		conn, err := dialSocket(s.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		io.WriteString(conn, "\x00")
		stalled = append(stalled, conn)
	}
	// All of its processes have left accept when each has taken the lock and let it go.
	eventually(t, "five processes to be held", func() bool {
		return strings.Count(s.out.String(), "released accept lock") == 5
	})
	conn, err := dialSocket(s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, counted("alice", accounts["alice"], "smtp", ""))
	conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	if got, err := io.ReadAll(conn); len(got) > 0 || err == nil {
		t.Fatalf("the sixth client got %q, %v", got, err)
	}
	stalled[0].Close()
	conn.SetReadDeadline(time.Now().Add(patience))
	if got, err := io.ReadAll(conn); verdict(string(got)) != "OK" {
		t.Errorf("when one has gone: got %q, %v, want OK", got, err)
	}
}
