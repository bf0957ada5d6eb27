package tests

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A server's certificate expires while the daemon runs: by the clock, with the proof of
// its chain remembered and sessions that could be resumed, or because another is put in
// its place. No password goes out from then on, the log says why, and with a good one
// the next login is answered.
func TestFaultCertificate(t *testing.T) {
	for name, tickets := range map[string]bool{"sessions resumed": true, "none resumed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			daemonBinary(t) // which may take longer than is left
			const left = 4 * time.Second
			short := newAuthorityFor(t, shortDir(t), left, "127.0.0.1")
			notAfter := time.Now().Add(left)
			expired := newAuthorityFor(t, shortDir(t), -time.Minute, "127.0.0.1")
			good := names(t, "127.0.0.1")
			var shown atomic.Pointer[tls.Config]
			// A server that gets another certificate is started anew, and resumes nothing.
			show := func(a *authority) {
				pair, err := tls.LoadX509KeyPair(a.certFile, a.keyFile)
				if err != nil {
					t.Fatal(err)
				}
				shown.Store(&tls.Config{Certificates: []tls.Certificate{pair}, SessionTicketsDisabled: !tickets})
			}
			show(short)
			var resumed atomic.Bool
			serve := verdicts(func(l login) string {
				if l.password == passwordOf(l.authcid) {
					return "OK in"
				}
				return "NO [AUTHENTICATIONFAILED] no"
			})
			server := startIMAP(t, func(s *imapSession) {
				conn := tls.Server(s.conn, shown.Load())
				if conn.Handshake() != nil {
					return
				}
				if conn.ConnectionState().DidResume {
					resumed.Store(true)
				}
				s.conn, s.r = conn, bufio.NewReader(conn)
				serve(s)
			})
			d := serveConfig(t, serverTOML("imaps://"+loopback(server.port), "warm = 0", trusting(t, short, expired, good)))
			n := 0
			right := func() string {
				n++
				user := fmt.Sprint("user", n)
				d.hides(passwordOf(user))
				return ask(t, d.socket, plainRequest(user, passwordOf(user)))
			}
			expect := func(phase, want string) {
				t.Helper()
				start := time.Now()
				if got := right(); got != want {
					t.Errorf("%s: got %q, want %q", phase, got, want)
				}
				within(t, start, quick)
			}
			expect("valid", yes)
			expect("valid", yes)
			eventually(t, "the certificate to expire", func() bool {
				start, got := time.Now(), right()
				if got == yes && start.After(notAfter.Add(time.Second)) { // certificates know whole seconds
					t.Fatalf("a yes %v after the certificate had expired", start.Sub(notAfter))
				}
				if got == temp && time.Now().Before(notAfter.Add(-time.Second)) {
					t.Fatalf("%v before its end: got %q\n%s", time.Until(notAfter), got, d.out)
				}
				return got == temp
			})
			untold := len(server.attempts())
			expect("expired by the clock", temp)
			if text := d.out.String(); !strings.Contains(text, "expired") {
				t.Errorf("the log does not say that it has expired:\n%s", text)
			}
			for range 2 {
				show(good)
				expect("a good one", yes)
				expect("a good one", yes)
				untold += 2
				show(expired)
				expect("an expired one in its place", temp)
			}
			if got := len(server.attempts()); got != untold {
				t.Errorf("%d logins were told, want %d", got, untold)
			}
			if resumed.Load() != tickets {
				t.Errorf("sessions were resumed: %v, want %v", resumed.Load(), tickets)
			}
			// What was found out before stays, with no server to be trusted.
			start := time.Now()
			if got := ask(t, d.socket, plainRequest("user1", passwordOf("user1"))); got != yes {
				t.Errorf("remembered: got %q", got)
			}
			within(t, start, quick)
		})
	}
}
