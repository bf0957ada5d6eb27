//go:build !linux

package proto

import (
	"net"
	"sync"
	"syscall"
)

var umaskMu sync.Mutex

// bindPrivate listens on path with mode 0000, so that nobody connects before the
// group is set. The umask is the whole process's, hence the lock.
func bindPrivate(path string) (*net.UnixListener, error) {
	umaskMu.Lock()
	defer umaskMu.Unlock()
	defer syscall.Umask(syscall.Umask(0o777))
	return net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
}
