//go:build !ordinary

package proto

import (
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// client is an accepted connection that was given to Go's poller. net.FileConn would
// need a second descriptor, and there may be none.
type client struct{ *os.File }

var _ socketConn = client{}

func newClient(fd int) client { return client{os.NewFile(uintptr(fd), "client")} }

func (c client) CloseRead() error  { return c.shutdown(unix.SHUT_RD) }
func (c client) CloseWrite() error { return c.shutdown(unix.SHUT_WR) }

func (c client) shutdown(how int) (err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), how) }); cerr != nil {
		return cerr
	}
	return os.NewSyscallError("shutdown", err)
}

// The addresses of UNIX sockets say nothing here.
func (c client) LocalAddr() net.Addr  { return &net.UnixAddr{Net: "unix"} }
func (c client) RemoteAddr() net.Addr { return &net.UnixAddr{Net: "unix"} }
