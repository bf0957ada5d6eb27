//go:build unix

package imap

import (
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peek looks whether the socket has bytes to read, without reading them or
// waiting. io.EOF: the other end has closed.
func peek(c net.Conn) (pending bool, err error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false, nil // a pipe of the tests
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false, err
	}
	var n int
	var recvErr error
	if err := raw.Read(func(fd uintptr) bool {
		n, _, recvErr = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return true
	}); err != nil {
		return false, err
	}
	switch {
	case errors.Is(recvErr, unix.EAGAIN):
		return false, nil
	case recvErr != nil:
		return false, recvErr
	case n == 0:
		return false, io.EOF
	default:
		return true, nil
	}
}
