package tests

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// A server that answers after seconds: who is remembered does not wait for it, who waits
// within the budget has the verdict, and who does not has it at the next try.
func TestFaultSlow(t *testing.T) {
	t.Parallel()
	const slow, tooSlow, budget = time.Second, 3 * time.Second, 2 * time.Second
	imap := startIMAP(t, verdicts(func(l login) string {
		switch {
		case strings.HasPrefix(l.authcid, "slow"):
			<-time.After(slow)
		case strings.HasPrefix(l.authcid, "late"):
			<-time.After(tooSlow)
		}
		if l.password == accounts["alice"] {
			return "OK in"
		}
		return "NO [AUTHENTICATIONFAILED] no"
	}))
	d := serveConfig(t, fmt.Sprintf("timeout = %q\n%s", budget, serverTOML(imap.url(), "connections = 40")))
	expect := func(user, password, want string, least, most time.Duration) {
		t.Helper()
		start := time.Now()
		if got := ask(t, d.socket, plainRequest(user, password)); got != want {
			t.Errorf("%s, %q: got %q, want %q", user, password, got, want)
		}
		if took := time.Since(start); took < least || took > most {
			t.Errorf("%s, %q: took %v, want %v to %v", user, password, took, least, most)
		}
	}
	expect("alice", accounts["alice"], yes, 0, quick)
	var all sync.WaitGroup
	start := time.Now()
	for i := range 10 {
		slowly, late := fmt.Sprint("slow", i), fmt.Sprint("late", i)
		all.Go(func() { expect(slowly, accounts["alice"], yes, slow, slow+quick) })
		all.Go(func() { expect(slowly, "a wrong password", no, slow, slow+quick) })
		all.Go(func() { expect(late, accounts["alice"], temp, budget, budget+quick) })
	}
	eventually(t, "all to wait", func() bool { return len(imap.attempts()) == 31 })
	for range 20 {
		expect("alice", accounts["alice"], yes, 0, quick)
		expect("bob", accounts["alice"], yes, 0, quick) // not remembered, and not slow
	}
	all.Wait()
	eventually(t, "the late verdicts", func() bool { return countLines(d.out.String(), `msg="late login"`) == 10 })
	within(t, start, tooSlow+quick)
	for i := range 10 {
		expect(fmt.Sprint("late", i), accounts["alice"], yes, 0, quick)
	}
	if n := len(imap.attempts()); n != 32 {
		t.Errorf("%d logins, want 32", n)
	}
}
