package proto

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// peerUID returns the user who connected.
func peerUID(c syscall.Conn) (uid uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	if cerr := raw.Control(func(fd uintptr) { uid, err = uidOf(int(fd)) }); cerr != nil {
		return 0, cerr
	}
	return uid, err
}

// uidOf returns the user at the other end of a socket (SO_PEERCRED, unix(7)).
func uidOf(fd int) (uint32, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
