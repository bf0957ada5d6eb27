package tests

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// detection is how long it may take at most to see that a silent server is down: the
// dialling's own bound is 5 s.
const detection = 7 * time.Second

// quick is more than a login ever takes at a server that is up, on a busy machine too.
const quick = 2 * time.Second

// failoverTOML configures one server at several URLs, and no cache.
func failoverTOML(urls ...string) string {
	text := serverTOML("URLS")
	return strings.Replace(text, `"URLS"`, `"`+strings.Join(urls, `", "`)+`"`, 1) +
		"[cache]\npositive_ttl = \"0s\"\nnegative_ttl = \"0s\"\n"
}

// logIn logs in once and returns how long that took.
func logIn(t *testing.T, d *daemon, user, want string) time.Duration {
	t.Helper()
	start := time.Now()
	if got := ask(t, d.socket, extendedRequest(user, accounts["alice"])); got != want {
		t.Errorf("%s: got %q, want %q", user, got, want)
	}
	return time.Since(start)
}

// acceptAll is a server that knows everybody.
func acceptAll(t *testing.T) *imapServer {
	return startIMAP(t, verdicts(func(login) string { return "OK in" }))
}

// A first URL that cannot be asked, in each way that there is: the second answers. One
// that is silent is noticed by the first logins, which wait for it; no other does.
func TestFailover(t *testing.T) {
	for name, tt := range map[string]struct {
		url    func(t *testing.T) string
		silent bool
	}{
		"refuses": {func(t *testing.T) string { return "imap://" + loopback(freePort(t)) }, false},
		"hangs up": {func(t *testing.T) string {
			return startIMAP(t, func(*imapSession) {}).url()
		}, false},
		"says BYE": {func(t *testing.T) string {
			return startIMAP(t, func(s *imapSession) { s.send("* BYE [UNAVAILABLE] full") }).url()
		}, false},
		"speaks no TLS": {func(t *testing.T) string {
			return strings.Replace(acceptAll(t).url(), "imap:", "imaps:", 1)
		}, false},
		"never accepts": {func(t *testing.T) string { return "imap://" + loopback(hungPort(t)) }, true},
		"never greets": {func(t *testing.T) string {
			return startIMAP(t, (*imapSession).hold).url()
		}, true},
		"black hole": {func(t *testing.T) string {
			port := freePort(t)
			blackHole(t, port)
			return "imap://" + loopback(port)
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			second := startIMAP(t, verdicts(func(l login) string {
				if strings.HasPrefix(l.authcid, "user") {
					return "OK in"
				}
				return "NO [AUTHENTICATIONFAILED] no"
			}))
			d := serveConfig(t, failoverTOML(tt.url(t), second.url()))
			most := quick
			if tt.silent {
				most = detection
			}
			// More than there may be connections to one URL.
			var wg sync.WaitGroup
			start := time.Now()
			for i := range 40 {
				wg.Go(func() { logIn(t, d, fmt.Sprint("user", i), yes) })
			}
			wg.Wait()
			within(t, start, most)
			// Long enough for the first to be tried again, in vain.
			pace := time.NewTicker(50 * time.Millisecond)
			defer pace.Stop()
			for start, i := time.Now(), 0; time.Since(start) < 3*time.Second; i++ {
				<-pace.C
				if took := logIn(t, d, fmt.Sprint("user", i), yes); took > quick {
					t.Errorf("%v later, a login took %v", time.Since(start), took)
				}
				if took := logIn(t, d, "mallory", no); took > quick {
					t.Errorf("%v later, a rejection took %v", time.Since(start), took)
				}
			}
		})
	}
}

// What a server said to credentials stands, and so does that it said nothing: they are
// sent to no other one.
func TestFailoverNever(t *testing.T) {
	hangUp := "hang up"
	for name, tt := range map[string]struct{ answer, want string }{
		"reject":       {"NO [AUTHENTICATIONFAILED] no", no},
		"no code":      {"NO no", no},
		"unavailable":  {"NO [UNAVAILABLE] later", temp},
		"in use":       {"NO [INUSE] later", temp},
		"unknown code": {"NO [WHATEVER] later", temp},
		"bad":          {"BAD what", temp},
		"bye":          {"* BYE later", temp},
		"hang-up":      {hangUp, temp},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := verdicts(func(login) string { return tt.answer })
			first := startIMAP(t, func(s *imapSession) {
				if strings.HasPrefix(tt.answer, "NO") || strings.HasPrefix(tt.answer, "BAD") {
					answer(s)
					return
				}
				s.send("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready")
				if line, ok := s.line(); ok && strings.Contains(line, "AUTHENTICATE") {
					s.server.note(line[strings.LastIndexByte(line, ' ')+1:])
					if tt.answer != hangUp {
						s.send("%s", tt.answer)
					}
				}
			})
			second := acceptAll(t)
			d := serveConfig(t, failoverTOML(first.url(), second.url()))
			const logins = 10
			for i := range logins {
				logIn(t, d, fmt.Sprint("user", i), tt.want)
			}
			if n := len(first.attempts()); n < logins {
				t.Errorf("the first was asked %d times, want %d", n, logins)
			}
			if _, n := second.conns.peak(); n != 0 {
				t.Errorf("the second was connected to %d times", n)
			}
		})
	}
}

