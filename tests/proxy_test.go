package tests

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// proxy stands between the daemon and an IMAP server. It counts the connections
// and can change what the server says.
type proxy struct {
	port  int
	conns gauge
	heard output // all that the clients said
}

// startProxy forwards connections to addr. replace holds pairs: what the server
// says, and what the client hears.
func startProxy(t *testing.T, addr string, replace ...string) *proxy {
	t.Helper()
	p := &proxy{}
	p.port = p.conns.listen(t, func(client net.Conn) { p.forward(client, addr, replace) })
	return p
}

func (p *proxy) url() string { return "imap://" + loopback(p.port) }

// forward copies both ways until either side hangs up.
func (p *proxy) forward(client net.Conn, addr string, replace []string) {
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		io.Copy(io.MultiWriter(server, &p.heard), client)
		server.Close()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		said := buf[:n]
		for i := 0; i+1 < len(replace); i += 2 {
			said = bytes.ReplaceAll(said, []byte(replace[i]), []byte(replace[i+1]))
		}
		if _, werr := client.Write(said); err != nil || werr != nil {
			return
		}
	}
}
