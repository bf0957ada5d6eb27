package tests

import (
	"bufio"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// relayRecorder stands between a mail server and an auth socket and keeps what both
// say, line by line.
type relayRecorder struct {
	target string

	mu      sync.Mutex // protects what follows
	conns   []*relayConn
	rewrite func(line string) string // on its way to the mail server; nil: as it is
}

// relayConn is what was said on one connection: "C: " is the mail server, which is the
// client here. Lines of the handshake cross each other, so each side has its own.
type relayConn struct {
	hello, greeting []string // up to the first request, and to DONE
	rest            []string
	asked           bool // there was an exchange
}

// startRelayRecorder listens at socket for a mail server; target is the auth socket.
func startRelayRecorder(t *testing.T, socket, target string) *relayRecorder {
	t.Helper()
	r := &relayRecorder{target: target}
	standInAt(t, socket, func(conn *net.UnixConn) { r.serve(conn) })
	return r
}

func (r *relayRecorder) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", r.target)
	if err != nil {
		return // as if the auth server closed at once
	}
	defer server.Close()
	c := &relayConn{}
	r.mu.Lock()
	r.conns = append(r.conns, c)
	r.mu.Unlock()
	go func() {
		defer server.Close()
		r.copy(server, client, c, "C: ")
	}()
	r.copy(client, server, c, "S: ")
}

func (r *relayRecorder) copy(to, from net.Conn, c *relayConn, side string) {
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		r.mu.Lock()
		if r.rewrite != nil && side == "S: " {
			line = r.rewrite(line)
		}
		c.add(side, line[:len(line)-1])
		r.mu.Unlock()
		if _, err := to.Write([]byte(line)); err != nil {
			return
		}
	}
}

func (c *relayConn) add(side, line string) {
	word := relayWord(line)
	switch {
	case side == "C: " && (word == "VERSION" || word == "CPID"):
		c.hello = append(c.hello, side+line)
	case side == "S: " && (len(c.greeting) == 0 || c.greeting[len(c.greeting)-1] != "S: DONE"):
		c.greeting = append(c.greeting, side+line)
	default:
		c.rest, c.asked = append(c.rest, side+line), true
	}
}

// alter has lines changed on their way to the mail server.
func (r *relayRecorder) alter(rewrite func(line string) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rewrite = rewrite
}

// take returns the lines of the exchanges since the last take.
func (r *relayRecorder) take() (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		lines = append(lines, c.rest...)
		c.rest = nil
	}
	return lines
}

// handshakes returns what was said at the start of each connection that came as far
// as an exchange.
func (r *relayRecorder) handshakes() (each [][]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		if c.asked {
			each = append(each, slices.Concat(c.hello, c.greeting))
		}
	}
	return each
}

// relayWord is the first field of a line.
func relayWord(line string) string {
	word, _, _ := strings.Cut(line, "\t")
	return word
}
