package proto

import (
	"context"
	"net"
	"syscall"
)

// bindPrivate listens on path with mode 0000, so that nobody connects before the
// group is set. On Linux the file takes its mode from the socket
// (net/unix/af_unix.c, unix_bind_bsd); the umask, which is the whole process's,
// is left alone.
func bindPrivate(path string) (*net.UnixListener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if cerr := c.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0) }); cerr != nil {
			return cerr
		}
		return err
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	return l.(*net.UnixListener), nil
}
