package tests

import (
	"net"

	"golang.org/x/sys/unix"
)

// established reports whether both ends of a connection are open (TCP_ESTABLISHED
// of tcp(7)); on loopback a close of the other end shows at once.
func established(conn net.Conn) bool {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return false
	}
	state := uint8(0)
	raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			state = info.State
		}
	})
	return state == unix.BPF_TCP_ESTABLISHED
}