// A first server that goes down amid traffic, and comes back. Logins that were sent to
// it over warm connections before it hung have no verdict; nobody else notices, when it
// is back neither: no login waits for a probe.
func TestFailoverBack(t *testing.T) {
	const crowd, warm = 20, 4
	passwords := map[string]string{"alice": accounts["alice"]}
	for i := range crowd {
		passwords[fmt.Sprint("user", i)] = accounts["alice"]
	}
	for name, outage := range map[string]struct {
		begin, end func(*testing.T, *dovecot)
		most       time.Duration // what those who come first may have to wait for a verdict
		lost       int           // how many of them may be told that there is none
	}{
		"stopped": {
			func(t *testing.T, d *dovecot) { d.stop(t) },
			func(t *testing.T, d *dovecot) { d.start(t) },
			quick, 0,
		},
		"hung": {
			func(t *testing.T, d *dovecot) { d.hang(t) },
			func(t *testing.T, d *dovecot) { d.resume(t) },
			detection, warm,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first := startDovecot(t, dovecotOptions{users: passwords})
			second := acceptAll(t)
			d := serveConfig(t, failoverTOML(first.url(), second.url()))
			// steady logs in twenty times a second until done says so. Nobody of the
			// crowd, whose login may go on unanswered, and be joined, for 30 s.
			steady := func(phase string, done func() bool) (n int) {
				t.Helper()
				start := time.Now()
				pace := time.NewTicker(50 * time.Millisecond)
				defer pace.Stop()
				for ; !done(); n++ {
					<-pace.C
					if took := logIn(t, d, "alice", yes); took > quick {
						t.Errorf("%s: after %v a login took %v, want at most %v", phase, time.Since(start), took, quick)
					}
					if time.Since(start) > patience {
						t.Fatalf("%s: still not after %d logins", phase, n)
					}
				}
				t.Logf("%s: %d logins in %v", phase, n, time.Since(start))
				return n
			}
			up := time.Now().Add(time.Second)
			steady("up", func() bool { return time.Now().After(up) })
			if n := len(second.attempts()); n != 0 {
				t.Errorf("the second was asked %d times while the first was up", n)
			}

			outage.begin(t, first)
			start, lost := time.Now(), atomic.Int64{}
			var wg sync.WaitGroup
			for i := range crowd {
				wg.Go(func() {
					user := fmt.Sprint("user", i)
					switch got := ask(t, d.socket, extendedRequest(user, passwords[user])); got {
					case yes:
						within(t, start, outage.most)
					case temp:
						lost.Add(1)
						within(t, start, 10*time.Second) // 9 s is the budget
					default:
						t.Errorf("%s: got %q", user, got)
					}
				})
			}
			wg.Wait()
			if n := int(lost.Load()); n > outage.lost {
				t.Errorf("%d logins got no verdict, want at most %d", n, outage.lost)
			}
			t.Logf("those who came first: %d without a verdict, all after %v", lost.Load(), time.Since(start))
			before := len(second.attempts())
			down := time.Now().Add(3 * time.Second)
			n := steady("down", func() bool { return time.Now().After(down) })
			if asked := len(second.attempts()) - before; asked != n {
				t.Errorf("the second was asked %d times, want %d", asked, n)
			}

			outage.end(t, first)
			before, _ = first.logins(t, "alice")
			steady("back", func() bool { now, _ := first.logins(t, "alice"); return now > before+10 })
			asked := len(second.attempts())
			for range 10 {
				logIn(t, d, "alice", yes)
			}
			if now := len(second.attempts()); now != asked {
				t.Errorf("the second was asked %d times after the first was back", now-asked)
			}
		})
	}
}
