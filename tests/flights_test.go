package tests

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// A thousand requests at one time for one account that nobody knows yet make one
// login, and each gets its verdict.
func TestFlightsOneLogin(t *testing.T) {
	imap := startDovecot(t, dovecotOptions{users: accounts})
	d := serveConfig(t, serverTOML(imap.url()))
	for _, tt := range []struct{ password, want string }{{accounts["alice"], yes}, {"a wrong password", no}} {
		replies := askAll(t, d, 1000, func(int) string { return plainRequest("alice", tt.password) })
		if n := replies[tt.want]; n != 1000 || len(replies) != 1 {
			t.Errorf("got %v, want 1000 of %q", replies, tt.want)
		}
	}
	imap.expectLogins(t, d, "alice", 1, 1)
}

// A thousand accounts at one time never open more connections than allowed, and
// every request gets its verdict within the budget.
func TestFlightsConnections(t *testing.T) {
	server := startIMAP(t, verdicts(func(l login) string {
		<-time.After(2 * time.Millisecond) // a server's work
		return "OK in"
	}))
	const limit = 7
	d := serveConfig(t, serverTOML(server.url(), fmt.Sprintf("connections = %d", limit)))
	replies := askAll(t, d, 1000, func(i int) string { return plainRequest(fmt.Sprint("user", i), "pass word") })
	if replies[yes] != 1000 {
		t.Errorf("got %v, want 1000 of %q", replies, yes)
	}
	atMost(t, &server.conns, limit)
	if n := len(server.attempts()); n != 1000 {
		t.Errorf("%d logins, want 1000", n)
	}
}

// The same against Dovecot, whose processes come and go.
func TestFlightsConnectionsDovecot(t *testing.T) {
	passwords := make(map[string]string)
	for i := range 100 {
		passwords[fmt.Sprint("user", i)] = fmt.Sprint("pass word ", i)
	}
	imap := startDovecot(t, dovecotOptions{users: passwords})
	p := startProxy(t, loopback(imap.port))
	d := serveConfig(t, serverTOML(p.url()))
	replies := askAll(t, d, 100, func(i int) string {
		return plainRequest(fmt.Sprint("user", i), fmt.Sprint("pass word ", i))
	})
	if replies[yes] != 100 {
		t.Errorf("got %v, want 100 of %q", replies, yes)
	}
	atMost(t, &p.conns, 16)
}

// A server too slow for all of them: those that it does not get to are told so
// within the budget, and none of them is rejected.
func TestFlightsBudget(t *testing.T) {
	server := startIMAP(t, verdicts(func(l login) string {
		<-time.After(100 * time.Millisecond)
		return "OK in"
	}))
	const budget = 2 * time.Second
	d := serveConfig(t, fmt.Sprintf("timeout = %q\n", budget)+serverTOML(server.url(), "connections = 4\n"))
	start := time.Now()
	replies := askAll(t, d, 1000, func(i int) string { return plainRequest(fmt.Sprint("user", i), "pass word") })
	within(t, start, budget+3*time.Second) // a busy machine's share
	if replies[yes] == 0 || replies[temp] == 0 || replies[yes]+replies[temp] != 1000 {
		t.Errorf("got %v, want some of %q, some of %q and no others", replies, yes, temp)
	}
	atMost(t, &server.conns, 4)
}

// askAll sends n requests at one time and counts the replies.
func askAll(t *testing.T, d *daemon, n int, request func(i int) string) map[string]int {
	t.Helper()
	var mu sync.Mutex // protects replies
	replies := make(map[string]int)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			reply := ask(t, d.socket, request(i))
			mu.Lock()
			defer mu.Unlock()
			replies[reply]++
		})
	}
	close(start)
	wg.Wait()
	return replies
}

// atMost checks how many connections were open at one time.
func atMost(t *testing.T, g *gauge, limit int) {
	t.Helper()
	if n, total := g.peak(); n > limit {
		t.Errorf("%d connections of %d were open at one time, want at most %d", n, total, limit)
	}
}
