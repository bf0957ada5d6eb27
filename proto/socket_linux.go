//go:build !ordinary

package proto

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// socket is a listening socket that Go's poller does not know of, for it would be woken
// by each connection too.
type socket struct {
	// wake ends the waiting on a passed socket, whose state other processes share; an own
	// one (-1) is shut down.
	wake    int
	stopped atomic.Bool

	mu sync.Mutex
	fd int // -1: closed; set under mu
}

// newSocket takes l over and closes it. An own socket is waited for in accept4.
func newSocket(l *net.UnixListener, passed bool) (*socket, error) {
	defer l.Close()
	raw, err := l.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{wake: -1}
	if cerr := raw.Control(func(fd uintptr) { s.fd, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil {
		return nil, cerr
	}
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if !passed {
		err = os.NewSyscallError("fcntl", unix.SetNonblock(s.fd, false))
	} else {
		s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
		err = os.NewSyscallError("eventfd", err)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// stop ends the waiting. Who connects to an own socket from now on is refused, and what
// is queued is still accepted; at a passed one it is the next owner's.
func (s *socket) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped.Store(true)
	switch {
	case s.fd < 0:
	case s.wake >= 0:
		unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	default:
		unix.Shutdown(s.fd, unix.SHUT_RDWR)
	}
}

// Close frees the descriptors. Nobody may wait any more.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd < 0 {
		return net.ErrClosed
	}
	if s.wake >= 0 {
		unix.Close(s.wake)
	}
	err := unix.Close(s.fd)
	s.fd = -1
	return os.NewSyscallError("close", err)
}

// errStopped ends an accept loop.
var errStopped = errors.New("stopped")

// next returns the next connection, a descriptor that does not block. events is that of
// watch, -1 for an own socket.
func (s *socket) next(events int) (int, error) {
	var ready [2]unix.EpollEvent
	for {
		if events >= 0 {
			if _, err := unix.EpollWait(events, ready[:], -1); err != nil && err != unix.EINTR {
				return -1, os.NewSyscallError("epoll_wait", err)
			}
			if s.stopped.Load() {
				return -1, errStopped
			}
		}
		// unix.Accept4 would allocate an address.
		fd, _, errno := unix.Syscall6(unix.SYS_ACCEPT4, uintptr(s.fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
		switch {
		case errno == 0:
			return int(fd), nil
		case errno == unix.EINTR || errno == unix.ECONNABORTED || errno == unix.EAGAIN: // another was quicker
		case errno == unix.EINVAL && s.stopped.Load(): // shut down, and the queue is empty
			return -1, errStopped
		default:
			return -1, os.NewSyscallError("accept4", errno)
		}
	}
}

// watch returns an epoll of one thread's own, so that a connection wakes one of them.
func (s *socket) watch() (int, error) {
	if s.wake < 0 {
		return -1, nil
	}
	events, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("epoll_create1", err)
	}
	err = errors.Join(
		unix.EpollCtl(events, unix.EPOLL_CTL_ADD, s.fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLEXCLUSIVE}),
		unix.EpollCtl(events, unix.EPOLL_CTL_ADD, s.wake, &unix.EpollEvent{Events: unix.EPOLLIN}))
	if err != nil {
		unix.Close(events)
		return -1, os.NewSyscallError("epoll_ctl", err)
	}
	return events, nil
}
