package imap

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUserTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := newRouter(t, "imap://"+l.Addr().String(), nil)
	defer r.Close()
	c, err := r.fallback.pools[0].dialer(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		if err != nil || got != int(userTimeout.Milliseconds()) {
			t.Errorf("got %d ms, %v", got, err)
		}
	})
}
