package tests

import (
	"bufio"
	"io"
	"net"
	"path/filepath"
	"testing"
)

// standIn listens in the daemon's place and hands each connection to answer. It
// shows what Exim really sends, and what Exim makes of replies that the daemon
// never gives.
func standIn(t *testing.T, answer func(conn *net.UnixConn)) (socket string) {
	t.Helper()
	socket = filepath.Join(shortDir(t), "s")
	standInAt(t, socket, answer)
	return socket
}

// standInAt is standIn at a path of the test's choice.
func standInAt(t *testing.T, socket string, answer func(conn *net.UnixConn)) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	openToAll(t, socket)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go answer(conn.(*net.UnixConn))
		}
	}()
}

// recorder returns an answer that reads the request to its end, reports it and
// replies.
func recorder(requests chan<- string, reply string) func(*net.UnixConn) {
	return func(conn *net.UnixConn) {
		defer conn.Close()
		request, _ := io.ReadAll(conn)
		requests <- string(request)
		io.WriteString(conn, reply)
	}
}

// hasty replies before it has read all, and closes with bytes unread: the mistake
// that DESIGN §4 warns of.
func hasty(conn *net.UnixConn) {
	bufio.NewReaderSize(conn, 16).ReadByte()
	io.WriteString(conn, yes)
	conn.Close()
}
