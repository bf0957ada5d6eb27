package imap

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// userTimeout is how long bytes that we sent may go without an acknowledgement. A
// connection that a firewall forgot while it was kept warm looks alive; its
// login then fails this soon, and a fresh one is asked within the same budget.
const userTimeout = 3 * time.Second

// setUserTimeout is a net.Dialer's Control (TCP_USER_TIMEOUT, tcp(7), RFC 5482).
func setUserTimeout(network, _ string, c syscall.RawConn) (err error) {
	if network == "unix" {
		return nil
	}
	if cerr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds()))
	}); cerr != nil {
		return cerr
	}
	return err
}
