package tests

import (
	"net"
	"slices"
	"sync"
	"testing"
)

// turns counts, for each connection, how often its client has spoken after it had
// listened: the round trips that its logins would take across any distance.
type turns struct {
	port int

	mu    sync.Mutex
	began int   // protects both; connections
	count []int // of those that have ended
}

func startTurns(t *testing.T, addr string) *turns {
	t.Helper()
	p := &turns{}
	p.port = new(gauge).listen(t, func(client net.Conn) {
		p.mu.Lock()
		p.began++
		p.mu.Unlock()
		p.forward(client, addr)
	})
	return p
}

func (p *turns) forward(client net.Conn, addr string) {
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	var mu sync.Mutex
	spoke, listens := 0, true
	var both sync.WaitGroup
	copyAll := func(to, from net.Conn, note func()) {
		buf := make([]byte, 16<<10)
		for {
			n, err := from.Read(buf)
			if n > 0 {
				mu.Lock()
				note()
				mu.Unlock()
				to.Write(buf[:n])
			}
			if err != nil {
				to.(*net.TCPConn).CloseWrite()
				return
			}
		}
	}
	both.Go(func() { copyAll(client, server, func() { listens = true }) })
	copyAll(server, client, func() {
		if listens {
			spoke++
		}
		listens = false
	})
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count = append(p.count, spoke)
}

// A login over a warm connection costs one round trip, address and all; its LOGOUT,
// for which nobody waits, is another. TLS 1.3 takes two before: the hello, and the
// end of the handshake, behind which the greeting comes.
func TestLoginTurns(t *testing.T) {
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			at := p.start(t)
			for scheme, want := range map[string]int{"imaps": 4, "imap": 2} {
				addr := at.clear
				if scheme == "imaps" {
					addr = at.tls
				}
				between := startTurns(t, addr)
				near := at
				near.clear, near.tls = loopback(between.port), loopback(between.port)
				c := newCaller(t, near, scheme, 4, false, 0)
				c.repeat(5) // and holds that each found a warm connection
				c.r.Close()
				eventually(t, "the connections to end", func() bool {
					between.mu.Lock()
					defer between.mu.Unlock()
					return len(between.count) == between.began
				})
				between.mu.Lock()
				slices.Sort(between.count)
				unused := len(between.count) - int(c.log.answered.Load())
				used := slices.Compact(slices.Clone(between.count[unused:]))
				if len(used) != 1 || used[0] != want || unused == 0 || between.count[unused-1] >= want {
					t.Errorf("%s: %d connections had these turns: %v, want %d with each login and fewer without", scheme, len(between.count), between.count, want)
				}
				between.mu.Unlock()
			}
			if at.dovecot != nil {
				text := at.dovecot.logText(t)
				all, told := countLines(text, "Login: user=<alice>"), countLines(text, "Login: user=<alice>", "rip="+callerIP)
				if all == 0 || told != all {
					t.Errorf("Dovecot was told the mail client's address at %d of %d logins", told, all)
				}
			}
		})
	}
}
