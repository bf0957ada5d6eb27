package tests

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// The three replies of the readsocket front-end (DESIGN §4).
const (
	yes  = "yes"
	no   = "no"
	temp = "temporarily unavailable"
)

// ask sends one request as Exim does, with a half-close behind it, and returns
// the whole reply. A reset connection fails the test: Exim would report 535
// whatever was written before.
func ask(t *testing.T, socket, request string) string {
	t.Helper()
	reply, err := exchange(socket, request, true)
	if err != nil {
		t.Errorf("request %.80q: %v (read before it: %q)", request, err, reply)
	}
	return reply
}

// askOpen is ask without the half-close.
func askOpen(t *testing.T, socket, request string) string {
	t.Helper()
	reply, err := exchange(socket, request, false)
	if err != nil {
		t.Errorf("request %.80q: %v (read before it: %q)", request, err, reply)
	}
	return reply
}

// exchange writes a request, half-closes if told to, and reads to the end.
func exchange(socket, request string, halfClose bool) (string, error) {
	conn, err := dialSocket(socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// A request past the cap may be answered before it is written whole; the
	// reply counts all the same, if it can be read.
	if _, err := io.WriteString(conn, request); err != nil && !errors.Is(err, syscall.EPIPE) {
		return "", err
	}
	if halfClose {
		if err := conn.CloseWrite(); err != nil && !errors.Is(err, syscall.ENOTCONN) {
			return "", err
		}
	}
	reply, err := io.ReadAll(conn)
	return string(reply), err
}

// dialSocket connects with a deadline for all that follows.
func dialSocket(socket string) (*net.UnixConn, error) {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, err
	}
	err = conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.UnixConn), err
}
