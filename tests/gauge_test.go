package tests

import (
	"net"
	"sync"
	"testing"
)

// gauge knows the connections of a server at which the daemon is the client.
type gauge struct {
	mu         sync.Mutex // protects the fields below
	open       map[net.Conn]bool
	max, total int
}

// add takes in a new connection and looks how many are open now. One that the
// daemon has closed counts no more, though the server may not have noticed yet.
func (g *gauge) add(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = make(map[net.Conn]bool)
	}
	g.open[conn] = true
	g.total++
	n := 0
	for c := range g.open {
		if established(c) {
			n++
		}
	}
	g.max = max(g.max, n)
}

// remove forgets a connection and closes it.
func (g *gauge) remove(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, conn)
	conn.Close()
}

// closeAll hangs up on everybody.
func (g *gauge) closeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for conn := range g.open {
		conn.Close()
	}
}

// peak returns how many connections were open at one time, at most, and how many
// there have been.
func (g *gauge) peak() (max, total int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.max, g.total
}

// listen serves every connection to a port of its own with handle, and closes it
// behind it. At the test's end it hangs up on those that are left, and waits.
func (g *gauge) listen(t testing.TB, handle func(net.Conn)) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		g.closeAll()
		served.Wait()
	})
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			g.add(conn)
			served.Go(func() {
				defer g.remove(conn)
				handle(conn)
			})
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}
