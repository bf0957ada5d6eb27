package tests

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// steps are where the clock goes, from where it was.
var steps = []time.Duration{time.Hour / 2, -time.Hour / 2, 48 * time.Hour, -48 * time.Hour, 0}

// Steps of the clock, back and forth, change no lifetime, no budget and no pause: these
// are measured by another. Certificates alone go by it.
func TestFaultClock(t *testing.T) {
	t.Parallel()
	binary := buildStepped(t)
	t.Run("lifetimes", func(t *testing.T) {
		t.Parallel()
		const ttl = 3 * time.Second
		imap := startIMAP(t, verdicts(users(accounts)))
		s := serveStepped(t, binary, serverTOML(imap.url())+fmt.Sprintf("[cache]\npositive_ttl = %q\nnegative_ttl = %q\n", ttl, ttl))
		right, wrong := plainRequest("alice", accounts["alice"]), plainRequest("alice", "a wrong password")
		start := time.Now()
		s.expect(t, "before", right, yes, 0, quick)
		s.expect(t, "before", wrong, no, 0, quick)
		for _, by := range steps {
			s.step(t, by)
			s.expect(t, by.String(), right, yes, 0, quick)
			s.expect(t, by.String(), wrong, no, 0, quick)
		}
		if n := len(imap.attempts()); n != 2 && time.Since(start) < ttl {
			t.Errorf("%d logins, want 2", n)
		}
		s.step(t, -time.Hour)
		eventually(t, "both to be asked again", func() bool {
			s.expect(t, "stepped back", right, yes, 0, quick)
			s.expect(t, "stepped back", wrong, no, 0, quick)
			return len(imap.attempts()) >= 4
		})
		if took := time.Since(start); took < ttl || took > ttl+quick {
			t.Errorf("both were asked again after %v, want %v", took, ttl)
		}
	})
	t.Run("budgets", func(t *testing.T) {
		t.Parallel()
		const budget, slow = 2 * time.Second, 500 * time.Millisecond
		end := make(chan struct{})
		defer close(end)
		imap := startIMAP(t, verdicts(func(l login) string {
			switch {
			case strings.HasPrefix(l.authcid, "slow"):
				<-time.After(slow)
			case strings.HasPrefix(l.authcid, "hung"):
				<-end
			}
			return "OK in"
		}))
		s := serveStepped(t, binary, fmt.Sprintf("timeout = %q\n", budget)+serverTOML(imap.url(), "connections = 100"))
		var hung sync.WaitGroup
		defer hung.Wait()
		for i, by := range steps {
			done := make(chan struct{})
			go func() {
				defer close(done)
				s.expect(t, "slow, "+by.String(), plainRequest("slow"+strconv.Itoa(i), "x"), yes, slow, slow+quick)
			}()
			hung.Go(func() {
				s.expect(t, "hung, "+by.String(), plainRequest("hung"+strconv.Itoa(i), "x"), temp, budget, budget+quick)
			})
			eventually(t, "both to be asked", func() bool { return len(imap.attempts()) == 2*(i+1) })
			s.step(t, by)
			<-done
		}
	})
	t.Run("pauses", func(t *testing.T) {
		t.Parallel()
		var up atomic.Bool
		serve := verdicts(func(login) string { return "OK in" })
		first := startIMAP(t, func(s *imapSession) {
			if up.Load() {
				serve(s)
			}
		})
		second := acceptAll(t)
		s := serveStepped(t, binary, failoverTOML(first.url(), second.url()))
		n := 0
		asked := func() bool {
			n++
			s.expect(t, "by the second", plainRequest(fmt.Sprint("user", n), "x"), yes, 0, quick)
			return len(first.attempts()) > 0
		}
		for range 5 {
			asked()
		}
		s.step(t, -time.Hour)
		up.Store(true)
		eventually(t, "the first to be asked again", asked)
	})
	t.Run("certificates", func(t *testing.T) {
		t.Parallel()
		cert := names(t, "127.0.0.1") // for a day, from an hour ago
		server := startNamed(t, "imaps", cert)
		s := serveStepped(t, binary, serverTOML("imaps://"+loopback(server.port), "warm = 0", trusting(t, cert)))
		for i, by := range append([]time.Duration{0}, steps...) {
			s.step(t, by)
			want := yes
			if by.Abs() > 24*time.Hour {
				want = temp
			}
			user := fmt.Sprint("user", i)
			s.expect(t, by.String(), plainRequest(user, passwordOf(user)), want, 0, quick)
		}
	})
}
